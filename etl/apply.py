"""The stage apply: write one person's plan (rules §5), EspoCRM's arrays first, then Advoware's rows, one at a time.

Each write is committed as *started* before it is sent and as *done*, *failed* or *unknown* after it. ``ConcurrentEdit``
and ``UnknownOutcome`` are not caught here: the caller reads the person again, settles what was done, and makes a new
plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.enums import Action
from etl.errors import ConcurrentEdit, RecordLocked, Refused
from etl.reading.parallel import is_stale
from etl.reading.snapshot import may_be_half_written
from etl.records import RowDraft, Side
from etl.rules.truncation import REPAIR_ACTIONS, UNMARKED_IMAGE, names_another_value, step_without_marker
from etl.rules.variants import Variant
from etl.store.tables.journal import save_changes
from etl.writing.espo_items import VALUE_REFUSAL_STATUSES, mark_unsyncable, read_back_espo, write_espo_items
from etl.writing.journal import change_record, put_row, store_answers
from etl.writing.readback import AcknowledgedWrite
from etl.writing.shared_values import adopt_shared_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.context import PersonReads, RunContext
    from etl.rules.entry import Decision, Step
    from etl.writing.journal import PlanJournal

ACTIONS_WITHOUT_NEW_VALUE = REPAIR_ACTIONS | {Action.EMPTY, Action.LEFTOVER}
"""Writes that bring no new value: a refusal of one says nothing about a value, so it fails the person."""


def apply_person(run: RunContext, journal: PlanJournal) -> tuple[PlanJournal, list[AcknowledgedWrite]]:
    """Write one person's plan. Return it with what EspoCRM did not store, and Advoware's writes, for ``verify_person``.

    Raises ``ConcurrentEdit`` when the person must be planned again.
    """
    reads = run.reads[journal.plan.entity_id]
    if journal.plan.espo_payload:
        journal = adopt_shared_rows(run, journal)
    plan = journal.plan
    revalidate(run, journal)
    if plan.espo_payload:
        write_espo_items(run, journal, reads)
        journal = read_back_espo(run, journal, reads)
        if any(step.side is Side.ADVO and step.action != Action.CREATE for _, step in advo_steps(journal)):
            refresh_advo(run, reads)
    return write_rows(run, journal)


def write_rows(run: RunContext, saved: PlanJournal) -> tuple[PlanJournal, list[AcknowledgedWrite]]:
    """Write Advoware's rows. If a refused marker leaves one that names another value, the person fails in the end."""
    written: list[AcknowledgedWrite] = []
    with store_answers(run):
        for decision, step in advo_steps(saved):
            try:
                write = write_row(run, saved, decision, step)
            except Refused as refusal:
                require_refused_marker(step, refusal)
                saved = replace(saved, failure=saved.failure or refusal)
            else:
                written += [write] if write is not None else []
    return saved, written


def require_refused_marker(step: Step, refusal: Refused) -> None:
    """Raise the refusal unless it is a marker that Advoware did not take: then the person's other rows are written."""
    if step.action != Action.MARK or refusal.status not in VALUE_REFUSAL_STATUSES:
        raise refusal


def revalidate(run: RunContext, journal: PlanJournal) -> None:
    """Read again what is to be overwritten, and where something vanished; any difference means planning again.

    The same reads would give the same plan (rules §1, §5).
    """
    plan, reads = journal.plan, run.reads[journal.plan.entity_id]
    missing_sides = sides_missing_entries(plan.decisions)
    overwrites_rows = any(step.side is Side.ADVO and step.action != Action.CREATE for step in plan.steps)
    if Side.ESPO in missing_sides or (plan.espo_payload and is_stale(run, reads.espo_at)):
        refresh_espo(run, reads)
    if Side.ADVO in missing_sides or (overwrites_rows and not plan.espo_payload and is_stale(run, reads.advo_at)):
        refresh_advo(run, reads)


def sides_missing_entries(decisions: Iterable[Decision]) -> set[Side]:
    """The sides a known entry has vanished from, so that something is emptied, removed, created again or forgotten."""
    sides: set[Side] = set()
    for decision in decisions:
        if decision.variant is Variant.FORGET:
            sides |= {Side.ESPO, Side.ADVO}
        elif decision.steps and is_missing_in_espo(decision):
            sides.add(Side.ESPO)
        elif decision.steps and is_missing_in_advo(decision):
            sides.add(Side.ADVO)
    return sides


def is_missing_in_espo(decision: Decision) -> bool:
    """Whether EspoCRM no longer shows a known item."""
    deleted_and_edited = decision.variant is Variant.CLASH and decision.entry.item is None
    return decision.variant is Variant.VAR2 or deleted_and_edited


def is_missing_in_advo(decision: Decision) -> bool:
    """Whether Advoware no longer shows a known row; its item may have been edited meanwhile."""
    edited_and_deleted = decision.variant is Variant.VAR1 and decision.entry.base is not None
    return decision.variant is Variant.VAR3 or edited_and_deleted


