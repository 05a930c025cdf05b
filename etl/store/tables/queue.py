"""Whose turn is next: due marks, the sweep, and the looks into Advoware, all on the table ``persons``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.enums import PersonStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from etl.store.database import Store

PersonKey = str | int
"""How people name a person: EspoCRM ID or betnr."""

MODIFIED_IN_ESPO: Final = "modified in EspoCRM"
"""The soft reason: the record was saved, maybe for a birthday. Everything else is a reason to look on both sides."""

LINKED: Final = """
    persons.betnr is not null
    and persons.gone_at is null
    and not exists (
        select 1
        from persons as other
        where other.betnr = persons.betnr
            and other.entity_id <> persons.entity_id
            and other.gone_at is null
    )
"""
"""A person that can be synced: linked, not gone, and the only record with its betnr (rules §6)."""

BETNR_IS_OWN: Final = """
    not exists (
        select 1
        from endings
        where endings.betnr = persons.betnr
            and endings.entity_id <> persons.entity_id
            and endings.ended_at is null
            and endings.returned_at is null
    )
"""
"""Not a betnr that belonged to another record, which waits (rules §1, Endings)."""

IS_WAITING: Final = """
    exists (
        select 1
        from endings
        where endings.entity_id = persons.entity_id
            and endings.ended_at is null
            and endings.returned_at is null
    )
"""
"""Not there as agreed when last looked at."""

TO_BE_READ: Final = f"(({LINKED} and {BETNR_IS_OWN}) or (persons.betnr is null and persons.gone_at is null))"
"""Of the due: whoever can be synced, and who was linked and is not any more, which ends by being read again."""

IN_SELECTION: Final = """
    (
        :only = '[]'
        or persons.entity_id in (select value from json_each(:only))
        or cast(ifnull(persons.betnr, persons.synced_betnr) as text) in (select value from json_each(:only))
    )
"""
"""Restricts to a pilot group or to what an operator named, IDs and betnr mixed; an empty list means everybody."""

NOT_EXCLUDED: Final = "persons.entity_id not in (select value from json_each(:excluding))"

LATEST_CHANGE: Final = "max(ifnull(persons.espo_changed_at, ''), ifnull(persons.advo_changed_at, ''))"

POLL_PRIORITY: Final = f"""
    (unixepoch(:now) - unixepoch(persons.advo_seen_at)) * (unixepoch(:now) - unixepoch(persons.advo_seen_at))
    / max(1.0, unixepoch(:now) - unixepoch({LATEST_CHANGE}))
"""

CHANGED_SINCE_READ: Final = """
    (
        ifnull(persons.espo_changed_at >= persons.espo_seen_at, 0)
        or ifnull(persons.advo_changed_at >= persons.advo_seen_at, 0)
    )
"""


def mark_due(
    store: Store,
    entity_ids: Iterable[str],
    reason: str,
    now: str,
    *,
    edited_by_other: bool = False,
) -> None:
    """Make these persons due; whoever is due already keeps the earlier time, and its reason unless that was soft.

    ``edited_by_other`` says that this very record was modified by somebody else; it is kept until the mark is cleared.
    """
    store.execute(
        """
        update persons
        set
            due_since = ifnull(due_since, :now),
            due_reason = iif(due_since is null or due_reason = :soft, :reason, due_reason),
            edited_by_other = max(edited_by_other, :edited_by_other)
        where entity_id in (select value from json_each(:entity_ids))
        """,
        {
            "entity_ids": list(entity_ids),
            "reason": reason,
            "now": now,
            "edited_by_other": edited_by_other,
            "soft": MODIFIED_IN_ESPO,
        },
    )


NOT_DUE: Final = {"due_since": None, "due_reason": None, "edited_by_other": False}
"""The columns of ``persons`` that ``mark_due`` sets, as ``clear_due`` leaves them."""


def clear_due(store: Store, entity_ids: Iterable[str]) -> None:
    """Clear the due mark of these persons, and the note that somebody else edited the record."""
    store.execute(
        """
        update persons
        set
            due_since = null,
            due_reason = null,
            edited_by_other = 0
        where entity_id in (select value from json_each(:entity_ids))
        """,
        {"entity_ids": list(entity_ids)},
    )


def clear_retry_times(store: Store, entity_ids: Iterable[str]) -> None:
    """Clear the retry and auto-reset times of failing persons, because somebody edited them."""
    store.execute(
        """
        update persons
        set
            next_retry_at = null,
            auto_reset_at = null
        where entity_id in (select value from json_each(:entity_ids))
        """,
        {"entity_ids": list(entity_ids)},
    )


def reset_permanent_failures(store: Store, now: str) -> list[str]:
    """Let persons whose auto-reset time has come be ``failed`` with a count of 0, and return them."""
    with store.transaction():
        rows = store.rows(
            """
            update persons
            set
                status = 'failed',
                retry_count = 0,
                next_retry_at = null,
                auto_reset_at = null,
                due_since = ifnull(due_since, :now),
                due_reason = ifnull(due_reason, 'its failures were reset')
            where status = 'permanently_failed'
                and auto_reset_at <= :now
            returning entity_id
            """,
            {"now": now},
        )
    return [row["entity_id"] for row in rows]


def awaits_retry(person: Mapping[str, Any], now: str) -> bool:
    """Whether a failing person's time has not come yet."""
    is_permanent = person["status"] == PersonStatus.PERMANENTLY_FAILED
    times = (person["next_retry_at"], person["auto_reset_at"] if is_permanent else None)
    return any(time is not None and time > now for time in times)


