"""The stages after extract, for the persons that a run has read (rules §1).

Errors of a single person are handled here; errors that end the run are passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from etl.apply import apply_person, revalidate
from etl.endings import exclude_absent, mark_shared_betnrs
from etl.enums import PersonStatus
from etl.errors import (
    ConcurrentEdit,
    ConsecutiveRefusals,
    NotFound,
    NotStored,
    Outage,
    PersonError,
    RecordLocked,
    UnknownOutcome,
)
from etl.extract import read_persons, recheck_shared_betnrs
from etl.guard import (
    exclude_second_writer,
    hold_second_writer,
    persons_to_hold,
    record_holds,
    release_edited_holds,
)
from etl.reading.absences import ABSENCE_BY_SYSTEM, record_absence
from etl.records import Channel
from etl.recover import recover_person, repair_plan
from etl.rules.espo.array_read import PartialPut, comparable_value, item_from_journal
from etl.rules.guards import REMOVING_ACTIONS, too_many_second_writer
from etl.rules.left_alone import is_undo_note
from etl.rules.plan import PersonPlan, Plan
from etl.store.queries.differences import persons_with_differences
from etl.store.tables.array_puts import partial_put_records
from etl.store.tables.baseline import add_left_alone
from etl.store.tables.holds import ids_held_by_guard, kinds_of_held
from etl.store.tables.journal import count_writes_in_run
from etl.store.tables.persons import load_persons, update_person
from etl.store.tables.queue import mark_due
from etl.store.tables.snapshots import load_frames
from etl.verify import commit_without_writes, records_left_alone, verify_person
from etl.writing.journal import PlanJournal, journal_plan
from etl.writing.status import defer_edited_person, defer_locked_person, record_person_failure, write_deleted_status
from jobs.run.decision_log import log_decisions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext
    from etl.enums import HoldKind
    from etl.records import Side

FAILED_STATUSES = frozenset({PersonStatus.FAILED, PersonStatus.PERMANENTLY_FAILED})
MAX_UNSTORED_IN_A_ROW = 3  # persons; then the run stops (rules §5)
MAX_ATTEMPTS = 3  # plans of one person in one run; who keeps moving stays due


def read_both_sides(run: RunContext, persons: Sequence[dict[str, Any]], *, force: bool = False) -> list[str]:
    """Read persons on both sides and report those that could not be read; those that failed before come last."""
    entity_ids = read_persons(
        run,
        sorted(persons, key=lambda person: person["status"] in FAILED_STATUSES),
        recover_person,
        both_sides=force,
    )
    report_read_errors(run)
    return entity_ids


def report_read_errors(run: RunContext) -> None:
    """Report persons whose read failed, or who are deleted in Advoware, in the store and in EspoCRM.

    If one person after another was refused, this ends the run.
    """
    failed, deleted = dict(run.read_errors), list(run.deleted_to_show)
    run.read_errors.clear()
    run.deleted_to_show.clear()
    if not run.write:
        run.counters.failed |= {entity_id: str(error) for entity_id, error in failed.items()}
        run.refusals.stop_if_affects_everybody()
        return
    for entity_id, error in failed.items():
        record_person_failure(run, entity_id, error)
    for entity_id in deleted:
        write_deleted_status(run, entity_id)
    run.refusals.stop_if_affects_everybody()


def skip_shared_betnrs(run: RunContext) -> None:
    """Set records that share a betnr apart: they wait, and then a human must decide."""
    mark_shared_betnrs(run, recheck_shared_betnrs(run))


def sync_persons(run: RunContext, entity_ids: Sequence[str]) -> Plan:
    """Plan, guard and write the persons that were read and are there; a regular run leaves out those a guard holds."""
    entity_ids = exclude_absent(run, entity_ids)
    if run.regular:
        held_ids = ids_held_by_guard(run.store)
        entity_ids = [entity_id for entity_id in entity_ids if entity_id not in held_ids]
    plannable = exclude_second_writer(run, entity_ids)
    second_writer_ids = [entity_id for entity_id in entity_ids if entity_id in run.second_writer_reasons]
    plans = make_person_plans(run, [*plannable, *second_writer_ids])
    plannable = [entity_id for entity_id in plannable if may_write_plan(run, entity_id, plans.get(entity_id))]
    run.rows_seen = sum(len(run.reads[entity_id].rows) for entity_id in entity_ids)
    kinds = persons_to_hold(run, {entity_id: plans[entity_id] for entity_id in plannable if entity_id in plans})
    if not run.write:  # a plan of persons who were named plans those held, too; no run would write them
        held_before, planned_ids = kinds_of_held(run.store), plans.keys() & set(plannable)
        kinds |= {entity_id: kind for entity_id, kind in held_before.items() if entity_id in planned_ids}
    with run.store.transaction():
        release_edited_holds(run, plans)
        hold_second_writer(run, second_writer_ids, plans)
        record_holds(run, plans, kinds)
    applied = apply_plans(run, [entity_id for entity_id in plannable if entity_id not in kinds], plans)
    return {
        **applied,
        **{entity_id: plans[entity_id] for entity_id in [*kinds, *second_writer_ids] if entity_id in plans},
    }


def may_write_plan(run: RunContext, entity_id: str, plan: PersonPlan | None) -> bool:
    """Whether it is a plan that somebody reviewed, where only such a plan may be written."""
    return run.plan_filter is None or run.plan_filter(run, entity_id, plan)


def make_person_plans(run: RunContext, entity_ids: Sequence[str]) -> Plan:
    """Plan these persons from what the store holds; undo and restore have planners of their own.

    A person that a broken-off run left to be repaired is repaired first and planned by the next run.
    """
    repair_plans = {
        entity_id: repair_plan(run, entity_id) for entity_id in entity_ids if entity_id in run.pending_repairs
    }
    plans = repair_plans | plan_by_diff(run, [entity_id for entity_id in entity_ids if entity_id not in repair_plans])
    for plan in plans.values():
        log_decisions(plan)
    return plans


def plan_by_diff(run: RunContext, entity_ids: Sequence[str]) -> Plan:
    """The plans of persons that need no repair."""
    if not entity_ids:
        return {}
    if run.planner_override is not None:
        return run.planner_override(run, entity_ids)
    with_differences = persons_with_differences(run.store, entity_ids, run.policy.table)
    if not with_differences:
        return {}
    from etl import diff  # noqa: PLC0415 - pandas comes with it, which a run without anything to plan does not need

    return diff.plan_from_frames(
        load_frames(run.store, with_differences), run.policy, load_partial_puts(run, with_differences)
    )


def load_partial_puts(run: RunContext, entity_ids: Sequence[str]) -> dict[str, PartialPut]:
    """What array PUTs stored only in part, by person; of two about the same row the later one counts."""
    result: dict[str, PartialPut] = {}
    for record in partial_put_records(run.store, entity_ids):
        earlier = result.get(record["entity_id"], PartialPut())
        removed = {item["komm_id"]: item_from_journal(item["item"]) for item in record["taken"]}
        added = {
            (channel := Channel(item["channel"]), comparable_value(channel, item["value"], run.policy.region))
            for item in record["brought"]
        }
        result[record["entity_id"]] = PartialPut({**earlier.removed_items, **removed}, earlier.added_values | added)
    return result


def apply_plans(run: RunContext, entity_ids: Sequence[str], plans: Plan) -> Plan:
    """Sync one person after the other; all plans are journalled before the first write."""
    journaled: dict[str, PlanJournal] = {}
    if run.write:
        with run.store.transaction():
            journaled = {
                entity_id: journal_person(run, plans[entity_id]) for entity_id in entity_ids if entity_id in plans
            }
    for number, entity_id in enumerate(entity_ids):
        run.progress("persons", number, len(entity_ids))
        with structlog.contextvars.bound_contextvars(entity_id=entity_id):
            sync_person(run, entity_id, journaled.get(entity_id), plans.get(entity_id))
    return {entity_id: plans[entity_id] for entity_id in entity_ids if entity_id in plans}


def journal_person(run: RunContext, plan: PersonPlan) -> PlanJournal:
    """Journal a plan; one without steps needs no rows there.

    What an operator undoes is noted before it is written, so that even after a crash it is not done again by itself.
    """
    if not plan.steps:
        return PlanJournal(plan, (), ())
    for note in records_left_alone(plan.betnr, filter(is_undo_note, plan.left_alone)):
        add_left_alone(run.store, plan.entity_id, note, run.utcnow())
    read = run.reads[plan.entity_id]
    return journal_plan(run, plan, komm_ids_before=tuple(row.komm_id for row in read.rows))


def sync_person(run: RunContext, entity_id: str, journaled: PlanJournal | None, plan: PersonPlan | None) -> None:
    """Sync one person: let it wait, commit it without writes, or write; its own errors are handled here."""
    if plan is not None and (plan.waiting_side is not None or needs_another_read(run, plan)):
        defer_vanished_person(run, entity_id, plan.waiting_side)
        return
    if not run.write:
        count_plan(run, entity_id, plan)
        return
    if journaled is not None and journaled.plan.steps and too_many_second_writer(run.second_writer_reasons):
        hold_plans(run, {entity_id: journaled.plan}, persons_to_hold(run, {entity_id: journaled.plan}))
        return
    try:
        if journaled is None:
            commit_without_writes(run, None, run.reads[entity_id])
        else:
            apply_with_retries(run, journaled)
    except NotFound as not_found:
        record_absence(run, entity_id, ABSENCE_BY_SYSTEM[not_found.system], run.reads[entity_id].advo.betnr)
    except RecordLocked:
        defer_locked_person(run, entity_id)
    except PersonError as error:
        record_person_failure(run, entity_id, error)
        if isinstance(error, NotStored):
            stop_after_unstored_writes(run, entity_id, error)
        run.refusals.record_person(error)
        run.refusals.stop_if_affects_everybody()
    else:
        run.refusals.record_person(None)


def count_plan(run: RunContext, entity_id: str, plan: PersonPlan | None) -> None:
    """Count for the report what the plan of this person says."""
    (run.counters.changed if plan is not None and plan.steps else run.counters.clean).add(entity_id)
    for decision in plan.decisions if plan is not None else ():
        run.counters.variants.update([decision.variant] if decision.steps else [])
        run.counters.left_alone += decision.left_alone is not None


def stop_after_unstored_writes(run: RunContext, entity_id: str, error: NotStored) -> None:
    """Stop the run if EspoCRM does not store one record after another; a single one may be that record's fault."""
    run.unstored_in_a_row.append(entity_id)
    if len(run.unstored_in_a_row) >= MAX_UNSTORED_IN_A_ROW:
        reason = (
            "it confirmed their values and did not store them: may the API user edit the field? Run `advosync check`."
        )
        raise ConsecutiveRefusals("EspoCRM", reason) from error


