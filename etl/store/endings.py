"""Who is not there as it was agreed with: since when, what was seen, and what became of it (rules.md §1, Endings)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

OPEN: Final = "ended_at is null and returned_at is null"
"""Neither believed nor over: the person waits."""

SEEN_BEFORE: Final = "excluded.kind is endings.kind and excluded.seen_betnr is endings.seen_betnr"


def open_waits(store: Store) -> dict[str, dict[str, Any]]:
    """Return what was seen of each person that waits, by entity id."""
    found = store.rows(f"select * from endings indexed by endings_open where {OPEN} order by id")
    return {row["entity_id"]: row for row in found}


def save_waits(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let persons wait: ``entity_id, betnr`` (the one it was synced with), ``kind, seen_betnr, run_id, now`` of each.

    Who waits already keeps the moment and the run of the first look, as long as what is seen is the same.
    """
    store.execute_many(
        f"""
        insert into endings (entity_id, betnr, kind, seen_betnr, run_id, seen_at, last_seen_at)
        values (:entity_id, :betnr, :kind, :seen_betnr, :run_id, :now, :now)
        on conflict (entity_id) where {OPEN} do update
        set
            run_id = iif({SEEN_BEFORE}, endings.run_id, excluded.run_id),
            seen_at = iif({SEEN_BEFORE}, endings.seen_at, excluded.seen_at),
            kind = excluded.kind,
            seen_betnr = excluded.seen_betnr,
            last_seen_at = excluded.last_seen_at
        """,
        records,
    )


def return_from_wait(store: Store, entity_ids: Sequence[str], now: str) -> None:
    """Close the waits of persons that are there again."""
    close(store, entity_ids, "returned_at = :now", now)


def end_wait(store: Store, entity_id: str, now: str, *, approved: bool) -> None:
    """Close a wait by what was seen: it is believed."""
    close(store, [entity_id], f"ended_at = :now, approved = {int(approved)}", now)


def close(store: Store, entity_ids: Sequence[str], how: str, now: str) -> None:
    """Set how open waits of these persons ended."""
    store.execute(
        f"""
        update endings indexed by endings_open
        set {how}
        where {OPEN}
            and entity_id in (select value from json_each(:entity_ids))
        """,
        {"entity_ids": list(entity_ids), "now": now},
    )


def has_ended(store: Store, entity_id: str, kind: str, seen_betnr: int | None) -> bool:
    """Whether this very thing was believed of the person before."""
    return bool(
        store.value(
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


def count_of_late(store: Store, since: str) -> int:
    """Return how many persons wait, or ended since then and not by an approval.

    Not counted: who is held already, and was seen so before that time; that was another day's.
    """
    count: int = store.value(
        f"""
        select count(distinct entity_id)
        from endings
        where (
                {OPEN}
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


def looked_at_since(store: Store, since: str) -> int:
    """Return how many persons were read in either system since then."""
    count: int = store.value(
        """
        select count(*)
        from persons
        where espo_seen_at >= :since
            or advo_seen_at >= :since
        """,
        {"since": since},
    )
    return count


def seen_last(store: Store, side: str, but: Iterable[str], limit: int) -> list[dict[str, Any]]:
    """Return the persons read last with success on a side (``entity_id, betnr``), the latest first.

    Left out: ``but``, and whoever waits, fails, or is known to be deleted.
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
                    and {OPEN}
            )
        order by {side}_seen_at desc, entity_id
        limit :limit
        """,
        {"but": list(but), "limit": limit},
    )


def sharers(store: Store, entity_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return, of those of these persons whose betnr other records carry, too, the ids of these records."""
    found = store.rows(
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
    others: dict[str, set[str]] = {}
    for row in found:
        others.setdefault(row["entity_id"], set()).add(row["other"])
    return others


def belonging_to_others(store: Store, entity_ids: Sequence[str]) -> list[str]:
    """Return those of these persons whose betnr was last synced with another record, which waits."""
    found = store.rows(
        f"""
        select persons.entity_id
        from json_each(:entity_ids) as chosen
        join persons on persons.entity_id = chosen.value
        where exists (
            select 1
            from endings
            where endings.betnr = persons.betnr
                and endings.entity_id <> persons.entity_id
                and {OPEN}
        )
        """,
        {"entity_ids": list(entity_ids)},
    )
    return [row["entity_id"] for row in found]
