"""The verifying GET against what was written, and mending what Advoware did not store as sent (rules.md §5, §3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from etl.errors import Unverified
from etl.records import AdvoPerson, Row, RowDraft, Side
from etl.rules.entry import Decision, Step
from etl.rules.marker import decode, encode_slot
from etl.store.journal import save_changes
from etl.writing import put_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.guard import Saved
    from etl.run import Look, Run

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

    @property
    def cut(self) -> bool:
        """Whether anything was not stored as sent."""
        return not {Reading.VALUE_CUT, Reading.REMARK_CUT}.isdisjoint(self.readings.values())


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
    return (step.new_value or "").startswith(found.value or "") and (step.new_remark or "").startswith(
        found.remark or ""
    )


def mended_readings(again: ReadBack, first: ReadBack, mending: Sequence[Written]) -> ReadBack:
    """Both readings as one: what was mended keeps its verdict when the mending reads as sent, else the person fails."""
    for komm_id, found in again.readings.items():
        if found in (Reading.VALUE_CUT, Reading.REMARK_CUT):
            raise Unverified(
                f"Advoware stores Kommunikation {komm_id} shortened, whatever is written; look at its value and remark."
            )
    mended = {one.komm_id for one in mending}
    edited = {komm_id: found for komm_id, found in again.readings.items() if found is Reading.EDITED}
    now = {row.komm_id: row for row in again.advo.rows}
    then = {row.komm_id: row for row in first.advo.rows}
    others = {key for key in now.keys() | then.keys() if key not in mended and now.get(key) != then.get(key)}
    return ReadBack(again.advo, {**first.readings, **edited}, disturbed=first.disturbed or bool(others))


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
        Side.ADVO,
        action,
        one.step.channel,
        one.komm_id,
        one.step.komm_kz,
        one.step.new_value,
        value,
        one.step.new_remark,
        remark,
        one.step.online,
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