def needs_another_read(run: RunContext, plan: PersonPlan) -> bool:
    """Whether all entries vanished from one side and this run, of named persons, may not act on that."""
    return plan.empty_side is not None and run.write and not run.records_absence


def defer_vanished_person(run: RunContext, entity_id: str, side: Side | None) -> None:
    """Put off a person whose entries all vanished from one side, until a regular run sees the same (rules §1)."""
    run.counters.deferred.add(entity_id)
    if side is None or not run.write or not run.records_absence:
        return
    with run.store.transaction():
        update_person(run.store, entity_id, waiting_side=side)
        mark_due(run.store, [entity_id], "all entries vanished from one side", run.utcnow())


def hold_plans(run: RunContext, plans: Plan, hold_kinds: Mapping[str, HoldKind]) -> bool:
    """Hold the persons that a guard keeps back; return whether there are any."""
    with run.store.transaction():
        record_holds(run, plans, hold_kinds)
    return bool(hold_kinds)


def apply_with_retries(run: RunContext, journaled: PlanJournal) -> None:
    """Apply and verify; if anything changed meanwhile, or was not confirmed, read, settle and plan again."""
    current: PlanJournal | None = journaled
    for _ in range(MAX_ATTEMPTS):
        if current is None or try_apply(run, current):
            return
        current = replan_person(run, journaled.plan.entity_id)
    if current is not None:
        defer_edited_person(run, journaled.plan.entity_id)


