"""How a run ended: the row in ``runs``, and the report people and scripts read."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from etl.context import RunContext, RunCounters
from etl.errors import AdvosyncError, CredentialsRefused
from etl.guard import step_digests
from etl.store.tables.baseline import count_left_alone
from etl.store.tables.holds import open_holds
from etl.store.tables.persons import ids_on_locked_records, load_persons
from etl.store.tables.runs import finish_run, load_run, start_run
from jobs.config import config_digest
from jobs.exit_codes import CommandOutcome, outcome_of
from jobs.run.report import CallCounts, DriftCounts, PersonCounts, PersonFailure, PlannedChange, RunReport, WriteCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from etl.enums import HoldKind
    from etl.errors import LockHeld, RunAborted
    from etl.rules.plan import Plan
    from jobs.run.options import RunRequest
    from jobs.run.plan_file import ReviewedPlan
    from jobs.run.report import ReviewedOutcome


@dataclass
class RunResult:
    """What there is to tell of a run, also of one that ended early."""

    run_id: int
    run: RunContext | None = None
    plans: Plan = field(default_factory=dict)
    error: RunAborted | LockHeld | None = None
    espo_calls: Counter[str] = field(default_factory=Counter)
    advo_calls: Counter[str] = field(default_factory=Counter)


@cache
def package_version() -> str:
    """The version that is installed, read once."""
    return version("advosync")


def record_start(request: RunRequest) -> int:
    """Write the row in ``runs`` and return its number."""
    return start_run(
        request.store,
        now=request.environment.now(),
        version=package_version(),
        trigger=request.options.kind,
        direction=request.direction,
        scope=request.scope,
        operator=request.options.operator,
        reason=request.options.reason,
        about=request.options.target_id,
        part_of=request.options.part_of,
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def record_end(request: RunRequest, report: RunReport) -> RunReport:
    """Close the row in ``runs``."""
    espo, advo = report.calls.espocrm, report.calls.advoware
    counts = {
        "persons_seen": report.persons.seen,
        "persons_changed": report.persons.changed,
        "persons_failed": report.persons.failed,
        "espo_reads": espo.get("GET", 0),
        "espo_writes": sum(count for method, count in espo.items() if method != "GET"),
        "advo_reads": advo.get("GET", 0),
        "advo_writes": sum(count for method, count in advo.items() if method != "GET"),
    }
    finish_run(
        request.store,
        report.run_id or 0,
        now=request.environment.now(),
        outcome=report.outcome,
        counts=counts,
        error=report.error,
        calls={"espocrm": espo, "advoware": advo},
        report=report_to_keep(report),
    )
    return report


def report_to_keep(report: RunReport) -> dict[str, Any]:
    """The document without what stands in ``changes`` anyway; of a plan that may be reviewed, what tells it again."""
    document = report.to_dict() | {"changes": []}
    return document | {"review": {"checksum": document["review"]["checksum"]}} if report.review else document


@contextmanager
def record_abort(request: RunRequest, run_id: int) -> Iterator[None]:
    """Close the row in ``runs`` of what cannot be done (``refused``), or breaks on a mistake of ours (``crashed``).

    Of a crash the kind alone: its message may hold anything. A store that cannot take the row any more is left as it
    is; the next run finds it abandoned.
    """
    try:
        yield
    except Exception as error:
        is_own_error = isinstance(error, AdvosyncError)
        message = (
            str(error)
            if is_own_error
            else f"a mistake in advosync itself ({type(error).__name__}); the log has the trace"
        )
        with suppress(AdvosyncError):
            finish_run(request.store, run_id, now=request.environment.now(), outcome=outcome_of(error), error=message)
        raise


def build_report(request: RunRequest, result: RunResult) -> RunReport:
    """Return the run as the JSON document of jobs/README.md."""
    tally = result.run.counters if result.run is not None else RunCounters()
    betnrs = {person["entity_id"]: person["betnr"] for person in load_persons(request.store, list(tally.failed))}
    return RunReport(
        run_id=result.run_id,
        outcome=overall_outcome(result, tally),
        trigger=request.options.trigger,
        direction=request.direction,
        started_at=(load_run(request.store, result.run_id) or {}).get("started_at"),
        finished_at=request.environment.now(),
        persons=count_persons(
            tally,
            {hold["entity_id"] for hold in open_holds(request.store)},
            tally.locked | ids_on_locked_records(request.store),
            # a plan claims agreement, or not: what no step of it touches stays left alone
            0 if request.options.write else count_left_alone(request.store, excluding=result.plans),
        ),
        variants={str(variant): count for variant, count in sorted(tally.variants.items())},
        conflicts=tally.conflicts,
        writes=WriteCounts(tally.writes["espocrm"], tally.writes["advoware"]),
        drift=DriftCounts(len(tally.drifted_espo), len(tally.drifted_advo)),
        calls=CallCounts(dict(result.espo_calls), dict(result.advo_calls)),
        errors=[
            PersonFailure(entity_id=entity_id, betnr=betnrs.get(entity_id), error=message)
            for entity_id, message in sorted(tally.failed.items())
        ],
        error=str(result.error) if result.error is not None else None,
        login_refused=isinstance(result.error, CredentialsRefused),
        notices=list(tally.notices),
        changes=[] if request.options.write else plan_changes(
            result.plans, load_person_names(request, result.plans), tally.hold_kinds
        ),
        review=review_of_plans(request, result.plans) if request.options.can_be_reviewed else None,
        reviewed=outcome_of_reviewed_plan(request, request.options.reviewed, tally)
        if request.options.reviewed is not None
        else None,
    )


def review_of_plans(request: RunRequest, plans: Plan) -> dict[str, Any]:
    """What ``sync --plan`` compares with what it meets: by whom and how the plan was made, and each person's steps."""
    return {
        "version": package_version(),
        "configuration": config_digest(request.config),
        "scope": str(request.scope),
        "persons": {entity_id: step_digests(plan) for entity_id, plan in plans.items() if plan.steps},
    }


