"""Who is not there as it was agreed with: since when, what was seen, and what became of it (rules §1, Endings)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

OPEN_WAIT: Final = "ended_at is null and returned_at is null"
"""Neither believed nor over: the person waits."""

SAME_OBSERVATION: Final = "excluded.kind is endings.kind and excluded.seen_betnr is endings.seen_betnr"


def load_open_waits(store: Store) -> dict[str, dict[str, Any]]:
    """Return the open waits: what was seen of each person that is missing, by entity id."""
    rows = store.rows(f"select * from endings indexed by endings_open where {OPEN_WAIT} order by id")
    return {row["entity_id"]: row for row in rows}


def save_waits(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let persons wait: ``entity_id, betnr`` (the one it was synced with), ``kind, seen_betnr, run_id, now`` of each.

    Who waits already keeps the moment and the run of the first look, as long as what is seen is the same.
    """
    store.execute_many(
        f"""
        insert into endings (entity_id, betnr, kind, seen_betnr, run_id, seen_at, last_seen_at)
        values (:entity_id, :betnr, :kind, :seen_betnr, :run_id, :now, :now)
        on conflict (entity_id) where {OPEN_WAIT} do update
        set
            run_id = iif({SAME_OBSERVATION}, endings.run_id, excluded.run_id),
            seen_at = iif({SAME_OBSERVATION}, endings.seen_at, excluded.seen_at),
            kind = excluded.kind,
            seen_betnr = excluded.seen_betnr,
            last_seen_at = excluded.last_seen_at
        """,
        records,
    )


def close_waits_on_return(store: Store, entity_ids: Sequence[str], now: str) -> None:
    """Close the waits of persons that were found again."""
    close_waits(store, entity_ids, "returned_at = :now", now)


def close_wait_as_ending(store: Store, entity_id: str, now: str, *, approved: bool) -> None:
    """Close a wait because the absence is believed: the person counts as gone."""
    close_waits(store, [entity_id], f"ended_at = :now, approved = {int(approved)}", now)


def close_waits(store: Store, entity_ids: Sequence[str], assignments: str, now: str) -> None:
    """Set the columns that say how the open waits of these persons ended."""
    store.execute(
        f"""
        update endings indexed by endings_open
        set {assignments}
        where {OPEN_WAIT}
            and entity_id in (select value from json_each(:entity_ids))
        """,
        {"entity_ids": list(entity_ids), "now": now},
    )


def has_ended_before(store: Store, entity_id: str, kind: str, seen_betnr: int | None) -> bool:
    """Whether the same absence was believed of this person before."""
    return bool(
        store.scalar(
            """
            select 1
            from endings indexed by endings_ended
            where entity_id = :entity_id
                and ended_at is not null
                and kind = :kind
                and seen_betnr is :seen_betnr
            """,
            {"entity_id": entity_id, "kind": kind, "seen_betnr": seen_betnr},
        )
    )


def count_recent_endings(store: Store, since: str) -> int:
    """Return how many persons wait, or ended since then and not by an approval.

    Not counted: who is held already, and was seen so before that time; that was another day's.
    """
    count: int = store.scalar(
        f"""
        select count(distinct entity_id)
        from endings
        where (
                {OPEN_WAIT}
                and (
                    seen_at >= :since
                    or not exists (
                        select 1
                        from holds
                        where holds.entity_id = endings.entity_id
                            and holds.kind = 'endings'
                            and holds.released_at is null
                    )
                )
            )
            or (ended_at >= :since and approved = 0)
        """,
        {"since": since},
    )
    return count


def count_persons_read_since(store: Store, since: str) -> int:
    """Return how many persons were read in either system since then."""
    count: int = store.scalar(
        """
        select count(*)
        from persons
        where espo_seen_at >= :since
            or advo_seen_at >= :since
        """,
        {"since": since},
    )
    return count


def recently_read_persons(store: Store, side: str, except_ids: Iterable[str], limit: int) -> list[dict[str, Any]]:
    """Return the persons read last with success on a side (``entity_id, betnr``), the latest first.

    Left out: ``except_ids``, and whoever waits, fails, or is known to be deleted.
    """
    return store.rows(
        f"""
        select
            entity_id,
            ifnull(synced_betnr, betnr) as betnr
        from persons
        where {side}_seen_at is not null
            and betnr is not null
            and gone_at is null
            and next_retry_at is null
            and status is not 'deleted_in_advoware'
            and entity_id not in (select value from json_each(:but))
            and not exists (
                select 1
                from endings
                where endings.entity_id = persons.entity_id
                    and {OPEN_WAIT}
            )
        order by {side}_seen_at desc, entity_id
        limit :limit
        """,
        {"but": list(except_ids), "limit": limit},
    )


def records_with_same_betnr(store: Store, entity_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return, of those of these persons whose betnr other records carry, too, the ids of these records."""
    rows = store.rows(
        """
        select
            persons.entity_id,
            other.entity_id as other
        from json_each(:entity_ids) as chosen
        join persons on persons.entity_id = chosen.value
        join persons as other on other.betnr = persons.betnr
        where other.entity_id <> persons.entity_id
            and other.gone_at is null
        """,
        {"entity_ids": list(entity_ids)},
    )
    ids_by_person: dict[str, set[str]] = {}
    for row in rows:
        ids_by_person.setdefault(row["entity_id"], set()).add(row["other"])
    return ids_by_person


def persons_with_betnr_of_others(store: Store, entity_ids: Sequence[str]) -> list[str]:
    """Return those of these persons whose betnr was last synced with another record, which waits."""
    rows = store.rows(
        f"""
        select persons.entity_id
        from json_each(:entity_ids) as chosen
        join persons on persons.entity_id = chosen.value
        where exists (
            select 1
            from endings
            where endings.betnr = persons.betnr
                and endings.entity_id <> persons.entity_id
                and {OPEN_WAIT}
        )
        """,
        {"entity_ids": list(entity_ids)},
    )
    return [row["entity_id"] for row in rows]
