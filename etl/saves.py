"""Whose save a record of EspoCRM shows, and whether it is through (rules.md §1: Candidates, Our own writes)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.store.journal import last_uncertain_put, open_changes
from etl.store.persons import load_person
from etl.store.states import Status

if TYPE_CHECKING:
    from etl.records import EspoRecord, Listing
    from etl.run import Run

SYNCING_PATIENCE = 300  # seconds a record may stand on `syncing` by somebody else's hand (rules.md §1)

Person = Mapping[str, Any]


def is_news(run: Run, record: Listing | EspoRecord, known: Person | None) -> bool:
    """Whether a record shows a save we have not seen."""
    if known is None:
        return True
    seen = (known["espo_modified_at"], known["espo_modified_by"])
    return not is_our_write(run, known, record) and (record.modified_at, record.modified_by) != seen


def is_our_write(run: Run, person: Person | None, record: Listing | EspoRecord) -> bool:
    """Whether a record still shows our own last write: exactly its time, and our user."""
    ours = person is not None and record.modified_at == person["own_modified_at"]
    return ours and record.modified_by == run.user_id


def is_unsettled(run: Run, record: EspoRecord) -> bool:
    """A record saved a moment ago may be half written (espocrm-api.md, fact 4): by others, and by us if it looks so."""
    if record.modified_at is None or run.limits.settle_seconds <= 0:
        return False
    put = last_uncertain_put(run.store, record.entity_id)
    if put is not None and put > earlier(run.utcnow(), run.limits.settle_seconds):
        return True  # its outcome is unknown, and the request may still be under way
    person = load_person(run.store, record.entity_id)
    if is_our_write(run, person, record) and not lost_a_channel(run, record):
        return False
    return record.modified_at > earlier(record.answered_at, run.limits.settle_seconds)


def lost_a_channel(run: Run, record: EspoRecord) -> bool:
    """Whether all phones, or all mails, that this run saw are gone."""
    seen = run.looks.get(record.entity_id)
    return seen is not None and bool({one.channel for one in seen.items} - {one.channel for one in record.items})


def is_somebody_elses(run: Run, record: EspoRecord) -> bool:
    """``syncing``, fresh, and not by our own journal: another sync is at it; left for the next run (rules.md §6)."""
    if record.status != Status.SYNCING or record.modified_at is None or open_changes(run.store, [record.entity_id]):
        return False
    person = load_person(run.store, record.entity_id)
    if is_our_write(run, person, record) or is_left_by_us(run, person, record):
        return False
    return record.modified_at > earlier(record.answered_at, SYNCING_PATIENCE)


def is_left_by_us(run: Run, person: Person | None, record: EspoRecord) -> bool:
    """Whether ``syncing`` is what our own array PUT left that was not confirmed, perhaps stored in part."""
    return record.modified_by == run.user_id and person is not None and person["status_sent"] == Status.SYNCING


def earlier(moment: str, seconds: float) -> str:
    """UTC text some seconds before another."""
    return (datetime.strptime(moment, "%Y-%m-%d %H:%M:%S") - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC text, by contract
