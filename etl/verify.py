"""The stage verify: read back what was written, move the baseline, write the status (rules §5 and §6, Validation).

The baseline of an entry moves only when the verifying GET shows what the plan foresaw. What reads otherwise was either
not stored as sent (the row still has the rowId that our write was answered with) or edited by somebody since. In the
first case it becomes unsyncable, in the second the person is due again at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.enums import ChangeState, LeftAloneReason, PersonStatus
from etl.errors import VerificationFailed
from etl.reading.snapshot import save_both_sides, shows_status
from etl.records import AdvoRow, Side
from etl.rules.entry import LeftAlone
from etl.rules.espo.items import has_same_items
from etl.rules.marker import decode
from etl.rules.snapshot_records import fingerprint_of_rows, row_records
from etl.rules.truncation import (
    CREATING_ACTIONS,
    EDITED_SINCE,
    NOT_AS_SENT,
    REMARK_TOO_LONG,
    REPAIR_ACTIONS,
    WriteOutcome,
)
from etl.store.tables.array_puts import clear_partial_puts
from etl.store.tables.baseline import save_left_alone, save_synced_betnr
from etl.store.tables.journal import close_plans, set_change_state
from etl.store.tables.persons import FAILURE_COLUMNS_CLEARED, update_person
from etl.store.tables.queue import NOT_DUE, mark_due
from etl.writing.baseline_moves import baseline_move, duplicate_notes, move_baseline
from etl.writing.espo_items import EDITED_MEANWHILE
from etl.writing.journal import PlanJournal, decisions_to_journal, store_answers
from etl.writing.readback import (
    AcknowledgedWrite,
    ReadBack,
    merge_readbacks,
    read_back,
    revert_write,
    rewrite_without_marker,
)
from etl.writing.status import StatusAnswer, post_conflict_notes, send_clean_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.context import PersonReads, RunContext

STATUS_NOT_WRITTEN = "its status could not be written"


def verify_person(run: RunContext, journal: PlanJournal, writes: Sequence[AcknowledgedWrite]) -> None:
    """Read Advoware back, repair what was not stored as sent, write EspoCRM's status and commit the person."""
    reads = run.reads[journal.plan.entity_id]
    readback = read_back(run, reads, writes)
    require_created_rows(run, writes, readback)
    if readback.has_truncation:
        readback = repair_truncation(run, journal, writes, readback)
    is_stable = not readback.edited_by_others and EDITED_SINCE.isdisjoint(readback.outcomes.values())
    records = row_records(readback.advo, run.policy.region, run.policy.table)
    if journal.failure is not None:  # its status PUT is the failure's
        commit_person(run, journal, writes, readback, StatusAnswer(reads.espo, {}), is_stable=False)
        raise journal.failure
    items_before = reads.espo.items
    answer = send_clean_status(run, reads.espo, fingerprint_of_rows(records) if is_stable else None)
    edited_in_espo = not has_same_items(items_before, answer.record.items)
    is_stable = is_stable and not edited_in_espo and not journal.edited_by_others
    with run.store.transaction_without_fsync():
        if edited_in_espo:
            mark_due(run.store, [journal.plan.entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
        commit_person(run, journal, writes, readback, answer, is_stable=is_stable)
    post_conflict_notes(run, journal.plan.entity_id)


def require_created_rows(run: RunContext, writes: Sequence[AcknowledgedWrite], readback: ReadBack) -> None:
    """Raise ``VerificationFailed`` for a new row that is not there: its value must not be taken for deleted.

    Advoware confirmed it but never stored it. Somebody who deletes a row in the moment between our write and our GET
    has to do so again; nothing is lost by that.
    """
    komm_ids = {row.komm_id for row in readback.advo.rows}
    missing_writes = [
        write for write in writes if write.step.action in CREATING_ACTIONS and write.komm_id not in komm_ids
    ]
    if missing_writes:
        error = VerificationFailed(
            f"Advoware confirmed a new Kommunikation {missing_writes[0].komm_id} but does not show it."
        )
        change_ids = [write.change_id for write in missing_writes]
        set_change_state(run.store, change_ids, ChangeState.FAILED, now=run.utcnow(), error=str(error))
        raise error


def repair_truncation(
    run: RunContext, journal: PlanJournal, writes: Sequence[AcknowledgedWrite], readback: ReadBack
) -> ReadBack:
    """Revert all writes of an entry whose value Advoware cannot hold; write remarks that are too long without marker.

    The last write is reverted first, so that an own text is back in its row before the row it was moved to is emptied.
    A row of the entry that somebody edited since stays as it is. If even these writes do not read as sent, the person
    fails and the writes in question count as failed: what Advoware then holds was never agreed on.
    """
    truncated_ids = {
        id(write.decision) for write in writes if readback.outcomes[write.komm_id] is WriteOutcome.VALUE_TRUNCATED
    }
    unsyncable_writes = [
        write
        for write in writes[::-1]
        if id(write.decision) in truncated_ids and readback.outcomes[write.komm_id] not in EDITED_SINCE
    ]
    other_writes = [write for write in writes if id(write.decision) not in truncated_ids]
    too_long_remarks = [write for write in other_writes if readback.outcomes[write.komm_id] in REMARK_TOO_LONG]
    rows = {row.komm_id: row for row in readback.advo.rows}
    try:
        require_first_repair((*unsyncable_writes, *too_long_remarks))
        with store_answers(run):
            repairs = [
                revert_write(
                    run, journal, write, rows[write.komm_id], own_texts_on_other_rows(write, unsyncable_writes, rows)
                )
                for write in unsyncable_writes
            ]
            repairs += [rewrite_without_marker(run, journal, write, rows[write.komm_id]) for write in too_long_remarks]
        return merge_readbacks(read_back(run, run.reads[journal.plan.entity_id], repairs), readback, repairs)
    except VerificationFailed as error:
        change_ids = [write.change_id for write in (*unsyncable_writes, *too_long_remarks)]
        set_change_state(run.store, change_ids, ChangeState.FAILED, now=run.utcnow(), error=str(error))
        raise


def own_texts_on_other_rows(
    write: AcknowledgedWrite, unsyncable_writes: Iterable[AcknowledgedWrite], rows: Mapping[int, AdvoRow]
) -> set[str]:
    """The own texts on the other rows of a write's entry, as they are now or will be once reverted."""
    texts = {decode(rows[komm_id].remark).own_text for komm_id in write.decision.ended_komm_ids if komm_id in rows}
    other_writes = [other for other in unsyncable_writes if other is not write and other.decision is write.decision]
    return texts | {decode(other.step.old_remark).own_text for other in other_writes}


def require_first_repair(truncated_writes: Iterable[AcknowledgedWrite]) -> None:
    """Raise ``VerificationFailed`` for a repair that does not read as sent: it would be repaired again for ever."""
    for write in truncated_writes:
        if write.step.action in REPAIR_ACTIONS:
            raise VerificationFailed(f"Advoware does not take back what Kommunikation {write.komm_id} was.")


def commit_person(
    run: RunContext,
    journal: PlanJournal,
    writes: Sequence[AcknowledgedWrite],
    readback: ReadBack,
    answer: StatusAnswer,
    *,
    is_stable: bool,
) -> None:
    """One transaction: snapshots, baseline, what is left alone, status, due mark, journal."""
    plan, now = journal.plan, run.utcnow()
    unstored = [decision for decision in decisions_to_journal(plan) if journal.is_unstored(decision)]
    rows = {row.komm_id: row for row in readback.advo.rows}
    fingerprint = fingerprint_of_rows(row_records(readback.advo, run.policy.region, run.policy.table))
    with run.store.transaction_without_fsync():
        move_baseline(
            run,
            plan.entity_id,
            [
                baseline_move(run, journal, decision, writes, readback, rows)
                for decision in plan.decisions
                if not journal.is_unstored(decision)
            ],
        )
        left_alone = (
            *plan.left_alone,
            *journal.shown_in_place,
            *truncation_notes(writes, readback),
            *duplicate_notes(run, journal, writes, rows),
        )
        save_left_alone(run.store, plan.entity_id, records_left_alone(plan.betnr, left_alone), now)
        columns = dict(answer.columns)
        if journal.failure is None:
            columns |= clean_columns(run, fingerprint if is_stable else None)
        if is_stable and not plan.replan:
            columns |= NOT_DUE
        save_both_sides(run, answer.record, readback.advo, columns)
        unstored_ids = {journal.decision_id(decision) for decision in unstored}
        close_plans(run.store, plan.entity_id, done_decisions=set(journal.decision_ids) - unstored_ids)
        if journal.failure is None:
            save_agreement(run, plan.entity_id, is_stable=is_stable)
        if not is_stable:
            mark_due(run.store, [plan.entity_id], EDITED_MEANWHILE, now)
        if not shows_status(run, answer.record, PersonStatus.CLEAN, fingerprint if is_stable else None):
            mark_due(run.store, [plan.entity_id], STATUS_NOT_WRITTEN, now)
    count_person(run, journal, len(left_alone))


def count_person(run: RunContext, journal: PlanJournal, left_alone: int) -> None:
    """Count for the report a person that was written."""
    entity_id = journal.plan.entity_id
    done_decisions = [
        decision for decision in journal.plan.decisions if decision.steps and not journal.is_unstored(decision)
    ]
    run.counters.changed |= {entity_id} if done_decisions else set()
    run.counters.clean |= {entity_id} if journal.failure is None else set()
    run.counters.left_alone += left_alone
    run.counters.conflicts += sum(decision.lost_value is not None for decision in journal.plan.decisions)
    run.counters.variants.update(decision.variant for decision in done_decisions)


def truncation_notes(writes: Iterable[AcknowledgedWrite], readback: ReadBack) -> list[LeftAlone]:
    """Notes about values that Advoware does not store as sent: they stay in EspoCRM only."""
    return [
        LeftAlone(
            Side.ESPO,
            LeftAloneReason.UNSYNCABLE,
            NOT_AS_SENT,
            write.decision.entry.item.item.value,
            write.decision.entry.row.komm_id if write.decision.entry.row is not None else None,
            channel=write.step.channel,
        )
        for write in writes
        if readback.outcomes[write.komm_id] is WriteOutcome.VALUE_TRUNCATED and write.decision.entry.item is not None
    ]


def records_left_alone(betnr: int, notes: Iterable[LeftAlone]) -> list[dict[str, Any]]:
    """Notes as rows of the table ``left_alone``."""
    return [
        {
            "betnr": betnr,
            "side": note.side,
            "komm_id": note.komm_id,
            "channel": note.channel,
            "value": note.value,
            "reason": note.reason,
            "direction": note.direction,
            "detail": note.detail,
        }
        for note in notes
    ]


def clean_columns(run: RunContext, fingerprint: str | None, empty_side: Side | None = None) -> dict[str, Any]:
    """The person's columns after a success; ``fingerprint`` None when not everything read as foreseen.

    ``empty_side``: the side that no longer shows any known entry, without a write of ours; it is not waited for again.
    """
    return {
        "status": PersonStatus.CLEAN,
        "last_sync_at": run.utcnow(),
        **FAILURE_COLUMNS_CLEARED,
        "waiting_side": empty_side,
        **({} if fingerprint is None else {"fingerprint": fingerprint}),
    }


def save_agreement(run: RunContext, entity_id: str, *, is_stable: bool) -> None:
    """Store the betnr the person was synced with; if everything read as foreseen, no PUT is stored in part any more."""
    if is_stable:
        clear_partial_puts(run.store, entity_id)
    save_synced_betnr(run.store, entity_id, run.reads[entity_id].advo.betnr)


def commit_without_writes(run: RunContext, journal: PlanJournal | None, reads: PersonReads) -> None:
    """Commit a person with nothing to write: the baseline follows both sides; one PUT if the status is old."""
    entity_id = reads.espo.entity_id
    records = row_records(reads.advo, run.policy.region, run.policy.table)
    fingerprint = fingerprint_of_rows(records)
    answer, is_stable = StatusAnswer(reads.espo, {}), True
    if not shows_status(run, reads.espo, PersonStatus.CLEAN, fingerprint):
        answer = send_clean_status(run, reads.espo, fingerprint)
        is_stable = has_same_items(reads.espo.items, answer.record.items)
    is_shown = shows_status(run, answer.record, PersonStatus.CLEAN, fingerprint)
    empty_side = journal.plan.empty_side if journal is not None else None
    columns = {**answer.columns, **clean_columns(run, fingerprint if is_stable else None, empty_side)}
    if is_stable and is_shown and (journal is None or not journal.plan.replan):
        columns |= NOT_DUE
    with run.store.transaction_without_fsync():
        if journal is not None:
            rows = {row.komm_id: row for row in reads.advo.rows}
            readback = ReadBack(reads.advo, {}, edited_by_others=False)
            moves = [
                baseline_move(run, journal, decision, (), readback, rows) for decision in journal.plan.decisions
            ]
            move_baseline(run, entity_id, moves)
            save_left_alone(
                run.store, entity_id, records_left_alone(reads.advo.betnr, journal.plan.left_alone), run.utcnow()
            )
            run.counters.left_alone += len(journal.plan.left_alone)
        close_plans(run.store, entity_id, done_decisions=journal.decision_ids if journal is not None else ())
        if is_stable:
            update_person(run.store, entity_id, **columns)
        else:
            save_both_sides(run, answer.record, reads.advo, columns)
        save_agreement(run, entity_id, is_stable=is_stable)
        if not is_stable:
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
        elif not is_shown:
            mark_due(run.store, [entity_id], STATUS_NOT_WRITTEN, run.utcnow())
    run.counters.clean.add(entity_id)
