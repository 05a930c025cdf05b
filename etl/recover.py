"""The stage recover: before a person is planned, find out what became of the writes of an unfinished run (rules §5).

A write that is *done* counts as done, unless its row still has the rowId from before the write: then Advoware confirmed
what it did not do (every write gives a row another rowId; Advoware §2). *started* and *unknown* are settled by reading:
a PUT arrived if its row carries the marker or slot it was to get, a POST if a row that did not exist before carries its
marker (or if either shows what was sent, only shortened). An array PUT, acknowledged or not, is judged value by value,
as ``etl.reading.own_arrays`` says, until a read has shown what became of it. No write is ever repeated on suspicion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etl.enums import Action, ChangeState, LeftAloneReason, NoteCause
from etl.reading.current_state import load_current_state, plan_of_decisions
from etl.reading.own_arrays import espo_changes, is_judged, item_with_value, journal_judgement, judge_open_puts
from etl.records import AdvoRecord, AdvoRow, Channel, EspoRecord, Side
from etl.rules.marker import MarkerKind, decode, is_same_text
from etl.rules.same_value import is_value_in_new_row
from etl.rules.truncation import find_pending_repair, is_own_text_truncated, is_truncated, repair_decisions
from etl.rules.unclear import pair_split_notes, recompute_pair
from etl.rules.values.canonical import canonical
from etl.rules.variants import Resolution, Variant
from etl.store.tables.baseline import BASELINE_COLUMNS, BASELINE_KEY, add_left_alone, delete_pairs, save_baseline
from etl.store.tables.conflicts import delete_conflicts
from etl.store.tables.journal import (
    ChangeProgress,
    close_plans,
    has_open_plan,
    open_changes,
    open_decisions,
    save_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.context import RunContext
    from etl.rules.plan import PersonPlan

DONE_WITH_ESPO_WRITE = frozenset({Variant.VAR3, Variant.VAR4, Variant.VAR6, Variant.LINK, Variant.REPAIR, Variant.SAME})
"""Once EspoCRM's arrays are written (or needed no write), both sides hold these values, with or without a marker."""

ChangeRow = Mapping[str, Any]


def recover_person(run: RunContext, entity_id: str, espo: EspoRecord, advo: AdvoRecord) -> None:
    """Move the baseline to what was done for this person and close its old plans. Call inside a transaction.

    What Advoware shortened before it was read back stays open and goes into ``run.pending_repairs``: it is repaired
    before anything else is planned.
    """
    run.pending_repairs.pop(entity_id, None)
    if not has_open_plan(run.store, entity_id):
        return
    changes = open_changes(run.store, [entity_id])
    if not changes:
        close_plans(run.store, entity_id)
        return
    judged_by_id = judge_espo_changes(run, changes, espo)
    final_changes = [judged_by_id.get(change["id"]) or resolve_advo_change(run, change, advo) for change in changes]
    done_changes = [change for change in final_changes if change["state"] == ChangeState.DONE]
    repair = find_pending_repair(done_changes, advo.rows)
    if repair.change_ids:
        run.pending_repairs[entity_id] = repair
    if done_changes:
        for decision in open_decisions(run.store, [entity_id]):
            if decision["id"] in repair.edited_decisions:
                delete_pairs(run.store, entity_id, decision["drops"])
            elif decision["id"] in repair.reverted_decisions:
                keep_recovery_pair(run, decision)
            else:
                recover_baseline(run, decision, done_changes, espo, advo, repair.remarks_without_marker)
    close_plans(run.store, entity_id, keep_change_ids=repair.change_ids)


def repair_plan(run: RunContext, entity_id: str) -> PersonPlan:
    """The plan that repairs what a broken-off run left shortened; the person stays due for everything else."""
    reads = run.reads[entity_id]
    return plan_of_decisions(reads, *repair_decisions(run.pending_repairs[entity_id], load_current_state(run, reads)))


