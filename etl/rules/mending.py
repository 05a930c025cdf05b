"""Writes that Advoware stored otherwise than they were sent: telling them, and what mends them (rules.md §3). Pure.

A value it shortens is put back to what it was, with all writes of its entry but a row that somebody edited since; a
remark it shortens is written again without marker, so that the own text is whole. A run that dies before it could read
back leaves that to the next one: ``interrupted`` finds it in the journal, ``mending`` plans it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.records import CUT_LETTER, Channel, Side
from etl.rules.array_read import key
from etl.rules.conflicts import Verdict
from etl.rules.entry import Decision, Entry, Left, Pair
from etl.rules.marker import MarkerKind, as_compared, decode, encode_slot, same_text
from etl.rules.steps import row_step
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.records import Row
    from etl.rules.as_it_stands import Standing
    from etl.rules.entry import Agreed, RowSeen, Step

    Change = Mapping[str, Any]

CREATING = frozenset({"create", "fill"})
PUT_BACK, UNMARK = "put_back", "unmark"
MENDING = frozenset({PUT_BACK, UNMARK})
"""What a mending write does; one that does not read as sent either fails the person."""

UNMARKED = {"unmarked": True}
"""What the journal adds to the after-image of a write that was refused with its marker and went without."""

NOT_AS_SENT = "Advoware does not store it as sent"


class Reading(StrEnum):
    """What a GET says of one written row."""

    AS_SENT = "as sent"
    VALUE_CUT = "value not stored as sent"
    REMARK_CUT = "remark not stored as sent"
    TEXT_CUT = "remark not stored as sent, value edited since"
    EDITED = "edited since"


CUT = frozenset({Reading.VALUE_CUT, Reading.REMARK_CUT})
TOO_LONG = frozenset({Reading.REMARK_CUT, Reading.TEXT_CUT})
"""The own text is written again without marker, beside the value that stands there."""
TOUCHED = frozenset({Reading.EDITED, Reading.TEXT_CUT})
"""Somebody edited the row since: what they typed is the next plan's."""


def reading(value: str | None, remark: str | None, answered_row_id: str | None, found: Row | None) -> Reading:
    """What became of a write of ``value`` and ``remark``, answered with that rowId (None: it named none)."""
    if found is None:
        return Reading.EDITED
    value_as_sent = same_text(found.value, value)
    if value_as_sent and same_text(found.remark, remark):
        return Reading.AS_SENT
    ours = found.row_id == answered_row_id if answered_row_id else shortened(value, remark, found)
    if not ours:
        return Reading.TEXT_CUT if not value_as_sent and text_cut(remark, found.remark) else Reading.EDITED
    return Reading.REMARK_CUT if value_as_sent else Reading.VALUE_CUT


def shortened(value: str | None, remark: str | None, found: Row) -> bool:
    """Whether a row shows what was sent, only shorter. What is gone altogether was taken away by a person."""
    return begins(value, found.value) and begins(remark, found.remark)


def text_cut(sent: str | None, found: str | None) -> bool:
    """Whether a remark lost the end of its own text, though somebody retyped the value beside it.

    Who takes a text away leaves the marker whole and nothing behind it; any other beginning is what Advoware left of
    it. Where a person shortened the text and retyped the value in that moment, the text comes back: nothing is lost.
    """
    told, whole, left = decode(sent), as_compared(sent), uncut(found)
    bracket = (sent or "").removesuffix(told.own_text).strip()
    shorter = bool(left) and left != whole and whole.startswith(left)
    return shorter and told.kind in (MarkerKind.MARKER, MarkerKind.SLOT) and bool(told.own_text) and left != bracket


def begins(sent: str | None, found: str | None) -> bool:
    """Whether a text is the beginning of the one that was sent, also where its last letter was cut in two."""
    whole = as_compared(sent)
    return bool(as_compared(found)) == bool(whole) and whole.startswith(uncut(found))


def uncut(found: str | None) -> str:
    """A text as it is compared, without the half letter at its end, where one was cut in two."""
    return as_compared(as_compared(found).removesuffix(CUT_LETTER))


@dataclass(frozen=True)
class Interrupted:
    """What a broken run left unmended: the writes to put back, those to write without marker, the decisions undone.

    ``unmarked``: the remarks it had written without marker already, by komm_id. ``edited``: the decisions undone of
    which a row was edited since, which stays.
    """

    put_back: tuple[Change, ...] = ()
    unmark: tuple[Change, ...] = ()
    undone: frozenset[int] = frozenset()
    unmarked: Mapping[int, str] = field(default_factory=dict)
    edited: frozenset[int] = frozenset()

    @property
    def changes(self) -> list[int]:
        """The journal rows that stay open until they are mended."""
        return [one["id"] for one in (*self.put_back, *self.unmark)]


