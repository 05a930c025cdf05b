"""``approve RUN``: the persons a guard held are planned again; the same steps are carried out, others stay held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.context import CONFIG_DIGEST, has_configuration_changed
from etl.endings import end_approved_persons, exclude_absent
from etl.enums import HoldKind
from etl.errors import ConfigError
from etl.guard import (
    CONFIG_PENDING,
    exclude_second_writer,
    hold_second_writer,
    plan_digest,
    record_holds,
    removal_facts,
)
from etl.store.tables.holds import open_holds, release_holds
from etl.store.tables.persons import load_persons, update_person
from jobs.run.sync_persons import apply_plans, make_person_plans, read_both_sides
from jobs.run.undo_restore import planner_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.context import RunContext
    from etl.rules.plan import PersonPlan, Plan

HoldRecord = dict[str, Any]


def approve_run(run: RunContext, held_run_id: int, operator: str, named_keys: Sequence[str] = ()) -> Plan:
    """Plan the held persons again; the same steps are carried out at once, other ones are held anew and listed.

    Who is held because it was not there ends, if it still is not; who is there again is left to the next run.
    ``named_keys``: only these persons, by id or betnr; all others stay held. Whom an operator let be is meant only
    where it is named.
    """
    run_holds = [record for record in open_holds(run.store, run_id=held_run_id) if is_in_pilot_group(run, record)]
    if not run_holds:
        raise ConfigError(f"Run {held_run_id} holds nobody back; `advosync held` shows which runs do.")
    if not named_keys:
        run_holds = [record for record in run_holds if record["let_be_at"] is None]
    if not run_holds:
        raise ConfigError(f"Run {held_run_id} holds nobody back but whom you let be; say --person whom you mean.")
    run_holds = select_holds(run_holds, f"Run {held_run_id} holds nobody back who is", named_keys)
    absent_ids = {record["entity_id"] for record in run_holds if record["kind"] == HoldKind.ENDINGS}
    holds = {record["entity_id"]: record for record in run_holds if record["entity_id"] not in absent_ids}
    accept_configuration(run, holds, is_partial=bool(named_keys))
    left_out = run.counters.skipped | run.absences.keys()
    persons = load_persons(run.store, [record["entity_id"] for record in run_holds])
    present = exclude_absent(
        run, read_both_sides(run, [person for person in persons if person["entity_id"] not in left_out], force=True)
    )
    end_approved_persons(run, absent_ids, operator)
    return apply_approval(run, held_run_id, holds, [entity_id for entity_id in present if entity_id in holds], operator)


def select_holds(holds: Sequence[HoldRecord], complaint: str, named_keys: Sequence[str]) -> list[HoldRecord]:
    """The holds of the persons an operator named, all where nobody was; ConfigError for one who is not among them."""
    keys = {key.strip() for key in named_keys}
    if unknown_keys := sorted(keys.difference(*map(keys_of_hold, holds))):
        raise ConfigError(f"{complaint} named {', '.join(unknown_keys)}; see `advosync held`.")
    return [hold for hold in holds if not keys or keys & keys_of_hold(hold)]


def keys_of_hold(hold: HoldRecord) -> set[str]:
    """What an operator may call the person of a hold: its id, or its betnr where it has one."""
    return {hold["entity_id"]} | ({str(hold["betnr"])} if hold["betnr"] is not None else set())


def plan_held_persons(run: RunContext, named_keys: Sequence[str]) -> Plan:
    """The steps of those a guard holds, as they are now, each as what held it plans them; nothing is released.

    ``named_keys``: only these persons.
    """
    step_holds = [
        record
        for record in open_holds(run.store)
        if record["kind"] != HoldKind.ENDINGS and is_in_pilot_group(run, record)
    ]
    holds = {record["entity_id"]: record for record in select_holds(step_holds, "Nobody is held who is", named_keys)}
    persons = load_persons(run.store, sorted(holds.keys() - run.counters.skipped - run.absences.keys()))
    present = exclude_absent(run, read_both_sides(run, persons, force=True))
    plans: Plan = {}
    for held_run_id in sorted({record["run_id"] for record in holds.values()}):
        planner = planner_for(run.store, held_run_id)
        run.planner_override = planner.plans if planner is not None else None
        plans |= make_person_plans(
            run, [entity_id for entity_id in present if holds[entity_id]["run_id"] == held_run_id]
        )
    run.counters.hold_kinds.update({entity_id: HoldKind(record["kind"]) for entity_id, record in holds.items()})
    return plans


def apply_approval(
    run: RunContext, held_run_id: int, holds: Mapping[str, HoldRecord], entity_ids: Sequence[str], operator: str
) -> Plan:
    """The steps of those that are there; what is not the same any more is held anew."""
    accepted = [entity_id for entity_id, record in holds.items() if record["kind"] == HoldKind.SECOND_WRITER]
    without_second_writer = exclude_second_writer(
        run, entity_ids, approved_ids=accepted, approved_run_id=held_run_id
    )
    planner = planner_for(run.store, held_run_id)
    run.planner_override = planner.plans if planner is not None else None
    plans = make_person_plans(run, without_second_writer)
    with run.store.transaction():
        held_ids = ids_still_held(run, holds)
        plannable = [
            entity_id
            for entity_id in without_second_writer
            if entity_id in held_ids and not defer_until_next_read(run, plans.get(entity_id))
        ]
        unchanged = [
            entity_id for entity_id in plannable if matches_approval(run, holds[entity_id], plans.get(entity_id))
        ]
        changed_kinds = {
            entity_id: HoldKind(holds[entity_id]["kind"]) for entity_id in plannable if entity_id not in unchanged
        }
        release_holds(
            run.store, [holds[entity_id]["id"] for entity_id in plannable], now=run.utcnow(), released_by=operator
        )
        record_holds(run, plans, changed_kinds, f"its steps are not those any more that run {held_run_id} held")
        hold_second_writer(
            run,
            [
                entity_id
                for entity_id in entity_ids
                if entity_id in run.second_writer_reasons and entity_id not in without_second_writer
            ],
            {},
        )
    run.counters.held |= set(holds) - set(unchanged)
    run.approved_steps = {
        entity_id: removal_facts(plans[entity_id]) if entity_id in plans else frozenset() for entity_id in unchanged
    }
    plans_applied = apply_plans(run, unchanged, plans)
    if planner is not None:
        planner.finish(run)
    return {**plans_applied, **{entity_id: plans[entity_id] for entity_id in changed_kinds if entity_id in plans}}


def ids_still_held(run: RunContext, holds: Mapping[str, HoldRecord]) -> set[str]:
    """Whose hold is as it was when the approval began: while both sides were read, somebody may have let it be."""
    let_be_by_hold = {record["id"]: record["let_be_at"] for record in open_holds(run.store)}
    return {
        entity_id
        for entity_id, record in holds.items()
        if record["id"] in let_be_by_hold and let_be_by_hold[record["id"]] == record["let_be_at"]
    }


def is_in_pilot_group(run: RunContext, record: HoldRecord) -> bool:
    """A pilot group limits what an approval touches, too."""
    return run.limits.allows(record["entity_id"], record["betnr"])


def accept_configuration(run: RunContext, holds: Mapping[str, HoldRecord], *, is_partial: bool) -> None:
    """An approval of persons held for a configuration accepts that one, not yet another the file says meanwhile.

    Accepting it releases whoever else is held for it; so where only some are approved, the last of them accepts it.
    """
    if not is_held_for_this_configuration(run, holds.values()):
        return
    waiting_ids = {
        record["entity_id"]
        for record in open_holds(run.store)
        if record["kind"] == HoldKind.CONFIGURATION and record["let_be_at"] is None
    }
    if not (is_partial and waiting_ids - holds.keys()):
        run.store.set_setting(CONFIG_DIGEST, run.limits.config_digest)


def is_held_for_this_configuration(run: RunContext, holds: Collection[Mapping[str, Any]]) -> bool:
    """Whether any of them is held for the configuration the file says now."""
    is_pending = run.store.setting(CONFIG_PENDING) == run.limits.config_digest
    return is_pending and any(record["kind"] == HoldKind.CONFIGURATION for record in holds)


def defer_until_next_read(run: RunContext, plan: PersonPlan | None) -> bool:
    """A person whose entries have all vanished from one side waits for the next look, held as it is."""
    if plan is None or plan.waiting_side is None:
        return False
    run.counters.deferred.add(plan.entity_id)
    update_person(run.store, plan.entity_id, waiting_side=plan.waiting_side)
    return True


def matches_approval(run: RunContext, record: Mapping[str, Any], plan: PersonPlan | None) -> bool:
    """Whether the approval speaks of this plan: its very steps, or nothing left to write."""
    if plan is None or not plan.steps:
        return True
    is_other_configuration = (
        record["kind"] == HoldKind.CONFIGURATION
        and has_configuration_changed(run)
        and not is_held_for_this_configuration(run, [record])
    )
    return plan_digest(plan) == record["digest"] and not is_other_configuration
