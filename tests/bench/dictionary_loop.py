"""The plan as one would write it without a second thought: dictionaries, a loop over persons, ifs. Only to be raced.

It decides what a firm without conflicts shows (Var1-6, link, repair), direction both; whatever else it meets is an
error, so that a faster answer is never a poorer one.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any

from etl.records import Channel, EspoItem
from etl.rules.espo.items import new_item, with_value
from etl.rules.marker import encode, encode_slot
from etl.rules.values.canonical import is_similar
from etl.rules.values.kommkz import KommKzTable

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]

TABLE = KommKzTable.default()
REGION = "DE"
ITEM = ("entity_id", "channel", "value", "canonical", "type", "is_primary", "opt_out", "invalid", "raw")
ROW = (
    "betnr", "komm_id", "value", "canonical", "remark", "own_text", "marker_canonical", "marker_komm_kz",
    "komm_kz", "field_komm_kz", "channel", "mobile",
)  # fmt: skip
PAIR = (
    "entity_id", "betnr", "komm_id", "channel", "espo_canonical", "espo_type", "advo_canonical", "komm_kz",
    "unmarked", "other_row",
)  # fmt: skip
STEP = (
    "entity_id", "betnr", "variant", "side", "action", "channel", "komm_id", "komm_kz",
    "old_value", "new_value", "old_remark", "new_remark",
)  # fmt: skip


def plan_by_loop(path: str) -> list[Record]:
    """Read everybody, decide everybody, save and return the steps."""
    with closing(sqlite3.connect(path)) as store:
        items, rows, pairs = defaultdict(list), defaultdict(list), defaultdict(list)
        for item in table_records(store, "espo_entries", ITEM, "entity_id, channel, position"):
            items[item["entity_id"]].append(item)
        for row in table_records(store, "advo_entries", ROW, "betnr, komm_id"):
            rows[row["betnr"]].append(row)
        for pair in table_records(store, "baseline", PAIR, "entity_id, betnr, komm_id"):
            pairs[pair["entity_id"], pair["betnr"]].append(pair)
        steps = []
        for person in table_records(store, "persons", ("entity_id", "betnr"), "entity_id"):
            key = person["entity_id"], person["betnr"]
            steps += decide_person(person, items[key[0]], rows[key[1]], pairs[key])
        save_steps(store, steps)
    return steps


def table_records(store: sqlite3.Connection, table: str, columns: tuple[str, ...], order: str) -> Iterator[Record]:
    """The rows of a table as dictionaries."""
    for row in store.execute(f"select {', '.join(columns)} from {table} order by {order}"):
        yield dict(zip(columns, row, strict=True))


def decide_person(person: Record, items: list[Record], rows: list[Record], pairs: list[Record]) -> list[Record]:
    """The steps of one person."""
    rows_by_id = {row["komm_id"]: row for row in rows if row["channel"]}
    items_by_value = {(item["channel"], item["canonical"]): item for item in items}
    if len(items_by_value) != len(items):
        raise NotImplementedError
    missing_in_espo, steps = [], []
    for pair in pairs:
        row = rows_by_id.pop(pair["komm_id"], None)
        item = items_by_value.pop((pair["channel"], pair["espo_canonical"]), None)
        if item is None and row is not None and row["value"]:
            missing_in_espo.append((pair, row))
        else:
            steps += pair_steps(person, pair, row, item)
    links = [
        (row, items_by_value.pop((row["channel"], row["canonical"]), None))
        for row in rows_by_id.values()
        if row["value"]
    ]
    for pair, row, item in match_changed_items(missing_in_espo, items_by_value):
        steps += pair_steps(person, pair, row, item)
    for row, item in links:
        steps += new_row_steps(person, row, item)
    for item in items_by_value.values():
        komm_kz = item_komm_kz(item)
        steps.append(
            loop_step(person, "var1", "advo", "create", item["channel"], None, komm_kz,
                 new_value=item["value"], new_remark=encode(item["value"], komm_kz, ""))
        )  # fmt: skip
    if len({written_step["variant"] for written_step in steps} & {"var1", "var2", "var5"}) and len(
        {written_step["variant"] for written_step in steps} & {"var3", "var4", "var6"}
    ):
        raise NotImplementedError
    return steps


def match_changed_items(
    missing_in_espo: list[tuple[Record, Record]], new_items: dict[tuple[str, str], Record]
) -> Iterator[tuple[Record, Record, Record | None]]:
    """Which new item a value became that is gone from EspoCRM (rules §2, step 6)."""
    groups = defaultdict(list)
    for pair, row in missing_in_espo:
        groups[pair["channel"], TABLE.komm_kz_for_type(pair["espo_type"], Channel(pair["channel"]))].append((pair, row))
    for (channel, komm_kz), group in groups.items():
        candidates = [key for key, item in new_items.items() if key[0] == channel and item_komm_kz(item) == komm_kz]
        if len(group) == len(candidates) == 1:
            yield *group[0], new_items.pop(candidates[0])
            continue
        for pair, row in group:
            similar_keys = [key for key in candidates if is_similar(Channel(channel), pair["espo_canonical"], key[1])]
            if similar_keys:
                raise NotImplementedError
            yield pair, row, None


def pair_steps(person: Record, pair: Record, row: Record | None, item: Record | None) -> list[Record]:
    """The steps of an agreed pair."""
    if pair["unmarked"] or pair["other_row"] or (row is not None and not row["value"]):
        raise NotImplementedError
    common = person, pair["channel"], pair["komm_id"], pair["komm_kz"]
    if item is None and row is not None:
        if row["canonical"] != pair["advo_canonical"]:
            raise NotImplementedError
        return [loop_row_step("var2", "empty", common, row, "", encode_slot(pair["komm_kz"], row["own_text"] or ""))]
    if item is None:
        raise NotImplementedError
    if row is None:
        if item["canonical"] != pair["espo_canonical"]:
            raise NotImplementedError
        removal = loop_step(person, "var3", "espo", "remove", *common[1:], old_value=item["value"])
        return [removal]
    remark = encode(item["value"], pair["komm_kz"], row["own_text"] or "")
    if item["canonical"] == row["canonical"]:
        is_marked = row["marker_canonical"] == item["canonical"] and row["marker_komm_kz"] == pair["komm_kz"]
        return [] if is_marked else [loop_row_step("repair", "mark", common, row, row["value"], remark)]
    if row["canonical"] == pair["advo_canonical"]:
        return [loop_row_step("var5", "update", common, row, item["value"], remark)]
    if item["canonical"] != pair["espo_canonical"]:
        raise NotImplementedError
    new = with_value(to_item(item), row["value"], row["canonical"])
    replacement = loop_step(
        person, "var6", "espo", "replace", *common[1:], old_value=item["value"], new_value=new.value
    )
    remark = encode(new.value, pair["komm_kz"], row["own_text"] or "")
    return [replacement, loop_row_step("var6", "mark", common, row, row["value"], remark)]


def new_row_steps(person: Record, row: Record, item: Record | None) -> list[Record]:
    """The steps of a row that was never agreed on."""
    komm_kz = row["marker_komm_kz"] or row["komm_kz"] or row["field_komm_kz"] or (item and item_komm_kz(item))
    komm_kz = komm_kz or (3 if row["mobile"] else 4 if row["channel"] == "mail" else 1)
    common = person, row["channel"], row["komm_id"], komm_kz
    if item is not None:
        remark = encode(item["value"], komm_kz, row["own_text"] or "")
        return [loop_row_step("link", "mark", common, row, row["value"], remark)]
    kind = TABLE.espo_type(komm_kz) if row["channel"] == "phone" else None
    new = new_item(Channel(row["channel"]), row["value"], kind, row["canonical"])
    addition = loop_step(person, "var4", "espo", "add", *common[1:], new_value=new.value)
    remark = encode(new.value, komm_kz, row["own_text"] or "")
    return [addition, loop_row_step("var4", "mark", common, row, row["value"], remark)]


def item_komm_kz(item: Record) -> int:
    """What an item's type stands for."""
    return TABLE.komm_kz_for_type(item["type"], Channel(item["channel"]), is_number=item["canonical"].startswith("+"))


