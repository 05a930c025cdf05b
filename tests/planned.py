"""Plans out of tables: what both sides show, what was agreed, what was left alone; and the steps frame, compared whole.

``now`` is a table as in `tests.notation` (kommKz is the payload's, mostly 0), ``agreed`` and ``left`` are the state
store's, ``person`` sets columns of ``persons`` (empty: null; who agreed on anything was synced before), ``plan`` are
the steps as they are written: variant, system, action, row, kommKz | old value > new value | old remark > new remark.
The rest of a plan: ``notes``, ``waits``, ``again``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from etl.diff import plan, steps_frame
from etl.frames import BASELINE, ITEMS, LEFT_ALONE, PERSONS, ROWS, STEPS, Schema
from etl.records import Channel, Direction, Item, Row, Scope
from etl.rules.canonical import canonical
from etl.rules.entry import Policy
from etl.rules.kommkz import KommKzTable
from etl.rules.observed import item_record, row_record
from etl.rules.plan import PersonPlan
from tests.notation import NOTHING, Cells, blocks, remark, shown, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENTITY = "e1"
BETNR = 104711
KEY = {"entity_id": ENTITY, "betnr": BETNR}
SIDES = {"E": "espo", "A": "advo"}
TABLE = KommKzTable.default()
SYNCED = "2026-08-01 08:00:00"

Record = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A table: the frames of one person, the steps that are to come out, and what else the plan says."""

    frames: dict[str, pd.DataFrame]
    steps: list[tuple[Any, ...]]
    notes: list[tuple[str, str, str | None]] = field(default_factory=list)
    waits: str | None = None
    again: bool = False


def told(text: str) -> Told:
    """Read a table."""
    of = dict(blocks(text))
    now = shown(of["now"])
    person = dict(pair.split("=", 1) for line in of.get("person", []) for pair in line[0].split())
    items = [
        Item(
            Channel.MAIL if one.is_mail else Channel.PHONE,
            one.value,
            one.type,
            primary=one.primary,
            opt_out=one.opt_out,
            invalid=one.invalid,
        )
        for one in now.items or []
    ]
    rows = [
        Row(one.komm_id, f"ROW{one.komm_id}", one.tlf, one.remark, one.komm_kz, one.online) for one in now.rows or []
    ]
    if "agreed" in of:
        person = {"last_sync_at": SYNCED, "agreed_betnr": str(BETNR)} | person
    contact = {name: spelled(value) or "" for name, value in person.items() if name not in PERSONS}
    frames = {
        "persons": frame([KEY | {name: value or None for name, value in person.items() if name in PERSONS}], PERSONS),
        "items": frame(
            [KEY | {"position": place} | item_record(one, "DE") for place, one in enumerate(items)], ITEMS
        ),
        "rows": frame([KEY | row_record(one, contact, "DE", TABLE) for one in rows], ROWS),
        "baseline": frame([agreed(line) for line in of.get("agreed", [])], BASELINE),
        "left_alone": frame([left(line) for line in of.get("left", [])], LEFT_ALONE),
    }
    return Told(
        frames,
        [step(line) for line in of.get("plan", []) if line[0] != NOTHING],
        [note(line) for line in of.get("notes", [])],
        of["waits"][0][0] if "waits" in of else None,
        "again" in of,
    )