def due_persons(
    store: Store,
    now: str,
    limit: int,
    only: Collection[PersonKey] = (),
    *,
    excluding: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return up to ``limit`` due persons that may be synced now, longest waiting first.

    Who failed waits since its retry time: so persons who fail every time keep nobody out of a run (rules §6).

    Left out: records that never were linked, are gone, or share a betnr; persons a guard holds; those whose retry or
    auto-reset time lies ahead, or whom staff locked in EspoCRM. Held until it is edited, or because it was not there, a
    person comes when a change was seen since the last look; held for its steps, while it waits, to end with its hold.
    """
    query = f"""
        select *
        from persons
        where due_since is not null
            and (next_retry_at is null) = :first_try
            and {TO_BE_READ}
            and {IN_SELECTION}
            and {NOT_EXCLUDED}
            and espo_locked = 0
            and (next_retry_at is null or next_retry_at <= :now)
            and (
                status is not 'permanently_failed'
                or auto_reset_at is null
                or auto_reset_at <= :now
            )
            and not exists (
                select 1
                from holds
                where holds.entity_id = persons.entity_id
                    and holds.released_at is null
                    and not ((holds.until_edited or holds.kind = 'endings') and {CHANGED_SINCE_READ})
                    and not (holds.kind <> 'endings' and {IS_WAITING})
            )
        order by due_since, entity_id
        limit :limit
    """
    params = {"now": now, "limit": limit, **filter_params(only, excluding)}
    persons = [
        person for first_try in (True, False) for person in store.rows(query, {**params, "first_try": first_try})
    ]
    return sorted(
        persons, key=lambda person: (max(person["due_since"], person["next_retry_at"] or ""), person["entity_id"])
    )[:limit]


def ids_of_linked_between(store: Store, after: str, until: str | None) -> list[str]:
    """Return the linked persons we know of with an ID after ``after`` and up to ``until`` (None: to the end).

    Among them who was linked and waits, because it is not any more.
    """
    rows = store.rows(
        """
        select entity_id
        from persons
        where gone_at is null
            and (betnr is not null or due_since is not null)
            and entity_id > :after
            and (:until is null or entity_id <= :until)
        order by entity_id
        """,
        {"after": after, "until": until},
    )
    return [row["entity_id"] for row in rows]


def longest_unread_persons(
    store: Store,
    limit: int,
    excluding: Collection[str] = (),
    only: Collection[PersonKey] = (),
) -> list[dict[str, Any]]:
    """Return the persons to look at in Advoware whose last look is longest ago, never looked at first.

    Those deleted in Advoware are left to the sweep.
    """
    return store.rows(
        f"""
        select *
        from persons
        where {LINKED}
            and {BETNR_IS_OWN}
            and {IN_SELECTION}
            and {NOT_EXCLUDED}
            and status is not 'deleted_in_advoware'
        order by advo_seen_at, entity_id
        limit :limit
        """,
        {"limit": limit, **filter_params(only, excluding)},
    )


def recently_changed_persons(
    store: Store,
    now: str,
    limit: int,
    excluding: Collection[str] = (),
    only: Collection[PersonKey] = (),
) -> list[dict[str, Any]]:
    """Return the persons to look at in Advoware because they changed, on either side; never changed ones not.

    First whose look is old for how lately they changed. Who changed a while ago changes again about once in such a
    while, and looks find edits soonest where they come as often as the square root of that: so the measure is the age
    of the look, squared, over the age of the change (tests/bench/early.py).
    """
    return store.rows(
        f"""
        select *
        from persons indexed by persons_changed
        where {LINKED}
            and {BETNR_IS_OWN}
            and {IN_SELECTION}
            and {NOT_EXCLUDED}
            and status is not 'deleted_in_advoware'
            and (espo_changed_at is not null or advo_changed_at is not null)
        order by
            {POLL_PRIORITY} desc,
            entity_id
        limit :limit
        """,
        {"now": now, "limit": limit, **filter_params(only, excluding)},
    )


def persons_to_poll(
    store: Store,
    now: str,
    budget: int,
    excluding: Collection[str] = (),
    only: Collection[PersonKey] = (),
) -> list[dict[str, Any]]:
    """Return whom to look at in Advoware though nobody said they changed: at least half of them the oldest looks."""
    recent = recently_changed_persons(store, now, budget // 2, excluding, only)
    excluded_ids = [*excluding, *(person["entity_id"] for person in recent)]
    return [*longest_unread_persons(store, budget - len(recent), excluded_ids, only), *recent]


def betnrs_of_several_records(store: Store) -> list[tuple[int, list[str]]]:
    """Return each betnr that several records carry, with the IDs of these records: neither is synced."""
    rows = store.rows(
        """
        select
            persons.betnr,
            persons.entity_id
        from persons
        join (
            select betnr
            from persons
            where betnr is not null
                and gone_at is null
            group by betnr
            having count(*) > 1
        ) as shared on shared.betnr = persons.betnr
        where persons.gone_at is null
        order by persons.betnr, persons.entity_id
        """
    )
    ids_by_betnr: dict[int, list[str]] = {}
    for row in rows:
        ids_by_betnr.setdefault(row["betnr"], []).append(row["entity_id"])
    return list(ids_by_betnr.items())


def persons_no_longer_sharing(store: Store) -> list[str]:
    """Return the records whose conflict was a shared betnr that is their own again."""
    rows = store.rows(
        f"""
        select entity_id
        from persons indexed by persons_by_status
        where status = 'conflict'
            and {LINKED}
            and {BETNR_IS_OWN}
        order by entity_id
        """
    )
    return [row["entity_id"] for row in rows]


def filter_params(only: Collection[PersonKey], excluding: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the parameters of ``IN_SELECTION`` and ``NOT_EXCLUDED``."""
    return {"only": [str(key) for key in only], "excluding": list(excluding)}
