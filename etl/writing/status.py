"""A person's status: the store decides, EspoCRM's fields show it (rules §6). And the notes about values that lost.

A note in EspoCRM's stream tells people which value lost (rules §4); failing to post it never fails the person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from etl.enums import PersonStatus
from etl.errors import PersonError, UnknownOutcome
from etl.reading.snapshot import own_write_columns, shows_status
from etl.rules.backoff import next_retry
from etl.rules.espo.german_errors import HELD_MESSAGE, LET_BE_MESSAGE, LOCKED_MESSAGE, translate_error
from etl.store.tables.conflicts import conflicts_to_note, set_noted_at
from etl.store.tables.holds import open_holds, set_shown_at
from etl.store.tables.journal import close_plans
from etl.store.tables.persons import load_person, load_persons, update_person
from etl.store.tables.queue import clear_due, mark_due

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.context import RunContext
    from etl.records import EspoRecord

MAX_MESSAGE_LENGTH = 2000  # characters; what EspoCRM's text field is given (rules §6)

FAILURE_FIELDS_CLEARED: Mapping[str, Any] = {"error": None, "retry_count": 0, "next_retry": None, "auto_reset": None}


class StatusAnswer(NamedTuple):
    """The record after a status PUT, and what is to be remembered of that PUT, as columns of ``persons``."""

    record: EspoRecord
    columns: Mapping[str, Any]


def send_clean_status(run: RunContext, espo: EspoRecord, fingerprint: str | None) -> StatusAnswer:
    """PUT the status without arrays, so that the answer shows what EspoCRM stores; ``fingerprint`` None is not written.

    The caller stores the columns of the answer together with the baseline.
    """
    values = {"sync_status": PersonStatus.CLEAN, "last_sync": run.utcnow(), **FAILURE_FIELDS_CLEARED}
    if fingerprint is not None and fingerprint != espo.fingerprint:
        values["fingerprint"] = fingerprint
    return send_status(run, espo.entity_id, values)


def write_status(run: RunContext, entity_id: str, values: Mapping[str, Any]) -> EspoRecord:
    """Write status fields, store the answer and return the record as it stands."""
    answer = send_status(run, entity_id, values)
    if answer.columns:
        with run.store.transaction_without_fsync():
            update_person(run.store, entity_id, **answer.columns)
    return answer.record


def send_status(run: RunContext, entity_id: str, values: Mapping[str, Any]) -> StatusAnswer:
    """Write status fields; return the record as answered, or from a GET if the PUT was refused or not confirmed.

    A status that cannot be written is reported and blocks nothing. What the API user may not edit is not sent: EspoCRM
    would drop it, and the old value would be taken for that of a second writer (EspoCRM fact B13).
    """
    values = {name: value for name, value in values.items() if name not in run.no_edit}
    if not values:
        return StatusAnswer(run.espo.fetch(entity_id), {})
    sent_values = second_writer_columns(values)
    with run.store.transaction():
        update_person(run.store, entity_id, **{f"{name}_sent": value for name, value in sent_values.items()})
    try:
        answer = run.espo.write(entity_id, values)
    except (PersonError, UnknownOutcome) as error:
        log_status_failure(run, entity_id, error)
        return StatusAnswer(run.espo.fetch(entity_id), {})
    run.counters.writes["espocrm"] += 1
    written_columns = {f"{name}_written": value for name, value in sent_values.items()}
    return StatusAnswer(answer, {**own_write_columns(run, answer), **written_columns})


def log_status_failure(run: RunContext, entity_id: str, error: PersonError | UnknownOutcome) -> None:
    """Log a status that could not be written; the full message may quote a value, so it goes to the debug log."""
    run.log.warning("status_not_written", entity_id=entity_id, error=error.kind)
    run.log.debug("status_not_written", entity_id=entity_id, error=str(error))


def second_writer_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a write leaves in the fields that would reveal a second writer; noted before it is sent (rules §6)."""
    names = {"sync_status": "status", "fingerprint": "fingerprint"}
    return {name: values[field] for field, name in names.items() if field in values}


