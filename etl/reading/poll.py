"""Make due the persons that may have changed according to EspoCRM's lists (rules §1, Candidates).

Nothing is concluded from a record that is missing in a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.enums import ABSENCE_REASONS, Absence
from etl.reading.snapshot import SYNCING_TIMEOUT_SECONDS, is_unseen_save
from etl.store.tables.persons import load_persons, save_listings
from etl.store.tables.queue import MODIFIED_IN_ESPO, clear_retry_times, mark_due
from etl.times import add_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext
    from etl.records import EspoListing

RELINKED = "linked to this betnr"
MAX_CLOCK_SETBACK_SECONDS = 86_400  # a clock set back further than this will be noticed by somebody


def mark_candidates_due(run: RunContext) -> None:
    """List EspoCRM's records modified since the cursor, and those whose status asks for a sync; move the cursor.

    The cursor never passes the server's own time: neither a record with a date in the future nor a clock that was set
    back may hide what is saved from now on.
    """
    cursor = run.store.setting("cursor")
    since = add_seconds(cursor, -run.limits.overlap_seconds) if cursor else None
    latest, answered_at = record_modified_since(run, since)
    if since is not None and answered_at < since:
        run.log.warning("clock_set_back", system="EspoCRM", cursor=cursor, answered_at=answered_at)
        latest, answered_at = record_modified_since(run, add_seconds(answered_at, -MAX_CLOCK_SETBACK_SECONDS))
    now = run.utcnow()
    due_listings = run.espo.list_due(now, add_seconds(answered_at, -SYNCING_TIMEOUT_SECONDS))
    with run.store.transaction():
        record_listings(run, due_listings)
        linked_ids = [listing.entity_id for listing in due_listings if listing.betnr is not None]
        mark_due(run.store, linked_ids, "its status asks for a sync", now)
        run.store.set_setting("cursor", min(max(filter(None, [cursor, latest]), default=answered_at), answered_at))


def record_modified_since(run: RunContext, since: str | None) -> tuple[str | None, str]:
    """Store the records modified since then; return the latest ``modifiedAt`` and the server's time at the end."""
    latest, answered_at = None, run.utcnow()
    for page in run.espo.iter_modified_since(since):
        record_listings(run, page.listings)
        latest = max(filter(None, [latest, *(listing.modified_at for listing in page.listings)]), default=latest)
        answered_at = page.answered_at
    return latest, answered_at


def record_listings(run: RunContext, listings: Sequence[EspoListing]) -> None:
    """Store a page of a list; records saved since we last saw them, and not by our own last write, become due.

    One that never had a betnr is not ours to sync; one whose betnr is gone is read. A person that somebody edited is
    tried before its retry time (rules §6, Failing person).
    """
    persons = {
        person["entity_id"]: person for person in load_persons(run.store, [listing.entity_id for listing in listings])
    }
    linked_listings = [
        listing for listing in listings if listing.betnr is not None or was_linked(persons.get(listing.entity_id))
    ]
    new_saves = [listing for listing in linked_listings if is_unseen_save(run, listing, persons.get(listing.entity_id))]
    other_users_ids = [listing.entity_id for listing in new_saves if listing.modified_by != run.user_id]
    relinked_listings = [
        listing for listing in linked_listings if (persons.get(listing.entity_id) or {}).get("betnr") != listing.betnr
    ]
    with run.store.transaction():
        save_listings(run.store, listings, run.utcnow())
        mark_due(run.store, [listing.entity_id for listing in new_saves], MODIFIED_IN_ESPO, run.utcnow())
        mark_due(run.store, other_users_ids, MODIFIED_IN_ESPO, run.utcnow(), edited_by_other=True)
        mark_due(
            run.store,
            [listing.entity_id for listing in relinked_listings if listing.betnr is not None],
            RELINKED,
            run.utcnow(),
        )
        unlinked_ids = [listing.entity_id for listing in relinked_listings if listing.betnr is None]
        mark_due(run.store, unlinked_ids, ABSENCE_REASONS[Absence.NO_BETNR], run.utcnow())
        clear_retry_times(run.store, other_users_ids)


def was_linked(person: Mapping[str, Any] | None) -> bool:
    """Whether a record was linked when we last saw it, or has a baseline that has not ended yet."""
    return person is not None and (person["betnr"] is not None or person["synced_betnr"] is not None)
