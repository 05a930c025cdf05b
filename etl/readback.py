"""The verifying GET against what was written, and mending what Advoware did not store as sent (rules.md §5, §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import Unverified
from etl.records import AdvoPerson, Row, RowDraft, Side
from etl.rules.entry import Decision, Step
from etl.rules.marker import decode
from etl.rules.mending import CREATING, CUT, NOT_AS_SENT, PUT_BACK, TOO_LONG, TOUCHED, UNMARK, Reading, slot_with_text
from etl.rules.mending import reading as read_as
from etl.store.journal import save_changes
from etl.writing import put_row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.guard import Saved
    from etl.run import Look, Run


@dataclass(frozen=True, slots=True)
class Written:
    """A write Advoware acknowledged; ``row_id`` is the one it answered with, None where it did not say.

    ``change`` is its journal row. ``unmarked``: it was refused with the marker the plan gave it, and went without.
    """

    decision: Decision
    step: Step
    komm_id: int
    row_id: str | None
    change: int
    unmarked: bool = False


@dataclass(frozen=True)
class ReadBack:
    """The verifying GET against what was written. ``disturbed``: somebody edited rows we did not write."""

    advo: AdvoPerson
    readings: Mapping[int, Reading]
    disturbed: bool

    @property
    def cut(self) -> bool:
        """Whether anything was not stored as sent."""
        return not (CUT | TOO_LONG).isdisjoint(self.readings.values())


def read_back(run: Run, look: Look, written: Sequence[Written]) -> ReadBack:
    """One GET of the person in Advoware, compared with the rows written and the rows seen before.

    Where it lacks a row just written it is asked once more: taken for deleted, what was stored shortened would never be
    mended, and a person's text be lost (rules.md §1, Completeness: what vanished needs two looks).
    """
    advo = run.advoware.fetch(look.advo.betnr)
    if {one.komm_id for one in written} - {row.komm_id for row in advo.rows}:
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
    says = read_as(one.step.new_value, one.step.new_remark, one.row_id, found)
    if says is not Reading.AS_SENT and found is not None and before is not None and found.row_id == before.row_id:
        raise Unverified(f"Advoware confirmed a write to Kommunikation {one.komm_id} but did not carry it out.")
    return says


def mended_readings(again: ReadBack, first: ReadBack, mending: Sequence[Written]) -> ReadBack:
    """Both readings as one: what was mended keeps its verdict when the mending reads as sent, else the person fails.

    What was put back keeps it also when somebody edited it since: it is the pair it was, or none.
    """
    for komm_id, found in again.readings.items():
        if found in CUT:
            raise Unverified(
                f"Advoware stores Kommunikation {komm_id} shortened, whatever is written; look at its value and remark."
            )
    mended = {one.komm_id for one in mending}
    undone = {one.komm_id for one in mending if one.step.action == PUT_BACK}
    touched = {komm_id: found for komm_id, found in again.readings.items() if found in TOUCHED}
    edited = {komm_id: found for komm_id, found in touched.items() if komm_id not in undone}
    now = {row.komm_id: row for row in again.advo.rows}
    then = {row.komm_id: row for row in first.advo.rows}
    others = {key for key in now.keys() | then.keys() if key not in mended and now.get(key) != then.get(key)}
    disturbed = first.disturbed or bool(others) or not undone.isdisjoint(touched)
    return ReadBack(again.advo, {**first.readings, **edited}, disturbed)


def put_back(run: Run, saved: Saved, one: Written, found: Row, home: Collection[str]) -> Written:
    """A value Advoware cannot hold: a new row becomes a slot (but see there), any other what it was.

    The value stays in EspoCRM.

    ``home``: the own texts on the entry's other rows.
    """
    step = one.step
    if step.action in CREATING:
        value, remark = slot_with_text(step.komm_kz, step.new_remark, found.remark, home)
    else:
        value, remark = step.old_value or "", step.old_remark or ""
    draft = RowDraft(value, remark, step.online)
    return written_again(run, saved, one, PUT_BACK, (step.new_value, step.new_remark), draft)


def without_marker(run: Run, saved: Saved, one: Written, found: Row) -> Written:
    """A remark that was cut with its marker: written without it, so that the person's own text is whole.

    The value goes back as it was found: somebody may have retyped it since.
    """
    draft = RowDraft(found.value or "", decode(one.step.new_remark).own_text, found.online)
    return written_again(run, saved, one, UNMARK, (found.value, found.remark), draft)


def written_again(
    run: Run, saved: Saved, one: Written, action: str, stood: tuple[str | None, str | None], draft: RowDraft
) -> Written:
    """One mending write over the value and remark that ``stood`` there, journalled like every other."""
    old_value, old_remark = stood
    step = Step(
        Side.ADVO,
        action,
        one.step.channel,
        one.komm_id,
        one.step.komm_kz,
        old_value,
        draft.value,
        old_remark,
        draft.remark,
        draft.online,
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
                "reason": NOT_AS_SENT,
                "side": Side.ADVO,
                "action": action,
                "komm_id": one.komm_id,
                "komm_kz": one.step.komm_kz,
                "channel": one.step.channel,
                "old_value": old_value,
                "new_value": draft.value,
                "old_remark": old_remark,
                "new_remark": draft.remark,
                "before": {"value": old_value, "remark": old_remark},
            }
        ],
    )[0]
    row = put_row(run, change, saved.plan.betnr, one.komm_id, draft)
    return Written(one.decision, step, one.komm_id, row.row_id or None, change)