def record_person_failure(run: RunContext, entity_id: str, error: PersonError) -> None:
    """Record one more failure, in the store and in EspoCRM: message, count, and when the person is tried again."""
    person = load_person(run.store, entity_id) or {}
    limits = run.limits
    failure = next_retry(
        person.get("retry_count") or 0,
        run.utcnow(),
        backoff_minutes=limits.backoff_minutes,
        max_failures=limits.max_failures,
        auto_reset_hours=limits.auto_reset_hours,
    )
    message = str(error)[:MAX_MESSAGE_LENGTH]
    with run.store.transaction():
        update_person(
            run.store,
            entity_id,
            status=failure.status,
            error=message,
            retry_count=failure.retry_count,
            next_retry_at=failure.next_retry_at,
            auto_reset_at=failure.auto_reset_at,
        )
        mark_due(run.store, [entity_id], "a sync failed", run.utcnow())
    run.counters.failed[entity_id] = message
    run.log.error("person_failed", entity_id=entity_id, error=error.kind, retry_count=failure.retry_count)
    run.log.debug("person_failed", entity_id=entity_id, error=message)
    if is_closed_by_lock(run, entity_id):
        return
    try_write_status(
        run,
        entity_id,
        {
            "sync_status": failure.status,
            "error": translate_error(message, limits.language)[:MAX_MESSAGE_LENGTH],
            "retry_count": failure.retry_count,
            "next_retry": failure.next_retry_at,
            "auto_reset": failure.auto_reset_at,
        },
    )


def try_write_status(run: RunContext, entity_id: str, values: Mapping[str, Any]) -> EspoRecord | None:
    """Write status fields if the record is still there; a failure is reported and blocks nothing.

    Returns the record as it then is, None if it cannot be read.
    """
    try:
        return write_status(run, entity_id, values)
    except PersonError as error:
        log_status_failure(run, entity_id, error)
        return None


def is_closed_by_lock(run: RunContext, entity_id: str) -> bool:
    """Whether EspoCRM would refuse a status: staff locked the record, and that covers our fields (facts B19, B23)."""
    person = load_person(run.store, entity_id)
    return person is not None and bool(person["espo_locked"]) and bool(run.espo.fields_under_lock())


def write_deleted_status(run: RunContext, entity_id: str) -> None:
    """Say in EspoCRM that the person is deleted in Advoware; once it says so, the person is no longer due.

    It stays due if the record was linked elsewhere meanwhile, or if staff locked it.
    """
    if is_closed_by_lock(run, entity_id):
        return
    record = try_write_status(
        run, entity_id, {"sync_status": PersonStatus.DELETED_IN_ADVOWARE, **FAILURE_FIELDS_CLEARED}
    )
    if record is None:
        return
    person = load_person(run.store, entity_id)
    if (
        shows_status(run, record, PersonStatus.DELETED_IN_ADVOWARE)
        and person is not None
        and person["betnr"] == record.betnr
    ):
        clear_due(run.store, [entity_id])


def write_conflict_status(run: RunContext, entity_id: str, message: str, *, is_message_shown: bool = True) -> bool:
    """Say once in EspoCRM that a human must decide; whether it was sent.

    ``is_message_shown``: a ``conflict`` that EspoCRM shows has this very message.
    """
    person = load_person(run.store, entity_id)
    may_write = (
        person is not None and run.limits.allows(entity_id, person["betnr"]) and "sync_status" not in run.no_edit
    )
    is_shown = person is None or (is_message_shown and person["espo_status"] == PersonStatus.CONFLICT)
    if not may_write or is_shown or is_closed_by_lock(run, entity_id):
        return False
    staff_message = translate_error(message, run.limits.language)
    status_fields = {"sync_status": PersonStatus.CONFLICT, **FAILURE_FIELDS_CLEARED, "error": staff_message}
    return try_write_status(run, entity_id, status_fields) is not None


