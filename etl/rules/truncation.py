"""Writes that Advoware stored otherwise than they were sent: telling them, and what mends them (rules §3). Pure.

A value it shortens is put back to what it was, with all writes of its entry but a row that somebody edited since; a
remark it shortens is written again without marker, so that the own text is whole. A run that dies before it could read
back leaves that to the next one: ``interrupted`` finds it in the journal, ``mending`` plans it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.enums import Action, LeftAloneReason
from etl.records import REPLACEMENT_CHARACTER, Channel, Side
from etl.rules.entry import Decision, Entry, LeftAlone, NextBaseline
from etl.rules.espo.array_read import comparable_value
from etl.rules.marker import MarkerKind, comparable_text, decode, encode_slot, is_same_text
from etl.rules.plan import update_row_step
from etl.rules.variants import Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.records import AdvoRow
    from etl.rules.entry import AdvoEntry, BaselinePair, Step
    from etl.rules.undo.restore import CurrentState

    Change = Mapping[str, Any]

CREATING_ACTIONS = frozenset({Action.CREATE, Action.FILL})
REVERT_ROW, UNMARK_ROW = Action.PUT_BACK, Action.UNMARK
REPAIR_ACTIONS = frozenset({REVERT_ROW, UNMARK_ROW})
"""What a mending write does; one that does not read as sent either fails the person."""

UNMARKED_IMAGE = {"unmarked": True}
"""What the journal adds to the after-image of a write that was refused with its marker and went without."""

NOT_AS_SENT = "Advoware does not store it as sent"


class WriteOutcome(StrEnum):
    """What a GET says of one written row."""

    AS_SENT = "as sent"
    VALUE_TRUNCATED = "value not stored as sent"
    REMARK_TRUNCATED = "remark not stored as sent"
    TEXT_TRUNCATED = "remark not stored as sent, value edited since"
    EDITED = "edited since"


TRUNCATED = frozenset({WriteOutcome.VALUE_TRUNCATED, WriteOutcome.REMARK_TRUNCATED})
REMARK_TOO_LONG = frozenset({WriteOutcome.REMARK_TRUNCATED, WriteOutcome.TEXT_TRUNCATED})
"""The own text is written again without marker, beside the value that stands there."""
EDITED_SINCE = frozenset({WriteOutcome.EDITED, WriteOutcome.TEXT_TRUNCATED})
"""Somebody edited the row since: what they typed is the next plan's."""


def classify_write(
    value: str | None, remark: str | None, answered_row_id: str | None, row: AdvoRow | None
) -> WriteOutcome:
    """What became of a write of ``value`` and ``remark``, answered with that rowId (None: it named none)."""
    if row is None:
        return WriteOutcome.EDITED
    value_as_sent = is_same_text(row.value, value)
    if value_as_sent and is_same_text(row.remark, remark):
        return WriteOutcome.AS_SENT
    is_our_write = row.row_id == answered_row_id if answered_row_id else is_truncated(value, remark, row)
    if not is_our_write:
        return (
            WriteOutcome.TEXT_TRUNCATED
            if not value_as_sent and is_own_text_truncated(remark, row.remark)
            else WriteOutcome.EDITED
        )
    return WriteOutcome.REMARK_TRUNCATED if value_as_sent else WriteOutcome.VALUE_TRUNCATED


def is_truncated(value: str | None, remark: str | None, row: AdvoRow) -> bool:
    """Whether a row shows what was sent, only shorter. What is gone altogether was taken away by a person."""
    return is_prefix(value, row.value) and is_prefix(remark, row.remark)


def is_own_text_truncated(sent: str | None, stored: str | None) -> bool:
    """Whether a remark lost the end of its own text, though somebody retyped the value beside it.

    Who takes a text away leaves the marker whole and nothing behind it; any other beginning is what Advoware left of
    it. Where a person shortened the text and retyped the value in that moment, the text comes back: nothing is lost.
    """
    parsed, sent_text, stored_text = decode(sent), comparable_text(sent), without_cut_letter(stored)
    bracket = (sent or "").removesuffix(parsed.own_text).strip()
    is_shorter = bool(stored_text) and stored_text != sent_text and sent_text.startswith(stored_text)
    return (
        is_shorter
        and parsed.kind in (MarkerKind.MARKER, MarkerKind.SLOT)
        and bool(parsed.own_text)
        and stored_text != bracket
    )


