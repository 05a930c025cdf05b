"""What becomes of the baseline once a person's writes were read back: per entry, then in one go (rules §5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.enums import Action, LeftAloneReason, NoteCause
from etl.reading.own_arrays import item_with_value
from etl.records import AdvoRow, Side
from etl.rules.entry import Decision, LeftAlone
from etl.rules.left_alone import next_baseline_from_marker
from etl.rules.same_value import is_value_in_new_row
from etl.rules.truncation import EDITED_SINCE, WriteOutcome, names_another_value
from etl.store.tables.baseline import delete_pairs, save_baseline
from etl.writing.journal import PlanJournal, baseline_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.context import RunContext
    from etl.rules.entry import NextBaseline
    from etl.writing.readback import AcknowledgedWrite, ReadBack


class BaselineMove(NamedTuple):
    """What becomes of the baseline of one entry: first the rows whose pairs end, then the pair that is agreed."""

    ended_komm_ids: Iterable[int] = ()
    pair: Mapping[str, Any] | None = None


def move_baseline(run: RunContext, entity_id: str, moves: Iterable[BaselineMove]) -> None:
    """Carry out the moves of one person in their order, with the same result as one by one."""
    ended_komm_ids: set[int] = set()
    pairs: dict[int, Mapping[str, Any]] = {}
    for move in moves:
        ended_komm_ids |= set(move.ended_komm_ids)
        pairs = {komm_id: pair for komm_id, pair in pairs.items() if komm_id not in move.ended_komm_ids}
        if move.pair is not None:
            pairs[move.pair["komm_id"]] = move.pair
    if ended_komm_ids:
        delete_pairs(run.store, entity_id, ended_komm_ids)
    save_baseline(run.store, pairs.values(), run.utcnow())


def baseline_move(
    run: RunContext,
    journal: PlanJournal,
    decision: Decision,
    writes: Sequence[AcknowledgedWrite],
    readback: ReadBack,
    rows: Mapping[int, AdvoRow],
) -> BaselineMove:
    """The move of one entry: to what the plan foresaw, where that was stored or somebody has edited it since."""
    if decision.keeps_baseline:
        return BaselineMove()
    decision_writes = [write for write in writes if write.decision is decision]
    if any(readback.outcomes[write.komm_id] is WriteOutcome.VALUE_TRUNCATED for write in decision_writes):
        return baseline_move_after_revert(run, journal, decision, decision_writes, readback)
    row = decision.entry.row
    is_row_unchanged = row is None or (row.komm_id in rows and rows[row.komm_id].row_id == row.row_id)
    if not decision.steps and not is_row_unchanged:
        return BaselineMove()
    pair = decision.next_baseline
    if pair is None or (pair.komm_id is None and has_duplicate_row(run, journal, decision_writes[0], rows)):
        return BaselineMove(decision.ended_komm_ids)
    komm_id = pair.komm_id if pair.komm_id is not None else decision_writes[0].komm_id
    lacks_marker = any(
        write.unmarked or readback.outcomes[komm_id] is WriteOutcome.REMARK_TRUNCATED
        for write in decision_writes
        if write.komm_id == komm_id
    )
    pair = with_espo_spelling(run, journal, decision, pair)
    record = baseline_record(
        journal.plan, pair, run.policy.region, komm_id=komm_id, row_id=rows[komm_id].row_id if komm_id in rows else None
    )
    if lacks_marker or is_marker_refused(decision, decision_writes, run.policy.region):
        record |= {"unmarked": True, "remark": rows[komm_id].remark if komm_id in rows else None}
    return BaselineMove(decision.ended_komm_ids, record)


def baseline_move_after_revert(
    run: RunContext,
    journal: PlanJournal,
    decision: Decision,
    decision_writes: Sequence[AcknowledgedWrite],
    readback: ReadBack,
) -> BaselineMove:
    """The move of an entry whose writes were reverted because Advoware could not hold its value."""
    if any(
        readback.outcomes[write.komm_id] in EDITED_SINCE for write in decision_writes
    ):  # somebody has edited its row since
        return BaselineMove(decision.ended_komm_ids)
    marker_pair = next_baseline_from_marker(
        decision.entry
    )  # reverted to what the marker said, which is in no baseline row yet
    if marker_pair is None:
        return BaselineMove()
    return BaselineMove(pair=baseline_record(journal.plan, marker_pair, run.policy.region))


def with_espo_spelling(run: RunContext, journal: PlanJournal, decision: Decision, pair: NextBaseline) -> NextBaseline:
    """The pair with spelling and type as the read after our PUT showed them, whatever we sent.

    EspoCRM keeps both on the address row, which other records share and may protect (EspoCRM fact B7). A type that the
    plan kept for a later retype stays.
    """
    sent_item = next((step.item for step in decision.steps if step.side is Side.ESPO and step.item is not None), None)
    if sent_item is None:
        return pair
    shown_item = item_with_value(
        run.reads[journal.plan.entity_id].items, sent_item.channel, sent_item.value, run.policy.region
    )
    if shown_item is None:
        return pair
    espo_type = shown_item.type if pair.espo_type == sent_item.type else pair.espo_type
    return replace(pair, espo_value=shown_item.value, espo_type=espo_type)


def has_duplicate_row(
    run: RunContext, journal: PlanJournal, write: AcknowledgedWrite, rows: Mapping[int, AdvoRow]
) -> bool:
    """Whether a row we did not know of holds the value that we have just created a row for."""
    known_komm_ids = {row.komm_id for row in run.reads[journal.plan.entity_id].rows} | {write.komm_id}
    return is_value_in_new_row(
        rows.values(), known_komm_ids, write.step.channel, write.step.new_value, run.policy.region
    )


def duplicate_notes(
    run: RunContext, journal: PlanJournal, writes: Sequence[AcknowledgedWrite], rows: Mapping[int, AdvoRow]
) -> list[LeftAlone]:
    """Notes about rows we created whose value turned up in another row: that one is the pair, ours becomes a slot."""
    return [
        LeftAlone(
            Side.ADVO,
            LeftAloneReason.DUPLICATE,
            NoteCause.OWN_LEFTOVER,
            rows[write.komm_id].value or "",
            write.komm_id,
            channel=write.step.channel,
        )
        for write in writes
        if write.step.action == Action.CREATE and write.komm_id in rows and has_duplicate_row(run, journal, write, rows)
    ]


def is_marker_refused(decision: Decision, decision_writes: Sequence[AcknowledgedWrite], region: str) -> bool:
    """Whether the marker of this decision was refused for good: planned, not written, and not to be tried again."""
    marks = [step for step in decision.steps if step.action == Action.MARK]
    return not decision_writes and bool(marks) and not any(names_another_value(step, region) for step in marks)