def judge_espo_changes(run: RunContext, changes: Sequence[ChangeRow], espo: EspoRecord) -> dict[int, ChangeRow]:
    """EspoCRM's changes by id, with the state that the record shows; those an earlier read has judged keep theirs."""
    unjudged = [change for change in espo_changes(changes) if not is_judged(run, change)]
    final_changes = journal_judgement(run, unjudged, espo, judge_open_puts(run, unjudged, espo)) if unjudged else []
    return {change["id"]: change for change in final_changes}


def resolve_advo_change(run: RunContext, change: ChangeRow, advo: AdvoRecord) -> ChangeRow:
    """The change as *done* or *failed*; where the answer never came, Advoware's rows tell which."""
    if change["state"] == ChangeState.DONE and not was_ignored(change, advo):
        return change
    arrived, komm_id = find_written_row(change, advo)
    state = ChangeState.DONE if arrived else ChangeState.FAILED
    error = None if arrived else "did not arrive"
    save_progress(run.store, [ChangeProgress(change["id"], state, run.utcnow(), error, komm_id=komm_id)])
    if not arrived and has_old_value(change, advo):
        delete_conflicts(run.store, [change["id"]])
    return {**change, "state": state, "komm_id": komm_id or change["komm_id"]}


def has_old_value(change: ChangeRow, advo: AdvoRecord) -> bool:
    """Whether the row still shows the value that this write would have overwritten.

    If it shows another one, a person may have retyped what our write left there, and a write that kept the marker
    leaves no other trace. So the value that lost stays in ``conflicts``, at worst for nothing.
    """
    return any((row.komm_id, row.value) == (change["komm_id"], change["old_value"]) for row in advo.rows)


def was_ignored(change: ChangeRow, advo: AdvoRecord) -> bool:
    """Whether Advoware confirmed this write and did nothing: the row still has the rowId from before it."""
    row_id = (change["before"] or {}).get("row_id") if change["side"] == "advo" else None
    return bool(row_id) and any((row.komm_id, row.row_id) == (change["komm_id"], row_id) for row in advo.rows)


def find_written_row(change: ChangeRow, advo: AdvoRecord) -> tuple[bool, int | None]:
    """Whether the write arrived, and for a creation, in which new row."""
    if change["action"] != Action.CREATE:
        rows = [row for row in advo.rows if row.komm_id == change["komm_id"]]
        return any(shows_write(row, change) or has_arrived_truncated(row, change) for row in rows), None
    komm_ids_before = set((change["before"] or {}).get("komm_ids", ()))
    new_komm_ids = [
        row.komm_id
        for row in advo.rows
        if row.komm_id not in komm_ids_before
        and (shows_write(row, change) or shows_truncated_write(row, change))
    ]
    return bool(new_komm_ids), min(new_komm_ids, default=None)


def shows_write(row: AdvoRow, change: ChangeRow) -> bool:
    """Whether a row shows that a write arrived: by its marker, or by its value where the marker proves nothing.

    It proves nothing where the write has none, or the one that stood there before, as a revert has (rules §5 names the
    marker only).
    """
    has_marker = decode(change["new_remark"]).kind in (MarkerKind.MARKER, MarkerKind.SLOT)
    had_same_marker = has_same_marker(change["old_remark"], change["new_remark"])
    needs_no_value = (has_marker and not had_same_marker) or is_same_text(row.value, change["new_value"])
    return has_same_marker(row.remark, change["new_remark"]) and needs_no_value


def has_arrived_truncated(row: AdvoRow, change: ChangeRow) -> bool:
    """Whether a PUT arrived and was stored shorter than sent, its marker perhaps cut in two."""
    was_overwritten = row.row_id != (change["before"] or {}).get("row_id")
    return was_overwritten and shows_truncated_write(row, change)


def shows_truncated_write(row: AdvoRow, change: ChangeRow) -> bool:
    """Whether a row shows what was sent, only shorter; somebody may have retyped its value since."""
    is_remark_truncated = row.remark != change["old_remark"] and is_own_text_truncated(change["new_remark"], row.remark)
    return is_remark_truncated or is_truncated(change["new_value"], change["new_remark"], row)


