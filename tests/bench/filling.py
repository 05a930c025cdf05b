"""The state store of a large firm that was synced for years: four entries a person on both sides, a few edited since.

Filled past both systems, with what the stages themselves would have stored; a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.records import AdvoRow, Channel, EspoItem
from etl.rules.marker import encode
from etl.rules.snapshot_records import fingerprint, item_record, row_record
from etl.rules.values.kommkz import KommKzTable
from etl.store.database import Store
from etl.store.insert import insert_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Record = dict[str, Any]

NOW, AGREED_AT = "2026-08-30 10:00:00", "2026-08-30 09:00:00"
REGION, TABLE = "DE", KommKzTable.default()
FIRST_BETNR = 1_000_001  # behind the sandbox's, so that both may stand in one store
KINDS = (("Office", 1), ("Mobile", 3), ("Fax", 2), (None, 4))
"""EspoCRM's type and the kommKz of each of a person's entries; the last is a mail."""

EDITS = ("var1", "var2", "var3", "var4", "var5", "var6")
"""What happened to one entry of every edited person, in turns."""

EDITED_PLACE = 1
"""Which of a person's entries is edited: the mobile."""

BATCH = 5000


@dataclass(frozen=True)
class PersonRecords:
    """A person's rows of each table."""

    person: Record
    items: list[Record] = field(default_factory=list)
    rows: list[Record] = field(default_factory=list)
    pairs: list[Record] = field(default_factory=list)


def fill_store(path: Path, persons: int, *, edited_every: int = 100) -> None:
    """Fill a new store; every so manyth person has one entry that somebody edited since the last run, 0: nobody."""
    with Store.open(path, now=NOW, durable=False) as store:
        for first in range(0, persons, BATCH):
            save_persons(
                store, [person_records(number, edited_every) for number in range(first, min(first + BATCH, persons))]
            )
        store.set_setting("cursor", NOW)
        store.execute("analyze")
        store.tuples("pragma wal_checkpoint(truncate)")


def add_persons(path: Path, persons: int) -> None:
    """Put so many persons, all agreeing, into a store that has others."""
    with Store.open(path, now=NOW, durable=False) as store:
        for first in range(0, persons, BATCH):
            save_persons(store, [agreeing_person(number) for number in range(first, min(first + BATCH, persons))])
        store.execute("analyze")
        store.tuples("pragma wal_checkpoint(truncate)")


def save_persons(store: Store, people: Sequence[PersonRecords]) -> None:
    """Store these persons."""
    with store.transaction():
        save_records(store, "persons", [person.person for person in people])
        save_records(store, "espo_entries", [record for person in people for record in person.items])
        save_records(store, "advo_entries", [record for person in people for record in person.rows])
        save_records(store, "baseline", [record for person in people for record in person.pairs])


def save_records(store: Store, table: str, records: Sequence[Record]) -> None:
    """Past the store's own inserts: everything here is plain already, and there are millions."""
    columns = tuple(records[0])
    values = [[record[column] for column in columns] for record in records]
    store.conn.executemany(insert_sql(table, columns, 1), values)