def to_item(item: Record) -> EspoItem:
    """A stored item as the rules know it."""
    primary, opt_out, invalid = (bool(item[name]) for name in ("is_primary", "opt_out", "invalid"))
    return EspoItem(Channel(item["channel"]), item["value"], item["type"], primary, opt_out, invalid, item["raw"])


def loop_step(person: Record, *positional: object, **values: object) -> Record:
    """One write."""
    columns = zip(STEP, (person["entity_id"], person["betnr"], *positional), strict=False)
    return dict.fromkeys(STEP) | dict(columns) | values


def loop_row_step(
    variant: str, action: str, common: tuple[Record, str, int, int], row: Record, value: str, remark: str
) -> Record:
    """One write to a row that stands."""
    person, *entry = common
    return loop_step(
        person, variant, "advo", action, *entry,
        old_value=row["value"], new_value=value, old_remark=row["remark"], new_remark=remark,
    )  # fmt: skip


def save_steps(store: sqlite3.Connection, steps: list[Record]) -> None:
    """Journal the steps as one run's."""
    run = store.execute(
        "insert into runs (trigger, started_at) values ('sync', '2026-08-30 10:00:00') returning id"
    ).fetchone()[0]
    columns = ", ".join(STEP)
    places = ", ".join(f":{name}" for name in STEP)
    store.executemany(
        f"insert into changes (run_id, seq, reason, state, {columns}) values ({run}, 0, '', 'planned', {places})", steps
    )
    store.commit()
