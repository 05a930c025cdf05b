"""The third stage: one person's plan, written (rules.md §5): EspoCRM's arrays, then Advoware's rows, one at a time.

Each write is committed as *started* before it is sent and as *done*, *failed* or *unknown* after it. ``Moved`` and
``UnknownOutcome`` leave this stage untouched: the person is read again, what was done settled, and a new plan made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.arrays import REFUSALS_OF_A_VALUE, note_unsyncable, see_arrays, write_arrays
from etl.errors import Moved, Refused
from etl.guard import change_record
from etl.readback import Written
from etl.reading import stale
from etl.records import RowDraft, Side
from etl.rules.mending import MENDING, UNMARKED, names_another_value, unmarked
from etl.rules.variants import Variant
from etl.saves import is_unsettled
from etl.shared_rows import with_what_is_stored
from etl.store.journal import save_changes
from etl.verify import verify_person
from etl.writing import put_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.guard import Saved
    from etl.rules.entry import Decision, Step
    from etl.run import Look, Run

NEVER_REFUSED = MENDING | {"empty", "leftover"}
"""Writes that bring no new value; a refusal of one is no verdict on a value and fails the person."""


def apply_person(run: Run, saved: Saved) -> None:
    """Write one person's plan and verify it; raises ``Moved`` when the person must be planned again."""
    look = run.looks[saved.plan.entity_id]
    if saved.plan.arrays:
        saved = with_what_is_stored(run, saved)
    plan = saved.plan
    second_look(run, saved)
    if plan.arrays:
        write_arrays(run, saved, look)
        saved = see_arrays(run, saved, look)
        if any(step.side is Side.ADVO and step.action != "create" for _, step in row_steps(saved)):
            read_advoware_again(run, look)
    saved, written = write_rows(run, saved)
    verify_person(run, saved, written)


def write_rows(run: Run, saved: Saved) -> tuple[Saved, list[Written]]:
    """Advoware's rows; where a refused marker leaves one that names another value, the person fails in the end."""
    written: list[Written] = []
    for decision, step in row_steps(saved):
        try:
            one = write_row(run, saved, decision, step)
        except Refused as refusal:
            if step.action != "mark" or refusal.status not in REFUSALS_OF_A_VALUE:
                raise
            saved = replace(saved, failure=saved.failure or refusal)
        else:
            written += [one] if one is not None else []
    return saved, written


def second_look(run: Run, saved: Saved) -> None:
    """Read again what is overwritten or where something vanished; whatever differs means: plan again (rules.md §1, §5).

    The same reads would give the same plan, so only a difference needs planning.
    """
    plan, look = saved.plan, run.looks[saved.plan.entity_id]
    vanished = sides_things_vanished_from(plan.decisions)
    overwrites = any(step.side is Side.ADVO and step.action != "create" for step in plan.steps)
    if Side.ESPO in vanished or (plan.arrays and stale(run, look.espo_at)):
        read_espo_again(run, look)
    if Side.ADVO in vanished or (overwrites and not plan.arrays and stale(run, look.advo_at)):
        read_advoware_again(run, look)


def sides_things_vanished_from(decisions: Iterable[Decision]) -> set[Side]:
    """Where an entry was known and is not any more, so that something is emptied, removed, made anew or forgotten."""
    sides: set[Side] = set()
    for decision in decisions:
        if decision.variant is Variant.FORGET:
            sides |= {Side.ESPO, Side.ADVO}
        elif decision.steps and vanished_from_espo(decision):
            sides.add(Side.ESPO)
        elif decision.steps and vanished_from_advoware(decision):
            sides.add(Side.ADVO)
    return sides


def vanished_from_espo(decision: Decision) -> bool:
    """Whether EspoCRM does not show a known item any more."""
    deleted_and_edited = decision.variant is Variant.CLASH and decision.entry.item is None
    return decision.variant is Variant.VAR2 or deleted_and_edited


def vanished_from_advoware(decision: Decision) -> bool:
    """Whether Advoware does not show a known row any more; its item may have been edited meanwhile."""
    edited_and_gone = decision.variant is Variant.VAR1 and decision.entry.base is not None
    return decision.variant is Variant.VAR3 or edited_and_gone


