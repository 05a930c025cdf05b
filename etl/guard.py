"""Between plan and first write: who is held, and the plan as the journal keeps it (rules.md §6, Guards)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etl.rules.canonical import canonical
from etl.rules.foreign import too_many
from etl.rules.guards import COUNTED_ACTIONS, held
from etl.rules.observed import steps_digest
from etl.rules.variants import Variant
from etl.store.baseline import count_baseline
from etl.store.holds import hold_persons
from etl.store.journal import save_changes, save_decisions
from etl.store.states import HoldKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.errors import PersonError
    from etl.rules.entry import Decision, Left, Pair, Step
    from etl.rules.plan import PersonPlan, Plan
    from etl.run import Approved, Run

REASONS = {
    HoldKind.REMOVALS: "the run would remove, empty or overwrite more values than the guard allows",
    HoldKind.RECOVERY: "the state store does not know any more what was agreed, but EspoCRM was synced before",
    HoldKind.CONFIGURATION: "the configuration changed since the last approved run",
    HoldKind.SECOND_WRITER: "another sync, or a hook, writes to more than a few persons",
}

CONFIG_DIGEST: Final = "config_digest"
"""Setting: the configuration that was approved, or first used."""

CONFIG_ASKED: Final = "config_asked"
"""Setting: the configuration for which persons were held; an approval speaks of this one."""


@dataclass(frozen=True)
class Saved:
    """A person's plan with the ids of its journal rows, in the order of ``PersonPlan.steps`` and of ``decided``.

    ``unstored``: the decisions whose values EspoCRM did not store; ``failure``: what the person fails with in the end;
    ``unsent``: what the record shows in their place. ``disturbed``: it shows what the plan did not foresee.
    """

    plan: PersonPlan
    change_ids: tuple[int, ...]
    decision_ids: tuple[int, ...]
    unstored: tuple[Decision, ...] = ()
    unsent: tuple[Left, ...] = ()
    failure: PersonError | None = None
    disturbed: bool = False

    def is_unstored(self, decision: Decision) -> bool:
        """Whether EspoCRM did not store what this decision was to bring or take."""
        return any(one is decision for one in self.unstored)

    def change_of(self, step: Step) -> int:
        """The journal row of a step."""
        return next(change for change, one in zip(self.change_ids, self.plan.steps, strict=True) if one is step)

    def decision_of(self, decision: Decision) -> int:
        """The journal row of a decision."""
        pairs = zip(self.decision_ids, decided(self.plan), strict=True)
        return next(number for number, one in pairs if one is decision)


def decided(plan: PersonPlan) -> list[Decision]:
    """The decisions a journal needs: where both sides agree no recovery asks for one, and no reader."""
    return [one for one in plan.decisions if one.variant is not Variant.SAME]


def counted_steps(plan: PersonPlan) -> int:
    """How many values a person's plan takes away or overwrites."""
    return sum(step.action in COUNTED_ACTIONS for step in plan.steps)


def counted_facts(plan: PersonPlan) -> Approved:
    """What a plan takes away or overwrites, without what a fresh read changes about it (rowIds, remarks)."""
    return frozenset(
        (step.side, step.action, step.komm_id, step.old_value, step.new_value)
        for step in plan.steps
        if step.action in COUNTED_ACTIONS
    )


def held_persons(run: Run, plans: Plan, *, written: Mapping[str, int] | None = None) -> dict[str, HoldKind]:
    """Return whom this run holds and why; ``run.counted`` then knows what was let through.

    A plan that takes no more than an operator approved goes on. Together with these plans counts what the run let
    through before; ``written``: counted steps of a person that was planned again, already carried out in this run.
    """
    asking = {entity_id: plan for entity_id, plan in plans.items() if plan.steps and not is_approved(run, plan)}
    if not asking:  # the baseline of a large firm is not counted for nothing
        return {}
    counted = {entity_id: counted_steps(plan) for entity_id, plan in asking.items()}
    together = {one: steps + (written or {}).get(one, 0) for one, steps in counted.items()}
    removing = held(
        {**run.counted, **together},
        baseline_rows=count_baseline(run.store),
        rows_seen=run.rows_seen,
        max_removals=run.limits.max_removals,
        max_removal_share=run.limits.max_removal_share,
    )
    kinds = {entity_id: HoldKind.REMOVALS for entity_id in asking if entity_id in removing and counted[entity_id]}
    kinds |= {
        entity_id: HoldKind.RECOVERY for entity_id, plan in asking.items() if plan.recovery and counted[entity_id]
    }
    if configuration_changed(run):
        kinds |= dict.fromkeys(asking, HoldKind.CONFIGURATION)
    if too_many(run.foreign):
        kinds |= dict.fromkeys(asking, HoldKind.SECOND_WRITER)
    run.counted |= {one: steps for one, steps in together.items() if one not in kinds}
    return kinds


