"""PUTs of a record's phones and mails: what stood there, what was sent, what a read showed of it (rules §5).

EspoCRM's answer is an echo, so a PUT is open until it was *judged* by reading. What it stored in part is kept until the
person comes to agreement: an item it took comes back with the type and flags it had.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from etl.store.insert import insert_returning_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

ARRAY_PUT_COLUMNS = ("run_id", "entity_id", "betnr", "items_before", "items_sent", "started_at")


def save_array_put(store: Store, record: Mapping[str, Any]) -> int:
    """Store a PUT that is about to be sent (``ARRAY_PUT_COLUMNS``) and return its id.

    The items, lists of dicts, become JSON.
    """
    return insert_returning_ids(store, "array_puts", ARRAY_PUT_COLUMNS, {}, [record])[0]


def confirm_put(store: Store, put_id: int, now: str) -> None:
    """Record that EspoCRM acknowledged the PUT; what it stored is not known yet."""
    store.execute("update array_puts set answered_at = :now where id = :put", {"put": put_id, "now": now})


def puts_to_verify(store: Store, entity_id: str) -> list[dict[str, Any]]:
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


def save_put_outcome(
    store: Store, put_ids: Iterable[int], outcome: str, now: str, partial: Mapping[str, Any] | None = None
) -> None:
    """Record what a read showed of PUTs. ``partial``: what was ``taken`` or ``brought`` without its other half."""
    all_ids = list(put_ids)
    store.execute(
        """
        update array_puts
        set
            judged_at = :now,
            outcome = :outcome,
            in_part = iif(id = :last, :in_part, null)
        where id in (select value from json_each(:puts))
        """,
        {"puts": all_ids, "outcome": outcome, "now": now, "last": max(all_ids, default=0), "in_part": partial},
    )


def partial_put_records(store: Store, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
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


def clear_partial_puts(store: Store, entity_id: str) -> None:
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
