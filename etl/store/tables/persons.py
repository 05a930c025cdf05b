"""What is known of each person: the table ``persons``. Whose turn is next, ``queue.py`` knows.

What an operator asks for by name: try these persons again, and let happen again what was undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.errors import StoreError
from etl.store.insert import insert_records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from etl.records import EspoListing
    from etl.store.database import Store

FAILURE_COLUMNS_CLEARED: Final[Mapping[str, object]] = {
    "error": None,
    "retry_count": 0,
    "next_retry_at": None,
    "auto_reset_at": None,
}
"""The columns of a person that failed nowhere and waits for no retry."""

LISTED_COLUMNS: Final = (
    "entity_id",
    "betnr",
    "name",
    "espo_status",
    "espo_fingerprint",
    "espo_modified_at",
    "espo_modified_by",
    "espo_locked",
)


def load_person(store: Store, entity_id: str) -> dict[str, Any] | None:
    """Return one person's row, None when the store does not know the person."""
    rows = store.rows("select * from persons where entity_id = :entity_id", {"entity_id": entity_id})
    return rows[0] if rows else None


def load_persons(store: Store, entity_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of these persons, ordered by ID; unknown persons are left out."""
    return store.rows(
        """
        select *
        from persons
        where entity_id in (select value from json_each(:entity_ids))
        order by entity_id
        """,
        {"entity_ids": list(entity_ids)},
    )


def persons_after(store: Store, entity_id: str, limit: int) -> list[dict[str, Any]]:
    """Return the next persons after an ID, ordered by ID: to walk over all of them."""
    return store.rows(
        """
        select *
        from persons
        where entity_id > :entity_id
        order by entity_id
        limit :limit
        """,
        {"entity_id": entity_id, "limit": limit},
    )


def find_persons(store: Store, key: str) -> list[dict[str, Any]]:
    """Return the persons an operator means by an EspoCRM ID or a betnr; several where a betnr is shared."""
    return store.rows(
        """
        select *
        from persons
        where entity_id = :key
            or cast(betnr as text) = :key
        order by entity_id
        """,
        {"key": key.strip()},
    )


def ids_on_locked_records(store: Store) -> set[str]:
    """Return the linked persons who wait because staff locked their record in EspoCRM."""
    return {
        row["entity_id"]
        for row in store.rows(
            """
            select entity_id
            from persons
            where espo_locked = 1
                and betnr is not null
                and gone_at is null
            """
        )
    }


def save_listings(store: Store, listings: Iterable[EspoListing], now: str) -> None:
    """Store what a list of EspoCRM shows of each record; due marks, looks and our own decisions stay untouched.

    A listed record is not gone. One modified since we last heard of it, and not by our own write, counts as changed
    at ``now``. The retry times of a list are not taken over: the state store decides, EspoCRM's fields only show it.
    """
    insert_records(
        store,
        "persons",
        LISTED_COLUMNS,
        (
            {
                "entity_id": listing.entity_id,
                "betnr": listing.betnr,
                "name": listing.name,
                "espo_status": listing.status,
                "espo_fingerprint": listing.fingerprint,
                "espo_modified_at": listing.modified_at,
                "espo_modified_by": listing.modified_by,
                "espo_locked": listing.is_locked,
            }
            for listing in listings
        ),
        """
        on conflict (entity_id) do update
        set
            betnr = excluded.betnr,
            name = excluded.name,
            espo_status = excluded.espo_status,
            espo_fingerprint = excluded.espo_fingerprint,
            espo_modified_at = excluded.espo_modified_at,
            espo_modified_by = excluded.espo_modified_by,
            espo_locked = excluded.espo_locked,
            gone_at = null,
            espo_changed_at = case
                when excluded.espo_modified_at is persons.espo_modified_at then persons.espo_changed_at
                when excluded.espo_modified_at is persons.own_modified_at then persons.espo_changed_at
                else ?
            end
        """,
        [now],
    )


def update_person(store: Store, entity_id: str, **columns: object) -> None:
    """Set columns of one person; StoreError when the store does not know it."""
    assignments = ", ".join(f"{column} = :{column}" for column in columns)
    changed = store.execute(
        f"update persons set {assignments} where entity_id = :entity_id",
        {**columns, "entity_id": entity_id},
    )
    if not changed:
        raise StoreError(f"The state store knows no person {entity_id}.")


def load_failing_persons(store: Store) -> list[dict[str, Any]]:
    """Return all persons who failed, permanently or not, ordered by ID."""
    return store.rows(
        """
        select *
        from persons
        where status in ('failed', 'permanently_failed')
            and gone_at is null
        order by entity_id
        """
    )


def retry_now(store: Store, entity_ids: Iterable[str], reason: str, now: str) -> None:
    """Make these persons due now, whatever time they waited for; permanently failed ones count from 0 again."""
    store.execute(
        """
        update persons
        set
            due_since = ifnull(due_since, :now),
            due_reason = :reason,
            next_retry_at = null,
            auto_reset_at = null,
            retry_count = iif(status = 'permanently_failed', 0, retry_count),
            status = iif(status = 'permanently_failed', 'failed', status)
        where entity_id in (select value from json_each(:entity_ids))
            and (betnr is not null or synced_betnr is not null)
        """,
        {"entity_ids": list(entity_ids), "reason": reason, "now": now},
    )


def clear_undo_notes(store: Store, entity_ids: Iterable[str]) -> int:
    """Delete these persons' notes of an undo, so that what was undone may be synced again; return how many."""
    return store.execute(
        """
        delete from left_alone
        where entity_id in (select value from json_each(:entity_ids))
            and reason = 'held_back'
            and direction is null
        """,
        {"entity_ids": list(entity_ids)},
    )