def refresh_espo(run: RunContext, reads: PersonReads) -> None:
    """Read EspoCRM's record again.

    Raises ``ConcurrentEdit`` when it differs from what the plan was made from, or may be half written; ``RecordLocked``
    when staff locked it.
    """
    fresh, planned_with = run.espo.fetch(reads.espo.entity_id), reads.espo
    if fresh.is_locked:
        raise RecordLocked(fresh.entity_id)
    if (fresh.items, fresh.betnr) != (planned_with.items, planned_with.betnr) or (
        fresh.modified_at != planned_with.modified_at and may_be_half_written(run, fresh)
    ):
        raise ConcurrentEdit(f"EspoCRM's record {fresh.entity_id} changed since it was planned.")
    reads.espo, reads.espo_at = fresh, run.monotonic()


def refresh_advo(run: RunContext, reads: PersonReads) -> None:
    """Read Advoware's rows again; ``ConcurrentEdit`` when any differs from what the plan was made from."""
    rows_before = reads.advo.rows
    reads.advo, reads.advo_at = run.advo.fetch(reads.advo.betnr), run.monotonic()
    if reads.advo.rows != rows_before:
        raise ConcurrentEdit(f"The rows of {reads.advo.betnr} in Advoware changed since they were planned.")


def advo_steps(journal: PlanJournal) -> list[tuple[Decision, Step]]:
    """Advoware's writes with their decisions, in the plan's order, without those whose value EspoCRM did not store."""
    decision_of_step = {id(step): decision for decision in journal.plan.decisions for step in decision.steps}
    steps = [(decision_of_step[id(step)], step) for step in journal.plan.steps if step.side is Side.ADVO]
    return [(decision, step) for decision, step in steps if not journal.is_unstored(decision)]


def write_row(run: RunContext, journal: PlanJournal, decision: Decision, step: Step) -> AcknowledgedWrite | None:
    """Write one Kommunikation; ``None`` where Advoware refused a marker and the row stays without one.

    Raises ``Refused`` where the row would keep a marker that names another value: no value is to blame for that. What
    is refused with its marker is tried once more without it: if that is taken, no value was to blame.
    """
    unmarked_step = step_without_marker(step)
    try:
        try:
            return send_row(run, journal, decision, step, journal.change_id(step))
        except Refused as refusal:
            if unmarked_step is None or refusal.status not in VALUE_REFUSAL_STATUSES:
                raise
            change_id = journal_second_try(run, journal, decision, unmarked_step)
            return replace(send_row(run, journal, decision, unmarked_step, change_id), unmarked=True)
    except Refused as refusal:
        if refusal.status not in VALUE_REFUSAL_STATUSES or step.action in ACTIONS_WITHOUT_NEW_VALUE:
            raise
        if step.action == Action.MARK:
            if names_another_value(step, run.policy.region):
                raise
            return None
        mark_unsyncable(run, journal, step, f"Advoware refused it ({refusal.reason})", Side.ESPO)
        raise ConcurrentEdit(f"Advoware refused a value of {journal.plan.betnr}.") from refusal


def send_row(
    run: RunContext, journal: PlanJournal, decision: Decision, step: Step, change_id: int
) -> AcknowledgedWrite:
    """One write to Advoware, journalled as ``change_id``; the value that loses by it is kept with its *started*."""
    draft = RowDraft(
        step.new_value or "", step.new_remark or "", step.online, step.komm_kz if step.action == Action.CREATE else None
    )
    conflicts = conflict_records(run, journal, decision, step, change_id)
    row = put_row(run, change_id, journal.plan.betnr, step.komm_id, draft, conflicts)
    return AcknowledgedWrite(decision, step, row.komm_id, row.row_id or None, change_id)


def journal_second_try(run: RunContext, journal: PlanJournal, decision: Decision, step: Step) -> int:
    """Journal a second try of the same decision; the id of its row."""
    komm_ids_before = tuple(row.komm_id for row in run.reads[journal.plan.entity_id].rows)
    record = change_record(run, journal.plan, step, decision, komm_ids_before)
    keys = {"decision_id": journal.decision_id(decision), "seq": len(journal.plan.steps)}
    return save_changes(run.store, [record | keys | {"after": record["after"] | UNMARKED_IMAGE}])[0]


def conflict_records(
    run: RunContext, journal: PlanJournal, decision: Decision, step: Step, change_id: int
) -> list[dict[str, Any]]:
    """The value that loses by this write, the only one of its decision; to be kept with its *started* (rules §4)."""
    if decision.lost_value is None:
        return []
    item = decision.entry.item
    return [
        {
            "run_id": run.id,
            "change_id": change_id,
            "entity_id": journal.plan.entity_id,
            "betnr": journal.plan.betnr,
            "variant": decision.variant,
            "komm_id": step.komm_id,
            "channel": step.channel,
            "espo_value": item.item.value if item is not None else None,
            "advo_value": decision.lost_value,
            "kept": "espo",
            "reason": decision.reason,
            "created_at": run.utcnow(),
        }
    ]
