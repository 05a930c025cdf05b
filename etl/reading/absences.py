"""Note that a person is gone or no longer linked as before, and say whether a 404 is believed (rules §1, Endings).

Nothing is concluded from an absence here: the run judges it when all its reads are done (``etl.endings``).

A 404 may mean that the person is gone, or that the address is wrong and nobody is found there. So at the first 404 of
a run those that were read last are asked for again. That costs up to three requests, and none in a run without a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.context import ObservedAbsence
from etl.enums import Absence, HoldKind
from etl.errors import PersonError
from etl.records import Side
from etl.store.tables.baseline import last_synced_betnr
from etl.store.tables.endings import close_waits_on_return, recently_read_persons
from etl.store.tables.holds import open_holds, release_holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext

ABSENCE_BY_SYSTEM: Final = {"Advoware": Absence.GONE_IN_ADVOWARE, "EspoCRM": Absence.GONE_IN_ESPOCRM}
"""By the system that answered 404."""

RELEASED_BY_RETURN = "it is there again"


def record_absence(run: RunContext, entity_id: str, kind: Absence, seen_betnr: int | None = None) -> None:
    """Note that a person is absent; it is not planned in this run."""
    run.absences[entity_id] = ObservedAbsence(kind, seen_betnr)
    run.judged_absences.discard(entity_id)
    run.counters.deferred.add(entity_id)
    run.log.warning("absent", entity_id=entity_id, what=kind)


def link_mismatch(run: RunContext, person: Mapping[str, Any], betnr: int | None) -> ObservedAbsence | None:
    """How the link of a record just read differs from the baseline's; None if it does not, or if there is no baseline.

    A record that never had a betnr is never due, so one that is due must have had one.
    """
    baseline_betnr = last_synced_betnr(run.store, person["entity_id"])
    if betnr is None:
        was_linked = baseline_betnr is not None or person["due_since"] is not None
        return ObservedAbsence(Absence.NO_BETNR) if was_linked else None
    return ObservedAbsence(Absence.OTHER_BETNR, betnr) if baseline_betnr not in (None, betnr) else None


MAX_PERSONS_READ: Final = 3
"""At most this many persons are asked for; one that is found is enough."""

SIDE_OF_ABSENCE: Final = {Absence.GONE_IN_ADVOWARE: Side.ADVO, Absence.GONE_IN_ESPOCRM: Side.ESPO}
"""The system in which somebody was not found."""

DISTRUST_MESSAGES: Final = {
    Absence.GONE_IN_ADVOWARE: "Advoware knows {who}, so this says nothing of the person: check advoware.path_prefix, "
    "base_url, kanzlei and database",
    Absence.GONE_IN_ESPOCRM: "EspoCRM knows {who}, so this says nothing of the person: check espocrm.url and entity, "
    "and what the role of the API user may read",
}
"""Why a 404 is not believed, and what to check."""

NONE_OF_LAST_PERSONS, NO_PERSON_TO_READ = "none of those it showed last either", "nobody whom it ever showed"


def distrust_reason(run: RunContext, kind: Absence) -> str | None:
    """Why this run believes no 404 of this kind, in a sentence; None if it does. Found out once per run."""
    if kind not in run.distrust_reasons:
        last_persons = recently_read_persons(run.store, SIDE_OF_ABSENCE[kind], run.absences, MAX_PERSONS_READ)
        who = NONE_OF_LAST_PERSONS if last_persons else NO_PERSON_TO_READ
        is_any_found = any(is_person_found(run, kind, person["entity_id"], person["betnr"]) for person in last_persons)
        run.distrust_reasons[kind] = None if is_any_found else DISTRUST_MESSAGES[kind].format(who=who)
    return run.distrust_reasons[kind]


def is_person_found(run: RunContext, kind: Absence, entity_id: str, betnr: int) -> bool:
    """Whether the system now shows this person."""
    try:
        if kind is Absence.GONE_IN_ADVOWARE:
            run.advo.fetch(betnr)
        else:
            run.espo.fetch(entity_id)
    except PersonError:
        return False
    return True


def readmit_persons(run: RunContext, present: Sequence[str]) -> None:
    """End the wait, and the hold for it, of persons that are back with their own betnr and share it with nobody."""
    close_waits_on_return(run.store, present, run.utcnow())
    absence_holds = [hold for hold in open_holds(run.store) if hold["kind"] == HoldKind.ENDINGS]
    hold_ids = [hold["id"] for hold in absence_holds if hold["entity_id"] in present]
    release_holds(run.store, hold_ids, now=run.utcnow(), released_by=RELEASED_BY_RETURN)
