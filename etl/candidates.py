"""Who may have changed, as EspoCRM's lists tell (rules.md §1, Candidates): they make persons due.

Nothing is concluded from what a list lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.saves import SYNCING_PATIENCE, earlier, is_news
from etl.store.due import SEEN_MODIFIED, mark_due, try_at_once
from etl.store.persons import load_persons, save_listings
from etl.store.states import SEEN, Absence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.records import Listing
    from etl.run import Run

LINKED_ANEW = "linked to this betnr"
A_DAY = 86_400  # no clock is set back further than this without anybody looking


def list_candidates(run: Run) -> None:
    """Walk EspoCRM's lists: what was modified since the cursor, whose status asks for a look; then move the cursor.

    The cursor never passes the server's own time: neither a record dated into the future nor a clock set back may hide
    what is saved from now on.
    """
    cursor = run.store.setting("cursor")
    since = earlier(cursor, run.limits.overlap_seconds) if cursor else None
    latest, answered_at = modified_since(run, since)
    if since is not None and answered_at < since:
        run.log.warning("clock_set_back", system="EspoCRM", cursor=cursor, answered_at=answered_at)
        latest, answered_at = modified_since(run, earlier(answered_at, A_DAY))
    now = run.utcnow()
    asking = run.espo.due(now, earlier(answered_at, SYNCING_PATIENCE))
    with run.store.transaction():
        note_modified(run, asking)
        linked = [one.entity_id for one in asking if one.betnr is not None]
        mark_due(run.store, linked, "its status asks for a sync", now)
        run.store.set_setting("cursor", min(max(filter(None, [cursor, latest]), default=answered_at), answered_at))


def modified_since(run: Run, since: str | None) -> tuple[str | None, str]:
    """Note the records modified since then; the latest ``modifiedAt`` among them, and the server's time at the end."""
    latest, answered_at = None, run.utcnow()
    for page in run.espo.modified_since(since):
        note_modified(run, page.listings)
        latest = max(filter(None, [latest, *(one.modified_at for one in page.listings)]), default=latest)
        answered_at = page.answered_at
    return latest, answered_at


def note_modified(run: Run, listings: Sequence[Listing]) -> None:
    """Store a page; records saved since we last saw them, and not by our own last write, become due.

    One that never had a betnr is none of ours; one whose betnr is gone is looked at. Whom somebody edited is tried
    before its retry time (rules.md §6, Failing person).
    """
    known = {one["entity_id"]: one for one in load_persons(run.store, [one.entity_id for one in listings])}
    ours = [one for one in listings if one.betnr is not None or had_betnr(known.get(one.entity_id))]
    saved = [one for one in ours if is_news(run, one, known.get(one.entity_id))]
    by_other = [one.entity_id for one in saved if one.modified_by != run.user_id]
    relinked = [one for one in ours if (known.get(one.entity_id) or {}).get("betnr") != one.betnr]
    with run.store.transaction():
        save_listings(run.store, listings, run.utcnow())
        mark_due(run.store, [one.entity_id for one in saved], SEEN_MODIFIED, run.utcnow())
        mark_due(run.store, by_other, SEEN_MODIFIED, run.utcnow(), edited_by_other=True)
        mark_due(run.store, [one.entity_id for one in relinked if one.betnr is not None], LINKED_ANEW, run.utcnow())
        unlinked = [one.entity_id for one in relinked if one.betnr is None]
        mark_due(run.store, unlinked, SEEN[Absence.NO_BETNR], run.utcnow())
        try_at_once(run.store, by_other)


def had_betnr(person: Mapping[str, Any] | None) -> bool:
    """Whether a record was linked when it was last heard of, or is one whose baseline is still to end."""
    return person is not None and (person["betnr"] is not None or person["synced_betnr"] is not None)
