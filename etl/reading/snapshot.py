"""Store what both systems show now, and tell our own writes from others (rules §1: Candidates, Our own writes).

Our own write must not come back as somebody's edit, and a record that is just being saved is not believed yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.context import PersonReads
from etl.enums import PersonStatus
from etl.lazy_imports import preload_planner
from etl.records import Channel
from etl.rules.snapshot_records import fingerprint_of_rows, item_record, row_records
from etl.store.tables.journal import last_unconfirmed_put, open_changes
from etl.store.tables.persons import load_person, update_person
from etl.store.tables.snapshots import load_items, load_rows, save_items, save_rows
from etl.times import add_seconds

if TYPE_CHECKING:
    from etl.context import RunContext
    from etl.records import AdvoRecord, EspoListing, EspoRecord

SYNCING_TIMEOUT_SECONDS = 300  # how long a status `syncing` of somebody else is respected (rules §1)

Person = Mapping[str, Any]


def is_unseen_save(run: RunContext, record: EspoListing | EspoRecord, person: Person | None) -> bool:
    """Whether a record shows a save we have not seen."""
    if person is None:
        return True
    last_save = (person["espo_modified_at"], person["espo_modified_by"])
    return not is_own_write(run, person, record) and (record.modified_at, record.modified_by) != last_save


def is_own_write(run: RunContext, person: Person | None, record: EspoListing | EspoRecord) -> bool:
    """Whether a record still shows our own last write: exactly its time, and our user."""
    is_own_time = person is not None and record.modified_at == person["own_modified_at"]
    return is_own_time and record.modified_by == run.user_id


def may_be_half_written(run: RunContext, record: EspoRecord) -> bool:
    """Whether a record may be half written, as one saved a moment ago (EspoCRM fact A4); by us only if it looks so."""
    if record.modified_at is None or run.limits.settle_seconds <= 0:
        return False
    put_at = last_unconfirmed_put(run.store, record.entity_id)
    if put_at is not None and put_at > add_seconds(run.utcnow(), -run.limits.settle_seconds):
        return True  # its outcome is unknown, and the request may still be under way
    if record.modified_at <= add_seconds(record.answered_at, -run.limits.settle_seconds):
        return False
    person = load_person(run.store, record.entity_id)
    return not is_own_write(run, person, record) or has_lost_channel(run, record)


def has_lost_channel(run: RunContext, record: EspoRecord) -> bool:
    """Whether all phones, or all mails, that this run saw before are gone."""
    reads = run.reads.get(record.entity_id)
    return reads is not None and bool({item.channel for item in reads.items} - {item.channel for item in record.items})


def is_synced_by_others(run: RunContext, record: EspoRecord) -> bool:
    """Whether a fresh ``syncing`` that is not ours shows another sync at work; left for the next run (rules §6)."""
    if (
        record.status != PersonStatus.SYNCING
        or record.modified_at is None
        or open_changes(run.store, [record.entity_id])
    ):
        return False
    person = load_person(run.store, record.entity_id)
    if is_own_write(run, person, record) or is_own_syncing_status(run, person, record):
        return False
    return record.modified_at > add_seconds(record.answered_at, -SYNCING_TIMEOUT_SECONDS)


def is_own_syncing_status(run: RunContext, person: Person | None, record: EspoRecord) -> bool:
    """Whether ``syncing`` comes from our own array PUT that was not confirmed and perhaps stored in part."""
    return record.modified_by == run.user_id and person is not None and person["status_sent"] == PersonStatus.SYNCING


def save_both_sides(run: RunContext, espo: EspoRecord, advo: AdvoRecord, columns: Mapping[str, Any]) -> None:
    """Store what both systems show now, together with these columns of the person."""
    save_espo_items(run, espo)
    rows = row_records(advo, run.policy.region, run.policy.table)
    save_advo_rows(run, advo.betnr, rows)
    look_columns = {**espo_look_columns(run, espo), **advo_look_columns(run, advo, rows)}
    update_person(run.store, espo.entity_id, **{**look_columns, **columns})
    if espo.entity_id in run.reads:
        run.reads[espo.entity_id] = PersonReads(espo, run.monotonic(), advo, run.monotonic())


def save_espo_snapshot(run: RunContext, record: EspoRecord) -> bool:
    """Store what EspoCRM shows; True when its items differ from the last read."""
    changed = save_espo_items(run, record)
    update_person(run.store, record.entity_id, **espo_look_columns(run, record))
    return changed


def save_espo_items(run: RunContext, record: EspoRecord) -> bool:
    """Store EspoCRM's items; True when they differ from the last read."""
    stored = load_items(run.store, record.entity_id)
    unreadable_items = [
        item for item in stored if item["channel"] in run.policy.unreadable_channels
    ]  # kept as last seen: absent does not mean empty
    items_read = [item_record(item, run.policy.region) for item in record.items]
    records = (
        sorted([*items_read, *unreadable_items], key=lambda item: item["channel"] == Channel.MAIL)
        if unreadable_items
        else items_read
    )
    changed = records != stored
    if changed:
        preload_planner()
        save_items(run.store, record.entity_id, records, stored)
    return changed