def is_prefix(sent: str | None, stored: str | None) -> bool:
    """Whether a text is the beginning of the one that was sent, also where its last letter was cut in two."""
    sent_text = comparable_text(sent)
    return bool(comparable_text(stored)) == bool(sent_text) and sent_text.startswith(without_cut_letter(stored))


def without_cut_letter(stored: str | None) -> str:
    """A text as it is compared, without the half letter at its end, where one was cut in two."""
    return comparable_text(comparable_text(stored).removesuffix(REPLACEMENT_CHARACTER))


@dataclass(frozen=True)
class PendingRepair:
    """What a broken run left unmended: the writes to put back, those to write without marker, the decisions undone.

    ``remarks_without_marker``: the remarks it had written without marker already, by komm_id. ``edited_decisions``: the
    decisions undone of which a row was edited since, which stays.
    """

    writes_to_revert: tuple[Change, ...] = ()
    writes_to_unmark: tuple[Change, ...] = ()
    reverted_decisions: frozenset[int] = frozenset()
    remarks_without_marker: Mapping[int, str] = field(default_factory=dict)
    edited_decisions: frozenset[int] = frozenset()

    @property
    def change_ids(self) -> list[int]:
        """The journal rows that stay open until they are mended."""
        return [change["id"] for change in (*self.writes_to_revert, *self.writes_to_unmark)]


def find_pending_repair(writes: Sequence[Change], rows: Iterable[AdvoRow]) -> PendingRepair:
    """Compare what arrived, in order, with the rows as they stand; only the last write to a row tells anything."""
    row_by_komm_id = {row.komm_id: row for row in rows}
    last_write = {write["komm_id"]: write for write in writes if write["side"] == Side.ADVO}
    outcomes = {
        write["id"]: classify_write(
            write["new_value"], write["new_remark"], write["answered_row_id"], row_by_komm_id.get(komm_id)
        )
        for komm_id, write in last_write.items()
        if write["action"] not in REPAIR_ACTIONS
    }
    reverted_rows = {komm_id for komm_id, write in last_write.items() if write["action"] == REVERT_ROW}
    reverted_decisions = frozenset(
        write["decision_id"]
        for write in writes
        if write["side"] == Side.ADVO
        and write["decision_id"] is not None
        and write["action"] not in REPAIR_ACTIONS
        and (write["komm_id"] in reverted_rows or outcomes.get(write["id"]) is WriteOutcome.VALUE_TRUNCATED)
    )
    own_writes = [
        write for write in last_write.values() if outcomes.get(write["id"], WriteOutcome.EDITED) not in EDITED_SINCE
    ]
    unmark_writes = [write for write in last_write.values() if outcomes.get(write["id"]) in REMARK_TOO_LONG]
    restored_decisions = {
        write["decision_id"]
        for write in writes
        if write["komm_id"] in reverted_rows and write["action"] not in CREATING_ACTIONS
    }
    edited_writes = [
        write
        for write in last_write.values()
        if outcomes.get(write["id"]) in EDITED_SINCE and write["decision_id"] in reverted_decisions - restored_decisions
    ]
    return PendingRepair(
        tuple(write for write in reversed(own_writes) if write["decision_id"] in reverted_decisions),
        tuple(
            write
            for write in unmark_writes
            if write not in own_writes or write["decision_id"] not in reverted_decisions
        ),
        reverted_decisions,
        {komm_id: write["new_remark"] or "" for komm_id, write in last_write.items() if was_unmarked_on_purpose(write)},
        frozenset(write["decision_id"] for write in edited_writes),
    )


def was_unmarked_on_purpose(change: Change) -> bool:
    """Whether a row was written without a marker on purpose."""
    return change["action"] == UNMARK_ROW or bool((change["after"] or {}).get("unmarked"))


def step_without_marker(step: Step) -> Step | None:
    """The write without the marker its remark may be too long for; ``None`` where nothing else would be written.

    An empty slot without own text is no longer than what stood there; what is put back did stand there.
    """
    remark = decode(step.new_remark)
    is_bare_slot = remark.kind is MarkerKind.SLOT and not remark.own_text
    if step.action in REPAIR_ACTIONS or remark.kind not in (MarkerKind.MARKER, MarkerKind.SLOT) or is_bare_slot:
        return None
    unmarked_step = replace(step, new_remark=remark.own_text)
    is_stored = step.old_value == unmarked_step.new_value and is_same_text(step.old_remark, remark.own_text)
    is_stored &= step.action != Action.CREATE
    return None if is_stored else unmarked_step


