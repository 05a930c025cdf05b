"""The last stage: read back what was written, move the baseline, renew the status (rules.md §5 and §6, Validation).

The baseline moves for an entry only when the verifying GET shows what the plan foresaw. What reads otherwise was either
not stored as sent (the rowId is the one our write was answered with) or edited by somebody since; the first becomes
unsyncable, the second makes the person due again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from etl.errors import PersonError, UnknownOutcome, Unverified
from etl.extract import save_look
from etl.guard import Saved, baseline_record
from etl.records import AdvoPerson, EspoRecord, Row, RowDraft, Side
from etl.rules.entry import Decision, Left, Step
from etl.rules.items import same_items
from etl.rules.marker import decode, encode_slot
from etl.rules.observed import fingerprint_of, row_records
from etl.run import Look, Run
from etl.status import renew_status
from etl.store.baseline import drop_baseline, save_baseline, save_left_alone
from etl.store.conflicts import conflicts_to_note, mark_noted
from etl.store.due import clear_due, mark_due
from etl.store.journal import save_changes, set_decision_state, settle
from etl.store.persons import update_person
from etl.writing import put_row

CREATING = frozenset({"create", "fill"})


class Reading(StrEnum):
    """What the verifying GET says of one written row."""

    AS_SENT = "as sent"
    VALUE_CUT = "value not stored as sent"
    REMARK_CUT = "remark not stored as sent"
    EDITED = "edited since"


@dataclass(frozen=True, slots=True)
class Written:
    """A write Advoware acknowledged; ``row_id`` is the one it answered with, None where it did not say."""

    decision: Decision
    step: Step
    komm_id: int
    row_id: str | None


@dataclass(frozen=True)
class ReadBack:
    """The verifying GET against what was written. ``disturbed``: somebody edited rows we did not write."""

    advo: AdvoPerson
    readings: Mapping[int, Reading]
    disturbed: bool


def verify_person(run: Run, saved: Saved, written: Sequence[Written]) -> None:
    """Read Advoware back, mend what was not stored as sent, renew EspoCRM's status and commit the person."""
    look = run.looks[saved.plan.entity_id]
    back = read_back(run, look, written)
    unsyncable = [one for one in written if back.readings[one.komm_id] is Reading.VALUE_CUT]
    too_long = [one for one in written if back.readings[one.komm_id] is Reading.REMARK_CUT]
    if unsyncable or too_long:
        mended = [put_back(run, saved, one) for one in unsyncable] + [without_marker(run, saved, one) for one in too_long]
        back = mended_readings(read_back(run, look, mended), back, unsyncable, too_long)
    settled = not back.disturbed and Reading.EDITED not in back.readings.values()
    records = row_records(back.advo, run.policy.region, run.policy.table)
    espo = renew_status(run, look.espo, fingerprint_of(records) if settled else None)
    undisturbed = settled and same_items(saved.plan.expected_items, espo.items)
    commit_person(run, saved, written, back, espo, at_rest=undisturbed)
    note_conflicts(run, saved.plan.entity_id)


def read_back(run: Run, look: Look, written: Sequence[Written]) -> ReadBack:
    """One GET of the person in Advoware, compared with the rows written and the rows seen before."""
    advo = run.advoware.fetch(look.advo.betnr)
    found = {row.komm_id: row for row in advo.rows}
    before = {row.komm_id: row for row in look.advo.rows}
    last = {one.komm_id: one for one in written}
    readings = {komm_id: reading(one, found.get(komm_id), before.get(komm_id)) for komm_id, one in last.items()}
    others_before = {komm_id: row for komm_id, row in before.items() if komm_id not in last}
    others_found = {komm_id: row for komm_id, row in found.items() if komm_id not in last}
    return ReadBack(advo, readings, disturbed=others_before != others_found)


def reading(one: Written, found: Row | None, before: Row | None) -> Reading:
    """What became of one written row; ``Unverified`` when Advoware acknowledged a write and did nothing."""
    if found is None:
        return Reading.EDITED
    value_as_sent = (found.value or "") == (one.step.new_value or "")
    remark_as_sent = (found.remark or "") == (one.step.new_remark or "")
    if value_as_sent and remark_as_sent:
        return Reading.AS_SENT
    if before is not None and found.row_id == before.row_id:
        raise Unverified(f"Advoware confirmed a write to Kommunikation {one.komm_id} but did not carry it out.")
    ours = found.row_id == one.row_id if one.row_id else shortened(one.step, found)
    if not ours:
        return Reading.EDITED
    return Reading.REMARK_CUT if value_as_sent else Reading.VALUE_CUT


def shortened(step: Step, found: Row) -> bool:
    """Where Advoware's answer named no rowId: whether the row shows what was sent, only cut."""
    return (step.new_value or "").startswith(found.value or "") and (step.new_remark or "").startswith(found.remark or "")


