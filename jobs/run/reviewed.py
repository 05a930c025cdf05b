"""``sync --plan FILE``: of a plan that somebody reviewed, the steps that are still the same; whatever else is listed.

It is a sync of the plan's persons in which no other plan than the reviewed one may be written. Whoever is left as it is
stays due, so that the next sync takes it up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.enums import Action
from etl.errors import ConfigError
from etl.guard import step_digests
from etl.store.tables.holds import open_holds
from etl.store.tables.journal import count_writes_in_run
from etl.store.tables.persons import load_persons
from etl.store.tables.queue import due_persons, mark_due
from etl.store.tables.runs import load_run
from jobs.config import config_digest
from jobs.run.record import package_version
from jobs.run.report import PLAN_TRIGGER
from jobs.run.sync_persons import read_both_sides, sync_persons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.context import RunContext
    from etl.rules.plan import PersonPlan, Plan
    from jobs.run.options import RunRequest
    from jobs.run.plan_file import ReviewedPlan

CHANGED_SINCE = "changed since the plan"
NOT_IN_PLAN = "not in the plan"
NOTHING_LEFT = "nothing left to do"
WOULD_BE_HELD = "held in the plan: a sync holds it, then it can be approved"
HELD = "held by a guard, see `advosync held`"
STILL_DUE = f"a reviewed plan was not carried out: {CHANGED_SINCE}"
MAX_LISTED_OTHERS = 1_000_000
"""All who are due and not in the plan are named."""


def check_origin(request: RunRequest, reviewed: ReviewedPlan) -> None:
    """ConfigError for a plan of another version, configuration or state store: it may mean something else here."""
    if reviewed.version != package_version():
        raise ConfigError(
            f"The plan was made by advosync {reviewed.version}, and this is {package_version()}; make a new plan."
        )
    if reviewed.configuration != config_digest(request.config):
        raise ConfigError(
            "The plan was made with another configuration (addresses, Kanzlei, entity, direction, scope, region, "
            "kommKz); make a new plan."
        )
    run = load_run(request.store, reviewed.run_id)
    stored_report = json.loads(run["report"] or "{}") if run is not None and run["trigger"] == PLAN_TRIGGER else {}
    if stored_report.get("review", {}).get("checksum") != reviewed.checksum:
        raise ConfigError(
            f"{request.config.state.path} does not know plan {reviewed.run_id}: it was made on another state store, or "
            "is not kept any more; make a new plan."
        )


def sync_reviewed_plan(run: RunContext, reviewed: ReviewedPlan) -> Plan:
    """Read the persons of the plan on both sides, and write those whose steps are the reviewed ones."""
    left = run.counters.not_as_reviewed
    left |= {
        person["entity_id"]: NOT_IN_PLAN
        for person in due_persons(
            run.store, run.utcnow(), MAX_LISTED_OTHERS, run.limits.only, excluding=reviewed.persons.keys()
        )
    }
    left |= dict.fromkeys(reviewed.held_ids, WOULD_BE_HELD)
    left |= {hold["entity_id"]: HELD for hold in open_holds(run.store) if hold["entity_id"] in reviewed.persons}
    persons = {person["entity_id"]: person for person in load_persons(run.store, list(reviewed.persons))}
    left |= {
        entity_id: reason
        for entity_id in reviewed.persons
        if (reason := reason_without_link(run, persons.get(entity_id))) is not None
    }
    selected = [person for entity_id, person in persons.items() if entity_id not in left]
    run.plan_filter = ReviewedStepsFilter(reviewed.persons)
    try:
        return sync_persons(run, read_both_sides(run, selected, force=True))
    finally:  # an outage in the middle, too, leaves persons as they are
        for person in selected:
            reason = reason_to_be_left(run, person["entity_id"])
            if reason is not None:
                left.setdefault(person["entity_id"], reason)


def reason_without_link(run: RunContext, person: Mapping[str, object] | None) -> str | None:
    """Why a person of the plan cannot be synced at all; None where it can."""
    if person is None or person["gone_at"] is not None or person["betnr"] is None:
        return "not linked any more"
    entity_id, betnr = str(person["entity_id"]), person["betnr"]
    if not run.limits.allows(entity_id, betnr if isinstance(betnr, int) else None):
        return "not in the pilot group (sync.only)"
    return "shares its betnr, or is not there" if entity_id in run.counters.skipped | run.absences.keys() else None


def reason_to_be_left(run: RunContext, entity_id: str) -> str | None:
    """Why the steps of a person that was read were not, or not all, carried out; None where they were."""
    counters = run.counters
    if entity_id in counters.failed:
        return "failed"
    if entity_id in counters.held:
        return HELD
    if entity_id in counters.locked:
        return "locked in EspoCRM"
    if entity_id in counters.changed:
        return None
    return "not there as agreed" if entity_id in run.absences else "waits for the next run; see `advosync explain`"


@dataclass(frozen=True)
class ReviewedStepsFilter:
    """Whether a person's plan is the one that was reviewed (``persons``: the digests of its steps)."""

    persons: Mapping[str, tuple[str, ...]]

    def __call__(self, run: RunContext, entity_id: str, plan: PersonPlan | None) -> bool:
        """Note whoever is left as it is, and keep it due.

        A person that moved between two of its writes is planned again: then what is left of the reviewed steps may be
        written, and nothing else.
        """
        digests, reviewed = step_digests(plan) if plan is not None else [], self.persons[entity_id]
        if count_writes_in_run(run.store, run.id, entity_id, Action):
            is_reviewed = set(digests) <= set(reviewed)
        else:
            is_reviewed = bool(digests) and tuple(digests) == reviewed
        if not is_reviewed:
            run.counters.not_as_reviewed[entity_id] = CHANGED_SINCE if digests else NOTHING_LEFT
            mark_due(run.store, [entity_id] if digests else [], STILL_DUE, run.utcnow())
        return is_reviewed