def interrupted(done: Sequence[Change], rows: Iterable[Row]) -> Interrupted:
    """Compare what arrived, in order, with the rows as they stand; only the last write to a row tells anything."""
    standing = {row.komm_id: row for row in rows}
    last = {one["komm_id"]: one for one in done if one["side"] == Side.ADVO}
    read = {
        one["id"]: reading(one["new_value"], one["new_remark"], one["answered_row_id"], standing.get(komm_id))
        for komm_id, one in last.items()
        if one["action"] not in MENDING
    }
    back = {komm_id for komm_id, one in last.items() if one["action"] == PUT_BACK}
    undone = frozenset(
        one["decision_id"]
        for one in done
        if one["side"] == Side.ADVO
        and one["decision_id"] is not None
        and one["action"] not in MENDING
        and (one["komm_id"] in back or read.get(one["id"]) is Reading.VALUE_CUT)
    )
    ours = [one for one in last.values() if read.get(one["id"], Reading.EDITED) not in TOUCHED]
    too_long = [one for one in last.values() if read.get(one["id"]) in TOO_LONG]
    home = {one["decision_id"] for one in done if one["komm_id"] in back and one["action"] not in CREATING}
    touched = [one for one in last.values() if read.get(one["id"]) in TOUCHED and one["decision_id"] in undone - home]
    return Interrupted(
        tuple(one for one in reversed(ours) if one["decision_id"] in undone),
        tuple(one for one in too_long if one not in ours or one["decision_id"] not in undone),
        undone,
        {komm_id: one["new_remark"] or "" for komm_id, one in last.items() if went_unmarked(one)},
        frozenset(one["decision_id"] for one in touched),
    )


def went_unmarked(change: Change) -> bool:
    """Whether a row was written without a marker on purpose."""
    return change["action"] == UNMARK or bool((change["after"] or {}).get("unmarked"))


def unmarked(step: Step) -> Step | None:
    """The write without the marker its remark may be too long for; ``None`` where nothing else would be written.

    An empty slot without own text is no longer than what stood there; what is put back did stand there.
    """
    remark = decode(step.new_remark)
    bare_slot = remark.kind is MarkerKind.SLOT and not remark.own_text
    if step.action in MENDING or remark.kind not in (MarkerKind.MARKER, MarkerKind.SLOT) or bare_slot:
        return None
    plain = replace(step, new_remark=remark.own_text)
    stands = step.old_value == plain.new_value and same_text(step.old_remark, remark.own_text)
    stands &= step.action != "create"
    return None if stands else plain


def names_another_value(step: Step, region: str) -> bool:
    """Whether a row's marker names another value than this write's: refused, a number that is gone stays readable."""
    before, after = decode(step.old_remark).value, decode(step.new_remark).value
    if before is None:
        return False
    return after is None or key(step.channel, before, region) != key(step.channel, after, region)


def slot_with_text(komm_kz: int | None, sent: str | None, found: str | None, home: Collection[str]) -> tuple[str, str]:
    """Value and remark of a new row put back: a slot, with the own text it was given where that is not ``home``.

    The row it came from may have been edited since, and stays. Where the remark came back shortened, the text stands
    alone: so much its old row held.
    """
    text = decode(sent).own_text
    if not text or any(same_text(text, other) for other in home):
        return "", encode_slot(komm_kz or 1, "")
    return "", encode_slot(komm_kz or 1, text) if same_text(found, sent) else text


def texts_at_home(found: Interrupted, change: Change, rows: Mapping[int, RowSeen]) -> set[str]:
    """The own texts on the entry's other rows, as they stand or once they are put back."""
    stand = {rows[komm_id].own_text for komm_id in change["drops"] or () if komm_id in rows}
    others = [one for one in found.put_back if one is not change and one["decision_id"] == change["decision_id"]]
    return stand | {decode(one["old_remark"]).own_text for one in others}


def mending(found: Interrupted, stands: Standing) -> tuple[tuple[Decision, ...], tuple[Left, ...]]:
    """The decisions that finish what was interrupted, and all that is noted of the person afterwards."""
    back = [
        put_back(one, stands.rows[one["komm_id"]], texts_at_home(found, one, stands.rows)) for one in found.put_back
    ]
    unmarked = [without_marker(one, stands.rows[one["komm_id"]], stands.baseline) for one in found.unmark]
    refused = [
        Left(
            Side.ESPO,
            "unsyncable",
            NOT_AS_SENT,
            one["new_value"],
            None if one["action"] in CREATING else one["komm_id"],
            channel=Channel(one["channel"]),
        )
        for one in found.put_back
        if one["new_value"]
    ]
    return (*back, *unmarked), tuple(dict.fromkeys((*stands.left, *refused)))


def put_back(change: Change, row: RowSeen, home: Collection[str]) -> Decision:
    """One write undone; the entry's baseline stays what it was."""
    if change["action"] in CREATING:
        value, remark = slot_with_text(change["komm_kz"], change["new_remark"], row.remark, home)
    else:
        value, remark = change["old_value"] or "", change["old_remark"] or ""
    return mended(change, row, PUT_BACK, value, remark)


def without_marker(change: Change, row: RowSeen, baseline: Mapping[int, Agreed]) -> Decision:
    """The own text whole again beside the value as it stands; a row that is a pair says that it has no marker."""
    text = decode(change["new_remark"]).own_text
    made = mended(change, row, UNMARK, row.value, text)
    base = baseline.get(row.komm_id)
    if base is None:
        return made
    pair = Pair(
        row.komm_id, made.entry.channel, base.espo_value, base.espo_type, base.advo_value, base.komm_kz, True, text  # noqa: FBT003  unmarked
    )
    return replace(made, keeps=False, pair=pair, drops=(row.komm_id,))


def mended(change: Change, row: RowSeen, action: str, value: str, remark: str) -> Decision:
    """One mending write as a decision of the plan."""
    channel, komm_kz = Channel(change["channel"]), change["komm_kz"] or 1
    entry = Entry(channel, Variant.REPAIR, komm_kz, row=row)
    step = row_step(action, channel, row, komm_kz, value, remark)
    return Decision(entry, Variant.REPAIR, Verdict.GO, NOT_AS_SENT, (step,), keeps=True)
