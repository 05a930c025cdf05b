"""Both sides of one person next to each other: each value once, its state, and the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etl.enums import ChangeState
from jobs.commands.explain import MARKER_ONLY, STATE_WORDS, describe_run
from jobs.run.report import SIDE_WORDS
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from etl.rules.values.kommkz import KommKzTable

Record = dict[str, Any]

SLOT_TEXT: Final = "emptied, kept for the next entry of its kind"


class Standing(NamedTuple):
    """The state of a line: a sign, and its meaning."""

    sign: str
    words: str


IN_SYNC, NOT_LINKED = Standing("=", "in sync"), Standing("≈", "the same, not linked")
DIFFERENT = Standing("≠", "differ")
ONLY_ESPO, ONLY_ADVO = Standing("→", "only in EspoCRM"), Standing("←", "only in Advoware")
LEFT_ALONE, NOT_OURS = Standing("·", "left alone"), Standing("·", "no phone or mail")
UNUSED = Standing("·", "slot")

GONE_WORDS: Final = {ONLY_ESPO: "Advoware", ONLY_ADVO: "EspoCRM"}
"""Where the other half of an agreed pair is missing."""

AT_ODDS: Final = frozenset({ONLY_ESPO, ONLY_ADVO, DIFFERENT, NOT_LINKED})
"""Lines that a run would have to see to."""


@dataclass
class SideLine:
    """One value as it stands on either side, or on both: what was agreed, and why it stands so."""

    item: Record | None
    row: Record | None
    pair: Record | None
    standing: Standing
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PersonView:
    """What the page needs beyond the person: the firm's clock, its kinds of row, and how commands begin."""

    zone: tzinfo
    table: KommKzTable
    command: str

    def time(self, text: str | None) -> str:
        """A moment, to the minute."""
        return format_local(text, self.zone, "%Y-%m-%d %H:%M")


def side_lines(history: Record, items: list[Record], rows: list[Record]) -> list[SideLine]:
    """Every value of either side once: agreed pairs first, then what has the same value, then what stands alone."""
    items_left, rows_left = list(items), {row["komm_id"]: row for row in rows}
    lines = []
    for pair in history["agreed"]:
        row = rows_left.pop(pair["komm_id"], None)
        item = take_item(items_left, pair["channel"], pair["espo_canonical"])
        if item is None and row is not None:  # changed in EspoCRM to what the row is about to get
            item = take_item(items_left, pair["channel"], value_of_step(history, row))
        if item or row:
            lines.append(SideLine(item, row, pair, standing_of(item, row, is_agreed=True)))
    for row in rows_left.values():
        item = take_item(items_left, row["channel"], row["canonical"]) if row["channel"] else None
        lines.append(SideLine(item, row, None, standing_of(item, row)))
    lines += [SideLine(item, None, None, standing_of(item, None)) for item in items_left]
    for line in lines:
        if notes_of_left_alone_rows(line, history):
            line.standing = LEFT_ALONE
    return sorted(lines, key=lambda line: line.standing in {NOT_OURS, UNUSED})


def take_item(items: list[Record], channel: str, canonical: str | None) -> Record | None:
    """Remove the item of this value from the list and return it; None when there is none."""
    for item in items:
        if canonical is not None and (item["channel"], item["canonical"]) == (channel, canonical):
            items.remove(item)
            return item
    return None


def value_of_step(history: Record, row: Record) -> str | None:
    """The value that a held step would write to this row; None when no step does."""
    return next((step["new_value"] for step in steps_on_hold(history) if step["komm_id"] == row["komm_id"]), None)


def steps_on_hold(history: Record) -> list[Record]:
    """The steps a guard holds."""
    return [step for step in history["written"] if step["state"] == ChangeState.HELD]


def standing_of(item: Record | None, row: Record | None, *, is_agreed: bool = False) -> Standing:
    """The state of a line with this item and this row."""
    if row is None:
        return ONLY_ESPO
    if row["is_slot"] or not row["value"]:
        return UNUSED if item is None else ONLY_ESPO
    if row["channel"] is None:
        return NOT_OURS
    if item is None:
        return ONLY_ADVO
    if item["canonical"] != row["canonical"]:
        return DIFFERENT
    return IN_SYNC if is_agreed else NOT_LINKED


def notes_of_left_alone_rows(line: SideLine, history: Record) -> list[Record]:
    """The notes that say why the line's entries are left alone."""
    return [
        note
        for note in history["left"]
        if (line.row is not None and note["side"] == "advo" and note["komm_id"] == line.row["komm_id"])
        or (line.item is not None and note["side"] == "espo" and note["value"] == line.item["value"])
    ]


