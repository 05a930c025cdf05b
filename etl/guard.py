"""The stage guard: who is held before the first write, and why (rules §6, Guards).

There are four reasons. Three lie in the plan: it would remove too much, it follows a recovery, or the configuration
changed. The fourth lies in the record: another sync, or a hook, writes there too. Such persons are reported and left
until their entries change; what stands in EspoCRM then counts as known, so that an edit, or an approval, lets them go
on.

A store that was restored from a backup meets the writes of its own later runs. If the backup says that it is one, that
is no second writer. In either case its baseline is outdated: it would take a number that was typed again since for a
deleted one. So the person is recovered from its markers, and whatever would be removed waits for approval (rules §3,
Recovery).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.context import has_configuration_changed
from etl.enums import ChangeState, HoldKind
from etl.rules.guards import (
    LATER_RUN,
    OTHER_FINGERPRINT,
    OWN_KEY,
    REMOVING_ACTIONS,
    OwnWrites,
    find_second_writer,
    max_allowed_removals,
    persons_over_limit,
    too_many_second_writer,
)
from etl.rules.snapshot_records import steps_digest
from etl.store.tables.baseline import count_pairs, delete_baseline
from etl.store.tables.holds import insert_holds, open_holds, release_holds
from etl.store.tables.journal import close_plans
from etl.store.tables.persons import load_persons, update_person
from etl.store.tables.snapshots import digest_of_entries
from etl.writing.journal import save_steps

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.context import ApprovedSteps, RunContext
    from etl.records import EspoRecord
    from etl.rules.plan import PersonPlan, Plan

HOLD_REASONS = {
    HoldKind.REMOVALS: "the run would remove, empty or overwrite more values than the guard allows",
    HoldKind.RECOVERY: "the state store no longer knows what was agreed, although EspoCRM was synced before",
    HoldKind.CONFIGURATION: "the configuration changed since the last approved run",
    HoldKind.SECOND_WRITER: "another sync, or a hook, writes to more than a few persons",
}


CONFIG_PENDING: Final = "config_asked"
"""Setting: the digest of the configuration for which persons were held; an approval accepts this one."""


SECOND_WRITER: Final = "another sync, or a hook, writes here"


RELEASED_BY_EDIT: Final = "an entry of the person changed"


LET_BE_BEFORE: Final = "an operator let it be; an entry changed since, and something would be taken away or overwritten"


def removal_count(plan: PersonPlan) -> int:
    """How many values a person's plan removes or overwrites."""
    return sum(step.action in REMOVING_ACTIONS for step in plan.steps)


def removal_facts(plan: PersonPlan) -> ApprovedSteps:
    """What a plan removes or overwrites, without what a fresh read may change about it (rowIds, remarks)."""
    return frozenset(
        (step.side, step.action, step.komm_id, step.old_value, step.new_value)
        for step in plan.steps
        if step.action in REMOVING_ACTIONS
    )


def persons_to_hold(
    run: RunContext, plans: Plan, *, removals_done: Mapping[str, int] | None = None
) -> dict[str, HoldKind]:
    """Return whom this run holds and why; ``run.removals_let_through`` is updated with what is let through.

    A plan that removes no more than an operator approved goes on. What the run let through before is counted together
    with these plans. ``removals_done``: the counted steps that this run has already carried out for a person that is
    planned again.
    """
    unapproved = {entity_id: plan for entity_id, plan in plans.items() if plan.steps and not is_approved(run, plan)}
    if not unapproved:  # do not count the baseline of a large firm for nothing
        return {}
    removals = {entity_id: removal_count(plan) for entity_id, plan in unapproved.items()}
    total_removals = {
        entity_id: steps + (removals_done or {}).get(entity_id, 0) for entity_id, steps in removals.items()
    }
    over_limit = persons_over_limit(
        {**run.removals_let_through, **total_removals},
        baseline_rows=count_pairs(run.store),
        rows_seen=run.rows_seen,
        max_removals=run.limits.max_removals,
        max_removal_share=run.limits.max_removal_share,
    )
    kinds = {
        entity_id: HoldKind.REMOVALS for entity_id in unapproved if entity_id in over_limit and removals[entity_id]
    }
    if kinds:
        run.limit_notice = limit_notice(run, sum({**run.removals_let_through, **total_removals}.values()))
        run.counters.notices.append(run.limit_notice)
    kinds |= {
        entity_id: HoldKind.RECOVERY for entity_id, plan in unapproved.items() if plan.recovery and removals[entity_id]
    }
    # what an operator decided to leave is not taken away because somebody edits another entry later
    kinds |= {
        entity_id: HoldKind.REMOVALS for entity_id in run.edited_holds.keys() & unapproved.keys() if removals[entity_id]
    }
    if has_configuration_changed(run):
        kinds |= dict.fromkeys(unapproved, HoldKind.CONFIGURATION)
    if too_many_second_writer(run.second_writer_reasons):
        kinds |= dict.fromkeys(unapproved, HoldKind.SECOND_WRITER)
    run.removals_let_through |= {
        entity_id: steps for entity_id, steps in total_removals.items() if entity_id not in kinds
    }
    return kinds