def put_back(run: Run, saved: Saved, one: Written) -> Written:
    """A value Advoware cannot hold: a new row becomes a slot, any other what it was; the value stays in EspoCRM."""
    step = one.step
    if step.action in CREATING:
        value, remark = "", encode_slot(step.komm_kz or 1, "")
    else:
        value, remark = step.old_value or "", step.old_remark or ""
    return written_again(run, saved, one, "put_back", value, remark)


def without_marker(run: Run, saved: Saved, one: Written) -> Written:
    """A remark that was cut with its marker: written without it, so that the person's own text is whole."""
    return written_again(run, saved, one, "unmark", one.step.new_value or "", decode(one.step.new_remark).own_text)


def written_again(run: Run, saved: Saved, one: Written, action: str, value: str, remark: str) -> Written:
    """One mending write, journalled like every other."""
    step = Step(
        Side.ADVO, action, one.step.channel, one.komm_id, one.step.komm_kz, one.step.new_value, value, one.step.new_remark, remark, one.step.online
    )
    change = save_changes(
        run.store,
        [
            {
                "run_id": run.id,
                "seq": 1000,
                "entity_id": saved.plan.entity_id,
                "betnr": saved.plan.betnr,
                "variant": one.decision.variant,
                "reason": "not stored as sent",
                "side": Side.ADVO,
                "action": action,
                "komm_id": one.komm_id,
                "komm_kz": one.step.komm_kz,
                "channel": one.step.channel,
                "old_value": one.step.new_value,
                "new_value": value,
                "old_remark": one.step.new_remark,
                "new_remark": remark,
                "before": {"value": one.step.new_value, "remark": one.step.new_remark},
            }
        ],
    )[0]
    row = put_row(run, change, saved.plan.betnr, one.komm_id, RowDraft(value, remark, one.step.online))
    return Written(one.decision, step, one.komm_id, row.row_id or None)


def mended_readings(again: ReadBack, first: ReadBack, unsyncable: Sequence[Written], too_long: Sequence[Written]) -> ReadBack:
    """Both readings as one: what was mended keeps its verdict when the mending reads as sent, else the person fails."""
    for komm_id, found in again.readings.items():
        if found in (Reading.VALUE_CUT, Reading.REMARK_CUT):
            raise Unverified(f"Advoware stores Kommunikation {komm_id} shortened, whatever is written; look at its value and remark.")
    mended = {one.komm_id for one in (*unsyncable, *too_long)}
    edited = {komm_id: found for komm_id, found in again.readings.items() if found is Reading.EDITED}
    now = {row.komm_id: row for row in again.advo.rows}
    then = {row.komm_id: row for row in first.advo.rows}
    others = {key for key in now.keys() | then.keys() if key not in mended and now.get(key) != then.get(key)}
    return ReadBack(again.advo, {**first.readings, **edited}, disturbed=first.disturbed or bool(others))


def commit_person(run: Run, saved: Saved, written: Sequence[Written], back: ReadBack, espo: EspoRecord, *, at_rest: bool) -> None:
    """One transaction: snapshots, baseline, what is left alone, status, due mark, journal."""
    plan, now = saved.plan, run.utcnow()
    found = {row.komm_id: row for row in back.advo.rows}
    with run.store.transaction():
        for decision in plan.decisions:
            move_baseline(run, saved, decision, written, back, found)
        save_left_alone(run.store, plan.entity_id, left_records(plan.betnr, (*plan.left, *cut_values(written, back))), now)
        save_look(run, espo, back.advo)
        set_decision_state(run.store, saved.decision_ids, "done")
        settle(run.store, plan.entity_id)
        finish_person(run, plan.entity_id, fingerprint_of(row_records(back.advo, run.policy.region, run.policy.table)), at_rest=at_rest)
        clear_due(run.store, [plan.entity_id]) if at_rest and not plan.again else None
        if not at_rest:
            mark_due(run.store, [plan.entity_id], "edited while it was synced", now, edited_by_other=True)
    run.tally.changed.add(plan.entity_id)
    run.tally.clean.add(plan.entity_id)
    run.tally.left_alone += len(plan.left)
    run.tally.conflicts += sum(decision.lost is not None for decision in plan.decisions)
    for decision in plan.decisions:
        if decision.steps:
            run.tally.variants[decision.variant] += 1


def move_baseline(run: Run, saved: Saved, decision: Decision, written: Sequence[Written], back: ReadBack, found: Mapping[int, Row]) -> None:
    """Move one entry's baseline row to what the plan foresaw, where that is what stands, or what we left for others to edit."""
    if decision.keeps:
        return
    own = [one for one in written if one.decision is decision]
    if any(back.readings[one.komm_id] is Reading.VALUE_CUT for one in own):
        return
    row = decision.entry.row
    if not own and row is not None and (found.get(row.komm_id) is None or found[row.komm_id].row_id != row.row_id):
        return
    drop_baseline(run.store, saved.plan.entity_id, decision.drops)
    pair = decision.pair
    if pair is None:
        return
    komm_id = pair.komm_id if pair.komm_id is not None else next(one.komm_id for one in own)
    unmarked = bool(own) and back.readings[own[0].komm_id] is Reading.REMARK_CUT or refused_marker(decision, own)
    record = baseline_record(saved.plan, pair, run.policy.region, komm_id=komm_id, row_id=found[komm_id].row_id if komm_id in found else None)
    if unmarked:
        record |= {"unmarked": True, "remark": found[komm_id].remark if komm_id in found else None}
    save_baseline(run.store, [record], run.utcnow())


