"""A person's status, in the store and in EspoCRM's fields (rules.md §6): the store decides, the fields show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import PersonError, UnknownOutcome
from etl.rules.backoff import after_failure
from etl.rules.words import for_staff
from etl.snapshot import save_espo_meta
from etl.store.due import clear_due, mark_due
from etl.store.journal import settle
from etl.store.persons import load_person, update_person
from etl.store.states import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.records import EspoRecord
    from etl.run import Run

LONGEST_MESSAGE = 2000  # characters EspoCRM's text field is given (rules.md §6)

AT_REST: Mapping[str, Any] = {"error": None, "retry_count": 0, "next_retry": None, "auto_reset": None}


def renew_status(run: Run, espo: EspoRecord, fingerprint: str | None) -> EspoRecord:
    """The status PUT without arrays, whose answer is EspoCRM's read-back; ``fingerprint`` None leaves that field."""
    values = {"sync_status": Status.CLEAN, "last_sync": run.utcnow(), **AT_REST}
    if fingerprint is not None and fingerprint != espo.fingerprint:
        values["fingerprint"] = fingerprint
    return put_status(run, espo.entity_id, values)


def put_status(run: Run, entity_id: str, values: Mapping[str, Any]) -> EspoRecord:
    """Write status fields and return the record as it stands; a GET where the PUT was refused or not confirmed.

    A status that cannot be written is reported and blocks nothing. What the API user may not edit is not sent: EspoCRM
    would drop it, and what stands there instead be taken for a second writer's (espocrm-api.md ² 13).
    """
    values = {name: value for name, value in values.items() if name not in run.no_edit}
    if not values:
        return run.espo.fetch(entity_id)
    sent = sent_columns(values)
    with run.store.transaction():
        update_person(run.store, entity_id, **{f"{name}_sent": value for name, value in sent.items()})
    try:
        answer = run.espo.write(entity_id, values)
    except (PersonError, UnknownOutcome) as error:
        not_written(run, entity_id, error)
        return run.espo.fetch(entity_id)
    run.tally.writes["espocrm"] += 1
    with run.store.what_happened():
        save_espo_meta(run, answer)
        update_person(run.store, entity_id, **{f"{name}_written": value for name, value in sent.items()})
    return answer


def not_written(run: Run, entity_id: str, error: PersonError | UnknownOutcome) -> None:
    """Report a status that could not be written; what it says in full may quote a value."""
    run.log.warning("status_not_written", entity_id=entity_id, error=error.kind)
    run.log.debug("status_not_written", entity_id=entity_id, error=str(error))


def shows(run: Run, record: EspoRecord, status: Status, fingerprint: str | None = None) -> bool:
    """Whether the record shows this status, and this fingerprint (None: any), as far as we may write them there."""
    status_too = record.status == status or "sync_status" in run.no_edit
    return status_too and (fingerprint in {None, record.fingerprint or ""} or "fingerprint" in run.no_edit)


def sent_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a write leaves in the fields by which a second writer shows; noted before it is sent (rules.md §6)."""
    names = {"sync_status": "status", "fingerprint": "fingerprint"}
    return {name: values[field] for field, name in names.items() if field in values}


def fail_person(run: Run, entity_id: str, error: PersonError) -> None:
    """One more failure: message, count, and when it is tried again, in the store and in EspoCRM."""
    person = load_person(run.store, entity_id) or {}
    limits = run.limits
    failure = after_failure(
        person.get("retry_count") or 0,
        run.utcnow(),
        backoff_minutes=limits.backoff_minutes,
        max_failures=limits.max_failures,
        auto_reset_hours=limits.auto_reset_hours,
    )
    message = str(error)[:LONGEST_MESSAGE]
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
    run.tally.failed[entity_id] = message
    run.log.error("person_failed", entity_id=entity_id, error=error.kind, retry_count=failure.retry_count)
    run.log.debug("person_failed", entity_id=entity_id, error=message)
    show_status(
        run,
        entity_id,
        {
            "sync_status": failure.status,
            "error": for_staff(message, limits.language)[:LONGEST_MESSAGE],
            "retry_count": failure.retry_count,
            "next_retry": failure.next_retry_at,
            "auto_reset": failure.auto_reset_at,
        },
    )


def show_status(run: Run, entity_id: str, values: Mapping[str, Any]) -> EspoRecord | None:
    """Write status fields where the record still is; not being able to is reported and blocks nothing.

    Returns the record as it stands then, None when it cannot be read.
    """
    try:
        return put_status(run, entity_id, values)
    except PersonError as error:
        not_written(run, entity_id, error)
        return None


def show_deleted(run: Run, entity_id: str) -> None:
    """Say in EspoCRM that the person is deleted in Advoware; once it stands there, nothing is left to be done.

    Unless the record was linked elsewhere meanwhile: then it stays due.
    """
    shown = show_status(run, entity_id, {"sync_status": Status.DELETED_IN_ADVOWARE, **AT_REST})
    if shown is None:
        return
    person = load_person(run.store, entity_id)
    if shows(run, shown, Status.DELETED_IN_ADVOWARE) and person is not None and person["betnr"] == shown.betnr:
        clear_due(run.store, [entity_id])


def show_shared(run: Run, entity_id: str, message: str) -> None:
    """Say in EspoCRM that a human must decide, once."""
    person = load_person(run.store, entity_id)
    ours = person is not None and run.limits.allows(entity_id, person["betnr"]) and "sync_status" not in run.no_edit
    if person is not None and ours and person["espo_status"] != Status.CONFLICT:
        told = for_staff(message, run.limits.language)
        show_status(run, entity_id, {"sync_status": Status.CONFLICT, **AT_REST, "error": told})


def give_up_for_now(run: Run, entity_id: str) -> None:
    """A person that kept moving: nothing of it is wrong, it stays due; what is to be mended stays open."""
    unmended = run.interrupted.get(entity_id)
    with run.store.transaction():
        settle(run.store, entity_id, keeping=unmended.changes if unmended else ())
        mark_due(run.store, [entity_id], "changed while it was synced", run.utcnow())
    run.tally.waiting.add(entity_id)
