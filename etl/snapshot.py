"""What both systems show now, into the state store; and how our own writes show, so that they do not come back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.imports import begin_to_load_planner
from etl.records import Channel
from etl.rules.observed import fingerprint_of, item_record, row_records
from etl.run import Look
from etl.store.persons import update_person
from etl.store.snapshots import save_items, save_rows, snapshot_items, snapshot_rows

if TYPE_CHECKING:
    from etl.records import AdvoPerson, EspoRecord
    from etl.run import Run


def save_look(run: Run, espo: EspoRecord, advo: AdvoPerson) -> None:
    """Store what both systems show now."""
    save_espo(run, espo)
    save_advo(run, espo.entity_id, advo)
    if espo.entity_id in run.looks:
        run.looks[espo.entity_id] = Look(espo, run.monotonic(), advo, run.monotonic())


def save_espo(run: Run, record: EspoRecord) -> bool:
    """Store EspoCRM's half of a snapshot; True when its items are not those of the look before."""
    stored = snapshot_items(run.store, record.entity_id)
    unread = [one for one in stored if one["channel"] in run.policy.no_read]  # as last seen: absent is not empty
    shown = [item_record(item, run.policy.region) for item in record.items]
    records = sorted([*shown, *unread], key=lambda one: one["channel"] == Channel.MAIL) if unread else shown
    changed = records != stored
    if changed:
        begin_to_load_planner()
        save_items(run.store, record.entity_id, records)
    update_person(
        run.store,
        record.entity_id,
        betnr=record.betnr,
        name=record.name,
        espo_status=record.status,
        espo_fingerprint=record.fingerprint,
        espo_modified_at=record.modified_at,
        espo_modified_by=record.modified_by,
        espo_version=record.version,
        espo_seen_at=run.utcnow(),
        gone_at=None,
    )
    return changed


def save_espo_meta(run: Run, answer: EspoRecord) -> None:
    """Remember how our own write shows, so that it does not come back as somebody's edit."""
    update_person(
        run.store,
        answer.entity_id,
        own_modified_at=answer.modified_at,
        espo_modified_at=answer.modified_at,
        espo_modified_by=answer.modified_by,
        espo_version=answer.version,
        espo_status=answer.status,
        espo_fingerprint=answer.fingerprint,
    )
    look = run.looks.get(answer.entity_id)
    if look is not None:
        look.espo = with_meta(look.espo, answer)


def with_meta(seen: EspoRecord, answer: EspoRecord) -> EspoRecord:
    """The record as planned, with version, time and status as our write left them."""
    return replace(
        seen,
        version=answer.version,
        modified_at=answer.modified_at,
        modified_by=answer.modified_by,
        status=answer.status,
        fingerprint=answer.fingerprint,
        answered_at=answer.answered_at,
    )


def save_advo(run: Run, entity_id: str, person: AdvoPerson) -> bool:
    """Store Advoware's half of a snapshot; True when its rows are not those of the look before."""
    records = row_records(person, run.policy.region, run.policy.table)
    changed = records != snapshot_rows(run.store, person.betnr)
    if changed:
        begin_to_load_planner()
        save_rows(run.store, person.betnr, records)
    update_person(
        run.store,
        entity_id,
        advo_fields=person.fields,
        advo_fingerprint=fingerprint_of(records),
        advo_seen_at=run.utcnow(),
    )
    return changed