def espo_look_columns(run: RunContext, record: EspoRecord) -> dict[str, Any]:
    """What EspoCRM's record says about the person, as columns of ``persons``."""
    return {
        **metadata_columns(record),
        "betnr": record.betnr,
        "name": record.name,
        "espo_seen_at": run.utcnow(),
        "gone_at": None,
    }


def metadata_columns(record: EspoRecord) -> dict[str, Any]:
    """By whom and when a record was saved, with its status, as columns of ``persons``."""
    return {
        "espo_modified_at": record.modified_at,
        "espo_modified_by": record.modified_by,
        "espo_version": record.version,
        "espo_status": record.status,
        "espo_fingerprint": record.fingerprint,
        "espo_locked": record.is_locked,
    }


def save_own_write(run: RunContext, answer: EspoRecord, columns: Mapping[str, Any]) -> None:
    """Remember what our own write looks like, together with these columns of the person."""
    update_person(run.store, answer.entity_id, **own_write_columns(run, answer), **columns)


def own_write_columns(run: RunContext, answer: EspoRecord) -> dict[str, Any]:
    """What our own write looks like, as columns of ``persons``, so that it does not come back as somebody's edit."""
    reads = run.reads.get(answer.entity_id)
    if reads is not None:
        reads.espo = with_write_metadata(reads.espo, answer)
    return {**metadata_columns(answer), "own_modified_at": answer.modified_at}


def with_write_metadata(record: EspoRecord, answer: EspoRecord) -> EspoRecord:
    """The record as it was planned with, with version, time and status as our write left them."""
    return replace(
        record,
        version=answer.version,
        modified_at=answer.modified_at,
        modified_by=answer.modified_by,
        status=answer.status,
        fingerprint=answer.fingerprint,
        answered_at=answer.answered_at,
    )


def save_advo_snapshot(run: RunContext, entity_id: str, person: AdvoRecord) -> bool:
    """Store what Advoware shows; True when its rows differ from the last read."""
    records = row_records(person, run.policy.region, run.policy.table)
    changed = save_advo_rows(run, person.betnr, records)
    update_person(run.store, entity_id, **advo_look_columns(run, person, records))
    return changed


def save_advo_rows(run: RunContext, betnr: int, records: Sequence[Mapping[str, Any]]) -> bool:
    """Store Advoware's rows; True when they differ from the last read."""
    stored = load_rows(run.store, betnr)
    changed = records != stored
    if changed:
        preload_planner()
        save_rows(run.store, betnr, records, stored)
    return changed


def advo_look_columns(run: RunContext, person: AdvoRecord, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What Advoware's Beteiligter says about the person, as columns of ``persons``."""
    return {
        "advo_fields": person.fields,
        "advo_fingerprint": fingerprint_of_rows(records),
        "advo_seen_at": run.utcnow(),
    }


def shows_status(run: RunContext, record: EspoRecord, status: PersonStatus, fingerprint: str | None = None) -> bool:
    """Whether the record shows this status and fingerprint (None: any); fields we may not write count as right."""
    status_matches = record.status == status or "sync_status" in run.no_edit
    return status_matches and (fingerprint in {None, record.fingerprint or ""} or "fingerprint" in run.no_edit)
