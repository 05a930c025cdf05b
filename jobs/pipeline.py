"""The order of a run: extract, diff, guard, apply, verify (rules.md §1). Plan, sync, approve and sweep are all this.

Only this module knows the order. A plan is the same run on a scratch copy of the state store that ends before the first
write, so it can never leave a trace but its own rows in ``runs`` and ``changes``.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from etl.apply import apply_person
from etl.diff import PersonPlan, Plan, plan as plan_of
from etl.errors import Moved, Outage, PersonError, RunEnds, UnknownOutcome
from etl.extract import list_candidates, look_at, look_at_drifted, poll_advoware, set_apart_shared
from etl.guard import Saved, change_record, configuration_changed, digest, held_persons, hold, save_plan
from etl.records import Direction, Scope
from etl.rules.entry import Policy
from etl.rules.kommkz import KommKzTable
from etl.run import Limits, Run
from etl.status import fail_person, give_up_for_now, show_deleted, show_shared
from etl.store.baseline import count_baseline
from etl.store.database import Store
from etl.store.due import due_persons, mark_due
from etl.store.holds import open_holds, release_holds
from etl.store.journal import save_changes
from etl.store.persons import find_persons, load_persons, save_listings, update_person
from etl.store.runs import abandon_runs, finish_run, start_run
from etl.store.snapshots import known_types, load_frames
from etl.verify import agree_quietly
from jobs.config import digest as config_digest
from jobs.exit_codes import Outcome, outcome_of
from jobs.lock import Heartbeat, Lease
from jobs.report import Calls, Change, Failure, Persons, RunReport, Writes
from jobs.systems import advoware, espocrm
from jobs.world import REAL, World

if TYPE_CHECKING:
    from jobs.config import Config

ATTEMPTS = 3  # plans of one person in one run; who keeps moving stays due


@dataclass(frozen=True)
class Options:
    """What a command asks of a run; None means: as the configuration says."""

    trigger: str = "sync"
    direction: Direction | None = None
    scope: Scope | None = None
    persons: tuple[str, ...] = ()
    sweep: bool = False
    write: bool = True
    operator: str | None = None
    reason: str | None = None
    approve_run: int | None = None


def run(config: Config, options: Options, *, world: World = REAL) -> RunReport:
    """Do one run and report it; raises LockHeld, ConfigError and StoreError when nothing was started."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        if not options.write:
            return planned(config, options, world, store)
        with lease_of(store, config, world) as lease:
            abandon_runs(store, world.now())
            return one_run(config, options, world, store, lease)


@contextmanager
def lease_of(store: Store, config: Config, world: World) -> Iterator[Lease]:
    """Hold the lease for the time of a block, renewed by a heartbeat, released on every path."""
    with Lease.acquire_here(store, lease_seconds=config.state.lease_seconds, now=world.now()) as lease, ExitStack() as stack:
        if world.heartbeat:
            stack.enter_context(Heartbeat(lease, clock=world.now))
        yield lease


def planned(config: Config, options: Options, world: World, store: Store) -> RunReport:
    """A run on a scratch copy that never writes; its steps are then listed in the real store."""
    with tempfile.TemporaryDirectory(prefix="advosync-plan-") as folder:
        copy = Path(folder) / "state.db"
        store.backup(copy)
        with Store.open(copy, now=world.now(), durable=False) as scratch:
            report, plans, run_ = run_stages(config, options, world, scratch, None)
    with store.transaction():
        run_id = start(store, config, options, world)
        real = replace(run_, id=run_id, store=store) if run_ is not None else None
        if real is not None:
            save_changes(
                store,
                [
                    {**change_record(real, one, step, decision, 0, seq, "planned", ()), "decision_id": None}
                    for one in plans.values()
                    for decision in one.decisions
                    for seq, step in enumerate(decision.steps)
                ],
            )
        report.run_id = run_id
        finish(store, run_id, report, world)
    return report


def one_run(config: Config, options: Options, world: World, store: Store, lease: Lease | None) -> RunReport:
    """A run that writes."""
    report, _, _ = run_stages(config, options, world, store, lease)
    assert report.run_id is not None  # noqa: S101 -- started before anything else
    finish(store, report.run_id, report, world)
    return report