def show_held_persons(run: RunContext) -> None:
    """Say in EspoCRM, once, that a person waits for a decision about its own values, or was left as it is.

    Not where a run as a whole is held: that is nothing staff could see in the record.
    """
    for hold in open_holds(run.store):
        if not (hold["own_values"] or hold["let_be_at"]):
            continue
        message = LET_BE_MESSAGE if hold["let_be_at"] else HELD_MESSAGE
        if write_conflict_status(run, hold["entity_id"], message, is_message_shown=hold["shown_at"] is not None):
            set_shown_at(run.store, hold["id"], run.utcnow())


def defer_edited_person(run: RunContext, entity_id: str) -> None:
    """Put off a person that was edited again and again: it stays due, and what is to be repaired stays open."""
    repair = run.pending_repairs.get(entity_id)
    with run.store.transaction():
        close_plans(run.store, entity_id, keep_change_ids=repair.change_ids if repair else ())
        mark_due(run.store, [entity_id], "changed while it was synced", run.utcnow())
    run.counters.deferred.add(entity_id)


def defer_locked_person(run: RunContext, entity_id: str) -> None:
    """Put off a person whom staff locked after our read: it stays due, and is not read again until it is unlocked.

    Its plan stays open: the next read settles what was done of it already, as after a run that died.
    """
    with run.store.transaction():
        update_person(run.store, entity_id, espo_locked=True)
        mark_due(run.store, [entity_id], "locked by staff while it was synced", run.utcnow())
    run.counters.locked.add(entity_id)


def show_waits_for_unlock(run: RunContext) -> None:
    """Say once in EspoCRM that the changes of a locked record wait, if a lock leaves our own fields writable."""
    persons = load_persons(run.store, sorted(run.counters.locked))
    waiting = [
        person for person in persons if person["due_since"] and person["espo_status"] != PersonStatus.PENDING_SYNC
    ]
    if not waiting or "sync_status" in run.no_edit or run.espo.fields_under_lock():
        return
    message = translate_error(LOCKED_MESSAGE, run.limits.language)
    for person in waiting:
        try_write_status(run, person["entity_id"], {"sync_status": PersonStatus.PENDING_SYNC, "error": message})


def post_conflict_notes(run: RunContext, entity_id: str) -> None:
    """Tell people in the record's stream which values lost; never a reason to fail (rules §4)."""
    if not run.limits.note_conflicts:
        return
    for conflict in conflicts_to_note(run.store, entity_id):
        try:
            run.store.check_lease()
            run.espo.post_note(entity_id, conflict_message(conflict, run.limits.language))
            run.counters.writes["espocrm"] += 1
        except (PersonError, UnknownOutcome) as error:
            run.log.warning("conflict_not_noted", entity_id=entity_id, error=error.kind)
        set_noted_at(run.store, [conflict["id"]], run.utcnow())


def conflict_message(conflict: Mapping[str, Any], language: str) -> str:
    """One sentence for the firm's staff."""
    lost_value, kept_value, number = conflict["advo_value"], conflict["espo_value"], conflict["id"]
    if language == "de":
        kept_text = f"dort steht {kept_value}" if kept_value else "dort steht der Eintrag nicht"
        advice = f"Wer {lost_value} behalten will, trägt es hier wieder ein (Konflikt {number})."
        return f"Advoware: {lost_value} wurde überschrieben. EspoCRM hat Vorrang; {kept_text}. {advice}"
    kept_text = f"there it is {kept_value}" if kept_value else "the entry is not there"
    advice = f"To keep {lost_value}, enter it here again (conflict {number})."
    return f"Advoware: {lost_value} was overwritten. EspoCRM wins; {kept_text}. {advice}"
