"""What the state store tells, read beside the program."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from tests.simulation.oracle import MARKER, canon, decoded

KEPT = re.compile(r'; the remark "(.*)" is kept', re.DOTALL)


LOOKED_AT: dict[Path, sqlite3.Connection] = {}
"""A file stays open until it is let go: opening one reads the whole schema."""


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """The answer to a question."""
    if path not in LOOKED_AT:
        LOOKED_AT[path] = sqlite3.connect(path, check_same_thread=False)  # a server's threads ask one at a time
    return LOOKED_AT[path].execute(sql).fetchall()


def let_go(path: Path) -> None:
    """Look at the file no more: another one comes in its place, or none."""
    if path in LOOKED_AT:
        LOOKED_AT.pop(path).close()


def has_table(path: Path, name: str) -> bool:
    """Whether there is a state store, and this table in it yet."""
    return path.exists() and bool(query(path, f"select 1 from sqlite_master where name = '{name}'"))


def values_that_lost(path: Path) -> dict[str, set[str]]:
    """The canonical values kept in ``conflicts``, by person."""
    if not has_table(path, "conflicts"):
        return {}
    found: dict[str, set[str]] = {}
    for entity_id, *values in query(path, "select entity_id, espo_value, advo_value from conflicts"):
        found.setdefault(str(entity_id), set()).update(canon(str(value)) for value in values if value)
    return found


def steps_of(path: Path, run_id: int | None) -> dict[str, list[tuple[object, ...]]]:
    """What a run planned or wrote, by person, in no order; mails in any letters: a run takes those EspoCRM has."""
    found: dict[str, list[tuple[object, ...]]] = {}
    known = "iif(action = 'create', null, komm_id)"
    told = f"entity_id, side, action, {known}, old_value, new_value, old_remark, new_remark"
    for entity_id, *step in query(path, f"select {told} from changes where run_id = {run_id}"):
        found.setdefault(str(entity_id), []).append(tuple(any_letters(one) for one in step))
    return {entity_id: sorted(steps, key=str) for entity_id, steps in found.items()}


def any_letters(told: object) -> object:
    """A mail, or the mail in a marker, in small letters."""
    if not isinstance(told, str):
        return told
    marked = decoded(marker[1]) if (marker := MARKER.match(told)) else None
    return told.replace(marker[1], marked.lower(), 1) if marker and marked else told.lower() if "@" in told else told


def unmended(path: Path) -> set[tuple[str, str, str]]:
    """The writes to Advoware that were begun and not agreed on yet: person, value and remark as sent."""
    if not has_table(path, "changes"):
        return set()
    begun = "settled = 0 and side = 'advo' and state in ('started', 'done', 'unknown')"
    found = query(path, f"select entity_id, new_value, new_remark from changes where {begun}")
    return {(str(entity_id), str(value or ""), str(remark or "")) for entity_id, value, remark in found}


def texts_told(path: Path) -> dict[str, set[tuple[str, str]]]:
    """Own texts with the new value beside which a step says they were kept, by person."""
    found: dict[str, set[tuple[str, str]]] = {}
    if not has_table(path, "changes"):
        return found
    for entity_id, reason, value in query(path, "select entity_id, reason, new_value from changes"):
        if named := KEPT.search(str(reason)):
            found.setdefault(str(entity_id), set()).add((named[1], canon(str(value or ""))))
    return found
