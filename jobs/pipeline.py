"""The order of a run: extract, diff, guard, apply, verify (rules.md §1). Plan, sync, approve and sweep are all this.

A plan is the same run on a scratch copy of the state store that ends before the first write, so it can never leave a
trace but its own rows in ``runs`` and ``changes``.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from etl.errors import ConfigError, RunEnds
from etl.extract import list_candidates, look_at_drifted, poll_advoware
from etl.guard import change_record, digest, hold
from etl.store.baseline import persons_held_back
from etl.store.database import Store
from etl.store.due import due_persons, known_between, mark_due
from etl.store.holds import open_holds, release_holds
from etl.store.journal import save_changes
from etl.store.persons import find_persons, load_persons, save_listings
from etl.store.runs import abandon_runs
from jobs.lock import Heartbeat, Lease
from jobs.options import Options as Options  # noqa: PLC0414 - what a run is asked is part of how it is called
from jobs.options import Order
from jobs.outcome import Done, finished, given_up, report_of, started
from jobs.persons import looked_at, make_plans, set_apart, sync_persons, tell_of_unread, write_plans
from jobs.setup import make_run
from jobs.systems import advoware, espocrm
from jobs.world import REAL, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.diff import PersonPlan, Plan
    from etl.run import Run
    from jobs.config import Config
    from jobs.report import RunReport


def run(config: Config, options: Options, *, world: World = REAL) -> RunReport:
    """Do one run and report it; raises LockHeld, ConfigError and StoreError when nothing was started."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        order = Order(config, options, world, store)
        if not options.write:
            return planned(order)
        with lease_of(order) as lease:
            abandon_runs(store, world.now())
            return finished(order, report_of(order, stages(order, lease.check)))


@contextmanager
def lease_of(order: Order) -> Iterator[Lease]:
    """Hold the lease for the time of a block, renewed by a heartbeat, released on every path."""
    world, seconds = order.world, order.config.state.lease_seconds
    with Lease.acquire_here(order.store, lease_seconds=seconds, now=world.now()) as lease, ExitStack() as stack:
        if world.heartbeat:
            stack.enter_context(Heartbeat(lease, clock=world.now))
        yield lease


def planned(order: Order) -> RunReport:
    """A run on a scratch copy that never writes; its steps are then listed in the real store."""
    with tempfile.TemporaryDirectory(prefix="advosync-plan-") as folder:
        copy = Path(folder) / "state.db"
        order.store.backup(copy)
        with Store.open(copy, now=order.world.now(), durable=False) as scratch:
            on_copy = replace(order, store=scratch)
            done = stages(on_copy, lambda: None)
            report = report_of(on_copy, done)
    with order.store.transaction():
        report.run_id = started(order)
        if done.run is not None:
            list_steps(replace(done.run, id=report.run_id, store=order.store), done.plans)
        return finished(order, report)


def list_steps(run_: Run, plans: Plan) -> None:
    """The steps of a plan as rows of ``changes`` that nothing will ever carry out."""
    save_changes(
        run_.store,
        [
            {**change_record(run_, plan, step, decision), "decision_id": None, "seq": seq}
            for plan in plans.values()
            for decision in plan.decisions
            for seq, step in enumerate(decision.steps)
        ],
    )


def stages(order: Order, before_write: Callable[[], None]) -> Done:
    """Log in and do what is asked; what ends a run early is part of what is told of it."""
    done = Done(started(order))
    world = order.world
    with (
        structlog.contextvars.bound_contextvars(run_id=done.run_id),
        espocrm(order.config, transport=world.espo_transport, **world.surroundings()) as espo,
        advoware(order.config, transport=world.advo_transport, **world.surroundings()) as advo,
    ):
        done.espo_calls, done.advo_calls = espo.calls, advo.calls
        try:
            done.run = make_run(order, done.run_id, espo, advo, before_write)
            done.plans = carried_out(done.run, order.options)
        except RunEnds as ended:
            done.error = ended
            structlog.get_logger().error("run_ended", reason=str(ended))
        except ConfigError as wrong:  # a person or run that is not there, an address at which nobody is
            given_up(order, done.run_id, wrong)
            raise
    return done


# What is asked ----------------------------------------------------------------------------------------------------


def carried_out(run_: Run, options: Options) -> Plan:
    """The four kinds of run."""
    if run_.store.setting("config_digest") is None:
        run_.store.set_setting("config_digest", run_.limits.config_digest)
    if options.approve_run is not None:
        return approved(run_, options.approve_run, options.operator or "unknown")
    list_candidates(run_)
    set_apart(run_)
    if options.persons:
        return asked(run_, options.persons)
    if options.sweep:
        return swept(run_)
    return periodic(run_)