def outcome_of_reviewed_plan(request: RunRequest, reviewed: ReviewedPlan, tally: RunCounters) -> ReviewedOutcome:
    """Each person the plan was not carried out for, with the reason."""
    persons = load_persons(request.store, list(tally.not_as_reviewed))
    betnrs = {person["entity_id"]: person["betnr"] for person in persons}
    return {
        "plan": reviewed.run_id,
        "carried_out": len(reviewed.persons.keys() - tally.not_as_reviewed.keys()),
        "left": [
            {"entity_id": entity_id, "betnr": betnrs.get(entity_id), "reason": reason}
            for entity_id, reason in sorted(tally.not_as_reviewed.items(), key=lambda item: (item[1], item[0]))
        ],
    }


def count_persons(
    tally: RunCounters, held_ids: set[str], locked_ids: set[str], still_left_alone: int
) -> PersonCounts:
    """Count the persons, each once in each role; who was held or locked before this run still counts.

    ``still_left_alone``: entries that were left alone before it and that it did not look into.
    """
    return PersonCounts(
        seen=len(tally.seen),
        changed=len(tally.changed),
        clean=len(tally.clean - set(tally.failed)),
        failed=len(tally.failed),
        held=len(tally.held | held_ids),
        waiting=len(tally.deferred),
        locked=len(locked_ids),
        skipped=len(tally.skipped),
        left_alone=tally.left_alone + still_left_alone,
    )


def overall_outcome(result: RunResult, tally: RunCounters) -> CommandOutcome:
    """Say how the run ended, the worst first."""
    if result.error is not None:
        return outcome_of(result.error)
    if tally.newly_held:
        return CommandOutcome.HELD
    return CommandOutcome.FAILED_PERSONS if tally.failed else CommandOutcome.DONE


def load_person_names(request: RunRequest, entity_ids: Iterable[str]) -> dict[str, str | None]:
    """What EspoCRM calls these persons."""
    return {person["entity_id"]: person["name"] for person in load_persons(request.store, list(entity_ids))}


def plan_changes(
    plans: Plan, names: Mapping[str, str | None], hold_kinds: Mapping[str, HoldKind]
) -> list[PlannedChange]:
    """The steps of a plan in the shape of ``plan --json``; those of ``hold_kinds`` would be held, not written."""
    return [
        PlannedChange(
            entity_id=plan.entity_id,
            betnr=plan.betnr,
            variant=str(decision.variant),
            side=str(step.side),
            action=step.action,
            komm_id=step.komm_id,
            komm_kz=step.komm_kz,
            old_value=step.old_value,
            new_value=step.new_value,
            reason=decision.reason,
            held=hold_kinds.get(plan.entity_id),
            name=names.get(plan.entity_id),
        )
        for plan in plans.values()
        for decision in plan.decisions
        for step in decision.steps
    ]
