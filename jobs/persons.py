"""From looks to agreement: the stages after the extract, for the persons a run took (rules.md §1).

Whatever a person does wrong ends here; whatever ends the run passes through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from etl.absence import GONE_IN, note_absent
from etl.apply import apply_person, second_look
from etl.ending import note_shared, who_is_there
from etl.errors import Gone, Moved, NotStored, OneAfterAnother, Outage, PersonError, UnknownOutcome
from etl.extract import look_at, recheck_shared
from etl.guard import Saved, held_persons, hold, save_plan
from etl.records import Channel
from etl.rules.array_read import InPart, item_from, key
from etl.rules.foreign import too_many
from etl.rules.guards import COUNTED_ACTIONS
from etl.rules.leaving import is_undo_note
from etl.rules.plan import PersonPlan, Plan
from etl.second_writer import hold_foreign, without_foreign
from etl.settle import mending_plan
from etl.status import fail_person, give_up_for_now, show_deleted
from etl.store.agreement import not_as_agreed
from etl.store.array_puts import stored_in_part
from etl.store.baseline import add_left_alone
from etl.store.due import mark_due
from etl.store.holds import kept_back
from etl.store.journal import counted_in_run
from etl.store.persons import load_persons, update_person
from etl.store.snapshots import load_frames
from etl.store.states import Status
from etl.verify import agree_quietly, left_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.records import Side
    from etl.run import Run
    from etl.store.states import HoldKind

FAILED = frozenset({Status.FAILED, Status.PERMANENTLY_FAILED})
UNSTORED_IN_A_ROW = 3  # persons; then the run stops (rules.md §5)
ATTEMPTS = 3  # plans of one person in one run; who keeps moving stays due


def looked_at(run_: Run, persons: Sequence[dict[str, Any]], *, everybody: bool = False) -> list[str]:
    """Read persons on both sides and tell of those that could not be read; those who failed last come last."""
    ready = look_at(run_, sorted(persons, key=lambda one: one["status"] in FAILED), asked=everybody)
    tell_of_unread(run_)
    return ready


def tell_of_unread(run_: Run) -> None:
    """Persons whose read failed, and persons deleted in Advoware: said in the store and in EspoCRM.

    Where one after another was refused the run ends with it.
    """
    failed, deleted = dict(run_.unread), list(run_.deleted)
    run_.unread.clear()
    run_.deleted.clear()
    if not run_.write:
        run_.tally.failed |= {entity_id: str(error) for entity_id, error in failed.items()}
        run_.refusals.stop_if_of_everybody()
        return
    for entity_id, error in failed.items():
        fail_person(run_, entity_id, error)
    for entity_id in deleted:
        show_deleted(run_, entity_id)
    run_.refusals.stop_if_of_everybody()


def set_apart(run_: Run) -> None:
    """Set records that share a betnr apart: they wait, and then a human must decide."""
    note_shared(run_, recheck_shared(run_))


def sync_persons(run_: Run, ready: Sequence[str]) -> Plan:
    """Plan, guard and write the persons that were read and are there; a sweep reads those a guard holds, too."""
    ready = who_is_there(run_, ready)
    if run_.regular:
        held = kept_back(run_.store)
        ready = [entity_id for entity_id in ready if entity_id not in held]
    free = without_foreign(run_, ready)
    foreign = [entity_id for entity_id in ready if entity_id in run_.foreign]
    plans = make_plans(run_, [*free, *foreign])
    run_.rows_seen = sum(len(run_.looks[entity_id].rows) for entity_id in ready)
    kinds = held_persons(run_, {entity_id: plans[entity_id] for entity_id in free if entity_id in plans})
    with run_.store.transaction():
        hold_foreign(run_, foreign, plans)
        hold(run_, plans, kinds)
    written = write_plans(run_, [entity_id for entity_id in free if entity_id not in kinds], plans)
    return {**written, **{entity_id: plans[entity_id] for entity_id in [*kinds, *foreign] if entity_id in plans}}


def make_plans(run_: Run, ready: Sequence[str]) -> Plan:
    """The pure stage over what the store holds of these persons; what is put back has a planner of its own.

    Whom a broken run left unmended is mended first and planned by the next run.
    """
    unmended = {entity_id: mending_plan(run_, entity_id) for entity_id in ready if entity_id in run_.interrupted}
    return unmended | usual_plans(run_, [entity_id for entity_id in ready if entity_id not in unmended])


def usual_plans(run_: Run, ready: Sequence[str]) -> Plan:
    """The plans of persons of whom nothing is unfinished."""
    if not ready:
        return {}
    if run_.planner is not None:
        return run_.planner(run_, ready)
    stirred = not_as_agreed(run_.store, ready, run_.policy.table)
    if not stirred:
        return {}
    from etl import diff  # noqa: PLC0415 - pandas comes with it, which a run without anything to plan does not need

    return diff.plan(load_frames(run_.store, stirred), run_.policy, parts(run_, stirred))


def parts(run_: Run, entity_ids: Sequence[str]) -> dict[str, InPart]:
    """What array PUTs stored in part, by person; of two that speak of one row the later counts."""
    result: dict[str, InPart] = {}
    for record in stored_in_part(run_.store, entity_ids):
        known = result.get(record["entity_id"], InPart())
        taken = {one["komm_id"]: item_from(one["item"]) for one in record["taken"]}
        brought = {
            (channel := Channel(one["channel"]), key(channel, one["value"], run_.policy.region))
            for one in record["brought"]
        }
        result[record["entity_id"]] = InPart({**known.taken, **taken}, known.brought | brought)
    return result


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
    """The plan with its rows in the journal; one without steps needs none.

    What an operator undoes is noted before it is written, so that no crash lets it happen again by itself.
    """
    if not plan.steps:
        return Saved(plan, (), ())
    for note in left_records(plan.betnr, filter(is_undo_note, plan.left)):
        add_left_alone(run_.store, plan.entity_id, note, run_.utcnow())
    look = run_.looks[plan.entity_id]
    return save_plan(run_, plan, known_rows=tuple(row.komm_id for row in look.rows))


def bring_together(run_: Run, entity_id: str, saved: Saved | None, plan: PersonPlan | None) -> None:
    """One person: wait, agree quietly, or write; errors of this person end here."""
    if plan is not None and (plan.waits_for is not None or is_to_be_seen_again(run_, plan)):
        waits(run_, entity_id, plan.waits_for)
        return
    if not run_.write:
        count_planned(run_, entity_id, plan)
        return
    if saved is not None and saved.plan.steps and too_many(run_.foreign):
        is_held(run_, {entity_id: saved.plan}, held_persons(run_, {entity_id: saved.plan}))
        return
    try:
        if saved is None:
            agree_quietly(run_, None, run_.looks[entity_id])
        else:
            carried_out(run_, saved)
    except Gone as gone:
        note_absent(run_, entity_id, GONE_IN[gone.system], run_.looks[entity_id].advo.betnr)
    except PersonError as error:
        fail_person(run_, entity_id, error)
        if isinstance(error, NotStored):
            nothing_stored(run_, entity_id, error)
        run_.refusals.after_person(error)
        run_.refusals.stop_if_of_everybody()
    else:
        run_.refusals.after_person(None)


def count_planned(run_: Run, entity_id: str, plan: PersonPlan | None) -> None:
    """What a plan of this person says, for the report."""
    (run_.tally.changed if plan is not None and plan.steps else run_.tally.clean).add(entity_id)
    for decision in plan.decisions if plan is not None else ():
        run_.tally.variants.update([decision.variant] if decision.steps else [])
        run_.tally.left_alone += decision.left is not None


def nothing_stored(run_: Run, entity_id: str, error: NotStored) -> None:
    """One record that EspoCRM does not store may be that record's; one person after another is EspoCRM's."""
    run_.unstored.append(entity_id)
    if len(run_.unstored) >= UNSTORED_IN_A_ROW:
        why = "it confirmed their values and did not store them: may the API user edit the field? Run `advosync check`."
        raise OneAfterAnother("EspoCRM", why) from error


def is_to_be_seen_again(run_: Run, plan: PersonPlan) -> bool:
    """Whether all entries vanished from one side, and this run, of persons who were named, does not end their wait."""
    return plan.vanished_from is not None and run_.write and not run_.notes_absence


def waits(run_: Run, entity_id: str, side: Side | None) -> None:
    """All entries vanished from one side: the person stays due until a regular run sees the same (rules.md §1)."""
    run_.tally.waiting.add(entity_id)
    if side is None or not run_.write or not run_.notes_absence:
        return
    with run_.store.transaction():
        update_person(run_.store, entity_id, waiting_side=side)
        mark_due(run_.store, [entity_id], "all entries vanished from one side", run_.utcnow())


def is_held(run_: Run, plans: Plan, kinds: Mapping[str, HoldKind]) -> bool:
    """Put who a guard keeps back on the hold list; whether there is anybody."""
    with run_.store.transaction():
        hold(run_, plans, kinds)
    return bool(kinds)


def carried_out(run_: Run, saved: Saved) -> None:
    """Apply and verify; whatever moved meanwhile, or was not confirmed, is read, settled and planned again."""
    current: Saved | None = saved
    for _ in range(ATTEMPTS):
        if current is None or tried(run_, current):
            return
        current = planned_again(run_, saved.plan.entity_id)
    if current is not None:
        give_up_for_now(run_, saved.plan.entity_id)


def tried(run_: Run, saved: Saved) -> bool:
    """Whether the person is done; False when it must be planned again."""
    try:
        if saved.plan.steps:
            apply_person(run_, saved)
        else:
            second_look(run_, saved)
            agree_quietly(run_, saved, run_.looks[saved.plan.entity_id])
    except (Gone, Moved, UnknownOutcome) as moved:
        run_.log.info("planned_again", reason=moved.kind)
        run_.log.debug("planned_again", reason=str(moved))
        if isinstance(moved, UnknownOutcome):
            unconfirmed(run_, saved.plan.entity_id, moved)
        return False
    return True


def unconfirmed(run_: Run, entity_id: str, error: UnknownOutcome) -> None:
    """Writes of several persons in a row that were not confirmed are an outage; one person's alone never ends a run."""
    run_.unconfirmed.add(entity_id)
    if len(run_.unconfirmed) >= run_.limits.outage_after:
        raise Outage(error.system, f"writes of {len(run_.unconfirmed)} persons in a row were not confirmed") from error


def planned_again(run_: Run, entity_id: str) -> Saved | None:
    """Fresh reads, what was done taken into the baseline, and a new plan; None when it cannot go on in this run."""
    ready = look_at(run_, load_persons(run_.store, [entity_id]), asked=True)
    tell_of_unread(run_)
    if not ready or not without_foreign(run_, ready, accepted=run_.approved):
        with run_.store.transaction():
            hold_foreign(run_, [one for one in ready if one in run_.foreign], {})
        return None
    plans = make_plans(run_, ready)
    fresh = plans.get(entity_id)
    if fresh is None:
        return Saved(
            PersonPlan(entity_id, run_.looks[entity_id].advo.betnr, (), (), run_.looks[entity_id].items), (), ()
        )
    if fresh.waits_for is not None or is_to_be_seen_again(run_, fresh):
        waits(run_, entity_id, fresh.waits_for)
        return None
    written = counted_in_run(run_.store, run_.id, entity_id, COUNTED_ACTIONS)
    if is_held(run_, plans, held_persons(run_, plans, written={entity_id: written})):
        return None
    with run_.store.transaction():
        return journalled(run_, fresh)
