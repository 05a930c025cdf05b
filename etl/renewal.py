"""What the store says of values, computed anew where the grammar changed (rules.md §0): an upgrade holds nobody.

The grammar's own version, the metadata of the library and the region decide what a value says. Raw values are kept as
read, so snapshots and baseline are derived from them again, in one pass, by the functions that derive them at a look. A
pair whose two values are not one value any more ends: both stay as they are and are named, and neither's edit or
deletion says anything about the other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from etl.records import AdvoPerson, Channel, Item, Row, Side
from etl.rules.canonical import canonical
from etl.rules.observed import item_record, row_records
from etl.rules.unclear import PARTED
from etl.rules.values import GRAMMAR, LITERAL, Clarity, classify
from etl.store.baseline import (
    add_left_alone,
    all_pairs,
    drop_baseline,
    drop_left_alone,
    left_alone_of,
    pairs_of,
    save_baseline,
)
from etl.store.due import mark_due
from etl.store.last_seen import marks_of, save_marks
from etl.store.persons import persons_after
from etl.store.snapshots import save_items, save_rows, snapshot_items, snapshot_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.run import Run
    from etl.store.database import Store

    Record = Mapping[str, Any]

SETTING: Final = "grammar"
"""Setting: the grammar by which the stored values were read last."""

BATCH: Final = 500  # persons a transaction
READ_ANEW: Final = "its values are read by a newer grammar"


def grammar_of(region: str) -> str:
    """What decides how a value is read."""
    return f"{GRAMMAR} {region}"


def renew_values(run: Run) -> None:
    """Read all stored values anew where the grammar is another one than theirs; those it says more of become due."""
    wanted = grammar_of(run.policy.region)
    if run.store.setting(SETTING) == wanted:
        return
    after = ""
    while persons := persons_after(run.store, after, BATCH):
        with run.store.transaction():
            for person in persons:
                renew_person(run, person)
        after = persons[-1]["entity_id"]
    run.store.set_setting(SETTING, wanted)


def pairs_that_end(store: Store, region: str) -> list[Record]:
    """The agreed pairs that the next run takes apart, because their values are one value no more."""
    if store.setting(SETTING) == grammar_of(region):
        return []
    return [pair for pair in all_pairs(store) if as_read_now(pair, region) is None]


def renew_person(run: Run, person: Record) -> None:
    """One person's snapshots, pairs and notes."""
    entity_id, betnr = person["entity_id"], person["betnr"]
    changed = renewed_items(run, entity_id) | renewed_rows(run, person)
    renew_marks(run, entity_id)
    parted = [
        pair
        for pair in (pairs_of(run.store, entity_id, betnr) if betnr is not None else ())
        if not renewed_pair(run, pair)
    ]
    for pair in parted:
        drop_baseline(run.store, entity_id, [pair["komm_id"]])
        note_parted(run, entity_id, pair)
    certain = readable_notes(run, entity_id, changed)
    drop_left_alone(run.store, certain)
    if changed or parted or certain:
        mark_due(run.store, [entity_id], READ_ANEW, run.utcnow())


def renewed_items(run: Run, entity_id: str) -> set[str]:
    """Store EspoCRM's items as they read now; the values of which more, or something else, is known than before."""
    stored = snapshot_items(run.store, entity_id)
    fresh = [
        item_record(
            Item(
                Channel(one["channel"]),
                one["value"],
                one["type"],
                bool(one["is_primary"]),
                bool(one["opt_out"]),
                bool(one["invalid"]),
                one["raw"],
            ),
            run.policy.region,
        )
        for one in stored
    ]
    if fresh != stored:
        save_items(run.store, entity_id, fresh)
    return changed_values(stored, fresh)


def renew_marks(run: Run, entity_id: str) -> None:
    """Opt-outs of what EspoCRM's record has no more, by what the values are compared by now."""
    stored = marks_of(run.store, entity_id)
    fresh = [
        {**mark, "canonical": canonical(Channel(mark["channel"]), mark["value"], run.policy.region) or mark["value"]}
        for mark in stored
    ]
    if fresh != stored:
        save_marks(run.store, entity_id, fresh)


def renewed_rows(run: Run, person: Record) -> set[str]:
    """Store Advoware's rows as they read now; the values of which more, or something else, is known than before."""
    if person["betnr"] is None:
        return set()
    stored = snapshot_rows(run.store, person["betnr"])
    rows = tuple(
        Row(one["komm_id"], one["row_id"], one["value"], one["remark"], one["komm_kz"], bool(one["online"]))
        for one in stored
    )
    fields = json.loads(person["advo_fields"] or "{}")
    fresh = row_records(AdvoPerson(person["betnr"], rows, fields), run.policy.region, run.policy.table)
    if fresh != stored:
        save_rows(run.store, person["betnr"], fresh)
    return changed_values(stored, fresh)


def changed_values(stored: Iterable[Record], fresh: Iterable[Record]) -> set[str]:
    """The values that are read as something else; that text is now kept behind a sign is no difference."""
    return {
        now["value"]
        for was, now in zip(stored, fresh, strict=True)
        if now["doubt"] != was["doubt"] or meaning(was["canonical"]) != meaning(now["canonical"])
    }


def meaning(stored: str | None) -> str:
    """A canonical value of either edition, without the sign that the second one puts before what is no number."""
    return (stored or "").removeprefix(LITERAL)


def renewed_pair(run: Run, pair: Record) -> bool:
    """Store what both values of a pair are compared by now; False when they are not one value any more."""
    now = as_read_now(pair, run.policy.region)
    if now is not None and now != pair:
        save_baseline(run.store, [now], pair["agreed_at"])
    return now is not None


def as_read_now(pair: Record, region: str) -> Record | None:
    """A pair, agreed or foreseen, with what its values are compared by now; None when they are one value no more."""
    channel = Channel(pair["channel"])
    espo, advo = (canonical(channel, pair[f"{side}_value"], region) for side in ("espo", "advo"))
    if espo != advo and pair["espo_canonical"] == pair["advo_canonical"]:
        return None
    return {**pair, "espo_canonical": espo, "advo_canonical": advo}


def note_parted(run: Run, entity_id: str, pair: Record) -> None:
    """Name both halves of a pair that ends, so that neither says anything about the other."""
    for note in parted_notes(pair):
        add_left_alone(run.store, entity_id, note, run.utcnow())


def parted_notes(pair: Record) -> list[dict[str, Any]]:
    """What is said of both halves of a pair that ended."""
    about = {"betnr": pair["betnr"], "channel": pair["channel"], "reason": "unclear", "detail": PARTED}
    return [
        {**about, "side": Side.ESPO, "value": pair["espo_value"]},
        {**about, "side": Side.ADVO, "komm_id": pair["komm_id"], "value": pair["advo_value"]},
    ]


def readable_notes(run: Run, entity_id: str, changed: set[str]) -> Sequence[int]:
    """Notes that a value is unsyncable which reads as a certain number or address now."""
    notes = left_alone_of(run.store, entity_id) if changed else ()
    return [
        note["id"]
        for note in notes
        if note["reason"] == "unsyncable" and note["value"] in changed and is_certain(run, note)
    ]


def is_certain(run: Run, note: Record) -> bool:
    """Whether a note speaks of what is certainly one number or address."""
    read = classify(Channel(note["channel"] or Channel.PHONE), note["value"], run.policy.region)
    return read is not None and read.clarity is Clarity.CERTAIN
