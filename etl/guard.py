"""Between plan and first write: who is held, and the plan as the journal keeps it (rules §6, Guards)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etl.enums import Action, HoldKind
from etl.rules.guards import REMOVING_ACTIONS, persons_over_limit
from etl.rules.second_writer import too_many_second_writer
from etl.rules.snapshot_records import steps_digest
from etl.rules.values.canonical import canonical
from etl.rules.variants import Variant
from etl.store.tables.baseline import count_pairs
from etl.store.tables.holds import insert_holds
from etl.store.tables.journal import save_changes, save_decisions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.context import ApprovedSteps, RunContext
    from etl.errors import PersonError
    from etl.rules.entry import Decision, LeftAlone, NextBaseline, Step
    from etl.rules.plan import PersonPlan, Plan

HOLD_REASONS = {
    HoldKind.REMOVALS: "the run would remove, empty or overwrite more values than the guard allows",
    HoldKind.RECOVERY: "the state store does not know any more what was agreed, but EspoCRM was synced before",
    HoldKind.CONFIGURATION: "the configuration changed since the last approved run",
    HoldKind.SECOND_WRITER: "another sync, or a hook, writes to more than a few persons",
}

CONFIG_DIGEST: Final = "config_digest"
"""Setting: the configuration that was approved, or first used."""

CONFIG_PENDING: Final = "config_asked"
"""Setting: the configuration for which persons were held; an approval speaks of this one."""


@dataclass(frozen=True)
class PlanJournal:
    """A person's plan with the ids of its journal rows, in the order of ``PersonPlan.steps`` and of ``decided``.

    ``unstored_decisions``: the decisions whose values EspoCRM did not store; ``failure``: what the person fails with in
    the end; ``shown_in_place``: what the record shows in their place. ``edited_by_others``: it shows what the plan did
    not foresee.
    """

    plan: PersonPlan
    change_ids: tuple[int, ...]
    decision_ids: tuple[int, ...]
    unstored_decisions: tuple[Decision, ...] = ()
    shown_in_place: tuple[LeftAlone, ...] = ()
    failure: PersonError | None = None
    edited_by_others: bool = False

    def is_unstored(self, decision: Decision) -> bool:
        """Whether EspoCRM did not store what this decision was to bring or take."""
        return any(other is decision for other in self.unstored_decisions)

    def change_id(self, step: Step) -> int:
        """The journal row of a step."""
        return next(number for number, other in zip(self.change_ids, self.plan.steps, strict=True) if other is step)

    def decision_id(self, decision: Decision) -> int:
        """The journal row of a decision."""
        pairs = zip(self.decision_ids, decisions_to_journal(self.plan), strict=True)
        return next(number for number, other in pairs if other is decision)


def decisions_to_journal(plan: PersonPlan) -> list[Decision]:
    """The decisions a journal needs: where both sides agree no recovery asks for one, and no reader."""
    return [decision for decision in plan.decisions if decision.variant is not Variant.SAME]


def removal_count(plan: PersonPlan) -> int:
    """How many values a person's plan takes away or overwrites."""
    return sum(step.action in REMOVING_ACTIONS for step in plan.steps)


def removal_facts(plan: PersonPlan) -> ApprovedSteps:
    """What a plan takes away or overwrites, without what a fresh read changes about it (rowIds, remarks)."""
    return frozenset(
        (step.side, step.action, step.komm_id, step.old_value, step.new_value)
        for step in plan.steps
        if step.action in REMOVING_ACTIONS
    )


def persons_to_hold(
    run: RunContext, plans: Plan, *, removals_done: Mapping[str, int] | None = None
) -> dict[str, HoldKind]:
    """Return whom this run holds and why; ``run.counted`` then knows what was let through.

    A plan that takes no more than an operator approved goes on. Together with these plans counts what the run let
    through before; ``removals_done``: counted steps of a person that was planned again, already carried out in this
    run.
    """
    unapproved = {entity_id: plan for entity_id, plan in plans.items() if plan.steps and not is_approved(run, plan)}
    if not unapproved:  # the baseline of a large firm is not counted for nothing
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
    kinds |= {
        entity_id: HoldKind.RECOVERY for entity_id, plan in unapproved.items() if plan.recovery and removals[entity_id]
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
    """Whether an operator allowed everything this plan takes away or overwrites."""
    return plan.entity_id in run.approved_steps and removal_facts(plan) <= run.approved_steps[plan.entity_id]


def has_configuration_changed(run: RunContext) -> bool:
    """Whether the configuration is another one than the last that was approved (or first used)."""
    approved_digest = run.store.setting(CONFIG_DIGEST)
    return (
        approved_digest is not None and bool(run.limits.config_digest) and approved_digest != run.limits.config_digest
    )


def record_holds(run: RunContext, plans: Plan, kinds: Mapping[str, HoldKind]) -> None:
    """Put these persons on the hold list; who is on it already stays there as it was."""
    newly_held = insert_holds(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": plans[entity_id].betnr,
                "kind": kind,
                "reason": HOLD_REASONS[kind],
                "digest": plan_digest(plans[entity_id]),
                "held_at": run.utcnow(),
            }
            for entity_id, kind in kinds.items()
        ],
    )
    if HoldKind.CONFIGURATION in kinds.values():
        run.store.set_setting(CONFIG_PENDING, run.limits.config_digest)
    run.counters.held |= set(kinds)
    run.counters.newly_held |= set(newly_held)