def line_cells(line: SideLine, view: PersonView) -> Record:
    """The cells of a line, as the template takes them."""
    item, row, pair = line.item, line.row, line.pair
    return {
        "espo": item["value"] if item else "",
        "espo_note": ", ".join(item_words(item)) if item else "",
        "standing": line.standing,
        "advo": "" if row is None else row["value"] or "–",
        "advo_note": ", ".join(row_words(row, view)) if row else "",
        "marker": marker_words(row) if row else "",
        "agreed": [pair["espo_value"], pair["advo_value"]] if pair else [],
        "agreed_at": view.time(pair["agreed_at"]) if pair else "",
        "reasons": line.reasons,
        "is_well": line.standing in {IN_SYNC, UNUSED, NOT_OURS},
    }


def item_words(item: Record) -> Iterator[str]:
    """What EspoCRM says of an item beside its value."""
    yield item["type"] or "mail"
    yield from (word for name, word in (("is_primary", "primary"), ("opt_out", "opted out"), ("invalid", "invalid"))
                if item[name])  # fmt: skip


def row_words(row: Record, view: PersonView) -> Iterator[str]:
    """What kind of row it is, and what people wrote to it."""
    kind = view.table.kinds.get(row["marker_komm_kz"] or row["field_komm_kz"] or row["komm_kz"] or 0)
    yield from [kind.name] if kind else []
    yield f"row {row['komm_id']}"
    yield from [f"“{' '.join(row['own_text'].split())}”"] if (row["own_text"] or "").strip() else []


def marker_words(row: Record) -> str:
    """What the start of the remark says."""
    texts = {"marker": f"EspoCRM has {row['marker_value']}", "slot": SLOT_TEXT, "damaged": "damaged"}
    return texts.get(row["marker_kind"], "none")


# Why --------------------------------------------------------------------------------------------------------------


def line_reasons(line: SideLine, history: Record, events: Sequence[Record], view: PersonView) -> Iterator[str]:
    """Why the line stands as it does: what keeps it so now, which value lost here, and what happened last."""
    values = {side["value"] for side in (line.item, line.row) if side and side["value"]}
    komm_id = line.row["komm_id"] if line.row else None
    if line.pair is not None and line.standing in GONE_WORDS:
        side, value = GONE_WORDS[line.standing], line.pair[f"{'espo' if line.item is None else 'advo'}_value"]
        yield f"agreed {view.time(line.pair['agreed_at'])}; since then {value} is gone from {side}"
    for note in notes_of_left_alone_rows(line, history):
        yield f"left alone since {view.time(note['since'])}: {note['detail'] or note['reason']}"
    for step in steps_on_hold(history):
        if is_about(step, komm_id, values & {step["old_value"], step["new_value"]}):
            yield f"held: {describe_step_on_hold(step)}"
    for conflict in history["lost"]:
        if is_about(conflict, komm_id, values & {conflict["espo_value"], conflict["advo_value"]}):
            yield text_of_lost_value(conflict, view)
    last = None if line.standing is UNUSED else last_decision(events, komm_id, values)
    if last is not None:
        yield f"last: {last['words']}, {last_writes(last)} ({describe_run(last)}, {view.time(last['at'])})"


def describe_step_on_hold(step: Record) -> str:
    """What would become of a value, if the step were carried out."""
    system, old, new = SIDE_WORDS[step["side"]], step["old_value"], step["new_value"]
    if not new:
        return f"{old or 'an entry'} would go from {system}"
    return f"{system} would get {new} instead of {old}" if old else f"{system} would get {new}"


def is_about(record: Record, komm_id: int | None, shared_values: set[str]) -> bool:
    """Whether a record of the store speaks of this line: by its row, or by a value they share."""
    return bool(shared_values) or (komm_id is not None and record["komm_id"] == komm_id)


def text_of_lost_value(conflict: Record, view: PersonView) -> str:
    """Which value lost, when, and what became of it."""
    kept = conflict["espo_value"]
    against = f"against {kept}, which stood in EspoCRM" if kept else "because EspoCRM did not have it"
    ends = {"restored_at": "restored", "seen_at": "marked as seen"}
    end = next((f"{word} {view.time(conflict[at])}" for at, word in ends.items() if conflict[at]), "not put back")
    time = view.time(conflict["created_at"])
    return f"{conflict['advo_value'] or 'a deletion'}, typed in Advoware, lost {time} {against}; {end}"


def last_decision(events: Sequence[Record], komm_id: int | None, values: set[str]) -> Record | None:
    """The last thing that was carried out and touched the line, and is more than a marker."""
    return next(
        (
            event
            for event in reversed(events)
            if event["kind"] == "decided"
            and event["state"] == STATE_WORDS["settled"]
            and event["variant"] not in MARKER_ONLY
            and any(
                is_about(step, komm_id, values & {step["old_value"], step["new_value"]}) for step in event["steps"]
            )
        ),
        None,
    )


def last_writes(event: Record) -> str:
    """What was written then, on either side."""
    changes = dict.fromkeys(
        f"{step['old_value'] or '–'} → {step['new_value'] or '–'}"
        for step in event["steps"]
        if step["old_value"] != step["new_value"]
    )
    return "; ".join(changes) or "marker only"