def is_approved(run: RunContext, plan: PersonPlan) -> bool:
    """Whether an operator allowed everything this plan removes or overwrites."""
    return plan.entity_id in run.approved_steps and removal_facts(plan) <= run.approved_steps[plan.entity_id]


def limit_notice(run: RunContext, total: int) -> str:
    """By how much the guard's limit is exceeded (rules §6, Guards)."""
    allowed = removal_limit(run)
    return f"{total} values would be removed, emptied or overwritten; {allowed} are allowed without approval"


def removal_limit(run: RunContext) -> int:
    """How many values a run may take away without approval."""
    return max_allowed_removals(
        baseline_rows=count_pairs(run.store),
        rows_seen=run.rows_seen,
        max_removals=run.limits.max_removals,
        max_removal_share=run.limits.max_removal_share,
    )


def record_holds(run: RunContext, plans: Plan, kinds: Mapping[str, HoldKind], reason: str | None = None) -> None:
    """Put these persons on the hold list, with their steps; who is on it already stays there as it was.

    ``reason``: why, where it is another one than the guard's.
    """
    newly_held = insert_holds(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": plans[entity_id].betnr,
                "kind": kind,
                "reason": reason or hold_reason(run, entity_id, kind),
                "digest": plan_digest(plans[entity_id]),
                "own_values": is_held_for_own_values(run, plans[entity_id], kind),
                "held_at": run.utcnow(),
            }
            for entity_id, kind in kinds.items()
        ],
    )
    save_steps(run, [plans[entity_id] for entity_id in newly_held], ChangeState.HELD)
    if HoldKind.CONFIGURATION in kinds.values():
        run.store.set_setting(CONFIG_PENDING, run.limits.config_digest)
    run.counters.held |= set(kinds)
    run.counters.hold_kinds.update(kinds)
    run.counters.newly_held |= set(newly_held)


def hold_reason(run: RunContext, entity_id: str, kind: HoldKind) -> str:
    """Why the guard holds, with the figures where it counts."""
    if kind is HoldKind.REMOVALS and entity_id in run.edited_holds:
        return LET_BE_BEFORE
    return run.limit_notice if kind is HoldKind.REMOVALS and run.limit_notice else HOLD_REASONS[kind]


def is_held_for_own_values(run: RunContext, plan: PersonPlan, kind: HoldKind) -> bool:
    """Whether the hold is about this person, so that staff see it in EspoCRM, and not about a run as a whole.

    What an undo would put back is the operator's, not the person's.
    """
    if run.planner_override is not None or kind not in {HoldKind.RECOVERY, HoldKind.REMOVALS}:
        return False
    is_decided_alone = kind is HoldKind.RECOVERY or plan.entity_id in run.edited_holds
    return is_decided_alone or removal_count(plan) > removal_limit(run)


def release_edited_holds(run: RunContext, plans: Plan) -> None:
    """What an operator let be ends with the edit; where a whole side vanished, with the second look at that."""
    hold_ids = [
        hold_id
        for entity_id, hold_id in run.edited_holds.items()
        if entity_id not in plans or plans[entity_id].waiting_side is None
    ]
    release_holds(run.store, hold_ids, now=run.utcnow(), released_by=RELEASED_BY_EDIT)


def plan_digest(plan: PersonPlan) -> str:
    """A digest of what a plan would write, to tell whether an approval still means the same steps."""
    columns = ("side", "action", "komm_id", "old_value", "new_value", "old_remark", "new_remark")
    return steps_digest({column: getattr(step, column) for column in columns} for step in plan.steps)


def step_digests(plan: PersonPlan) -> list[str]:
    """One text for each write of a plan; two plans are the same only where all of them are."""
    columns = ("side", "action", "channel", "komm_id", "komm_kz", "old_value", "new_value", "old_remark", "new_remark")
    return [steps_digest([{column: getattr(step, column) for column in columns}]) for step in plan.steps]


def exclude_second_writer(
    run: RunContext, ready: Sequence[str], approved_ids: Collection[str] = (), *, approved_run_id: int | None = None
) -> list[str]:
    """Return those of ``ready`` that may be planned and written.

    The others stay held, or are added to ``run.second_writer_reasons``. ``approved_ids``: persons an operator has just
    approved although somebody else writes there. ``approved_run_id``: the run whose holds are approved; persons of it
    that were let be go on, too.
    """
    hold_of_person = {
        hold["entity_id"]: hold
        for hold in sorted(open_holds(run.store), key=lambda hold: hold["let_be_at"] is not None)
        if hold["until_edited"] and not (hold["let_be_at"] and hold["run_id"] == approved_run_id)
    }
    free_ids = set()
    with run.store.transaction():
        for person in load_persons(run.store, ready):
            entity_id = person["entity_id"]
            if entity_id not in approved_ids and stays_held(run, entity_id, hold_of_person.get(entity_id)):
                continue
            reason = second_writer_reason(run, person, run.reads[entity_id].espo)
            if reason is None or entity_id in approved_ids:
                free_ids.add(entity_id)
            else:
                run.second_writer_reasons[entity_id] = reason
    return [entity_id for entity_id in ready if entity_id in free_ids]


