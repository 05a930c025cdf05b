"""The order of a run: extract, diff, guard, apply, verify (rules §1). Plan, sync, approve and sweep are all this.

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

from etl.context import CONFIG_DIGEST, has_configuration_changed
from etl.endings import judge_absences
from etl.enums import ChangeState, HoldKind
from etl.errors import ConfigError, LockHeld, RunAborted, Stopped
from etl.extract import poll_advo, read_drifted_in_espo
from etl.reading.poll import mark_candidates_due, record_listings
from etl.records import Channel
from etl.recover import recover_person
from etl.renewal import renew_values
from etl.rules.espo.rights import MISSING_RIGHT
from etl.store.database import Store
from etl.store.migrations import COPIED_AT
from etl.store.queries.status import LAST_SWEEP_AT, RESTORED_FROM, SWEEP_AFTER, SWEEP_STARTED_BY
from etl.store.tables.arrivals import save_arrivals
from etl.store.tables.baseline import persons_left_alone_by_direction, persons_with_note
from etl.store.tables.holds import ids_held_as_absent, ids_held_by_guard, open_holds, release_holds
from etl.store.tables.journal import has_writes
from etl.store.tables.persons import find_persons, load_persons
from etl.store.tables.queue import awaits_retry, due_persons, ids_of_linked_between, mark_due, reset_permanent_failures
from etl.store.tables.runs import abandon_runs, chunk_run_ids
from etl.writing.journal import save_steps
from etl.writing.status import show_held_persons, show_waits_for_unlock
from jobs.client_factory import make_advoware_client, make_espo_client
from jobs.environment import PRODUCTION, Environment
from jobs.exit_codes import outcome_of
from jobs.lock import Heartbeat
from jobs.run.approve import approve_run, plan_held_persons
from jobs.run.backfill import last_entity_id, load_backfill, resume_notice, resume_options, run_backfill_chunks
from jobs.run.chunk_lock import acquire_lease, yield_to_waiter
from jobs.run.factory import make_run_context
from jobs.run.options import RunOptions as RunOptions  # noqa: PLC0414 - what a run is asked is part of how it is called
from jobs.run.options import RunRequest
from jobs.run.record import RunResult, build_report, record_abort, record_end, record_start
from jobs.run.report import CHUNK_STOPPING_OUTCOMES, RunReport
from jobs.run.reviewed import check_origin, sync_reviewed_plan
from jobs.run.sync_persons import read_both_sides, report_read_errors, skip_shared_betnrs, sync_persons
from jobs.run.undo_restore import RestorePlanner, UndoPlanner, run_operator_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.context import RunContext
    from etl.rules.plan import Plan
    from jobs.config import Config
    from jobs.lock import Lease
    from jobs.run.options import Selection

RESTORED_COPY_NOTICE = (
    "the state store was put back from a copy of {} UTC: persons synced since then are recovered from their markers"
)

CHUNK_POLL_SECONDS, CHUNK_MAX_WAIT_SECONDS = 5.0, 1800.0
"""How often, and how long, a sweep asks for the lock between two chunks."""


def run_to_completion(config: Config, options: RunOptions, *, environment: Environment = PRODUCTION) -> RunReport:
    """Do what is asked and report it; raises LockHeld, ConfigError or StoreError if nothing was started."""
    options, *others = chunk_options(config, options, environment) if options.whole else [options]
    if options.backfill is not None:
        return run_backfill_to_completion(config, options, options.backfill, environment)
    report = run_once(config, options, environment=environment)
    while report.has_next_chunk:
        report = report.merge_chunk(run_next_chunk(config, options, environment))
    for other in others:
        if report.outcome not in CHUNK_STOPPING_OUTCOMES:
            report = report.merge_chunk(run_next_chunk(config, replace(other, part_of=report.run_id), environment))
    return report


def run_backfill_to_completion(
    config: Config, options: RunOptions, selection: Selection, environment: Environment
) -> RunReport:
    """Do all chunks of a backfill, until it is done or another replaces it; if it stops, report how to resume it."""
    begun_before = None
    if selection.resume:
        with Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store:
            backfill = load_backfill(store)
            begun_before = backfill.run if backfill is not None else None
    report = run_once(config, options, environment=environment)
    begun_by = begun_before if selection.resume else report.run_id
    chunk = replace(options, backfill=replace(selection, resume=True, begun_by=begun_by))
    while report.has_next_chunk:
        report = report.merge_chunk(run_next_chunk(config, chunk, environment))
    if options.write and report.outcome in CHUNK_STOPPING_OUTCOMES:
        with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
            report.notices += resume_notice(store, begun_by)
    return report


def chunk_options(config: Config, options: RunOptions, environment: Environment) -> list[RunOptions]:
    """The options of one undo or approval for each chunk of a longer run that needs one, the newest first."""
    with Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store:
        if options.undo_run is not None:
            runs_to_undo = [run_id for run_id in chunk_run_ids(store, options.undo_run) if has_writes(store, run_id)]
            return [replace(options, undo_run=run_id) for run_id in runs_to_undo] or [options]
        holding_runs = {hold["run_id"] for hold in open_holds(store) if hold["let_be_at"] is None}
        chunks = chunk_run_ids(store, options.approve_run or 0)
        return [replace(options, approve_run=run_id) for run_id in chunks if run_id in holding_runs] or [options]


def run_once(config: Config, options: RunOptions, *, environment: Environment = PRODUCTION) -> RunReport:
    """Do one run, or one chunk of a sweep, under one lease."""
    open_store = Store.open if options.begins_anew else Store.open_existing
    with open_store(config.state.path, now=environment.now(), durable=environment.durable) as store:
        request = RunRequest(config, sweep_options(store, resume_options(store, options)), environment, store)
        if options.reviewed is not None:
            check_origin(request, options.reviewed)
        if not options.write:
            return run_plan(request)
        with hold_lease(request) as lease:
            abandon_runs(store, environment.now())
            with store.with_lease(lease):
                result = run_stages(request)
            if result.run is not None:
                carries_edits = result.run.planner_override is None
                save_arrivals(store, result.run_id, result.run.edits, carries_edits=carries_edits)
            report = build_report(request, result)
            report.sweep_after = store.setting(SWEEP_AFTER) if options.sweep else None
            if options.backfill is not None:
                report.sweep_after = last_entity_id(store)
            return record_end(request, report)


def sweep_options(store: Store, options: RunOptions) -> RunOptions:
    """The options of a sweep; if it continues after an earlier chunk, they name the run it is a part of."""
    if not options.sweep or store.setting(SWEEP_AFTER) is None:
        return options
    first_run = store.setting(SWEEP_STARTED_BY)
    return replace(options, part_of=int(first_run) if first_run else None)


def run_next_chunk(config: Config, options: RunOptions, environment: Environment) -> RunReport:
    """Do the next chunk of a sweep, once whoever took the lock between the chunks has released it."""
    waited_seconds = 0.0
    while True:
        try:
            environment.checkpoint()
            with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
                yield_to_waiter(store, environment)
            return run_once(config, options, environment=environment)
        except Stopped as stopped:
            return RunReport(outcome=outcome_of(stopped), error=str(stopped))
        except LockHeld as lock_held:
            if waited_seconds >= CHUNK_MAX_WAIT_SECONDS:
                return RunReport(outcome=outcome_of(lock_held), error=str(lock_held))
        environment.sleep(CHUNK_POLL_SECONDS)
        waited_seconds += CHUNK_POLL_SECONDS


@contextmanager
def hold_lease(request: RunRequest) -> Iterator[Lease]:
    """Hold the lease during a block, renewed by a heartbeat and always released at the end."""
    environment = request.environment
    with acquire_lease(request) as lease, ExitStack() as stack:
        if environment.heartbeat:
            stack.enter_context(Heartbeat(lease, clock=environment.now))
        yield lease


def run_plan(request: RunRequest) -> RunReport:
    """Do a run on a scratch copy that never writes; its steps are then listed in the real store."""
    with tempfile.TemporaryDirectory(prefix="advosync-plan-") as folder:
        copy = Path(folder) / "state.db"
        request.store.backup(copy)
        with Store.open(copy, now=request.environment.now(), durable=False) as scratch:
            copy_request = replace(request, store=scratch)
            result = run_stages_on_copy(request, copy_request)
            report = build_report(copy_request, result)
    with request.store.transaction():
        report.run_id = record_start(request)
        if result.run is not None:
            save_steps(
                replace(result.run, id=report.run_id, store=request.store), result.plans.values(), ChangeState.PLANNED
            )
        return record_end(request, report)


def run_stages_on_copy(request: RunRequest, copy_request: RunRequest) -> RunResult:
    """Do what is asked on the copy; what it raises is recorded in the real store."""
    try:
        return run_stages(copy_request)
    except Exception:
        with record_abort(request, record_start(request)):
            raise


def run_stages(request: RunRequest) -> RunResult:
    """Log in and do what is asked; an error that ends the run early becomes part of its result."""
    result = RunResult(record_start(request))
    environment = request.environment
    with (
        structlog.contextvars.bound_contextvars(run_id=result.run_id),
        record_abort(request, result.run_id),
        make_espo_client(request.config, transport=environment.espo_transport, **environment.for_clients()) as espo,
        make_advoware_client(request.config, transport=environment.advo_transport, **environment.for_clients()) as advo,
    ):
        result.espo_calls, result.advo_calls = espo.calls, advo.calls
        try:
            result.run = make_run_context(request, result.run_id, espo, advo)
            result.plans = execute_run(result.run, request.options)
        except (RunAborted, LockHeld) as aborted:
            result.error = aborted
            structlog.get_logger().error("run_ended", reason=str(aborted))
    return result


# What is asked ----------------------------------------------------------------------------------------------------


def execute_run(run: RunContext, options: RunOptions) -> Plan:
    """Do what is asked, then judge the persons that were found absent."""
    check_configuration(run)
    check_for_restored_copy(run)
    renew_values(run)
    reset_permanent_failures(run.store, run.utcnow())
    plans = dispatch_run(run, options)
    judge_absences(run)
    if run.write:
        show_waits_for_unlock(run)
        show_held_persons(run)
    return plans


def dispatch_run(run: RunContext, options: RunOptions) -> Plan:  # noqa: PLR0911 - one line a kind
    """Choose the kind of run."""
    if options.backfill is not None:
        return run_backfill_chunks(run, options.backfill)
    mark_candidates_due(run)
    skip_shared_betnrs(run)
    if options.approve_run is not None:
        return approve_run(run, options.approve_run, options.operator or "unknown", options.persons)
    if options.undo_run is not None:
        return run_operator_plan(run, UndoPlanner(options.undo_run))
    if options.restore is not None:
        return run_operator_plan(run, RestorePlanner(options.restore))
    if options.held:
        return plan_held_persons(run, options.persons)
    if options.reviewed is not None:
        return sync_reviewed_plan(run, options.reviewed)
    if options.persons:
        return sync_named_persons(run, options.persons)
    if options.sweep:
        return run_sweep_chunk(run)
    return run_periodic(run)


def check_configuration(run: RunContext) -> None:
    """Accept the first configuration; once it is in force again, or approved, release who was held for another one."""
    if run.store.setting(CONFIG_DIGEST) is None:
        run.store.set_setting(CONFIG_DIGEST, run.limits.config_digest)
    if not has_configuration_changed(run):
        hold_ids = [
            hold_record["id"]
            for hold_record in open_holds(run.store)
            if hold_record["kind"] == HoldKind.CONFIGURATION and hold_record["let_be_at"] is None
        ]
        release_holds(run.store, hold_ids, now=run.utcnow(), released_by="the configuration is the agreed one")


def check_for_restored_copy(run: RunContext) -> None:
    """Notice a store that was put back from a copy: it will meet what its own later runs wrote."""
    copied_at = run.store.setting(COPIED_AT)
    if copied_at is not None:
        with run.store.transaction():
            run.store.set_setting(RESTORED_FROM, copied_at)
            run.store.set_setting(COPIED_AT, None)
        run.counters.notices.append(RESTORED_COPY_NOTICE.format(copied_at))
    run.restored_copy_at = run.store.setting(RESTORED_FROM)


def run_periodic(run: RunContext) -> Plan:
    """The regular run: the due persons, longest waiting first, and a poll of Advoware."""
    entity_ids = persons_left_alone_by_direction(run.store, except_direction=run.policy.direction)
    mark_due(run.store, entity_ids, "held back by another direction", run.utcnow())
    allowed = set(Channel) - run.policy.readonly_channels - run.policy.unreadable_channels
    mark_due(
        run.store, persons_with_note(run.store, MISSING_RIGHT, allowed), "a right was given in EspoCRM", run.utcnow()
    )
    due = due_persons(run.store, run.utcnow(), run.limits.persons_per_run, run.limits.only)
    entity_ids_read = read_both_sides(run, due)
    drifted_reads = poll_advo(
        run, [*run.reads, *run.absences, *run.counters.failed]
    )  # who fails in this run fails once
    ids_held_for_steps = ids_held_by_guard(run.store) - ids_held_as_absent(
        run.store
    )  # who is there again is held no more
    drifted = read_drifted_in_espo(
        run, [read for read in drifted_reads if read[0]["entity_id"] not in ids_held_for_steps], recover_person
    )
    report_read_errors(run)
    return sync_persons(run, [*entity_ids_read, *drifted])


def sync_named_persons(run: RunContext, keys: Sequence[str]) -> Plan:
    """Sync persons an operator named: read on both sides, whatever their retry times.

    Who is held because it was not there is looked at, too, which may release it; a plan shows the steps of all held.
    """
    persons = {person["entity_id"]: person for key in keys for person in find_persons(run.store, key)}
    unknown_keys = [key for key in keys if not find_persons(run.store, key)]
    if unknown_keys:
        raise ConfigError(
            f"Nobody is known as {', '.join(unknown_keys)}: name the id of an EspoCRM record, or a betnr."
        )
    step_holds = [hold_record for hold_record in open_holds(run.store) if hold_record["kind"] != HoldKind.ENDINGS]
    held_ids = {hold_record["entity_id"] for hold_record in step_holds} if run.write else set()
    left_out = held_ids | run.counters.skipped | run.absences.keys()
    selected = [
        person
        for person in persons.values()
        if person["entity_id"] not in left_out and run.limits.allows(person["entity_id"], person["betnr"])
    ]
    run.counters.held |= held_ids & set(persons)
    linked_ids = [person["entity_id"] for person in selected if person["betnr"] is not None]
    mark_due(run.store, linked_ids, "asked for by an operator", run.utcnow())
    return sync_persons(run, read_both_sides(run, selected, force=True))


def run_sweep_chunk(run: RunContext) -> Plan:
    """Sync every linked person of one chunk of a sweep; its position is kept until the last chunk."""
    after, size = run.store.setting(SWEEP_AFTER), run.limits.persons_per_run
    page = run.espo.list_sweep_chunk(after, size)
    is_last = len(page.listings) < size
    record_listings(run, page.listings)
    skip_shared_betnrs(run)
    chunk = load_sweep_chunk(run, [listing.entity_id for listing in page.listings], after, is_last=is_last)
    plans = sync_persons(run, read_both_sides(run, chunk, force=True))
    with run.store.transaction():
        if after is None:
            run.store.set_setting(SWEEP_STARTED_BY, str(run.id))
        run.store.set_setting(SWEEP_AFTER, None if is_last else page.listings[-1].entity_id)
        if is_last:
            run.store.set_setting(LAST_SWEEP_AT, run.utcnow())
    return plans


def load_sweep_chunk(
    run: RunContext, listed_ids: Sequence[str], after: str | None, *, is_last: bool
) -> list[dict[str, Any]]:
    """The persons of a chunk: those EspoCRM lists, and those only we know, whose own GET will tell if they are gone.

    Whom a guard holds is read, too: that tells whether it is still there.
    """
    known_ids = ids_of_linked_between(run.store, after or "", None if is_last else listed_ids[-1])
    entity_ids = ({*listed_ids} | {*known_ids}) - run.counters.skipped - run.absences.keys()
    return [
        person
        for person in load_persons(run.store, sorted(entity_ids))
        if run.limits.allows(person["entity_id"], person["betnr"]) and not awaits_retry(person, run.utcnow())
    ]
