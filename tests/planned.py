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

from etl.diff import plan_from_frames
from etl.frames import BASELINE, ITEMS, LEFT_ALONE, PERSONS, ROWS, Schema
from etl.records import AdvoRow, Channel, Direction, EspoItem, Scope
from etl.rules.entry import Policy
from etl.rules.plan import PersonPlan
from etl.rules.snapshot_records import item_record, row_record
from etl.rules.values.canonical import canonical
from etl.rules.values.kommkz import KommKzTable
from tests.notation import NOTHING, Cells, legend_value, parse_remark, parse_sides, table_blocks

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
class PlanTable:
    """A table: the frames of one person, the steps that are to come out, and what else the plan says."""

    frames: dict[str, pd.DataFrame]
    steps: list[tuple[Any, ...]]
    notes: list[tuple[str, str, str | None]] = field(default_factory=list)
    waits: str | None = None
    again: bool = False


def parse_plan_table(text: str) -> PlanTable:
    """Read a table."""
    lines_by_keyword = dict(table_blocks(text))
    states = parse_sides(lines_by_keyword["now"])
    person = dict(pair.split("=", 1) for line in lines_by_keyword.get("person", []) for pair in line[0].split())
    items = [
        EspoItem(
            Channel.MAIL if item.is_mail else Channel.PHONE,
            item.value,
            item.type,
            primary=item.primary,
            opt_out=item.opt_out,
            invalid=item.invalid,
        )
        for item in states.items or []
    ]
    rows = [
        AdvoRow(row.komm_id, f"ROW{row.komm_id}", row.tlf, row.remark, row.komm_kz, row.online)
        for row in states.rows or []
    ]
    if "agreed" in lines_by_keyword:
        person = {"last_sync_at": SYNCED, "agreed_betnr": str(BETNR)} | person
    contact = {name: legend_value(value) or "" for name, value in person.items() if name not in PERSONS}
    frames = {
        "persons": frame_of(
            [KEY | {name: value or None for name, value in person.items() if name in PERSONS}], PERSONS
        ),
        "items": frame_of(
            [KEY | {"position": place} | item_record(item, "DE") for place, item in enumerate(items)], ITEMS
        ),
        "rows": frame_of([KEY | row_record(row, contact, "DE", TABLE) for row in rows], ROWS),
        "baseline": frame_of([parse_baseline_record(line) for line in lines_by_keyword.get("agreed", [])], BASELINE),
        "left_alone": frame_of([parse_left_record(line) for line in lines_by_keyword.get("left", [])], LEFT_ALONE),
    }
    return PlanTable(
        frames,
        [parse_step(line) for line in lines_by_keyword.get("plan", []) if line[0] != NOTHING],
        [parse_note(line) for line in lines_by_keyword.get("notes", [])],
        lines_by_keyword["waits"][0][0] if "waits" in lines_by_keyword else None,
        "again" in lines_by_keyword,
    )


