"""How a run ended: the row in ``runs``, and the report people and scripts read."""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from etl.errors import AdvosyncError
from etl.run import Run, Tally
from etl.store.holds import open_holds
from etl.store.persons import load_persons
from etl.store.runs import finish_run, load_run, start_run
from jobs.exit_codes import Outcome, outcome_of
from jobs.report import Calls, Change, Drift, Failure, Persons, RunReport, Writes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from etl.errors import LockHeld, RunEnds
    from etl.rules.plan import Plan
    from jobs.options import Order


@dataclass
class Done:
    """What there is to tell of a run, also of one that ended early."""

    run_id: int
    run: Run | None = None
    plans: Plan = field(default_factory=dict)
    error: RunEnds | LockHeld | None = None
    espo_calls: Counter[str] = field(default_factory=Counter)
    advo_calls: Counter[str] = field(default_factory=Counter)


@cache
def this_version() -> str:
    """The version that is installed, read once."""
    return version("advosync")


def started(order: Order) -> int:
    """Write the row in ``runs`` and return its number."""
    return start_run(
        order.store,
        now=order.world.now(),
        version=this_version(),
        trigger=order.options.kind,
        direction=order.direction,
        scope=order.scope,
        operator=order.options.operator,
        reason=order.options.reason,
        about=order.options.about,
        part_of=order.options.part_of,
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def finished(order: Order, report: RunReport) -> RunReport:
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
        order.store,
        report.run_id or 0,
        now=order.world.now(),
        outcome=report.outcome,
        counts=counts,
        error=report.error,
        calls={"espocrm": espo, "advoware": advo},
        report=report.to_dict() | {"changes": []},
    )
    return report


@contextmanager
def end_recorded(order: Order, run_id: int) -> Iterator[None]:
    """Close the row in ``runs`` of what cannot be done (``refused``), or breaks on a mistake of ours (``crashed``).

    Of a crash the kind alone: its message may hold anything. A store that cannot take the row any more is left as it
    is; the next run finds it abandoned.
    """
    try:
        yield
    except Exception as error:
        ours = isinstance(error, AdvosyncError)
        told = str(error) if ours else f"a mistake in advosync itself ({type(error).__name__}); the log has the trace"
        with suppress(AdvosyncError):
            finish_run(order.store, run_id, now=order.world.now(), outcome=outcome_of(error), error=told)
        raise


def report_of(order: Order, done: Done) -> RunReport:
    """Return the run as interface.md's document."""
    tally = done.run.tally if done.run is not None else Tally()
    betnrs = {one["entity_id"]: one["betnr"] for one in load_persons(order.store, list(tally.failed))}
    return RunReport(
        run_id=done.run_id,
        outcome=outcome_now(done, tally),
        trigger=order.options.trigger,
        direction=order.direction,
        started_at=(load_run(order.store, done.run_id) or {}).get("started_at"),
        finished_at=order.world.now(),
        persons=persons_of(tally, {one["entity_id"] for one in open_holds(order.store)}),
        variants={str(variant): count for variant, count in sorted(tally.variants.items())},
        conflicts=tally.conflicts,
        writes=Writes(tally.writes["espocrm"], tally.writes["advoware"]),
        drift=Drift(len(tally.drifted_espo), len(tally.drifted_advo)),
        calls=Calls(dict(done.espo_calls), dict(done.advo_calls)),
        errors=[
            Failure(entity_id=entity_id, betnr=betnrs.get(entity_id), error=message)
            for entity_id, message in sorted(tally.failed.items())
        ],
        error=str(done.error) if done.error is not None else None,
        notices=list(tally.notices),
        changes=[] if order.options.write else listed_changes(done.plans, names_of(order, done.plans)),
    )


def persons_of(tally: Tally, held: set[str]) -> Persons:
    """Count the persons, each once in each role; ``held`` by an earlier run still counts (rules.md §6, Guards)."""
    return Persons(
        seen=len(tally.seen),
        changed=len(tally.changed),
        clean=len(tally.clean - set(tally.failed)),
        failed=len(tally.failed),
        held=len(tally.held | held),
        waiting=len(tally.waiting),
        skipped=len(tally.skipped),
        left_alone=tally.left_alone,
    )


def outcome_now(done: Done, tally: Tally) -> Outcome:
    """Say how the run ended, the worst first."""
    if done.error is not None:
        return outcome_of(done.error)
    if tally.newly_held:
        return Outcome.HELD
    return Outcome.FAILED_PERSONS if tally.failed else Outcome.DONE


def names_of(order: Order, entity_ids: Iterable[str]) -> dict[str, str | None]:
    """What EspoCRM calls these persons."""
    return {one["entity_id"]: one["name"] for one in load_persons(order.store, list(entity_ids))}


def listed_changes(plans: Plan, names: Mapping[str, str | None]) -> list[Change]:
    """The steps of a plan in the shape of ``plan --json``."""
    return [
        Change(
            entity_id=one.entity_id,
            betnr=one.betnr,
            variant=str(decision.variant),
            side=str(step.side),
            action=step.action,
            komm_id=step.komm_id,
            komm_kz=step.komm_kz,
            old_value=step.old_value,
            new_value=step.new_value,
            reason=decision.reason,
            name=names.get(one.entity_id),
        )
        for one in plans.values()
        for decision in one.decisions
        for step in decision.steps
    ]
