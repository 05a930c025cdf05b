"""Persons a guard keeps back until an operator approves (rules §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.enums import HoldKind
from etl.store.insert import fill_defaults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.store.database import Store

HOLD_COLUMNS: Final = (
    "run_id", "entity_id", "betnr", "kind", "reason", "digest", "until_edited", "own_values", "held_at",
)  # fmt: skip

HOLD_DEFAULTS: Final = {"until_edited": False, "own_values": False}


def insert_holds(store: Store, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Hold these persons (``HOLD_COLUMNS``) and return the IDs of those that no hold of the kind kept before.

    Who is held already stays held as it was, by the earlier run.
    """
    columns = ", ".join(HOLD_COLUMNS)
    placeholders = ", ".join(f":{column}" for column in HOLD_COLUMNS)
    statement = f"insert into holds ({columns}) values ({placeholders}) on conflict do nothing returning entity_id"
    with store.ensure_transaction():
        return [
            row["entity_id"]
            for record in fill_defaults(HOLD_COLUMNS, HOLD_DEFAULTS, records)
            for row in store.rows(statement, record)
        ]


def open_holds(
    store: Store,
    *,
    run_id: int | None = None,
    entity_id: str | None = None,
) -> list[dict[str, Any]]:
    """Return the holds that are not released: of one run, of one person, or all."""
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


def ids_held_by_guard(store: Store) -> set[str]:
    """Return the ids a guard holds, except those held until edited: only planning shows whether they were."""
    return {hold["entity_id"] for hold in open_holds(store) if not hold["until_edited"]}


def kinds_of_held(store: Store) -> dict[str, HoldKind]:
    """Return the kind of hold for each person whose steps a guard holds, by entity id."""
    return {hold["entity_id"]: HoldKind(hold["kind"]) for hold in open_holds(store) if hold["kind"] != HoldKind.ENDINGS}


def ids_held_as_absent(store: Store) -> set[str]:
    """Return the ids held because the person was missing or no longer linked as agreed."""
    return {hold["entity_id"] for hold in open_holds(store) if hold["kind"] == HoldKind.ENDINGS}


def release_holds(store: Store, hold_ids: Iterable[int], *, now: str, released_by: str) -> None:
    """Release these holds, and drop the steps they held.

    ``released_by`` names the operator, or what ended them ("the steps are gone").
    """
    params = {"hold_ids": list(hold_ids), "now": now, "by": released_by}
    with store.ensure_transaction():
        store.execute(
            """
            update changes
            set
                state = 'dropped',
                settled = 1
            where id in (
                select changes.id
                from holds
                join changes using (entity_id, run_id)
                where holds.id in (select value from json_each(:hold_ids))
                    and holds.released_at is null
                    and changes.state = 'held'
            )
            """,
            params,
        )
        store.execute(
            """
            update holds
            set
                released_at = :now,
                released_by = :by
            where id in (select value from json_each(:hold_ids))
                and released_at is null
            """,
            params,
        )


def let_holds_be(store: Store, digests: Mapping[int, str], *, now: str, reason: str) -> None:
    """Leave these persons as they are until an entry of theirs changes: ``digests`` is what stands now, by hold."""
    store.execute_many(
        """
        update holds
        set
            until_edited = 1,
            let_be_at = :now,
            reason = :reason,
            entries_digest = :digest,
            shown_at = null
        where id = :id
            and released_at is null
        """,
        [{"id": hold_id, "digest": digest, "now": now, "reason": reason} for hold_id, digest in digests.items()],
    )


def set_shown_at(store: Store, hold_id: int, now: str) -> None:
    """Record that EspoCRM shows the hold."""
    store.execute("update holds set shown_at = :now where id = :id", {"id": hold_id, "now": now})


def steps_of_holds(store: Store) -> list[dict[str, Any]]:
    """Return the steps of the open holds, in the order they would be carried out."""
    return store.rows(
        """
        select *
        from changes
        where state = 'held'
            and (run_id, entity_id) in (
                select run_id, entity_id
                from holds indexed by holds_open
                where released_at is null
            )
        order by id
        """
    )