def refused_marker(decision: Decision, own: Sequence[Written]) -> bool:
    """Whether the marker of this decision was refused: planned, and not written."""
    return not own and any(step.action == "mark" for step in decision.steps)


def cut_values(written: Iterable[Written], back: ReadBack) -> list[Left]:
    """The values Advoware stores otherwise than sent: they stay in EspoCRM only."""
    return [
        Left(Side.ESPO, "unsyncable", "Advoware does not store it as sent", one.decision.entry.item.item.value)
        for one in written
        if back.readings[one.komm_id] is Reading.VALUE_CUT and one.decision.entry.item is not None
    ]


def left_records(betnr: int, left: Iterable[Left]) -> list[dict[str, Any]]:
    """What is left alone, as the table keeps it."""
    return [
        {
            "betnr": betnr,
            "side": one.side,
            "komm_id": one.komm_id,
            "channel": None,
            "value": one.value,
            "reason": one.reason,
            "direction": one.direction,
            "detail": one.detail,
        }
        for one in left
    ]


def finish_person(run: Run, entity_id: str, fingerprint: str, *, at_rest: bool) -> None:
    """The person's own columns after a success; the fingerprint only when everything read as foreseen."""
    columns: dict[str, Any] = {
        "status": "clean",
        "last_sync_at": run.utcnow(),
        "error": None,
        "retry_count": 0,
        "next_retry_at": None,
        "auto_reset_at": None,
        "waiting_side": None,
    }
    if at_rest:
        columns["fingerprint"] = fingerprint
    update_person(run.store, entity_id, **columns)


def agree_quietly(run: Run, saved: Saved | None, look: Look) -> None:
    """A person with nothing to write: the baseline follows what both sides show; one PUT only if its status is stale."""
    entity_id = look.espo.entity_id
    records = row_records(look.advo, run.policy.region, run.policy.table)
    fingerprint = fingerprint_of(records)
    espo, at_rest = look.espo, True
    if espo.status != "clean" or (espo.fingerprint or "") != fingerprint:
        espo = renew_status(run, espo, fingerprint)
        at_rest = same_items(look.espo.items, espo.items)
    with run.store.transaction():
        if saved is not None:
            found = {row.komm_id: row for row in look.advo.rows}
            nothing = ReadBack(look.advo, {}, disturbed=False)
            for decision in saved.plan.decisions:
                move_baseline(run, saved, decision, (), nothing, found)
            save_left_alone(run.store, entity_id, left_records(look.advo.betnr, saved.plan.left), run.utcnow())
            run.tally.left_alone += len(saved.plan.left)
            set_decision_state(run.store, saved.decision_ids, "done")
        settle(run.store, entity_id)
        finish_person(run, entity_id, fingerprint, at_rest=at_rest)
        if not at_rest:
            save_look(run, espo, look.advo)
            mark_due(run.store, [entity_id], "edited while it was synced", run.utcnow(), edited_by_other=True)
        elif saved is None or not saved.plan.again:
            clear_due(run.store, [entity_id])
    run.tally.clean.add(entity_id)


def note_conflicts(run: Run, entity_id: str) -> None:
    """Tell people in the record's stream what lost; never a reason to fail (rules.md §4)."""
    if not run.limits.note_conflicts:
        return
    for conflict in conflicts_to_note(run.store, entity_id):
        try:
            run.before_write()
            run.espo.note(entity_id, conflict_note(conflict, run.limits.language))
            run.tally.writes["espocrm"] += 1
        except (PersonError, UnknownOutcome) as error:
            run.log.warning("conflict_not_noted", entity_id=entity_id, error=str(error))
        mark_noted(run.store, [conflict["id"]], run.utcnow())


def conflict_note(conflict: Mapping[str, Any], language: str) -> str:
    """One sentence for the firm's staff."""
    lost, kept = conflict["advo_value"], conflict["espo_value"]
    if language == "de":
        instead = f"gilt {kept}" if kept else "der Eintrag wurde in EspoCRM gelöscht"
        return f"Advoware: {lost} wurde überschrieben, denn {instead} (EspoCRM hat Vorrang). Zurückholen: advosync restore {conflict['id']}"
    instead = f"{kept} applies" if kept else "the entry was deleted in EspoCRM"
    return f"Advoware: {lost} was overwritten, because {instead} (EspoCRM wins). To put it back: advosync restore {conflict['id']}"