def is_approved(run: Run, plan: PersonPlan) -> bool:
    """Whether an operator allowed everything this plan takes away or overwrites."""
    return plan.entity_id in run.approved and counted_facts(plan) <= run.approved[plan.entity_id]


def configuration_changed(run: Run) -> bool:
    """Whether the configuration is another one than the last that was approved (or first used)."""
    known = run.store.setting(CONFIG_DIGEST)
    return known is not None and bool(run.limits.config_digest) and known != run.limits.config_digest


def hold(run: Run, plans: Plan, kinds: Mapping[str, HoldKind]) -> None:
    """Put these persons on the hold list; who is on it already stays there as it was."""
    newly = hold_persons(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": plans[entity_id].betnr,
                "kind": kind,
                "reason": REASONS[kind],
                "digest": digest(plans[entity_id]),
                "held_at": run.utcnow(),
            }
            for entity_id, kind in kinds.items()
        ],
    )
    if HoldKind.CONFIGURATION in kinds.values():
        run.store.set_setting(CONFIG_ASKED, run.limits.config_digest)
    run.tally.held |= set(kinds)
    run.tally.newly_held |= set(newly)


def digest(plan: PersonPlan) -> str:
    """One text for what a plan would write, to tell whether an approval still speaks of the same steps."""
    facts = ("side", "action", "komm_id", "old_value", "new_value", "old_remark", "new_remark")
    return steps_digest({fact: getattr(step, fact) for fact in facts} for step in plan.steps)


def save_plan(run: Run, plan: PersonPlan, *, known_rows: tuple[int, ...] = ()) -> Saved:
    """Journal a person's decisions and steps before anything is written. ``known_rows``: komm_ids Advoware showed."""
    decision_ids = save_decisions(run.store, [decision_record(run, plan, one) for one in decided(plan)])
    owner = {
        id(step): (decision, number)
        for decision, number in zip(decided(plan), decision_ids, strict=True)
        for step in decision.steps
    }
    change_ids = save_changes(
        run.store,
        [
            {
                **change_record(run, plan, step, owner[id(step)][0], known_rows),
                "decision_id": owner[id(step)][1],
                "seq": seq,
            }
            for seq, step in enumerate(plan.steps)
        ],
    )
    return Saved(plan, tuple(change_ids), tuple(decision_ids))


def decision_record(run: Run, plan: PersonPlan, decision: Decision) -> dict[str, Any]:
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
        "foreseen": baseline_record(plan, decision.pair, run.policy.region) if decision.pair else None,
        "drops": list(decision.drops),
        "facts": {
            "verdict": decision.verdict,
            "array": bool(plan.arrays),
            "writes_espo": any(step.side == "espo" for step in decision.steps),
            "old_komm_kz": entry.komm_kz,
            "base": asdict(entry.base) if entry.base is not None else None,
            "seen": entry.facts._asdict() if entry.facts is not None else None,
        },
        "created_at": run.utcnow(),
    }


def change_record(
    run: Run, plan: PersonPlan, step: Step, decision: Decision, known_rows: tuple[int, ...] = ()
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
        "before": before_image(step, known_rows),
        "after": asdict(step.item)
        if step.item is not None
        else {"value": step.new_value, "remark": step.new_remark, "online": step.online},
    }


def before_image(step: Step, known_rows: tuple[int, ...]) -> dict[str, Any] | None:
    """What the write overwrites; of a creation the rows that were there before, to find the new one again."""
    if step.action == "create":
        return {"komm_ids": list(known_rows)}
    if step.side == "espo":
        return asdict(step.was) if step.was is not None else None
    return {"value": step.old_value, "remark": step.old_remark, "online": step.online, "row_id": step.old_row_id}


def baseline_record(
    plan: PersonPlan, pair: Pair, region: str, *, komm_id: int | None = None, row_id: str | None = None
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