def person_records(number: int, edited_every: int = 0) -> PersonRecords:
    """A person whose entries agree, or one of them was edited when it is its turn."""
    person = agreeing_person(number)
    if edited_every and number % edited_every == 0:
        edit_entry(person, number, EDITS[number // edited_every % len(EDITS)])
    return person


def agreeing_person(number: int) -> PersonRecords:
    """A person whose entries agree; Advoware spells the phones as people there do."""
    entity_id, betnr = f"{number:017x}", FIRST_BETNR + number
    person = PersonRecords(
        person_record(entity_id, betnr, [row_id_of(number * 10 + place) for place in range(len(KINDS))])
    )
    for place, (kind, komm_kz) in enumerate(KINDS):
        value, spelling = entry_value(number, place)
        item = espo_item(value, kind, primary=place in {0, len(KINDS) - 1})
        own_text = "vormittags" if place == 0 else ""
        row = AdvoRow(number * 10 + place, row_id_of(number * 10 + place), spelling, encode(value, komm_kz, own_text))
        person.items.append(espo_item_values(entity_id, 0 if kind is None else place, item))
        person.rows.append(advo_row_values(betnr, row, item, komm_kz, own_text))
        person.pairs.append(pair_record(entity_id, betnr, item, row, komm_kz))
    return person


def entry_value(number: int, place: int) -> tuple[str, str]:
    """An entry's value in EspoCRM, which is its canonical form, and as Advoware spells it."""
    if KINDS[place][0] is None:
        mail = f"person{number}@kanzlei-{number % 50}.de"
        return mail, mail
    area, subscriber = "171" if KINDS[place][0] == "Mobile" else "511", 2_000_000 + number * 3 + place
    return f"+49{area}{subscriber}", f"0{area}/{subscriber}"


def row_id_of(komm_id: int) -> str:
    """As long as Advoware's."""
    return f"ROW{komm_id:037d}"


def espo_item(value: str, kind: str | None, *, primary: bool = False) -> EspoItem:
    """An item as EspoCRM shows it."""
    flags: Record = {"primary": primary, "optOut": False, "invalid": False}
    if kind is None:
        payload = {"emailAddress": value, "lower": value, **flags}
        return EspoItem(Channel.MAIL, value, None, primary, raw=json.dumps(payload, sort_keys=True))
    payload = {"phoneNumber": value, "type": kind, **flags}
    return EspoItem(Channel.PHONE, value, kind, primary, raw=json.dumps(payload, sort_keys=True))


def espo_item_values(entity_id: str, position: int, item: EspoItem) -> Record:
    """An item whose spelling is the canonical one, as ``item_record`` keeps it."""
    return {
        "entity_id": entity_id,
        "position": position,
        "channel": item.channel.value,
        "value": item.value,
        "canonical": item.value,
        "doubt": None,
        "readings": None,
        "type": item.type,
        "is_primary": item.primary,
        "opt_out": item.opt_out,
        "invalid": item.invalid,
        "raw": item.raw,
    }


def advo_row_values(betnr: int, row: AdvoRow, item: EspoItem, komm_kz: int, own_text: str) -> Record:
    """A marked row that holds the item's value, as ``row_record`` keeps it."""
    return {
        "betnr": betnr,
        "komm_id": row.komm_id,
        "row_id": row.row_id,
        "value": row.value,
        "canonical": item.value,
        "doubt": None,
        "readings": None,
        "remark": row.remark,
        "own_text": own_text,
        "marker_kind": "marker",
        "marker_value": item.value,
        "marker_canonical": item.value,
        "marker_komm_kz": komm_kz,
        "is_slot": False,
        "komm_kz": row.komm_kz,
        "field_komm_kz": None,
        "channel": item.channel.value,
        "online": row.online,
        "mobile": item.value.startswith("+49171"),
    }


def pair_record(entity_id: str, betnr: int, item: EspoItem, row: AdvoRow, komm_kz: int) -> Record:
    """An agreed pair, as ``verify`` moves it."""
    return {
        "entity_id": entity_id,
        "betnr": betnr,
        "komm_id": row.komm_id,
        "channel": item.channel.value,
        "espo_value": item.value,
        "espo_canonical": item.value,
        "espo_type": item.type,
        "advo_value": row.value,
        "advo_canonical": item.value,
        "komm_kz": komm_kz,
        "row_id": row.row_id,
        "agreed_at": AGREED_AT,
    }


def person_record(entity_id: str, betnr: int, row_ids: Iterable[str]) -> Record:
    """A clean person, looked at an hour ago."""
    row_fingerprint = fingerprint(row_ids)
    time_columns = ("last_sync_at", "espo_modified_at", "own_modified_at", "espo_seen_at", "advo_seen_at")
    return {
        "entity_id": entity_id,
        "betnr": betnr,
        "agreed_betnr": betnr,
        "name": f"Person {betnr}",
        "espo_modified_by": "sync",
        **dict.fromkeys(time_columns, AGREED_AT),
        **dict.fromkeys(("status", "espo_status", "status_sent", "status_written"), "clean"),
        **dict.fromkeys(
            ("fingerprint", "advo_fingerprint", "espo_fingerprint", "fingerprint_sent", "fingerprint_written"),
            row_fingerprint,
        ),
    }


def edit_entry(person: PersonRecords, number: int, variant: str) -> None:
    """Edit one entry on one side, so that the plan finds this variant."""
    entity_id, betnr = person.person["entity_id"], person.person["betnr"]
    new, spelling = f"+49421{2_000_000 + number}", f"0421/{2_000_000 + number}"
    row = person.rows[EDITED_PLACE]
    match variant:
        case "var1":
            person.items.append(espo_item_values(entity_id, len(KINDS) - 1, espo_item(new, "Home")))
        case "var2":
            del person.items[EDITED_PLACE]
        case "var3":
            del person.rows[EDITED_PLACE]
        case "var4":
            new_row = AdvoRow(number * 10 + 9, row_id_of(number * 10 + 9), spelling, "neu")
            person.rows.append({"betnr": betnr, **row_record(new_row, {}, REGION, TABLE)})
        case "var5":
            new_item = item_record(espo_item(new, KINDS[EDITED_PLACE][0]), REGION)
            person.items[EDITED_PLACE] = {"entity_id": entity_id, "position": EDITED_PLACE, **new_item}
        case "var6":
            changed_row = AdvoRow(row["komm_id"], f"NEW{row['komm_id']:037d}", spelling, row["remark"])
            person.rows[EDITED_PLACE] = {"betnr": betnr, **row_record(changed_row, {}, REGION, TABLE)}
