"""The order of a run: extract, diff, guard, apply, verify (rules.md §1). Plan, sync, approve and sweep are all this.

A plan is the same run on a scratch copy of the state store that ends before the first write, so it can never leave a
trace but its own rows in ``runs`` and ``changes``. A sweep is a run for each of its chunks, so that the lock is free
between them.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from etl.candidates import list_candidates, note_modified
from etl.ending import judge_absent
from etl.errors import ConfigError, LockHeld, RunEnds, Stopped
from etl.extract import look_at_drifted, poll_advoware
from etl.guard import CONFIG_DIGEST, change_record, configuration_changed
from etl.records import Channel
from etl.renewal import renew_values
from etl.rules.rights import MAY_NOT
from etl.store.baseline import persons_held_back, persons_with_note
from etl.store.database import Store
from etl.store.due import awaits_retry, due_persons, known_between, mark_due, reset_permanently_failed
from etl.store.holds import kept_absent, kept_back, open_holds, release_holds
from etl.store.journal import save_changes, wrote
from etl.store.migrate import COPIED_AT
from etl.store.persons import find_persons, load_persons
from etl.store.runs import abandon_runs, runs_of_the_whole
from etl.store.standing import LAST_SWEEP_AT, PUT_BACK_FROM, SWEEP_AFTER, SWEEP_BEGUN_BY
from etl.store.states import HoldKind
from jobs.approval import approved
from jobs.backfill import as_begun, backfilled, reached
from jobs.exit_codes import outcome_of
from jobs.giving_way import give_way, taken
from jobs.lock import Heartbeat
from jobs.options import Options as Options  # noqa: PLC0414 - what a run is asked is part of how it is called
from jobs.options import Order
from jobs.outcome import Done, end_recorded, finished, report_of, started
from jobs.persons import looked_at, set_apart, sync_persons, tell_of_unread
from jobs.putting_back import Restore, Undo, put_back
from jobs.report import ENDS_A_SWEEP, RunReport
from jobs.setup import make_run
from jobs.systems import advoware, espocrm
from jobs.world import REAL, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.rules.plan import Plan
    from etl.run import Run
    from jobs.config import Config
    from jobs.lock import Lease

PUT_BACK = "the state store was put back from a copy of {} UTC: who was synced since then is taken up by its markers"

NAP_SECONDS, PATIENCE_SECONDS = 5.0, 1800.0
"""How often, and how long, a sweep asks for the lock between two chunks."""


def run(config: Config, options: Options, *, world: World = REAL) -> RunReport:
    """Do what is asked and report it; raises LockHeld, ConfigError and StoreError when nothing was started."""
    options, *others = every_chunk(config, options, world) if options.whole else [options]
    report = run_once(config, options, world=world)
    if options.backfill is not None:
        options = replace(options, backfill=replace(options.backfill, resume=True))
    while report.goes_on:
        report = report.followed_by(next_chunk(config, options, world))
    for other in others:
        if report.outcome not in ENDS_A_SWEEP:
            report = report.followed_by(next_chunk(config, replace(other, part_of=report.run_id), world))
    return report


def every_chunk(config: Config, options: Options, world: World) -> list[Options]:
    """One undo, or one approval, for each chunk of longer work that has something to it, the newest first."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        if options.undo_run is not None:
            wrote_something = [one for one in runs_of_the_whole(store, options.undo_run) if wrote(store, one)]
            return [replace(options, undo_run=one) for one in wrote_something] or [options]
        held_by = {one["run_id"] for one in open_holds(store)}
        chunks = runs_of_the_whole(store, options.approve_run or 0)
        return [replace(options, approve_run=one) for one in chunks if one in held_by] or [options]