def periodic(run_: Run) -> Plan:
    """The regular run: who is due, longest waiting first, and the rolling look into Advoware."""
    waiting = persons_held_back(run_.store, but=run_.policy.direction)
    mark_due(run_.store, waiting, "held back by another direction", run_.utcnow())
    due = due_persons(run_.store, run_.utcnow(), run_.limits.persons_per_run, run_.limits.only)
    ready = looked_at(run_, due)
    drift = poll_advoware(run_, [one["entity_id"] for one in due])
    drifted = look_at_drifted(run_, drift)
    tell_of_unread(run_)
    return sync_persons(run_, [*ready, *drifted])


def asked(run_: Run, keys: Sequence[str]) -> Plan:
    """Persons an operator named: looked at on both sides, retry times or not."""
    found = {one["entity_id"]: one for key in keys for one in find_persons(run_.store, key)}
    unknown = [key for key in keys if not find_persons(run_.store, key)]
    if unknown:
        raise ConfigError(f"Nobody is known as {', '.join(unknown)}: name the id of an EspoCRM record, or a betnr.")
    held_already = {one["entity_id"] for one in open_holds(run_.store)} if run_.write else set()  # a plan shows theirs
    apart_already = run_.tally.skipped
    chosen = [
        one for one in found.values() if one["entity_id"] not in held_already | apart_already and one["gone_at"] is None
    ]
    run_.tally.held |= held_already & set(found)
    mark_due(run_.store, [one["entity_id"] for one in chosen], "asked for by an operator", run_.utcnow())
    return sync_persons(run_, looked_at(run_, chosen, everybody=True))


def swept(run_: Run) -> Plan:
    """Every linked person on both sides, in chunks, each planned and guarded on its own; resumable by its position."""
    plans: Plan = {}
    after = run_.store.setting("sweep_after")
    while True:
        page = run_.espo.linked(after, run_.limits.persons_per_run)
        with run_.store.transaction():
            save_listings(run_.store, page.listings, run_.utcnow())
        set_apart(run_)
        chunk = chunk_of(
            run_, [one.entity_id for one in page.listings], after, last=len(page.listings) < run_.limits.persons_per_run
        )
        plans |= sync_persons(run_, looked_at(run_, chunk, everybody=True))
        run_.looks.clear()
        if len(page.listings) < run_.limits.persons_per_run:
            run_.store.set_setting("sweep_after", None)
            run_.store.set_setting("last_sweep_at", run_.utcnow())
            return plans
        after = page.listings[-1].entity_id
        run_.store.set_setting("sweep_after", after)


def chunk_of(run_: Run, listed: Sequence[str], after: str | None, *, last: bool) -> list[dict[str, Any]]:
    """The persons of a chunk: those EspoCRM lists, and those only we know of, whose own GET will tell."""
    known = known_between(run_.store, after or "", None if last else listed[-1])
    held_already = {one["entity_id"] for one in open_holds(run_.store)}
    chosen = ({*listed} | {*known}) - held_already - run_.tally.skipped
    allowed = run_.limits.only
    persons = load_persons(run_.store, sorted(chosen))
    return [one for one in persons if not allowed or one["entity_id"] in allowed or str(one["betnr"]) in allowed]


def approved(run_: Run, held_by: int, operator: str) -> Plan:
    """Plan the held persons again; the same steps are carried out at once, other ones are held anew and listed."""
    holds = open_holds(run_.store, run_id=held_by)
    if not holds:
        raise ConfigError(f"Run {held_by} holds nobody back; `advosync held` shows which runs do.")
    by_person = {one["entity_id"]: one for one in holds}
    if any(one["kind"] == "configuration" for one in holds):
        run_.store.set_setting("config_digest", run_.limits.config_digest)
    ready = looked_at(run_, load_persons(run_.store, list(by_person)), everybody=True)
    plans = make_plans(run_, ready)
    same = {
        entity_id
        for entity_id in ready
        if digest_or_none(plans.get(entity_id)) in (by_person[entity_id]["digest"], None)
    }
    with run_.store.transaction():
        release_holds(run_.store, [by_person[entity_id]["id"] for entity_id in ready], now=run_.utcnow(), by=operator)
        moved = {entity_id: by_person[entity_id]["kind"] for entity_id in ready if entity_id not in same}
        hold(run_, plans, moved)
    run_.approved = frozenset(same)
    return write_plans(run_, [entity_id for entity_id in ready if entity_id in same], plans)


def digest_or_none(plan: PersonPlan | None) -> str | None:
    """What a plan would write; None when there is nothing left to write."""
    return digest(plan) if plan is not None and plan.steps else None