def names_another_value(step: Step, region: str) -> bool:
    """Whether a row's marker names another value than this write's: refused, a number that is gone stays readable."""
    before, after = decode(step.old_remark).value, decode(step.new_remark).value
    if before is None:
        return False
    return after is None or comparable_value(step.channel, before, region) != comparable_value(
        step.channel, after, region
    )


def slot_after_revert(
    komm_kz: int | None, sent: str | None, stored: str | None, other_texts: Collection[str]
) -> tuple[str, str]:
    """Value and remark of a new row put back: a slot, with the own text it was given where that is not ``other_texts``.

    The row it came from may have been edited since, and stays. Where the remark came back shortened, the text stands
    alone: so much its old row held.
    """
    text = decode(sent).own_text
    if not text or any(is_same_text(text, other) for other in other_texts):
        return "", encode_slot(komm_kz or 1, "")
    return "", encode_slot(komm_kz or 1, text) if is_same_text(stored, sent) else text


def own_texts_elsewhere(repair: PendingRepair, change: Change, rows: Mapping[int, AdvoEntry]) -> set[str]:
    """The own texts on the entry's other rows, as they stand or once they are put back."""
    row_texts = {rows[komm_id].own_text for komm_id in change["drops"] or () if komm_id in rows}
    other_writes = [
        write
        for write in repair.writes_to_revert
        if write is not change and write["decision_id"] == change["decision_id"]
    ]
    return row_texts | {decode(write["old_remark"]).own_text for write in other_writes}


def repair_decisions(
    repair: PendingRepair, current: CurrentState
) -> tuple[tuple[Decision, ...], tuple[LeftAlone, ...]]:
    """The decisions that finish what was interrupted, and all that is noted of the person afterwards."""
    reverts = [
        revert_decision(write, current.rows[write["komm_id"]], own_texts_elsewhere(repair, write, current.rows))
        for write in repair.writes_to_revert
    ]
    unmarks = [
        unmark_decision(write, current.rows[write["komm_id"]], current.baseline) for write in repair.writes_to_unmark
    ]
    refused_notes = [
        LeftAlone(
            Side.ESPO,
            LeftAloneReason.UNSYNCABLE,
            NOT_AS_SENT,
            write["new_value"],
            None if write["action"] in CREATING_ACTIONS else write["komm_id"],
            channel=Channel(write["channel"]),
        )
        for write in repair.writes_to_revert
        if write["new_value"]
    ]
    return (*reverts, *unmarks), tuple(dict.fromkeys((*current.left_alone, *refused_notes)))


def revert_decision(change: Change, row: AdvoEntry, other_texts: Collection[str]) -> Decision:
    """One write undone; the entry's baseline stays what it was."""
    if change["action"] in CREATING_ACTIONS:
        value, remark = slot_after_revert(change["komm_kz"], change["new_remark"], row.remark, other_texts)
    else:
        value, remark = change["old_value"] or "", change["old_remark"] or ""
    return repair_decision(change, row, REVERT_ROW, value, remark)


def unmark_decision(change: Change, row: AdvoEntry, baseline: Mapping[int, BaselinePair]) -> Decision:
    """The own text whole again beside the value as it stands; a row that is a pair says that it has no marker."""
    text = decode(change["new_remark"]).own_text
    result = repair_decision(change, row, UNMARK_ROW, row.value, text)
    base = baseline.get(row.komm_id)
    if base is None:
        return result
    pair = NextBaseline(
        row.komm_id, result.entry.channel, base.espo_value, base.espo_type, base.advo_value, base.komm_kz, True, text  # noqa: FBT003  unmarked
    )
    return replace(result, keeps_baseline=False, next_baseline=pair, ended_komm_ids=(row.komm_id,))


def repair_decision(change: Change, row: AdvoEntry, action: Action, value: str, remark: str) -> Decision:
    """One mending write as a decision of the plan."""
    channel, komm_kz = Channel(change["channel"]), change["komm_kz"] or 1
    entry = Entry(channel, Variant.REPAIR, komm_kz, row=row)
    step = update_row_step(action, channel, row, komm_kz, value, remark)
    return Decision(entry, Variant.REPAIR, Resolution.APPLY, NOT_AS_SENT, (step,), keeps_baseline=True)