def run_once(config: Config, options: Options, *, world: World = REAL) -> RunReport:
    """Do one run, of a sweep one chunk, under one lease."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        order = Order(config, part_of_sweep(store, as_begun(store, options)), world, store)
        if not options.write:
            return planned(order)
        with lease_of(order) as lease:
            abandon_runs(store, world.now())
            with store.only_while(lease.check):
                done = stages(order)
            report = report_of(order, done)
            report.sweep_after = store.setting(SWEEP_AFTER) if options.sweep else None
            if options.backfill is not None:
                report.sweep_after = reached(store)
            return finished(order, report)


def part_of_sweep(store: Store, options: Options) -> Options:
    """The options of a sweep that goes on behind an earlier chunk: a part of it."""
    if not options.sweep or store.setting(SWEEP_AFTER) is None:
        return options
    begun_by = store.setting(SWEEP_BEGUN_BY)
    return replace(options, part_of=int(begun_by) if begun_by else None)


def next_chunk(config: Config, options: Options, world: World) -> RunReport:
    """The next chunk of a sweep, once whoever took the lock between the chunks gave it back."""
    waited = 0.0
    while True:
        try:
            world.checkpoint()
            with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
                give_way(store, world)
            return run_once(config, options, world=world)
        except Stopped as stopped:
            return RunReport(outcome=outcome_of(stopped), error=str(stopped))
        except LockHeld as held:
            if waited >= PATIENCE_SECONDS:
                return RunReport(outcome=outcome_of(held), error=str(held))
        world.sleep(NAP_SECONDS)
        waited += NAP_SECONDS


@contextmanager
def lease_of(order: Order) -> Iterator[Lease]:
    """Hold the lease for the time of a block, renewed by a heartbeat, released on every path."""
    world = order.world
    with taken(order) as lease, ExitStack() as stack:
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
            try:
                done = stages(on_copy)
            except Exception:
                with end_recorded(order, started(order)):
                    raise
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


def stages(order: Order) -> Done:
    """Log in and do what is asked; what ends a run early is part of what is told of it."""
    done = Done(started(order))
    world = order.world
    with (
        structlog.contextvars.bound_contextvars(run_id=done.run_id),
        end_recorded(order, done.run_id),
        espocrm(order.config, transport=world.espo_transport, **world.surroundings()) as espo,
        advoware(order.config, transport=world.advo_transport, **world.surroundings()) as advo,
    ):
        done.espo_calls, done.advo_calls = espo.calls, advo.calls
        try:
            done.run = make_run(order, done.run_id, espo, advo)
            done.plans = carried_out(done.run, order.options)
        except (RunEnds, LockHeld) as ended:
            done.error = ended
            structlog.get_logger().error("run_ended", reason=str(ended))
    return done


# What is asked ----------------------------------------------------------------------------------------------------


def carried_out(run_: Run, options: Options) -> Plan:
    """Do what is asked, and judge whoever turned out not to be there."""
    know_configuration(run_)
    know_copy(run_)
    renew_values(run_)
    reset_permanently_failed(run_.store, run_.utcnow())
    plans = plans_of(run_, options)
    judge_absent(run_)
    return plans


def plans_of(run_: Run, options: Options) -> Plan:  # noqa: PLR0911 - one line a kind
    """The kinds of run."""
    if options.backfill is not None:
        return backfilled(run_, options.backfill)
    list_candidates(run_)
    set_apart(run_)
    if options.approve_run is not None:
        return approved(run_, options.approve_run, options.operator or "unknown")
    if options.undo_run is not None:
        return put_back(run_, Undo(options.undo_run))
    if options.restore is not None:
        return put_back(run_, Restore(options.restore))
    if options.persons:
        return asked(run_, options.persons)
    if options.sweep:
        return swept(run_)
    return periodic(run_)


def know_configuration(run_: Run) -> None:
    """The first configuration is the agreed one; who was held for another goes on once it is approved or put back."""
    if run_.store.setting(CONFIG_DIGEST) is None:
        run_.store.set_setting(CONFIG_DIGEST, run_.limits.config_digest)
    if not configuration_changed(run_):
        held = [one["id"] for one in open_holds(run_.store) if one["kind"] == HoldKind.CONFIGURATION]
        release_holds(run_.store, held, now=run_.utcnow(), by="the configuration is the agreed one")


def know_copy(run_: Run) -> None:
    """A store that says of itself that it is a copy was put back: it meets what its own later runs wrote."""
    copied_at = run_.store.setting(COPIED_AT)
    if copied_at is not None:
        with run_.store.transaction():
            run_.store.set_setting(PUT_BACK_FROM, copied_at)
            run_.store.set_setting(COPIED_AT, None)
        run_.tally.notices.append(PUT_BACK.format(copied_at))
    run_.copied_at = run_.store.setting(PUT_BACK_FROM)


def periodic(run_: Run) -> Plan:
    """The regular run: who is due, longest waiting first, and the rolling look into Advoware."""
    waiting = persons_held_back(run_.store, but=run_.policy.direction)
    mark_due(run_.store, waiting, "held back by another direction", run_.utcnow())
    allowed = set(Channel) - run_.policy.no_edit - run_.policy.no_read
    mark_due(run_.store, persons_with_note(run_.store, MAY_NOT, allowed), "a right was given in EspoCRM", run_.utcnow())
    due = due_persons(run_.store, run_.utcnow(), run_.limits.persons_per_run, run_.limits.only)
    ready = looked_at(run_, due)
    drift = poll_advoware(run_, [*run_.looks, *run_.absent, *run_.tally.failed])  # who fails in this run fails once
    held_for_steps = kept_back(run_.store) - kept_absent(run_.store)  # who is there again is held no more
    drifted = look_at_drifted(run_, [one for one in drift if one[0]["entity_id"] not in held_for_steps])
    tell_of_unread(run_)
    return sync_persons(run_, [*ready, *drifted])


def asked(run_: Run, keys: Sequence[str]) -> Plan:
    """Persons an operator named: looked at on both sides, retry times or not.

    Who is held because it was not there is looked at, too, which may release it; a plan shows the steps of all held.
    """
    found = {one["entity_id"]: one for key in keys for one in find_persons(run_.store, key)}
    unknown = [key for key in keys if not find_persons(run_.store, key)]
    if unknown:
        raise ConfigError(f"Nobody is known as {', '.join(unknown)}: name the id of an EspoCRM record, or a betnr.")
    for_steps = [one for one in open_holds(run_.store) if one["kind"] != HoldKind.ENDINGS]
    held_already = {one["entity_id"] for one in for_steps} if run_.write else set()
    left_out = held_already | run_.tally.skipped | run_.absent.keys()
    chosen = [
        one
        for one in found.values()
        if one["entity_id"] not in left_out and run_.limits.allows(one["entity_id"], one["betnr"])
    ]
    run_.tally.held |= held_already & set(found)
    linked = [one["entity_id"] for one in chosen if one["betnr"] is not None]
    mark_due(run_.store, linked, "asked for by an operator", run_.utcnow())
    return sync_persons(run_, looked_at(run_, chosen, everybody=True))


def swept(run_: Run) -> Plan:
    """One chunk of a sweep: every linked person in it on both sides; its position is kept until the last chunk."""
    after, size = run_.store.setting(SWEEP_AFTER), run_.limits.persons_per_run
    page = run_.espo.linked(after, size)
    last = len(page.listings) < size
    note_modified(run_, page.listings)
    set_apart(run_)
    chunk = chunk_of(run_, [one.entity_id for one in page.listings], after, last=last)
    plans = sync_persons(run_, looked_at(run_, chunk, everybody=True))
    with run_.store.transaction():
        if after is None:
            run_.store.set_setting(SWEEP_BEGUN_BY, str(run_.id))
        run_.store.set_setting(SWEEP_AFTER, None if last else page.listings[-1].entity_id)
        if last:
            run_.store.set_setting(LAST_SWEEP_AT, run_.utcnow())
    return plans


def chunk_of(run_: Run, listed: Sequence[str], after: str | None, *, last: bool) -> list[dict[str, Any]]:
    """The persons of a chunk: those EspoCRM lists, and those only we know of, whose own GET will tell.

    Whom a guard holds is read, too: that tells whether it is still there.
    """
    known = known_between(run_.store, after or "", None if last else listed[-1])
    chosen = ({*listed} | {*known}) - run_.tally.skipped - run_.absent.keys()
    return [
        one
        for one in load_persons(run_.store, sorted(chosen))
        if run_.limits.allows(one["entity_id"], one["betnr"]) and not awaits_retry(one, run_.utcnow())
    ]
