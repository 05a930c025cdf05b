"""Journal a plan, and each of its writes before and after it is sent (rules §5)."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.enums import Action, ChangeState
from etl.errors import AdvosyncError, PersonError, RunAborted, UnknownOutcome
from etl.records import AdvoRow, RowDraft
from etl.rules.values.canonical import canonical
from etl.rules.variants import Variant
from etl.store.tables.conflicts import delete_conflicts, save_conflicts
from etl.store.tables.journal import ChangeProgress, save_changes, save_decisions, save_progress, set_change_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from etl.context import RunContext
    from etl.rules.entry import Decision, LeftAlone, NextBaseline, Step
    from etl.rules.plan import PersonPlan


@dataclass(frozen=True)
class PlanJournal:
    """A plan with the ids of its journal rows, in the order of ``PersonPlan.steps`` and ``decisions_to_journal``.

    ``unstored_decisions``: the decisions whose values EspoCRM did not store; ``shown_in_place``: what the record shows
    instead; ``failure``: the error with which the person fails in the end. ``edited_by_others``: the record shows
    something that the plan did not foresee.
    """

    plan: PersonPlan
    change_ids: tuple[int, ...]
    decision_ids: tuple[int, ...]
    unstored_decisions: tuple[Decision, ...] = ()
    shown_in_place: tuple[LeftAlone, ...] = ()
    failure: PersonError | None = None
    edited_by_others: bool = False

    def is_unstored(self, decision: Decision) -> bool:
        """Whether EspoCRM did not store what this decision was to add or remove."""
        return any(other is decision for other in self.unstored_decisions)

    def change_id(self, step: Step) -> int:
        """The id of a step's journal row."""
        return next(number for number, other in zip(self.change_ids, self.plan.steps, strict=True) if other is step)

    def decision_id(self, decision: Decision) -> int:
        """The id of a decision's journal row."""
        pairs = zip(self.decision_ids, decisions_to_journal(self.plan), strict=True)
        return next(number for number, other in pairs if other is decision)


def decisions_to_journal(plan: PersonPlan) -> list[Decision]:
    """The decisions worth a journal row: where both sides agree, neither a recovery nor a reader needs one."""
    return [decision for decision in plan.decisions if decision.variant is not Variant.SAME]


def journal_plan(run: RunContext, plan: PersonPlan, *, komm_ids_before: tuple[int, ...] = ()) -> PlanJournal:
    """Journal a person's decisions and steps before anything is written.

    ``komm_ids_before``: the komm_ids of the rows that Advoware showed.
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


def save_steps(run: RunContext, plans: Iterable[PersonPlan], state: ChangeState) -> None:
    """Journal the steps of plans that this run does not carry out, in a state that no recovery takes up."""
    save_changes(
        run.store,
        [
            {**change_record(run, plan, step, decision), "decision_id": None, "seq": seq, "state": state}
            for plan in plans
            for seq, (decision, step) in enumerate(
                (decision, step) for decision in plan.decisions for step in decision.steps
            )
        ],
    )


def decision_record(run: RunContext, plan: PersonPlan, decision: Decision) -> dict[str, Any]:
    """A decision as the journal keeps it; ``facts`` is what is needed to recover a broken-off run."""
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
    """A step as the journal keeps it, with its before-image; the caller adds ``decision_id`` and ``seq``."""
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
    """What the write overwrites; for a creation, the rows that were there before, so that the new one can be found."""
    if step.action == Action.CREATE:
        return {"komm_ids": list(komm_ids_before)}
    if step.side == "espo":
        return asdict(step.old_item) if step.old_item is not None else None
    return {"value": step.old_value, "remark": step.old_remark, "online": step.online, "row_id": step.old_row_id}


def baseline_record(
    plan: PersonPlan, pair: NextBaseline, region: str, *, komm_id: int | None = None, row_id: str | None = None
) -> dict[str, Any]:
    """A pair as the table ``baseline`` keeps it; with its remark only if that has no marker on purpose."""
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


def put_row(
    run: RunContext,
    change_id: int,
    betnr: int,
    komm_id: int | None,
    draft: RowDraft,
    conflicts: Sequence[Mapping[str, Any]] = (),
) -> AdvoRow:
    """Create or update one Kommunikation; return the row as answered, ``row_id`` empty if the answer has none.

    Call inside ``store_answers``: the answer is committed with the next *started*, which follows at once, or at the
    end of that block.
    """
    start_write(run, [change_id], conflicts)
    try:
        row = run.advo.create(betnr, draft) if komm_id is None else run.advo.update(betnr, komm_id, draft)
    except AdvosyncError as error:
        fail_write(run, [change_id], error)
        raise
    answer = row or AdvoRow(komm_id or 0, "", draft.value, draft.remark)
    count_write(run, "advoware")
    done = ChangeProgress(change_id, ChangeState.DONE, run.utcnow(), None, answer.row_id or None, answer.komm_id)
    run.unstored_answers.append(done)
    return answer


def start_write(run: RunContext, change_ids: Sequence[int], conflicts: Sequence[Mapping[str, Any]] = ()) -> None:
    """Commit *started*, and the values that will lose, before the request is sent; the lease must still be ours.

    The statement, or the transaction, checks the lease itself, so nobody can take it between the check and the commit.
    Answers to earlier writes are committed with it.
    """
    started = [ChangeProgress(change_id, ChangeState.STARTED, run.utcnow()) for change_id in change_ids]
    with run.store.transaction() if conflicts else nullcontext():
        save_progress(run.store, [*run.unstored_answers, *started])
        save_conflicts(run.store, conflicts)
    run.unstored_answers.clear()


@contextmanager
def store_answers(run: RunContext) -> Iterator[None]:
    """Commit all answers of a block at its end, however it ends, before any other request is sent."""
    try:
        yield
    finally:
        if run.unstored_answers:
            with run.store.without_fsync():
                save_progress(run.store, run.unstored_answers)
            run.unstored_answers.clear()


def confirm_write(run: RunContext, change_ids: Sequence[int], system: str) -> None:
    """Commit *done*."""
    count_write(run, system)
    with run.store.transaction_without_fsync():
        set_change_state(run.store, change_ids, ChangeState.DONE, now=run.utcnow())


def count_write(run: RunContext, system: str) -> None:
    """Count a confirmed write: it shows that the system is not out and does not refuse everybody."""
    run.unconfirmed_in_a_row.clear()
    run.refusals.has_written = True
    run.counters.writes[system] += 1


def fail_write(run: RunContext, change_ids: Sequence[int], error: Exception) -> None:
    """Record a write that was not confirmed: as *unknown*, or as certainly not written."""
    failed_state = ChangeState.DROPPED if isinstance(error, RunAborted) else ChangeState.FAILED
    state = ChangeState.UNKNOWN if isinstance(error, UnknownOutcome) else failed_state
    failed = [ChangeProgress(change_id, state, run.utcnow(), str(error)) for change_id in change_ids]
    with run.store.transaction():
        save_progress(run.store, [*run.unstored_answers, *failed])
        if state is not ChangeState.UNKNOWN:
            delete_conflicts(run.store, change_ids)
    run.unstored_answers.clear()
