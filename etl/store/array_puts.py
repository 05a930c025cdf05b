"""PUTs of a record's phones and mails: what stood there, what was sent, what a read showed of it (rules.md §5).

EspoCRM's answer is an echo, so a PUT is open until it was *judged* by reading. What it stored in part is kept until the
person comes to agreement: an item it took comes back with the type and flags it had.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from etl.store.writing import save

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

COLUMNS = ("run_id", "entity_id", "betnr", "items_before", "items_sent", "started_at")


def save_array_put(store: Store, record: Mapping[str, Any]) -> int:
    """Store a PUT that is about to be sent (``COLUMNS``) and return its id; the items, lists of dicts, become JSON."""
    return save(store, "array_puts", COLUMNS, {}, [record])[0]


def note_answered(store: Store, put: int, now: str) -> None:
    """EspoCRM acknowledged the PUT; what it stored is not known yet."""
    store.execute("update array_puts set answered_at = :now where id = :put", {"put": put, "now": now})


def unjudged_puts(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return the PUTs of a person whose outcome no read has shown, in order; items decoded."""
    rows = store.rows(
        "select * from array_puts where entity_id = :entity_id and judged_at is null order by id",
        {"entity_id": entity_id},
    )
    return [
        {**row, "items_before": json.loads(row["items_before"]), "items_sent": json.loads(row["items_sent"])}
        for row in rows
    ]


def puts_of_run(store: Store, entity_id: str, run_id: int) -> list[dict[str, Any]]:
    """Return the PUTs one run sent for a person."""
    return store.rows(
        "select * from array_puts where entity_id = :entity_id and run_id = :run_id order by id",
        {"entity_id": entity_id, "run_id": run_id},
    )


def judge_puts(
    store: Store, puts: Iterable[int], outcome: str, now: str, in_part: Mapping[str, Any] | None = None
) -> None:
    """Record what a read showed of PUTs. ``in_part``: what was ``taken`` or ``brought`` without its other half."""
    ids = list(puts)
    store.execute(
        """
        update array_puts
        set
            judged_at = :now,
            outcome = :outcome,
            in_part = iif(id = :last, :in_part, null)
        where id in (select value from json_each(:puts))
        """,
        {"puts": ids, "outcome": outcome, "now": now, "last": max(ids, default=0), "in_part": in_part},
    )


def stored_in_part(store: Store, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what PUTs of these persons did in part and nobody mended yet, oldest first: entity_id, taken, brought."""
    rows = store.rows(
        """
        select entity_id, in_part
        from array_puts
        where in_part is not null
            and entity_id in (select value from json_each(:entity_ids))
        order by id
        """,
        {"entity_ids": list(entity_ids)},
    )
    return [{"entity_id": row["entity_id"], **json.loads(row["in_part"])} for row in rows]


def forget_parts(store: Store, entity_id: str) -> None:
    """The person came to agreement: what was stored in part is mended, or somebody decided otherwise.

    What is left alone for now, by a direction or for a right that lacks, is not mended yet: its item still comes back.
    """
    store.execute(
        """
        update array_puts
        set in_part = null
        where entity_id = :entity_id
            and in_part is not null
            and not exists (
                select 1
                from left_alone
                join json_each(array_puts.in_part, '$.taken') as taken
                    on json_extract(taken.value, '$.komm_id') = left_alone.komm_id
                where left_alone.entity_id = :entity_id
                    and left_alone.side = 'advo'
            )
        """,
        {"entity_id": entity_id},
    )
