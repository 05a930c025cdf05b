"""Plans in the journal whose last word is spoken right before they are carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.store.database import Store

REVISED: Final = ("new_value", "new_remark", "after")


def revise_changes(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let planned writes (``id`` and ``REVISED``) say what is really going to be sent, before it is."""
    assignments = ", ".join(f"{column} = :{column}" for column in REVISED)
    chosen = ({column: record[column] for column in ("id", *REVISED)} for record in records)
    store.execute_many(f"update changes set {assignments} where id = :id", chosen)


def revise_decisions(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let decided entries (``id``, ``foreseen``) foresee what is really going to stand."""
    store.execute_many("update decisions set foreseen = :foreseen where id = :id", records)