def frame(records: Iterable[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """Records as a frame of this schema, as the store gives it; what they lack is null."""
    whole = [{**dict.fromkeys(schema), **record} for record in records]
    return pd.DataFrame(
        {name: pd.Series([typed(one[name], kind) for one in whole], dtype=kind) for name, kind in schema.items()}
    )


def typed(value: object, kind: str) -> object:
    """Words of a table as the column's type wants them; facts are never null in the store."""
    if kind == "boolean":
        return value not in {None, False, "0"}
    if isinstance(value, str) and kind == "Int64":
        return int(value)
    return str(value) if kind.startswith("string") and value is not None else value


def agreed(line: Cells) -> Record:
    """``88001 1 x Office x'``: row, kommKz, EspoCRM's value, type (``-`` for a mail), Advoware's value, flags."""
    komm_id, komm_kz, espo, kind, advo, *flags = line[0].split()
    channel = Channel.MAIL if kind == NOTHING else Channel.PHONE
    other = [int(flag.removeprefix("other=")) for flag in flags if flag.startswith("other=")]
    return KEY | {
        "komm_id": int(komm_id),
        "channel": channel,
        "espo_value": spelled(espo),
        "espo_canonical": canonical(channel, spelled(espo), "DE"),
        "espo_type": None if kind == NOTHING else kind,
        "advo_value": spelled(advo),
        "advo_canonical": canonical(channel, spelled(advo), "DE"),
        "komm_kz": int(komm_kz),
        "row_id": f"ROW{komm_id}",
        "remark": remark(line[1]) if "unmarked" in flags else None,
        "unmarked": "unmarked" in flags,
        "other_row": next(iter(other), None),
        "agreed_at": "2026-08-30 08:00:00",
    }


def left(line: Cells) -> Record:
    """``held_back advo 88001 z' to_advoware``: reason, side, row (``-``), value, direction if any; detail."""
    reason, side, komm_id, value, *direction = line[0].split()
    return KEY | {
        "id": 1,
        "side": side,
        "komm_id": None if komm_id == NOTHING else int(komm_id),
        "value": spelled(value),
        "reason": reason,
        "direction": next(iter(direction), None),
        "detail": line[1] or None,
        "since": "2026-08-30 08:00:00",
    }


def step(line: Cells) -> tuple[Any, ...]:
    """A step as a row of the steps frame, without its reason."""
    variant, side, action, komm_id, komm_kz = line[0].split()
    old_value, new_value = (spelled(cell) for cell in change(line[1]))
    old_remark, new_remark = (None if cell == NOTHING else remark(cell) for cell in change(line[2]))
    channel = "mail" if "@" in (old_value or "") + (new_value or "") else "phone"
    return (
        *(ENTITY, BETNR, variant, SIDES[side], action, channel),
        *(None if komm_id == NOTHING else int(komm_id), int(komm_kz)),
        *(None if value == NOTHING else value for value in (old_value, new_value)),
        *(old_remark, new_remark),
    )


def change(cell: str) -> tuple[str, str]:
    """``old > new``; nothing at all is null on both sides."""
    old, _, new = cell.partition(">") if cell else (NOTHING, "", NOTHING)
    return old.strip(), new.strip()


def note(line: Cells) -> tuple[str, str, str | None]:
    """``unsyncable advo v``: reason, side, value."""
    reason, side, value = line[0].split(maxsplit=2)
    return reason, side, spelled(value)


def planned(
    text: str, direction: str = "both", scope: str = "person", *, international: bool = True
) -> PersonPlan:
    """Plan a table's person and compare the steps and everything else the table tells; return the plan."""
    this = told(text)
    policy = Policy(Direction(direction), Scope(scope), "DE", TABLE, international=international)
    plans = plan(this.frames, policy)
    made = plans.get(ENTITY) or PersonPlan(ENTITY, BETNR, (), (), ())
    assert as_written(made) == this.steps
    assert in_frame(plans) == sorted(this.steps, key=str)
    notes = [(one.reason, one.side.value, one.value) for one in made.left]
    assert (sorted(notes), made.waits_for, made.again) == (sorted(this.notes), this.waits, this.again)
    return made


def planned_together(tables: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """The steps of each table's person planned alone, and of all of them planned in one go from reversed frames."""
    policy = Policy(Direction.BOTH, Scope.PERSON, "DE", TABLE)
    frames = [told(table).frames for table in tables]
    named = [
        {name: one.assign(entity_id=f"e{number}", betnr=BETNR + number) for name, one in of.items()}
        for number, of in enumerate(frames)
    ]
    whole = {name: pd.concat([of[name] for of in reversed(named)], ignore_index=True) for name in named[0]}
    together = plan(whole, policy)
    alone = [plan(of, policy) for of in named]
    order = [f"e{number}" for number in range(len(tables))]
    return (
        [as_written(one[name]) for name, one in zip(order, alone, strict=True) if name in one],
        [as_written(together[name]) for name in order if name in together],
    )


def as_written(made: PersonPlan) -> list[tuple[Any, ...]]:
    """The steps in the order they are written, each with its decision's variant, without the reason."""
    variant = {id(one): decision.variant for decision in made.decisions for one in decision.steps}
    return [
        (
            *(made.entity_id, made.betnr, variant[id(one)].value, one.side.value, one.action, one.channel.value),
            *(one.komm_id, one.komm_kz, one.old_value, one.new_value, one.old_remark, one.new_remark),
        )
        for one in made.steps
    ]


def in_frame(plans: dict[str, PersonPlan]) -> list[tuple[Any, ...]]:
    """The rows of the steps frame, without the reason."""
    whole = steps_frame(plans)
    assert list(whole.dtypes.items()) == list(frame([], STEPS).dtypes.items())
    plain = whole.drop(columns="reason").astype(object)
    return sorted(plain.where(plain.notna(), None).itertuples(index=False, name=None), key=str)
