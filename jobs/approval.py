"""``approve RUN``: the persons a guard held are planned again; the same steps are carried out, others stay held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.ending import end_approved, who_is_there
from etl.errors import ConfigError
from etl.guard import CONFIG_ASKED, CONFIG_DIGEST, configuration_changed, counted_facts, digest, hold
from etl.second_writer import hold_foreign, without_foreign
from etl.store.holds import open_holds, release_holds
from etl.store.persons import load_persons, update_person
from etl.store.states import HoldKind
from jobs.persons import looked_at, make_plans, write_plans
from jobs.putting_back import planner_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.rules.plan import PersonPlan, Plan
    from etl.run import Run

Hold = dict[str, Any]


def approved(run_: Run, held_by: int, operator: str) -> Plan:
    """Plan the held persons again; the same steps are carried out at once, other ones are held anew and listed.

    Who is held because it was not there ends, if it still is not; who is there again is left to the next run.
    """
    every = [one for one in open_holds(run_.store, run_id=held_by) if in_pilot(run_, one)]
    if not every:
        raise ConfigError(f"Run {held_by} holds nobody back; `advosync held` shows which runs do.")
    absent = {one["entity_id"] for one in every if one["kind"] == HoldKind.ENDINGS}
    holds = {one["entity_id"]: one for one in every if one["entity_id"] not in absent}
    accept_configuration(run_, holds.values())
    left_out = run_.tally.skipped | run_.absent.keys()
    known = load_persons(run_.store, [one["entity_id"] for one in every])
    there = who_is_there(
        run_, looked_at(run_, [one for one in known if one["entity_id"] not in left_out], everybody=True)
    )
    end_approved(run_, absent, operator)
    return planned_again(run_, held_by, holds, [one for one in there if one in holds], operator)


def planned_again(run_: Run, held_by: int, holds: Mapping[str, Hold], looked: Sequence[str], operator: str) -> Plan:
    """The steps of those that are there; what is not the same any more is held anew."""
    shared_with_others = [one for one, held in holds.items() if held["kind"] == HoldKind.SECOND_WRITER]
    free = without_foreign(run_, looked, accepted=shared_with_others)
    back = planner_of(run_, held_by)
    run_.planner = back.plans if back is not None else None
    plans = make_plans(run_, free)
    ready = [one for one in free if not waits(run_, plans.get(one))]
    same = [one for one in ready if is_same(run_, holds[one], plans.get(one))]
    moved = {one: HoldKind(holds[one]["kind"]) for one in ready if one not in same}
    with run_.store.transaction():
        release_holds(run_.store, [holds[one]["id"] for one in ready], now=run_.utcnow(), by=operator)
        hold(run_, plans, moved)
        hold_foreign(run_, [one for one in looked if one in run_.foreign and one not in free], {})
    run_.tally.held |= set(holds) - set(same)
    run_.approved = {one: counted_facts(plans[one]) if one in plans else frozenset() for one in same}
    written = write_plans(run_, same, plans)
    if back is not None:
        back.done(run_)
    return {**written, **{one: plans[one] for one in moved if one in plans}}


def in_pilot(run_: Run, hold_: Hold) -> bool:
    """A pilot group limits what an approval touches, too."""
    return run_.limits.allows(hold_["entity_id"], hold_["betnr"])


def accept_configuration(run_: Run, holds: Collection[Hold]) -> None:
    """An approval of persons held for a configuration accepts that one, not yet another the file says meanwhile."""
    asked = run_.store.setting(CONFIG_ASKED)
    if any(one["kind"] == HoldKind.CONFIGURATION for one in holds) and asked == run_.limits.config_digest:
        run_.store.set_setting(CONFIG_DIGEST, asked)


def waits(run_: Run, plan: PersonPlan | None) -> bool:
    """A person whose entries have all vanished from one side waits for the next look, held as it is."""
    if plan is None or plan.waits_for is None:
        return False
    run_.tally.waiting.add(plan.entity_id)
    update_person(run_.store, plan.entity_id, waiting_side=plan.waits_for)
    return True


def is_same(run_: Run, held: Mapping[str, Any], plan: PersonPlan | None) -> bool:
    """Whether the approval speaks of this plan: its very steps, or nothing left to write."""
    if plan is None or not plan.steps:
        return True
    other_configuration = held["kind"] == HoldKind.CONFIGURATION and configuration_changed(run_)
    return digest(plan) == held["digest"] and not other_configuration
