"""The last stage: read back what was written, move the baseline, renew the status (rules.md §5 and §6, Validation).

The baseline moves for an entry only when the verifying GET shows what the plan foresaw. What reads otherwise was either
not stored as sent (the rowId is the one our write was answered with) or edited by somebody since; the first becomes
unsyncable, the second makes the person due again at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.errors import Unverified
from etl.guard import Saved, baseline_record, decided
from etl.judging import shown_as
from etl.notes import note_conflicts
from etl.readback import ReadBack, Written, mended_readings, put_back, read_back, without_marker
from etl.records import EspoRecord, Row, Side
from etl.rules.entry import Decision, Left
from etl.rules.items import same_items
from etl.rules.leaving import pair_of_marker
from etl.rules.leftovers import OURS
from etl.rules.marker import decode
from etl.rules.mending import CREATING, MENDING, NOT_AS_SENT, TOO_LONG, TOUCHED, Reading, names_another_value
from etl.rules.observed import fingerprint_of, row_records
from etl.rules.pairs import typed_meanwhile
from etl.snapshot import save_look
from etl.status import renew_status, shows
from etl.store.array_puts import forget_parts
from etl.store.baseline import came_to_agreement, drop_baseline, save_baseline, save_left_alone
from etl.store.due import clear_due, mark_due
from etl.store.journal import set_change_state, set_decision_state, settle
from etl.store.persons import update_person
from etl.store.states import ChangeState, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.rules.entry import Pair
    from etl.run import Look, Run

EDITED_MEANWHILE = "edited while it was synced"
STATUS_NOT_WRITTEN = "its status could not be written"


def verify_person(run: Run, saved: Saved, written: Sequence[Written]) -> None:
    """Read Advoware back, mend what was not stored as sent, renew EspoCRM's status and commit the person."""
    look = run.looks[saved.plan.entity_id]
    back = read_back(run, look, written)
    refuse_unstored(run, written, back)
    if back.cut:
        back = mended(run, saved, written, back)
    settled = not back.disturbed and TOUCHED.isdisjoint(back.readings.values())
    records = row_records(back.advo, run.policy.region, run.policy.table)
    if saved.failure is not None:  # its status PUT is the failure's
        commit_person(run, saved, written, back, look.espo, at_rest=False)
        raise saved.failure
    seen = look.espo.items
    espo = renew_status(run, look.espo, fingerprint_of(records) if settled else None)
    edited_in_espo = not same_items(seen, espo.items)
    if edited_in_espo:
        mark_due(run.store, [espo.entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
    commit_person(run, saved, written, back, espo, at_rest=settled and not edited_in_espo and not saved.disturbed)
    note_conflicts(run, saved.plan.entity_id)


def refuse_unstored(run: Run, written: Sequence[Written], back: ReadBack) -> None:
    """A new row that is not there was never stored, though Advoware confirmed it: its value must not read as deleted.

    Somebody who deletes a row in the moment between our write and our GET has to do so again; nothing is lost by it.
    """
    there = {row.komm_id for row in back.advo.rows}
    unstored = [one for one in written if one.step.action in CREATING and one.komm_id not in there]
    if unstored:
        error = Unverified(f"Advoware confirmed a new Kommunikation {unstored[0].komm_id} but does not show it.")
        changes = [one.change for one in unstored]
        set_change_state(run.store, changes, ChangeState.FAILED, now=run.utcnow(), error=str(error))
        raise error


def mended(run: Run, saved: Saved, written: Sequence[Written], back: ReadBack) -> ReadBack:
    """Put back what Advoware could not hold, all writes of the entry, and write too long remarks without marker.

    The last write goes back first, so that an own text is home before the row it was moved to is emptied. A row of the
    entry that somebody edited since stays as it is.
    Where even that does not read as sent the person fails, and the writes in question count as failed: what stands in
    Advoware then was never agreed on.
    """
    cut = {id(one.decision) for one in written if back.readings[one.komm_id] is Reading.VALUE_CUT}
    unsyncable = [one for one in written[::-1] if id(one.decision) in cut and back.readings[one.komm_id] not in TOUCHED]
    others = [one for one in written if id(one.decision) not in cut]
    too_long = [one for one in others if back.readings[one.komm_id] in TOO_LONG]
    found = {row.komm_id: row for row in back.advo.rows}
    try:
        refuse_to_mend_twice((*unsyncable, *too_long))
        again = [
            put_back(run, saved, one, found[one.komm_id], texts_at_home(one, unsyncable, found)) for one in unsyncable
        ]
        again += [without_marker(run, saved, one, found[one.komm_id]) for one in too_long]
        return mended_readings(read_back(run, run.looks[saved.plan.entity_id], again), back, again)
    except Unverified as error:
        changes = [one.change for one in (*unsyncable, *too_long)]
        set_change_state(run.store, changes, ChangeState.FAILED, now=run.utcnow(), error=str(error))
        raise


def texts_at_home(one: Written, unsyncable: Iterable[Written], found: Mapping[int, Row]) -> set[str]:
    """The own texts on the other rows of a write's entry, as they stand or once they are put back."""
    stand = {decode(found[komm_id].remark).own_text for komm_id in one.decision.drops if komm_id in found}
    others = [other for other in unsyncable if other is not one and other.decision is one.decision]
    return stand | {decode(other.step.old_remark).own_text for other in others}


def refuse_to_mend_twice(cut: Iterable[Written]) -> None:
    """What an interrupted run left to be mended and still reads otherwise would be mended for ever."""
    for one in cut:
        if one.step.action in MENDING:
            raise Unverified(f"Advoware does not take back what Kommunikation {one.komm_id} was.")


def commit_person(
    run: Run, saved: Saved, written: Sequence[Written], back: ReadBack, espo: EspoRecord, *, at_rest: bool
) -> None:
    """One transaction: snapshots, baseline, what is left alone, status, due mark, journal."""
    plan, now = saved.plan, run.utcnow()
    unstored = [decision for decision in decided(plan) if saved.is_unstored(decision)]
    found = {row.komm_id: row for row in back.advo.rows}
    fingerprint = fingerprint_of(row_records(back.advo, run.policy.region, run.policy.table))
    with run.store.what_happened():
        for decision in plan.decisions:
            if not saved.is_unstored(decision):
                move_baseline(run, saved, decision, written, back, found)
        left = (*plan.left, *saved.unsent, *cut_values(written, back), *second_rows(run, saved, written, found))
        save_left_alone(run.store, plan.entity_id, left_records(plan.betnr, left), now)
        save_look(run, espo, back.advo)
        set_decision_state(run.store, saved.decision_ids, "done")
        set_decision_state(run.store, [saved.decision_of(decision) for decision in unstored], "failed")
        settle(run.store, plan.entity_id)
        if saved.failure is None:
            finish_person(run, plan.entity_id, fingerprint, at_rest=at_rest)
        if at_rest and not plan.again:
            clear_due(run.store, [plan.entity_id])
        if not at_rest:
            mark_due(run.store, [plan.entity_id], EDITED_MEANWHILE, now)
        if not shows(run, espo, Status.CLEAN, fingerprint if at_rest else None):
            mark_due(run.store, [plan.entity_id], STATUS_NOT_WRITTEN, now)
    count_person(run, saved, len(left))


def count_person(run: Run, saved: Saved, left: int) -> None:
    """What the report says of a person that was written."""
    entity_id = saved.plan.entity_id
    carried_out = [one for one in saved.plan.decisions if one.steps and not saved.is_unstored(one)]
    run.tally.changed |= {entity_id} if carried_out else set()
    run.tally.clean |= {entity_id} if saved.failure is None else set()
    run.tally.left_alone += left
    run.tally.conflicts += sum(decision.lost is not None for decision in saved.plan.decisions)
    run.tally.variants.update(decision.variant for decision in carried_out)


def move_baseline(
    run: Run, saved: Saved, decision: Decision, written: Sequence[Written], back: ReadBack, found: Mapping[int, Row]
) -> None:
    """Move one entry's baseline row to what the plan foresaw, where that stands or others edited what we left."""
    if decision.keeps:
        return
    own = [one for one in written if one.decision is decision]
    if any(back.readings[one.komm_id] is Reading.VALUE_CUT for one in own):
        if any(back.readings[one.komm_id] in TOUCHED for one in own):  # the row it was is somebody's by now
            drop_baseline(run.store, saved.plan.entity_id, decision.drops)
            return
        recovered = pair_of_marker(decision.entry)  # put back to what the marker said, which no baseline row says yet
        if recovered is not None:
            save_baseline(run.store, [baseline_record(saved.plan, recovered, run.policy.region)], run.utcnow())
        return
    row = decision.entry.row
    stands = row is None or (row.komm_id in found and found[row.komm_id].row_id == row.row_id)
    if not decision.steps and not stands:
        return
    drop_baseline(run.store, saved.plan.entity_id, decision.drops)
    pair = decision.pair
    if pair is None or (pair.komm_id is None and holds_it_too(run, saved, own[0], found)):
        return
    komm_id = pair.komm_id if pair.komm_id is not None else own[0].komm_id
    without = any(
        one.unmarked or back.readings[komm_id] is Reading.REMARK_CUT for one in own if one.komm_id == komm_id
    )
    pair = as_shown(run, saved, decision, pair)
    record = baseline_record(
        saved.plan, pair, run.policy.region, komm_id=komm_id, row_id=found[komm_id].row_id if komm_id in found else None
    )
    if without or refused_marker(decision, own, run.policy.region):
        record |= {"unmarked": True, "remark": found[komm_id].remark if komm_id in found else None}
    save_baseline(run.store, [record], run.utcnow())


def as_shown(run: Run, saved: Saved, decision: Decision, pair: Pair) -> Pair:
    """The pair with EspoCRM's spelling and type as the read after our PUT showed them, whatever we sent.

    Both live on the address row, which other records share and may protect (espocrm-api.md ² 7). A type that the plan
    kept back for a retype stays.
    """
    sent = next((step.item for step in decision.steps if step.side is Side.ESPO and step.item is not None), None)
    if sent is None:
        return pair
    shown = shown_as(run.looks[saved.plan.entity_id].items, sent.channel, sent.value, run.policy.region)
    if shown is None:
        return pair
    kind = shown.type if pair.espo_type == sent.type else pair.espo_type
    return replace(pair, espo_value=shown.value, espo_type=kind)


def holds_it_too(run: Run, saved: Saved, made: Written, found: Mapping[int, Row]) -> bool:
    """Whether a row we did not know of holds the value we just created."""
    known = {row.komm_id for row in run.looks[saved.plan.entity_id].rows} | {made.komm_id}
    return typed_meanwhile(found.values(), known, made.step.channel, made.step.new_value, run.policy.region)


def second_rows(run: Run, saved: Saved, written: Sequence[Written], found: Mapping[int, Row]) -> list[Left]:
    """The rows we made of which the value came to light in another one: that one is the pair, ours becomes a slot."""
    return [
        Left(Side.ADVO, "duplicate", OURS, found[one.komm_id].value or "", one.komm_id, channel=one.step.channel)
        for one in written
        if one.step.action == "create" and one.komm_id in found and holds_it_too(run, saved, one, found)
    ]


def refused_marker(decision: Decision, own: Sequence[Written], region: str) -> bool:
    """Whether the marker of this decision was refused: planned, and not written. One that is tried again is none."""
    marks = [step for step in decision.steps if step.action == "mark"]
    return not own and bool(marks) and not any(names_another_value(step, region) for step in marks)


def cut_values(written: Iterable[Written], back: ReadBack) -> list[Left]:
    """The values Advoware stores otherwise than sent: they stay in EspoCRM only."""
    return [
        Left(
            Side.ESPO,
            "unsyncable",
            NOT_AS_SENT,
            one.decision.entry.item.item.value,
            one.decision.entry.row.komm_id if one.decision.entry.row is not None else None,
            channel=one.step.channel,
        )
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
            "channel": one.channel,
            "value": one.value,
            "reason": one.reason,
            "direction": one.direction,
            "detail": one.detail,
        }
        for one in left
    ]


def finish_person(
    run: Run, entity_id: str, fingerprint: str, *, at_rest: bool, vanished_from: Side | None = None
) -> None:
    """The person's own columns after a success; the fingerprint only when everything read as foreseen.

    ``vanished_from``: the side that shows no known entry and of which nothing was written; nobody waits for it again.
    """
    columns: dict[str, Any] = {
        "status": Status.CLEAN,
        "last_sync_at": run.utcnow(),
        "error": None,
        "retry_count": 0,
        "next_retry_at": None,
        "auto_reset_at": None,
        "waiting_side": vanished_from,
    }
    if at_rest:
        columns["fingerprint"] = fingerprint
        forget_parts(run.store, entity_id)
    update_person(run.store, entity_id, **columns)
    came_to_agreement(run.store, entity_id, run.looks[entity_id].advo.betnr)


def agree_quietly(run: Run, saved: Saved | None, look: Look) -> None:
    """A person with nothing to write: the baseline follows what both sides show; one PUT if its status is stale."""
    entity_id = look.espo.entity_id
    records = row_records(look.advo, run.policy.region, run.policy.table)
    fingerprint = fingerprint_of(records)
    espo, at_rest = look.espo, True
    if not shows(run, espo, Status.CLEAN, fingerprint):
        espo = renew_status(run, espo, fingerprint)
        at_rest = same_items(look.espo.items, espo.items)
    with run.store.what_happened():
        if saved is not None:
            found = {row.komm_id: row for row in look.advo.rows}
            nothing = ReadBack(look.advo, {}, disturbed=False)
            for decision in saved.plan.decisions:
                move_baseline(run, saved, decision, (), nothing, found)
            save_left_alone(run.store, entity_id, left_records(look.advo.betnr, saved.plan.left), run.utcnow())
            run.tally.left_alone += len(saved.plan.left)
            set_decision_state(run.store, saved.decision_ids, "done")
        settle(run.store, entity_id)
        vanished_from = saved.plan.vanished_from if saved is not None else None
        finish_person(run, entity_id, fingerprint, at_rest=at_rest, vanished_from=vanished_from)
        if not at_rest:
            save_look(run, espo, look.advo)
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
        elif not shows(run, espo, Status.CLEAN, fingerprint):
            mark_due(run.store, [entity_id], STATUS_NOT_WRITTEN, run.utcnow())
        elif saved is None or not saved.plan.again:
            clear_due(run.store, [entity_id])
    run.tally.clean.add(entity_id)