def has_same_marker(remark: str | None, sent: str | None) -> bool:
    """Whether a remark begins with the marker that was sent; without one, whether it is what was sent."""
    sent_parts, parts = decode(sent), decode(remark)
    if sent_parts.value is None and sent_parts.komm_kz is None:
        return is_same_text(remark, sent)
    return (sent_parts.kind, sent_parts.value, sent_parts.komm_kz) == (parts.kind, parts.value, parts.komm_kz)


def recover_baseline(
    run: RunContext,
    decision: ChangeRow,
    done_changes: Sequence[ChangeRow],
    espo: EspoRecord,
    advo: AdvoRecord,
    unmarked_remarks: Mapping[int, str],
) -> None:
    """Move the baseline of one decided entry to what its completed writes left on both sides.

    ``unmarked_remarks``: the remarks that were written without a marker on purpose, by komm_id.
    """
    decision_changes = [change for change in done_changes if change["decision_id"] == decision["id"]]
    if not counts_as_done(
        decision, decision_changes, [change for change in done_changes if change["run_id"] == decision["run_id"]]
    ):
        return
    if decision["foreseen"] is not None:
        recomputed = recompute_pair(decision["foreseen"], run.policy.region)
        if recomputed is None:
            # an earlier version foresaw a pair that is none: kept as one, deleting one half would empty the other
            delete_pairs(run.store, decision["entity_id"], decision["drops"])
            ended_pair = {**decision["foreseen"], "komm_id": komm_id_of_pair(decision, decision_changes)}
            for note in pair_split_notes(ended_pair):
                add_left_alone(run.store, decision["entity_id"], note, run.utcnow())
            return
        decision = {**decision, "foreseen": recomputed}
    half_retype = half_retype_baseline(run, decision, decision_changes, advo)
    if half_retype is not None:
        save_baseline(run.store, [half_retype], run.utcnow())
        return
    delete_pairs(run.store, decision["entity_id"], decision["drops"])
    duplicates = [change for change in decision_changes if is_duplicate_creation(run, change, advo)]
    for change in duplicates:
        add_left_alone(run.store, decision["entity_id"], duplicate_record(change, advo), run.utcnow())
    if decision["foreseen"] is not None and not duplicates:
        komm_id = komm_id_of_pair(decision, decision_changes)
        remark = unmarked_remarks.get(komm_id or 0)
        unmarked_columns = {} if remark is None else {"unmarked": True, "remark": remark}
        next_baseline = record_with_espo_spelling(run, decision["foreseen"], decision_changes, espo)
        save_baseline(run.store, [{**next_baseline, "komm_id": komm_id, **unmarked_columns}], run.utcnow())


def komm_id_of_pair(decision: ChangeRow, decision_changes: Sequence[ChangeRow]) -> int | None:
    """The komm_id of the pair that a decision foresaw: the one it had, or the one its writes created."""
    new_komm_ids: Iterator[int] = (change["komm_id"] for change in decision_changes if change["komm_id"])
    komm_id: int | None = decision["foreseen"]["komm_id"]
    return komm_id or next(new_komm_ids, None)


def record_with_espo_spelling(
    run: RunContext, record: Mapping[str, Any], decision_changes: Sequence[ChangeRow], espo: EspoRecord
) -> Mapping[str, Any]:
    """The pair; with spelling and type as EspoCRM shows them, if our own PUT brought the value."""
    sent_change = next((change for change in espo_changes(decision_changes) if change["new_value"]), None)
    if sent_change is None:
        return record
    item = item_with_value(espo.items, Channel(sent_change["channel"]), sent_change["new_value"], run.policy.region)
    if item is None:
        return record
    has_sent_type = record["espo_type"] == sent_change["after"]["type"]
    return {**record, "espo_value": item.value, "espo_type": item.type if has_sent_type else record["espo_type"]}


