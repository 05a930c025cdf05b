"""Recognize writes that Advoware did not store as sent, and repair them (rules §3, Unsyncable entries). Pure.

If it shortens a value, all writes of the entry are reverted, except in rows that somebody has edited since. If it
shortens a remark, that is written again without marker, so that the own text is whole. A run that dies before it could
read back leaves this to the next one: ``find_pending_repair`` finds it in the journal, ``repair_decisions`` plans it.
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
"""The actions of repairing writes; if one of these does not read as sent either, the person fails."""

UNMARKED_IMAGE = {"unmarked": True}
"""Added to the journal's after-image of a write that was refused with its marker and sent without it."""

NOT_AS_SENT = "Advoware does not store it as sent"


class WriteOutcome(StrEnum):
    """What a GET shows of one written row."""

    AS_SENT = "as sent"
    VALUE_TRUNCATED = "value not stored as sent"
    REMARK_TRUNCATED = "remark not stored as sent"
    TEXT_TRUNCATED = "remark not stored as sent, value edited since"
    EDITED = "edited since"


TRUNCATED = frozenset({WriteOutcome.VALUE_TRUNCATED, WriteOutcome.REMARK_TRUNCATED})
REMARK_TOO_LONG = frozenset({WriteOutcome.REMARK_TRUNCATED, WriteOutcome.TEXT_TRUNCATED})
"""The own text is written again without marker, and the value as it now stands."""
EDITED_SINCE = frozenset({WriteOutcome.EDITED, WriteOutcome.TEXT_TRUNCATED})
"""Somebody has edited the row since; the next plan deals with what they typed."""


def classify_write(
    value: str | None, remark: str | None, answered_row_id: str | None, row: AdvoRow | None
) -> WriteOutcome:
    """What became of a write of ``value`` and ``remark``; ``answered_row_id``: the answer's, None if it had none."""
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
    """Whether a row shows what was sent, only shorter. A text that is gone altogether was deleted by a person."""
    return is_prefix(value, row.value) and is_prefix(remark, row.remark)


def is_own_text_truncated(sent: str | None, stored: str | None) -> bool:
    """Whether Advoware cut off the end of an own text, even if somebody has retyped the value beside it.

    A person who deletes the text leaves the whole marker and nothing after it; anything longer or shorter is what
    Advoware left. If a person shortened the text and retyped the value at that moment, the text comes back: nothing is
    lost.
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
    """Whether a text is the beginning of the one that was sent, even if its last letter was cut in two."""
    sent_text = comparable_text(sent)
    return bool(comparable_text(stored)) == bool(sent_text) and sent_text.startswith(without_cut_letter(stored))


def without_cut_letter(stored: str | None) -> str:
    """A text as it is compared, without half a letter at its end."""
    return comparable_text(comparable_text(stored).removesuffix(REPLACEMENT_CHARACTER))


@dataclass(frozen=True)
class PendingRepair:
    """What a broken-off run left to repair: writes to revert, writes to repeat without marker, and reverted decisions.

    ``remarks_without_marker``: the remarks that it had already written without marker, by komm_id.
    ``edited_decisions``: the reverted decisions with a row that was edited since and stays as it is.
    """

    writes_to_revert: tuple[Change, ...] = ()
    writes_to_unmark: tuple[Change, ...] = ()
    reverted_decisions: frozenset[int] = frozenset()
    remarks_without_marker: Mapping[int, str] = field(default_factory=dict)
    edited_decisions: frozenset[int] = frozenset()

    @property
    def change_ids(self) -> list[int]:
        """The ids of the journal rows that stay open until they are repaired."""
        return [change["id"] for change in (*self.writes_to_revert, *self.writes_to_unmark)]


def find_pending_repair(writes: Sequence[Change], rows: Iterable[AdvoRow]) -> PendingRepair:
    """Compare what arrived, in order, with the rows as they now are; only the last write to a row tells anything."""
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
    """The write without its marker, which may make the remark too long; None where that would change nothing.

    None also for a slot without own text, and for a repair, as they are no longer than what stood there before.
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
    """Whether a row's old marker names another value than this write: if it stays, it shows a number that is gone."""
    before, after = decode(step.old_remark).value, decode(step.new_remark).value
    if before is None:
        return False
    return after is None or comparable_value(step.channel, before, region) != comparable_value(
        step.channel, after, region
    )


def slot_after_revert(
    komm_kz: int | None, sent: str | None, stored: str | None, other_texts: Collection[str]
) -> tuple[str, str]:
    """Value and remark of a new row whose write is reverted: a slot, with its own text unless ``other_texts`` has that.

    The row that the text came from may have been edited since, and then stays as it is. If the remark was stored
    shortened, the text is written alone: that much fitted into its old row.
    """
    text = decode(sent).own_text
    if not text or any(is_same_text(text, other) for other in other_texts):
        return "", encode_slot(komm_kz or 1, "")
    return "", encode_slot(komm_kz or 1, text) if is_same_text(stored, sent) else text


def own_texts_elsewhere(repair: PendingRepair, change: Change, rows: Mapping[int, AdvoEntry]) -> set[str]:
    """The own texts on the other rows of the entry, as they are now or will be once reverted."""
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
    """The decisions that finish the repair, and all notes about the person afterwards."""
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
    """The decision that reverts one write; the baseline of the entry stays what it was."""
    if change["action"] in CREATING_ACTIONS:
        value, remark = slot_after_revert(change["komm_kz"], change["new_remark"], row.remark, other_texts)
    else:
        value, remark = change["old_value"] or "", change["old_remark"] or ""
    return repair_decision(change, row, REVERT_ROW, value, remark)


def unmark_decision(change: Change, row: AdvoEntry, baseline: Mapping[int, BaselinePair]) -> Decision:
    """The decision that makes the own text whole; the baseline of a pair then says that its row has no marker."""
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
    """One repairing write as a decision of the plan."""
    channel, komm_kz = Channel(change["channel"]), change["komm_kz"] or 1
    entry = Entry(channel, Variant.REPAIR, komm_kz, row=row)
    step = update_row_step(action, channel, row, komm_kz, value, remark)
    return Decision(entry, Variant.REPAIR, Resolution.APPLY, NOT_AS_SENT, (step,), keeps_baseline=True)
