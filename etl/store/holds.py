"""Persons a guard keeps back until an operator approves (rules.md §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.states import HoldKind
from etl.store.writing import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.store.database import Store

HOLD_COLUMNS: Final = ("run_id", "entity_id", "betnr", "kind", "reason", "digest", "until_edited", "held_at")

HOLD_DEFAULTS: Final = {"until_edited": False}


def hold_persons(store: Store, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Hold these persons (``HOLD_COLUMNS``) and return the IDs of those that no hold of the kind kept before.

    Who is held already stays held as it was, by the earlier run.
    """
    statement = f"{insert('holds', HOLD_COLUMNS)} on conflict do nothing returning entity_id"
    with store.transaction():
        return [
            row["entity_id"]
            for record in records
            for row in store.rows(statement, {**dict.fromkeys(HOLD_COLUMNS), **HOLD_DEFAULTS, **record})
        ]


def open_holds(
    store: Store,
    *,
    run_id: int | None = None,
    entity_id: str | None = None,
) -> list[dict[str, Any]]:
    """Return the holds that are not released, of one run, of one person, or all."""
    return store.rows(
        """
        select *
        from holds indexed by holds_open
        where released_at is null
            and (:run_id is null or run_id = :run_id)
            and (:entity_id is null or entity_id = :entity_id)
        order by id
        """,
        {"run_id": run_id, "entity_id": entity_id},
    )


def kept_back(store: Store) -> set[str]:
    """Return whom a guard holds; one held until it is edited may be planned, which tells whether it was."""
    return {one["entity_id"] for one in open_holds(store) if not one["until_edited"]}


def kept_absent(store: Store) -> set[str]:
    """Return who is held because it was not there as agreed."""
    return {one["entity_id"] for one in open_holds(store) if one["kind"] == HoldKind.ENDINGS}


def release_holds(store: Store, hold_ids: Iterable[int], *, now: str, by: str) -> None:
    """Release these holds; ``by`` names the operator, or what ended them ("the steps are gone")."""
    store.execute(
        """
        update holds
        set
            released_at = :now,
            released_by = :by
        where id in (select value from json_each(:hold_ids))
            and released_at is null
        """,
        {"hold_ids": list(hold_ids), "now": now, "by": by},
    )