def try_apply(run: RunContext, journaled: PlanJournal) -> bool:
    """Apply and verify once; False if the person must be planned again."""
    try:
        if journaled.plan.steps:
            verify_person(run, *apply_person(run, journaled))
        else:
            revalidate(run, journaled)
            commit_without_writes(run, journaled, run.reads[journaled.plan.entity_id])
    except (NotFound, ConcurrentEdit, UnknownOutcome) as error:
        run.log.info("planned_again", reason=error.kind)
        run.log.debug("planned_again", reason=str(error))
        if isinstance(error, UnknownOutcome):
            stop_after_unconfirmed_writes(run, journaled.plan.entity_id, error)
        return False
    return True


def stop_after_unconfirmed_writes(run: RunContext, entity_id: str, error: UnknownOutcome) -> None:
    """Raise ``Outage`` once writes of several persons in a row were not confirmed; one person never ends a run."""
    run.unconfirmed_in_a_row.add(entity_id)
    if len(run.unconfirmed_in_a_row) >= run.limits.outage_after:
        raise Outage(
            error.system, f"writes of {len(run.unconfirmed_in_a_row)} persons in a row were not confirmed"
        ) from error


def replan_person(run: RunContext, entity_id: str) -> PlanJournal | None:
    """Read the person again, move the baseline to what was done, and plan anew; None if this run must leave it."""
    entity_ids = read_persons(run, load_persons(run.store, [entity_id]), recover_person, both_sides=True)
    report_read_errors(run)
    if not entity_ids or not exclude_second_writer(run, entity_ids, approved_ids=run.approved_steps):
        with run.store.transaction():
            hold_second_writer(
                run, [person_id for person_id in entity_ids if person_id in run.second_writer_reasons], {}
            )
        return None
    plans = make_person_plans(run, entity_ids)
    plan = plans.get(entity_id)
    if not may_write_plan(run, entity_id, plan):
        return None
    if plan is None:
        return PlanJournal(
            PersonPlan(entity_id, run.reads[entity_id].advo.betnr, (), (), run.reads[entity_id].items), (), ()
        )
    if plan.waiting_side is not None or needs_another_read(run, plan):
        defer_vanished_person(run, entity_id, plan.waiting_side)
        return None
    removals_done = count_writes_in_run(run.store, run.id, entity_id, REMOVING_ACTIONS)
    if hold_plans(run, plans, persons_to_hold(run, plans, removals_done={entity_id: removals_done})):
        return None
    with run.store.transaction():
        return journal_person(run, plan)