def read_espo_again(run: Run, look: Look) -> None:
    """Refresh EspoCRM's half of the look; ``Moved`` when it differs from what was planned with, or is half written."""
    fresh, seen = run.espo.fetch(look.espo.entity_id), look.espo
    if (fresh.items, fresh.betnr) != (seen.items, seen.betnr) or (
        fresh.modified_at != seen.modified_at and is_unsettled(run, fresh)
    ):
        raise Moved(f"EspoCRM's record {fresh.entity_id} changed since it was planned.")
    look.espo, look.espo_at = fresh, run.monotonic()


def read_advoware_again(run: Run, look: Look) -> None:
    """Refresh Advoware's half of the look; ``Moved`` when any row differs from what was planned with."""
    seen = look.advo.rows
    look.advo, look.advo_at = run.advoware.fetch(look.advo.betnr), run.monotonic()
    if look.advo.rows != seen:
        raise Moved(f"The rows of {look.advo.betnr} in Advoware changed since they were planned.")


def row_steps(saved: Saved) -> list[tuple[Decision, Step]]:
    """Advoware's writes with their decisions, in the plan's order; none of what EspoCRM did not store."""
    owner = {id(step): decision for decision in saved.plan.decisions for step in decision.steps}
    steps = [(owner[id(step)], step) for step in saved.plan.steps if step.side is Side.ADVO]
    return [(decision, step) for decision, step in steps if not saved.is_unstored(decision)]


def write_row(run: Run, saved: Saved, decision: Decision, step: Step) -> Written | None:
    """One Kommunikation; ``None`` for a marker Advoware refused, which leaves the row without one.

    ``Refused`` where it leaves the row with one that names another value: no value is to blame for that. What is
    refused with its marker is tried once more without: where that is taken, no value is to blame.
    """
    plain = unmarked(step)
    try:
        try:
            return row_written(run, saved, decision, step, saved.change_of(step))
        except Refused as refusal:
            if plain is None or refusal.status not in REFUSALS_OF_A_VALUE:
                raise
            change = one_more_change(run, saved, decision, plain)
            return replace(row_written(run, saved, decision, plain, change), unmarked=True)
    except Refused as refusal:
        if refusal.status not in REFUSALS_OF_A_VALUE or step.action in NEVER_REFUSED:
            raise
        if step.action == "mark":
            if names_another_value(step, run.policy.region):
                raise
            return None
        note_unsyncable(run, saved, step, f"Advoware refused it ({refusal.reason})", Side.ESPO)
        raise Moved(f"Advoware refused a value of {saved.plan.betnr}.") from refusal


def row_written(run: Run, saved: Saved, decision: Decision, step: Step, change: int) -> Written:
    """One write to Advoware, journalled as ``change``; the value it makes lose is kept with its *started*."""
    draft = RowDraft(
        step.new_value or "", step.new_remark or "", step.online, step.komm_kz if step.action == "create" else None
    )
    lost = lost_value(run, saved, decision, step, change)
    row = put_row(run, change, saved.plan.betnr, step.komm_id, draft, lost)
    return Written(decision, step, row.komm_id, row.row_id or None, change)


def one_more_change(run: Run, saved: Saved, decision: Decision, step: Step) -> int:
    """The journal row of a second try, of the same decision."""
    known_rows = tuple(row.komm_id for row in run.looks[saved.plan.entity_id].rows)
    record = change_record(run, saved.plan, step, decision, known_rows)
    whose = {"decision_id": saved.decision_of(decision), "seq": len(saved.plan.steps)}
    return save_changes(run.store, [record | whose | {"after": record["after"] | UNMARKED}])[0]


def lost_value(run: Run, saved: Saved, decision: Decision, step: Step, change: int) -> list[dict[str, Any]]:
    """The value this write, its decision's only one, makes lose; to be kept with its *started* (rules.md §4)."""
    if decision.lost is None:
        return []
    item = decision.entry.item
    return [
        {
            "run_id": run.id,
            "change_id": change,
            "entity_id": saved.plan.entity_id,
            "betnr": saved.plan.betnr,
            "variant": decision.variant,
            "komm_id": step.komm_id,
            "channel": step.channel,
            "espo_value": item.item.value if item is not None else None,
            "advo_value": decision.lost,
            "kept": "espo",
            "reason": decision.reason,
            "created_at": run.utcnow(),
        }
    ]
