"""What the state store tells, read beside the program."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from tests.simulation.oracle import MARKER, canon, decode_base64

KEPT_REMARK = re.compile(r'; the remark "(.*)" is kept', re.DOTALL)


CONNECTIONS: dict[Path, sqlite3.Connection] = {}
"""A file stays open until it is let go: opening one reads the whole schema."""


def query_store(path: Path, sql: str) -> list[tuple[object, ...]]:
    """The answer to a question."""
    if path not in CONNECTIONS:
        CONNECTIONS[path] = sqlite3.connect(path, check_same_thread=False)  # a server's threads ask one at a time
    return CONNECTIONS[path].execute(sql).fetchall()


def close_store(path: Path) -> None:
    """Look at the file no more: another one comes in its place, or none."""
    if path in CONNECTIONS:
        CONNECTIONS.pop(path).close()


def has_store_table(path: Path, name: str) -> bool:
    """Whether there is a state store, and this table in it yet."""
    return path.exists() and bool(query_store(path, f"select 1 from sqlite_master where name = '{name}'"))


def values_in_conflicts(path: Path) -> dict[str, set[str]]:
    """The canonical values kept in ``conflicts``, by person."""
    if not has_store_table(path, "conflicts"):
        return {}
    values_by_person: dict[str, set[str]] = {}
    for entity_id, *values in query_store(path, "select entity_id, espo_value, advo_value from conflicts"):
        values_by_person.setdefault(str(entity_id), set()).update(canon(str(value)) for value in values if value)
    return values_by_person


def steps_by_person(path: Path, run_id: int | None) -> dict[str, list[tuple[object, ...]]]:
    """What a run planned or wrote, by person, in no order; mails in any letters: a run takes those EspoCRM has."""
    steps_by_entity: dict[str, list[tuple[object, ...]]] = {}
    komm_id_column = "iif(action = 'create', null, komm_id)"
    columns = f"entity_id, side, action, {komm_id_column}, old_value, new_value, old_remark, new_remark"
    for entity_id, *step in query_store(path, f"select {columns} from changes where run_id = {run_id}"):
        steps_by_entity.setdefault(str(entity_id), []).append(tuple(lowercase_mail(value) for value in step))
    return {entity_id: sorted(steps, key=str) for entity_id, steps in steps_by_entity.items()}


def lowercase_mail(value: object) -> object:
    """A mail, or the mail in a marker, in small letters."""
    if not isinstance(value, str):
        return value
    marker_mail = decode_base64(marker[1]) if (marker := MARKER.match(value)) else None
    return (
        value.replace(marker[1], marker_mail.lower(), 1)
        if marker and marker_mail
        else value.lower()
        if "@" in value
        else value
    )


def open_advoware_writes(path: Path) -> set[tuple[str, str, str]]:
    """The writes to Advoware that were begun and not agreed on yet: person, value and remark as sent."""
    if not has_store_table(path, "changes"):
        return set()
    is_open = "settled = 0 and side = 'advo' and state in ('started', 'done', 'unknown')"
    writes = query_store(path, f"select entity_id, new_value, new_remark from changes where {is_open}")
    return {(str(entity_id), str(value or ""), str(remark or "")) for entity_id, value, remark in writes}


def texts_in_journal(path: Path) -> dict[str, set[tuple[str, str]]]:
    """Own texts with the new value beside which a step says they were kept, by person."""
    texts_by_person: dict[str, set[tuple[str, str]]] = {}
    if not has_store_table(path, "changes"):
        return texts_by_person
    for entity_id, reason, value in query_store(path, "select entity_id, reason, new_value from changes"):
        if match := KEPT_REMARK.search(str(reason)):
            texts_by_person.setdefault(str(entity_id), set()).add((match[1], canon(str(value or ""))))
    return texts_by_person