def plan_digest(plan: PersonPlan) -> str:
    """One text for what a plan would write, to tell whether an approval still speaks of the same steps."""
    columns = ("side", "action", "komm_id", "old_value", "new_value", "old_remark", "new_remark")
    return steps_digest({column: getattr(step, column) for column in columns} for step in plan.steps)


def journal_plan(run: RunContext, plan: PersonPlan, *, komm_ids_before: tuple[int, ...] = ()) -> PlanJournal:
    """Journal a person's decisions and steps before anything is written.

    ``komm_ids_before``: komm_ids Advoware showed.
    """
    decision_ids = save_decisions(
        run.store, [decision_record(run, plan, decision) for decision in decisions_to_journal(plan)]
    )
    decision_of_step = {
        id(step): (decision, decision_id)
        for decision, decision_id in zip(decisions_to_journal(plan), decision_ids, strict=True)
        for step in decision.steps
    }
    change_ids = save_changes(
        run.store,
        [
            {
                **change_record(run, plan, step, decision_of_step[id(step)][0], komm_ids_before),
                "decision_id": decision_of_step[id(step)][1],
                "seq": seq,
            }
            for seq, step in enumerate(plan.steps)
        ],
    )
    return PlanJournal(plan, tuple(change_ids), tuple(decision_ids))


def decision_record(run: RunContext, plan: PersonPlan, decision: Decision) -> dict[str, Any]:
    """A decision as the journal keeps it; ``facts`` is what settling a broken run needs."""
    entry = decision.entry
    return {
        "run_id": run.id,
        "entity_id": plan.entity_id,
        "betnr": plan.betnr,
        "variant": decision.variant,
        "reason": decision.reason,
        "komm_id": entry.row.komm_id if entry.row else entry.base.komm_id if entry.base else None,
        "channel": entry.channel,
        "foreseen": baseline_record(plan, decision.next_baseline, run.policy.region)
        if decision.next_baseline
        else None,
        "drops": list(decision.ended_komm_ids),
        "facts": {
            "verdict": decision.resolution,
            "array": bool(plan.espo_payload),
            "writes_espo": any(step.side == "espo" for step in decision.steps),
            "old_komm_kz": entry.komm_kz,
            "base": asdict(entry.base) if entry.base is not None else None,
            "seen": entry.facts._asdict() if entry.facts is not None else None,
        },
        "created_at": run.utcnow(),
    }


def change_record(
    run: RunContext, plan: PersonPlan, step: Step, decision: Decision, komm_ids_before: tuple[int, ...] = ()
) -> dict[str, Any]:
    """A step as the journal keeps it, with its before-image; ``decision_id`` and ``seq`` are the caller's."""
    return {
        "run_id": run.id,
        "entity_id": plan.entity_id,
        "betnr": plan.betnr,
        "variant": decision.entry.variant if decision.variant is Variant.LEAVE else decision.variant,
        "reason": decision.reason,
        "side": step.side,
        "action": step.action,
        "komm_id": step.komm_id,
        "komm_kz": step.komm_kz,
        "channel": step.channel,
        "old_value": step.old_value,
        "new_value": step.new_value,
        "old_remark": step.old_remark,
        "new_remark": step.new_remark,
        "before": before_image(step, komm_ids_before),
        "after": asdict(step.item)
        if step.item is not None
        else {"value": step.new_value, "remark": step.new_remark, "online": step.online},
    }


def before_image(step: Step, komm_ids_before: tuple[int, ...]) -> dict[str, Any] | None:
    """What the write overwrites; of a creation the rows that were there before, to find the new one again."""
    if step.action == Action.CREATE:
        return {"komm_ids": list(komm_ids_before)}
    if step.side == "espo":
        return asdict(step.old_item) if step.old_item is not None else None
    return {"value": step.old_value, "remark": step.old_remark, "online": step.online, "row_id": step.old_row_id}


def baseline_record(
    plan: PersonPlan, pair: NextBaseline, region: str, *, komm_id: int | None = None, row_id: str | None = None
) -> dict[str, Any]:
    """A pair as the table ``baseline`` keeps it; its remark only where it has no marker on purpose."""
    return {
        "entity_id": plan.entity_id,
        "betnr": plan.betnr,
        "komm_id": pair.komm_id if komm_id is None else komm_id,
        "channel": pair.channel,
        "espo_value": pair.espo_value,
        "espo_canonical": canonical(pair.channel, pair.espo_value, region),
        "espo_type": pair.espo_type,
        "advo_value": pair.advo_value,
        "advo_canonical": canonical(pair.channel, pair.advo_value, region),
        "komm_kz": pair.komm_kz,
        "row_id": row_id,
        "remark": pair.remark if pair.unmarked else None,
        "unmarked": pair.unmarked,
    }
