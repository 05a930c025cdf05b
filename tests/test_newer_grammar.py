"""What the store keeps beside values and pairs, read anew by a newer grammar (rules.md §0)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

ANCHOR, NUMBER = "+4930901820", "+495111234567"


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice.of(tmp_path, 0)


def as_an_older_grammar_read_it(practice: Practice, *statements: str) -> None:
    with closing(sqlite3.connect(practice.config.state.path)) as store, store:
        for statement in ("delete from settings where key = 'grammar'", *statements):
            store.execute(statement)


def item(value: str, *, opt_out: bool = False) -> dict[str, object]:
    return {"phoneNumber": value, "type": "Office", "primary": False, "optOut": opt_out, "invalid": False}


def test_an_opt_out_of_a_value_nobody_holds_any_more_is_found_by_the_new_reading(practice: Practice) -> None:
    """Migration 007 could not read numbers; and the first edition compared many of them as text."""
    entity_id = practice.espo.add_person("Max Muster", 1, phones=[item(ANCHOR), item(NUMBER, opt_out=True)])
    practice.advo.add_person(1, "Max Muster")
    practice.advo.add_row(1, "030/901820")
    practice.run()
    practice.espo.edit(entity_id, phones=[item(ANCHOR)])
    practice.run()
    assert remembered(practice, "select canonical, opt_out from former_entries") == [(NUMBER, 1)]
    as_an_older_grammar_read_it(practice, "update former_entries set canonical = '0511\u200b1234567'")
    practice.advo.add_row(1, "0511 1234567")
    practice.run()
    shown = {one["phoneNumber"]: one["optOut"] for one in practice.espo.items(entity_id)}
    assert shown == {ANCHOR: False, NUMBER: True}


def test_what_is_held_is_not_remembered_as_former_by_an_older_reading(practice: Practice) -> None:
    practice.espo.add_person("Max Muster", 1, phones=[item(ANCHOR), item(NUMBER, opt_out=True)])
    practice.advo.add_person(1, "Max Muster")
    practice.advo.add_row(1, "030/901820")
    practice.run()
    old = "0511\u200b1234567"
    as_an_older_grammar_read_it(practice, f"update espo_entries set canonical = '{old}' where value = '{NUMBER}'")
    practice.run()
    assert remembered(practice, "select * from former_entries") == []