def stays_held(run: RunContext, entity_id: str, hold: Mapping[str, Any] | None) -> bool:
    """Whether a person that is held until it is edited still shows the same entries; if not, its hold ends.

    The hold of a person that was let be ends only with the new plan: what that plan removes is held in the same
    transaction, so that no crash in between lets it through.
    """
    if hold is None:
        return False
    if hold["let_be_at"] is not None:
        if digest_of_entries(run.store, entity_id, run.reads[entity_id].advo.betnr) != hold["entries_digest"]:
            run.edited_holds[entity_id] = hold["id"]
            return False
    elif entity_id in run.changed_since_last_read:
        release_holds(run.store, [hold["id"]], now=run.utcnow(), released_by=RELEASED_BY_EDIT)
        return False
    run.counters.held.add(entity_id)
    return True


def second_writer_reason(run: RunContext, person: Mapping[str, Any], record: EspoRecord) -> str | None:
    """Why this person is to be held, judged by its record; what stands there then counts as known."""
    own_writes, saved_by_us = OwnWrites.from_person(person), record.modified_by == run.user_id
    is_restored = run.restored_copy_at is not None and (person["last_sync_at"] or "") <= run.restored_copy_at
    if own_writes.is_outdated(
        record.fingerprint, person["advo_fingerprint"], saved_since_restore=is_restored and saved_by_us
    ):
        run.log.warning("store_outdated", entity_id=person["entity_id"], last_sync_at=person["last_sync_at"])
        forget_baseline(run, person["entity_id"])
        accept_as_known(run, person, own_writes, record, 0)
        return None if is_restored else LATER_RUN
    check = find_second_writer(
        own_writes,
        record.status,
        record.fingerprint,
        saved_by_us=saved_by_us,
        is_entry_changed=person["entity_id"] in run.changed_since_last_read,
    )
    accept_as_known(run, person, own_writes, record, check.foreign_writes)
    if check.reason is None:
        return None
    return f"{SECOND_WRITER}: {check.reason}" + (
        f"; {OWN_KEY}" if check.reason == OTHER_FINGERPRINT and saved_by_us else ""
    )


def forget_baseline(run: RunContext, entity_id: str) -> None:
    """Forget what a new store would not know of a person either, so that its next plan is a recovery."""
    delete_baseline(run.store, entity_id)
    close_plans(run.store, entity_id)
    update_person(run.store, entity_id, last_sync_at=None)


def accept_as_known(
    run: RunContext, person: Mapping[str, Any], own_writes: OwnWrites, record: EspoRecord, foreign_writes: int
) -> None:
    """Store what stands in EspoCRM as known, so that it does not look foreign a second time."""
    columns: dict[str, Any] = {"foreign_writes": foreign_writes}
    if own_writes.statuses and record.status:
        columns |= {"status_written": record.status, "status_sent": record.status}
    if own_writes.fingerprints and record.fingerprint:
        columns |= {"fingerprint_written": record.fingerprint, "fingerprint_sent": record.fingerprint}
    if any(person[column] != value for column, value in columns.items()):
        update_person(run.store, person["entity_id"], **columns)


def hold_second_writer(run: RunContext, entity_ids: Sequence[str], plans: Plan) -> None:
    """Report and hold these persons: until an entry changes, or, if they are too many, until an operator approves."""
    if not entity_ids:
        return
    until_edited = not too_many_second_writer(run.second_writer_reasons)
    newly_held = insert_holds(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": run.reads[entity_id].advo.betnr,
                "kind": HoldKind.SECOND_WRITER,
                "reason": run.second_writer_reasons[entity_id],
                "digest": plan_digest(plans[entity_id]) if entity_id in plans and plans[entity_id].steps else None,
                "until_edited": until_edited,
                "held_at": run.utcnow(),
            }
            for entity_id in entity_ids
        ],
    )
    save_steps(run, [plans[entity_id] for entity_id in newly_held if entity_id in plans], ChangeState.HELD)
    run.counters.held |= set(entity_ids)
    run.counters.newly_held |= set() if until_edited else set(newly_held)
    for entity_id in newly_held:
        run.log.error("second_writer", entity_id=entity_id, reason=run.second_writer_reasons[entity_id])
        run.counters.notices.append(
            second_writer_notice(entity_id, run.second_writer_reasons[entity_id], run.id, until_edited=until_edited)
        )


def second_writer_notice(entity_id: str, reason: str, run_id: int, *, until_edited: bool) -> str:
    """One sentence for people: who is held, what was seen, and what ends the hold."""
    held_until = "until one of its entries changes, or" if until_edited else "with everybody else until"
    return f"{entity_id}: {reason}. It is left alone {held_until} `advosync approve {run_id}`."