def run_stages(config: Config, options: Options, world: World, store: Store, lease: Lease | None) -> tuple[RunReport, Plan, Run | None]:
    """Log in, do what the options ask, and say how it ended; what ends a run early ends in the report."""
    run_id = start(store, config, options, world)
    run_: Run | None = None
    plans: Plan = {}
    error: RunEnds | None = None
    structlog.contextvars.bind_contextvars(run_id=run_id)
    surroundings = {"sleep": world.sleep, "monotonic": world.monotonic, "utcnow": world.utcnow, "checkpoint": world.checkpoint}
    with (
        espocrm(config, transport=world.espo_transport, **surroundings) as espo,
        advoware(config, transport=world.advo_transport, **surroundings) as advo,
    ):
        try:
            run_ = make_run(config, options, world, store, lease, espo, advo, run_id)
            plans = carry_out_options(run_, options, config)
        except RunEnds as ended:
            error = ended
            structlog.get_logger().error("run_ended", reason=str(ended))
        finally:
            structlog.contextvars.unbind_contextvars("run_id")
        return report_of(run_, run_id, options, config, world, store, espo, advo, plans, error), plans, run_


def start(store: Store, config: Config, options: Options, world: World) -> int:
    """A row in ``runs``."""
    return start_run(
        store,
        now=world.now(),
        version=version("advosync"),
        trigger=options.trigger,
        direction=options.direction or config.sync.direction,
        scope=options.scope or config.sync.conflict_scope,
        operator=options.operator,
        reason=options.reason,
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def make_run(config: Config, options: Options, world: World, store: Store, lease: Lease | None, espo: Any, advo: Any, run_id: int) -> Run:
    """Ask EspoCRM who we are and how it treats phones, and put the run together."""
    user = espo.user()
    server = espo.server()
    if server.maintenance:
        raise Outage("EspoCRM", "it is in maintenance")
    policy = Policy(
        options.direction or config.sync.direction,
        options.scope or config.sync.conflict_scope,
        config.sync.region,
        KommKzTable.default().with_overrides(config.sync.komm_kz_overrides()),
        international=server.international,
        max_items=min(server.max_phones, server.max_mails),
    )
    return Run(
        run_id,
        store,
        espo,
        advo,
        policy,
        limits_of(config),
        user.id,
        world.now,
        world.monotonic,
        structlog.get_logger(),
        write=options.write,
        before_write=lease.check if lease is not None else lambda: None,
        progress=world.progress,
    )


def limits_of(config: Config) -> Limits:
    """The numbers of the configuration that the stages go by."""
    return Limits(
        overlap_seconds=config.sync.overlap_seconds,
        persons_per_run=config.sync.persons_per_run,
        max_staleness_seconds=config.sync.max_staleness_seconds,
        settle_seconds=config.espocrm.settle_seconds,
        poll_budget=config.advoware.poll_budget,
        espo_readers=config.espocrm.read_concurrency,
        advo_readers=config.advoware.read_concurrency,
        outage_after=config.sync.outage_after,
        max_removals=config.guards.max_removals,
        max_removal_share=config.guards.max_removal_share,
        backoff_minutes=tuple(config.retry.backoff_minutes),
        max_failures=config.retry.max_failures,
        auto_reset_hours=config.retry.auto_reset_hours,
        note_conflicts=config.espocrm.note_conflicts,
        language=config.report.language,
        only=config.sync.only,
        config_digest=config_digest(config),
    )


# What is asked ----------------------------------------------------------------------------------------------------


def carry_out_options(run_: Run, options: Options, config: Config) -> Plan:
    """The four kinds of run."""
    if run_.store.setting("config_digest") is None:
        run_.store.set_setting("config_digest", run_.limits.config_digest)
    if options.approve_run is not None:
        return approved(run_, options.approve_run, options.operator or "unknown")
    list_candidates(run_)
    apart(run_)
    if options.persons:
        return asked(run_, options.persons)
    if options.sweep:
        return swept(run_)
    return periodic(run_)


def periodic(run_: Run) -> Plan:
    """The regular run: who is due, longest waiting first, and the rolling look into Advoware."""
    release_held_back(run_)
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
    for key in unknown:
        run_.log.warning("person_unknown", key=key)
    held_already = {one["entity_id"] for one in open_holds(run_.store)}
    apart_already = run_.tally.skipped
    chosen = [one for one in found.values() if one["entity_id"] not in held_already | apart_already and one["gone_at"] is None]
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
        apart(run_)
        chunk = chunk_of(run_, [one.entity_id for one in page.listings], after, last=len(page.listings) < run_.limits.persons_per_run)
        plans |= sync_persons(run_, looked_at(run_, chunk, everybody=True))
        run_.looks.clear()
        if len(page.listings) < run_.limits.persons_per_run:
            run_.store.set_setting("sweep_after", None)
            run_.store.set_setting("last_sweep_at", run_.utcnow())
            return plans
        after = page.listings[-1].entity_id
        run_.store.set_setting("sweep_after", after)


def chunk_of(run_: Run, listed: Sequence[str], after: str | None, *, last: bool) -> list[dict[str, Any]]:
    """The persons of a chunk: those EspoCRM lists, and those only we know of, which a GET of their own will tell about."""
    known = run_.store.rows(
        "select entity_id from persons where gone_at is null and betnr is not null and entity_id > :after and (:last or entity_id <= :until)",
        {"after": after or "", "last": last, "until": listed[-1] if listed else ""},
    )
    held_already = {one["entity_id"] for one in open_holds(run_.store)}
    chosen = ({*listed} | {one["entity_id"] for one in known}) - held_already - run_.tally.skipped
    allowed = run_.limits.only
    persons = load_persons(run_.store, sorted(chosen))
    return [one for one in persons if not allowed or one["entity_id"] in allowed or str(one["betnr"]) in allowed]


def approved(run_: Run, held_by: int, operator: str) -> Plan:
    """Plan the held persons again; where the steps are the same they are carried out, the rest is held anew and listed."""
    holds = open_holds(run_.store, run_id=held_by)
    by_person = {one["entity_id"]: one for one in holds}
    if any(one["kind"] == "configuration" for one in holds):
        run_.store.set_setting("config_digest", run_.limits.config_digest)
    ready = looked_at(run_, load_persons(run_.store, list(by_person)), everybody=True)
    plans = make_plans(run_, ready)
    same = {entity_id for entity_id in ready if digest_or_none(plans.get(entity_id)) in (by_person[entity_id]["digest"], None)}
    with run_.store.transaction():
        release_holds(run_.store, [by_person[entity_id]["id"] for entity_id in ready], now=run_.utcnow(), by=operator)
        moved = {entity_id: by_person[entity_id]["kind"] for entity_id in ready if entity_id not in same}
        hold(run_, plans, moved)
    run_.approved = frozenset(same)
    return write_plans(run_, [entity_id for entity_id in ready if entity_id in same], plans)


def digest_or_none(plan: PersonPlan | None) -> str | None:
    """What a plan would write; None when there is nothing left to write."""
    return digest(plan) if plan is not None and plan.steps else None


# From looks to writes ---------------------------------------------------------------------------------------------


def looked_at(run_: Run, persons: Sequence[dict[str, Any]], *, everybody: bool = False) -> list[str]:
    """Read persons on both sides and tell of those that could not be read."""
    ready = look_at(run_, persons, asked=everybody)
    tell_of_unread(run_)
    return ready


def tell_of_unread(run_: Run) -> None:
    """Persons whose read failed, and persons deleted in Advoware: said in the store and in EspoCRM."""
    failed, deleted = dict(run_.unread), list(run_.deleted)
    run_.unread.clear()
    run_.deleted.clear()
    if not run_.write:
        run_.tally.failed |= {entity_id: str(error) for entity_id, error in failed.items()}
        return
    for entity_id, error in failed.items():
        fail_person(run_, entity_id, error)
    for entity_id in deleted:
        show_deleted(run_, entity_id)


def apart(run_: Run) -> None:
    """Set records that share a betnr apart, and say so in EspoCRM."""
    for betnr, entity_ids in set_apart_shared(run_):
        for entity_id in entity_ids if run_.write else ():
            show_shared(run_, entity_id, f"Several records carry betnr {betnr}: {', '.join(entity_ids)}. Keep it in one of them.")


def release_held_back(run_: Run) -> None:
    """Entries another direction held back become due where this direction allows them."""
    waiting = run_.store.rows(
        "select distinct entity_id from left_alone where reason = 'held_back' and direction is not null and direction <> :direction",
        {"direction": run_.policy.direction},
    )
    mark_due(run_.store, [one["entity_id"] for one in waiting], "held back by another direction", run_.utcnow())


def sync_persons(run_: Run, ready: Sequence[str]) -> Plan:
    """Plan, guard and write the persons that were read."""
    plans = make_plans(run_, ready)
    kinds = held_persons(
        run_, plans, baseline_rows=count_baseline(run_.store), rows_seen=sum(len(run_.looks[entity_id].rows) for entity_id in ready)
    )
    with run_.store.transaction():
        hold(run_, plans, kinds)
    written = write_plans(run_, [entity_id for entity_id in ready if entity_id not in kinds], plans)
    return {**written, **{entity_id: plans[entity_id] for entity_id in kinds}}


def make_plans(run_: Run, ready: Sequence[str]) -> Plan:
    """The pure stage over what the store holds of these persons."""
    if not ready:
        return {}
    frames = load_frames(run_.store, list(ready))
    new_values = frames["rows"].loc[frames["rows"]["channel"].eq("phone") & frames["rows"]["canonical"].notna(), "canonical"]
    types = known_types(run_.store, sorted(set(new_values)))
    return plan_of(frames, run_.policy, types)


def write_plans(run_: Run, ready: Sequence[str], plans: Plan) -> Plan:
    """Bring each person into agreement, one after the other; the plans are journalled before the first write."""
    saved: dict[str, Saved] = {}
    if run_.write:
        with run_.store.transaction():
            saved = {entity_id: journalled(run_, plans[entity_id]) for entity_id in ready if entity_id in plans}
    for done, entity_id in enumerate(ready):
        run_.progress("persons", done, len(ready))
        with structlog.contextvars.bound_contextvars(entity_id=entity_id):
            bring_together(run_, entity_id, saved.get(entity_id), plans.get(entity_id))
    return {entity_id: plans[entity_id] for entity_id in ready if entity_id in plans}


def journalled(run_: Run, plan: PersonPlan) -> Saved:
    """The plan with its rows in the journal; one without steps needs none."""
    if not plan.steps:
        return Saved(plan, (), ())
    look = run_.looks[plan.entity_id]
    return save_plan(run_, plan, known_rows=tuple(row.komm_id for row in look.rows))


def bring_together(run_: Run, entity_id: str, saved: Saved | None, plan: PersonPlan | None) -> None:
    """One person: wait, agree quietly, or write; errors of this person end here."""
    if plan is not None and plan.waits_for is not None:
        run_.tally.waiting.add(entity_id)
        if run_.write:
            update_person(run_.store, entity_id, waiting_side=plan.waits_for)
        return
    if not run_.write:
        (run_.tally.changed if plan is not None and plan.steps else run_.tally.clean).add(entity_id)
        for decision in plan.decisions if plan is not None else ():
            run_.tally.variants.update([decision.variant] if decision.steps else [])
            run_.tally.left_alone += decision.left is not None
        return
    try:
        if saved is None or not saved.plan.steps:
            agree_quietly(run_, saved, run_.looks[entity_id])
        else:
            carried_out(run_, saved)
    except PersonError as error:
        fail_person(run_, entity_id, error)


def carried_out(run_: Run, saved: Saved) -> None:
    """Apply and verify; whatever moved meanwhile, or was not confirmed, is read, settled and planned again."""
    current: Saved | None = saved
    for _ in range(ATTEMPTS):
        if current is None:
            return
        if not current.plan.steps:
            agree_quietly(run_, current, run_.looks[saved.plan.entity_id])
            return
        try:
            apply_person(run_, current)
            return
        except (Moved, UnknownOutcome) as moved:
            run_.log.info("planned_again", reason=str(moved))
            current = planned_again(run_, saved.plan.entity_id)
    give_up_for_now(run_, saved.plan.entity_id)


def planned_again(run_: Run, entity_id: str) -> Saved | None:
    """Fresh reads, what was done so far taken into the baseline, and a new plan; None when it cannot go on in this run."""
    ready = look_at(run_, load_persons(run_.store, [entity_id]), asked=True)
    tell_of_unread(run_)
    if not ready:
        return None
    plans = make_plans(run_, ready)
    fresh = plans.get(entity_id)
    if fresh is None:
        return Saved(PersonPlan(entity_id, run_.looks[entity_id].advo.betnr, (), (), run_.looks[entity_id].items), (), ())
    if fresh.waits_for is not None:
        run_.tally.waiting.add(entity_id)
        update_person(run_.store, entity_id, waiting_side=fresh.waits_for)
        return None
    kinds = held_persons(run_, plans, baseline_rows=count_baseline(run_.store), rows_seen=0)
    if kinds:
        with run_.store.transaction():
            hold(run_, plans, kinds)
        return None
    with run_.store.transaction():
        return journalled(run_, fresh)


# How it ended -----------------------------------------------------------------------------------------------------


def report_of(
    run_: Run | None,
    run_id: int,
    options: Options,
    config: Config,
    world: World,
    store: Store,
    espo: Any,
    advo: Any,
    plans: Plan,
    error: RunEnds | None,
) -> RunReport:
    """The run as interface.md's document."""
    report = RunReport(
        run_id=run_id,
        trigger=options.trigger,
        direction=str(options.direction or config.sync.direction),
        started_at=store.value("select started_at from runs where id = :id", {"id": run_id}),
        finished_at=world.now(),
        calls=Calls(dict(espo.calls), dict(advo.calls)),
        error=str(error) if error is not None else None,
    )
    if run_ is not None:
        tally = run_.tally
        report.persons = Persons(
            len(tally.seen),
            len(tally.changed),
            len(tally.clean - set(tally.failed)),
            len(tally.failed),
            len(tally.held),
            len(tally.waiting),
            len(tally.skipped),
            tally.left_alone,
        )
        report.variants = {str(variant): count for variant, count in sorted(tally.variants.items())}
        report.conflicts = tally.conflicts
        report.writes = Writes(tally.writes["espocrm"], tally.writes["advoware"])
        betnrs = {one["entity_id"]: one["betnr"] for one in load_persons(store, list(tally.failed))}
        report.errors = [
            Failure(entity_id=entity_id, betnr=betnrs.get(entity_id), error=message) for entity_id, message in sorted(tally.failed.items())
        ]
    if not options.write:
        report.changes = listed_changes(plans)
    report.outcome = outcome_now(run_, error, options, plans)
    return report


def outcome_now(run_: Run | None, error: RunEnds | None, options: Options, plans: Plan) -> Outcome:
    """How the run ended, the worst first."""
    if error is not None:
        return outcome_of(error)
    if run_ is not None and run_.tally.newly_held:
        return Outcome.HELD
    return Outcome.FAILED_PERSONS if run_ is not None and run_.tally.failed else Outcome.DONE


def listed_changes(plans: Plan) -> list[Change]:
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
        )
        for one in plans.values()
        for decision in one.decisions
        for step in decision.steps
    ]


def finish(store: Store, run_id: int, report: RunReport, world: World) -> None:
    """Close the row in ``runs``."""
    espo, advo = report.calls.espocrm, report.calls.advoware
    finish_run(
        store,
        run_id,
        now=world.now(),
        outcome=report.outcome,
        counts={
            "persons_seen": report.persons.seen,
            "persons_changed": report.persons.changed,
            "persons_failed": report.persons.failed,
            "espo_reads": espo.get("GET", 0),
            "espo_writes": sum(count for method, count in espo.items() if method != "GET"),
            "advo_reads": advo.get("GET", 0),
            "advo_writes": sum(count for method, count in advo.items() if method != "GET"),
        },
        error=report.error,
        calls={"espocrm": espo, "advoware": advo},
        report=report.to_dict() | {"changes": []},
    )


__all__ = ["Options", "configuration_changed", "run"]