def frame_of(records: Iterable[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """Records as a frame of this schema, as the store gives it; what they lack is null."""
    records_with_all_columns = [{**dict.fromkeys(schema), **record} for record in records]
    return pd.DataFrame(
        {
            name: pd.Series([column_value(record[name], kind) for record in records_with_all_columns], dtype=kind)
            for name, kind in schema.items()
        }
    )


def column_value(value: object, kind: str) -> object:
    """Words of a table as the column's type wants them; facts are never null in the store."""
    if kind == "boolean":
        return value not in {None, False, "0"}
    if isinstance(value, str) and kind == "Int64":
        return int(value)
    return str(value) if kind.startswith("string") and value is not None else value


def parse_baseline_record(line: Cells) -> Record:
    """``88001 1 x Office x'``: row, kommKz, EspoCRM's value, type (``-`` for a mail), Advoware's value, flags."""
    komm_id, komm_kz, espo, kind, advo, *flags = line[0].split()
    channel = Channel.MAIL if kind == NOTHING else Channel.PHONE
    other_rows = [int(flag.removeprefix("other=")) for flag in flags if flag.startswith("other=")]
    return KEY | {
        "komm_id": int(komm_id),
        "channel": channel,
        "espo_value": legend_value(espo),
        "espo_canonical": canonical(channel, legend_value(espo), "DE"),
        "espo_type": None if kind == NOTHING else kind.replace("_", " "),
        "advo_value": legend_value(advo),
        "advo_canonical": canonical(channel, legend_value(advo), "DE"),
        "komm_kz": int(komm_kz),
        "row_id": f"ROW{komm_id}",
        "remark": parse_remark(line[1]) if "unmarked" in flags else None,
        "unmarked": "unmarked" in flags,
        "other_row": next(iter(other_rows), None),
        "agreed_at": "2026-08-30 08:00:00",
    }


def parse_left_record(line: Cells) -> Record:
    """``held_back advo 88001 z' to_advoware``: reason, side, row (``-``), value, direction if any; detail."""
    reason, side, komm_id, value, *direction = line[0].split()
    return KEY | {
        "id": 1,
        "side": side,
        "komm_id": None if komm_id == NOTHING else int(komm_id),
        "value": legend_value(value),
        "reason": reason,
        "direction": next(iter(direction), None),
        "detail": line[1] or None,
        "since": "2026-08-30 08:00:00",
    }


def parse_step(line: Cells) -> tuple[Any, ...]:
    """A step as a row of the steps frame, without its reason."""
    variant, side, action, komm_id, komm_kz = line[0].split()
    old_value, new_value = (legend_value(cell) for cell in parse_change(line[1]))
    old_remark, new_remark = (None if cell == NOTHING else parse_remark(cell) for cell in parse_change(line[2]))
    channel = "mail" if "@" in (old_value or "") + (new_value or "") else "phone"
    return (
        *(ENTITY, BETNR, variant, SIDES[side], action, channel),
        *(None if komm_id == NOTHING else int(komm_id), int(komm_kz)),
        *(None if value == NOTHING else value for value in (old_value, new_value)),
        *(old_remark, new_remark),
    )


def parse_change(cell: str) -> tuple[str, str]:
    """``old > new``; nothing at all is null on both sides."""
    old, _, new = cell.partition(">") if cell else (NOTHING, "", NOTHING)
    return old.strip(), new.strip()


def parse_note(line: Cells) -> tuple[str, str, str | None]:
    """``unsyncable advo v``: reason, side, value."""
    reason, side, value = line[0].split(maxsplit=2)
    return reason, side, legend_value(value)


def assert_plan(
    text: str, direction: str = "both", scope: str = "person", *, international: bool = True
) -> PersonPlan:
    """Plan a table's person and compare the steps and everything else the table tells; return the plan."""
    table = parse_plan_table(text)
    policy = Policy(Direction(direction), Scope(scope), "DE", TABLE, international=international)
    plans = plan_from_frames(table.frames, policy)
    plan_of_person = plans.get(ENTITY) or PersonPlan(ENTITY, BETNR, (), (), ())
    assert steps_in_write_order(plan_of_person) == table.steps
    notes = [(left_alone.reason, left_alone.side.value, left_alone.value) for left_alone in plan_of_person.left_alone]
    assert (sorted(notes), plan_of_person.waiting_side, plan_of_person.replan) == (
        sorted(table.notes),
        table.waits,
        table.again,
    )
    return plan_of_person


def plans_alone_and_together(tables: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """The steps of each table's person planned alone, and of all of them planned in one go from reversed frames."""
    policy = Policy(Direction.BOTH, Scope.PERSON, "DE", TABLE)
    frames = [parse_plan_table(table).frames for table in tables]
    frames_of_persons = [
        {name: frame.assign(entity_id=f"e{number}", betnr=BETNR + number) for name, frame in frames_of_person.items()}
        for number, frames_of_person in enumerate(frames)
    ]
    all_frames = {
        name: pd.concat([frames_of_person[name] for frames_of_person in reversed(frames_of_persons)], ignore_index=True)
        for name in frames_of_persons[0]
    }
    together = plan_from_frames(all_frames, policy)
    alone = [plan_from_frames(frames_of_person, policy) for frames_of_person in frames_of_persons]
    order = [f"e{number}" for number in range(len(tables))]
    return (
        [
            steps_in_write_order(plans_of_one[name])
            for name, plans_of_one in zip(order, alone, strict=True)
            if name in plans_of_one
        ],
        [steps_in_write_order(together[name]) for name in order if name in together],
    )


def steps_in_write_order(plan_of_person: PersonPlan) -> list[tuple[Any, ...]]:
    """The steps in the order they are written, each with its decision's variant, without the reason."""
    variant = {id(step): decision.variant for decision in plan_of_person.decisions for step in decision.steps}
    return [
        (
            *(
                plan_of_person.entity_id,
                plan_of_person.betnr,
                variant[id(step)].value,
                step.side.value,
                step.action,
                step.channel.value,
            ),
            *(step.komm_id, step.komm_kz, step.old_value, step.new_value, step.old_remark, step.new_remark),
        )
        for step in plan_of_person.steps
    ]