def is_duplicate_creation(run: RunContext, change: ChangeRow, advo: AdvoRecord) -> bool:
    """Whether another row, which was not there when this creation was planned, holds the value it wrote."""
    if change["action"] != Action.CREATE:
        return False
    komm_ids_before = {*(change["before"] or {}).get("komm_ids", ()), change["komm_id"]}
    return is_value_in_new_row(
        advo.rows, komm_ids_before, Channel(change["channel"]), change["new_value"], run.policy.region
    )


def duplicate_record(change: ChangeRow, advo: AdvoRecord) -> dict[str, Any]:
    """The note about a row we created beside another one of its value: that one is the pair, ours becomes a slot."""
    value = next((row.value for row in advo.rows if row.komm_id == change["komm_id"]), None)
    columns = {name: change[name] for name in ("betnr", "komm_id", "channel")}
    return {
        **columns,
        "side": Side.ADVO,
        "value": value or "",
        "reason": LeftAloneReason.DUPLICATE,
        "detail": NoteCause.OWN_LEFTOVER,
    }


def keep_recovery_pair(run: RunContext, decision: ChangeRow) -> None:
    """Keep the pair of what was put back; one that a recovery took from a marker thereby enters the baseline."""
    base = (decision["facts"] or {}).get("base")
    if base is not None and base["pseudo"]:
        pair = {column: base[column] for column in (*BASELINE_KEY, *BASELINE_COLUMNS) if column in base}
        keys = {"entity_id": decision["entity_id"], "betnr": decision["betnr"], "channel": decision["channel"]}
        save_baseline(run.store, [{**pair, **keys}], run.utcnow())


def counts_as_done(
    decision: ChangeRow, decision_changes: Sequence[ChangeRow], run_changes: Sequence[ChangeRow]
) -> bool:
    """Whether to believe that both sides hold what the decision foresaw; ``facts`` were written with the plan."""
    facts = decision["facts"] or {}
    if Variant(decision["variant"]) not in DONE_WITH_ESPO_WRITE or is_revert(decision):
        return bool(decision_changes)
    if facts.get("writes_espo"):
        return any(change["side"] == "espo" for change in decision_changes)
    return any(change["side"] == "espo" for change in run_changes) if facts.get("array") else bool(run_changes)


def is_revert(decision: ChangeRow) -> bool:
    """Whether the decision reverted Advoware instead of carrying the variant out."""
    return bool((decision["facts"] or {}).get("verdict") == Resolution.REVERT)


def half_retype_baseline(
    run: RunContext, decision: ChangeRow, decision_changes: Sequence[ChangeRow], advo: AdvoRecord
) -> dict[str, Any] | None:
    """The baseline row of a retype that broke off before its old row became a slot; None where that does not apply.

    The new row is the pair and the old one is still to become a slot (``other_row``). But if the old row was given
    another value meanwhile, it stays the pair and the new one is to become the slot. A row that existed before, and was
    only marked, must not become a slot: it stays the pair, and the old row is unlinked.
    """
    if decision["variant"] != Variant.RETYPE or any(change["action"] == Action.EMPTY for change in decision_changes):
        return None
    new_change = next(
        (change for change in decision_changes if change["action"] in (Action.CREATE, Action.FILL, Action.MARK)), None
    )
    old_row = next((row for row in advo.rows if row.komm_id == decision["komm_id"]), None)
    if new_change is None or old_row is None or not old_row.value:
        return None
    foreseen = decision["foreseen"]
    delete_pairs(run.store, decision["entity_id"], decision["drops"])
    channel = Channel(foreseen["channel"])
    if canonical(channel, old_row.value, run.policy.region) == foreseen["advo_canonical"]:
        return {**foreseen, "komm_id": new_change["komm_id"], "other_row": old_row.komm_id}
    if new_change["action"] == Action.MARK:
        return {**foreseen}
    columns = {
        "komm_id": old_row.komm_id,
        "other_row": new_change["komm_id"],
        "komm_kz": (decision["facts"] or {}).get("old_komm_kz"),
        "row_id": None,
    }
    return {**foreseen, **columns}
