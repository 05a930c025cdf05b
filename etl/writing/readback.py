"""Compare the verifying GET with what was written; repair what Advoware did not store as sent (rules §5, §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import VerificationFailed
from etl.records import AdvoRecord, AdvoRow, RowDraft, Side
from etl.rules.entry import Decision, Step
from etl.rules.marker import decode
from etl.rules.truncation import (
    CREATING_ACTIONS,
    EDITED_SINCE,
    NOT_AS_SENT,
    REMARK_TOO_LONG,
    REVERT_ROW,
    TRUNCATED,
    UNMARK_ROW,
    WriteOutcome,
    slot_after_revert,
)
from etl.rules.truncation import classify_write as classify_row
from etl.store.tables.journal import save_changes
from etl.writing.journal import put_row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.context import PersonReads, RunContext
    from etl.enums import Action
    from etl.writing.journal import PlanJournal


@dataclass(frozen=True, slots=True)
class AcknowledgedWrite:
    """A write that Advoware acknowledged; ``row_id`` is the one it answered with, None if it named none.

    ``change_id`` is its journal row. ``unmarked``: it was refused with the marker of the plan, and sent without it.
    """

    decision: Decision
    step: Step
    komm_id: int
    row_id: str | None
    change_id: int
    unmarked: bool = False


@dataclass(frozen=True)
class ReadBack:
    """What the verifying GET shows of the writes. ``edited_by_others``: somebody edited rows we did not write."""

    advo: AdvoRecord
    outcomes: Mapping[int, WriteOutcome]
    edited_by_others: bool

    @property
    def has_truncation(self) -> bool:
        """Whether anything was not stored as sent."""
        return not (TRUNCATED | REMARK_TOO_LONG).isdisjoint(self.outcomes.values())


def read_back(run: RunContext, reads: PersonReads, writes: Sequence[AcknowledgedWrite]) -> ReadBack:
    """GET the person in Advoware and compare it with the rows written and the rows seen before.

    If a row just written is missing, it is read once more: taken for deleted, a row that was stored shortened would
    never be repaired, and its own text would be lost (rules §1, Completeness: what vanished needs two reads).
    """
    advo = run.advo.fetch(reads.advo.betnr)
    if {write.komm_id for write in writes} - {row.komm_id for row in advo.rows}:
        advo = run.advo.fetch(reads.advo.betnr)
    rows_after = {row.komm_id: row for row in advo.rows}
    rows_before = {row.komm_id: row for row in reads.advo.rows}
    last_writes = {write.komm_id: write for write in writes}
    outcomes = {
        komm_id: verify_write(write, rows_after.get(komm_id), rows_before.get(komm_id))
        for komm_id, write in last_writes.items()
    }
    others_before = {komm_id: row for komm_id, row in rows_before.items() if komm_id not in last_writes}
    others_after = {komm_id: row for komm_id, row in rows_after.items() if komm_id not in last_writes}
    return ReadBack(advo, outcomes, edited_by_others=others_before != others_after)


def verify_write(write: AcknowledgedWrite, row: AdvoRow | None, row_before: AdvoRow | None) -> WriteOutcome:
    """What became of one written row; ``VerificationFailed`` if Advoware acknowledged the write and did nothing."""
    outcome = classify_row(write.step.new_value, write.step.new_remark, write.row_id, row)
    if (
        outcome is not WriteOutcome.AS_SENT
        and row is not None
        and row_before is not None
        and row.row_id == row_before.row_id
    ):
        raise VerificationFailed(
            f"Advoware confirmed a write to Kommunikation {write.komm_id} but did not carry it out."
        )
    return outcome


def merge_readbacks(second: ReadBack, first: ReadBack, repairs: Sequence[AcknowledgedWrite]) -> ReadBack:
    """Both readings as one: a repaired row keeps its first outcome if the repair reads as sent, else the person fails.

    A reverted row keeps it even if somebody has edited it since: its pair is the one it was, or none.
    """
    for komm_id, outcome in second.outcomes.items():
        if outcome in TRUNCATED:
            raise VerificationFailed(
                f"Advoware stores Kommunikation {komm_id} shortened, whatever is written; look at its value and remark."
            )
    repaired_ids = {repair.komm_id for repair in repairs}
    reverted_ids = {repair.komm_id for repair in repairs if repair.step.action == REVERT_ROW}
    touched_rows = {komm_id: outcome for komm_id, outcome in second.outcomes.items() if outcome in EDITED_SINCE}
    edited_rows = {komm_id: outcome for komm_id, outcome in touched_rows.items() if komm_id not in reverted_ids}
    rows_now = {row.komm_id: row for row in second.advo.rows}
    rows_then = {row.komm_id: row for row in first.advo.rows}
    other_changes = {
        komm_id
        for komm_id in rows_now.keys() | rows_then.keys()
        if komm_id not in repaired_ids and rows_now.get(komm_id) != rows_then.get(komm_id)
    }
    edited_by_others = first.edited_by_others or bool(other_changes) or not reverted_ids.isdisjoint(touched_rows)
    return ReadBack(second.advo, {**first.outcomes, **edited_rows}, edited_by_others)


def revert_write(
    run: RunContext, journal: PlanJournal, write: AcknowledgedWrite, row: AdvoRow, other_texts: Collection[str]
) -> AcknowledgedWrite:
    """Revert a value that Advoware cannot hold; it stays in EspoCRM.

    A new row becomes a slot (see ``slot_after_revert``), any other row what it was. ``other_texts``: the own texts on
    the other rows of the entry.
    """
    step = write.step
    if step.action in CREATING_ACTIONS:
        value, remark = slot_after_revert(step.komm_kz, step.new_remark, row.remark, other_texts)
    else:
        value, remark = step.old_value or "", step.old_remark or ""
    draft = RowDraft(value, remark, step.online)
    return repair_write(run, journal, write, REVERT_ROW, (step.new_value, step.new_remark), draft)


def rewrite_without_marker(
    run: RunContext, journal: PlanJournal, write: AcknowledgedWrite, row: AdvoRow
) -> AcknowledgedWrite:
    """Write a remark that was cut off again without its marker, so that the own text is whole.

    The value is sent as it was read: somebody may have retyped it since.
    """
    draft = RowDraft(row.value or "", decode(write.step.new_remark).own_text, row.online)
    return repair_write(run, journal, write, UNMARK_ROW, (row.value, row.remark), draft)


def repair_write(
    run: RunContext,
    journal: PlanJournal,
    write: AcknowledgedWrite,
    action: Action,
    previous: tuple[str | None, str | None],
    draft: RowDraft,
) -> AcknowledgedWrite:
    """Send one repairing write, journalled like every other; ``previous``: the value and remark it overwrites."""
    old_value, old_remark = previous
    step = Step(
        Side.ADVO,
        action,
        write.step.channel,
        write.komm_id,
        write.step.komm_kz,
        old_value,
        draft.value,
        old_remark,
        draft.remark,
        draft.online,
    )
    change_id = save_changes(
        run.store,
        [
            {
                "run_id": run.id,
                "seq": 1000,
                "entity_id": journal.plan.entity_id,
                "betnr": journal.plan.betnr,
                "variant": write.decision.variant,
                "reason": NOT_AS_SENT,
                "side": Side.ADVO,
                "action": action,
                "komm_id": write.komm_id,
                "komm_kz": write.step.komm_kz,
                "channel": write.step.channel,
                "old_value": old_value,
                "new_value": draft.value,
                "old_remark": old_remark,
                "new_remark": draft.remark,
                "before": {"value": old_value, "remark": old_remark},
            }
        ],
    )[0]
    row = put_row(run, change_id, journal.plan.betnr, write.komm_id, draft)
    return AcknowledgedWrite(write.decision, step, write.komm_id, row.row_id or None, change_id)
