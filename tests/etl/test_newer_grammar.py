"""What the store keeps beside values and pairs, read anew by a newer grammar (rules §0)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

ANCHOR, NUMBER = "+4930901820", "+495111234567"


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    return SyncHarness(tmp_path, 0)


def pretend_older_grammar(harness: SyncHarness, *statements: str) -> None:
    with closing(sqlite3.connect(harness.config.state.path)) as store, store:
        for statement in ("delete from settings where key = 'grammar'", *statements):
            store.execute(statement)


def phone_with_opt_out(value: str, *, opt_out: bool = False) -> dict[str, object]:
    return {"phoneNumber": value, "type": "Office", "primary": False, "optOut": opt_out, "invalid": False}


def test_an_opt_out_of_a_value_nobody_holds_any_more_is_found_by_the_new_reading(harness: SyncHarness) -> None:
    """Migration 007 could not read numbers; and the first edition compared many of them as text."""
    entity_id = harness.espo.add_person(
        "Max Muster", 1, phones=[phone_with_opt_out(ANCHOR), phone_with_opt_out(NUMBER, opt_out=True)]
    )
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "030/901820")
    harness.run()
    harness.espo.edit(entity_id, phones=[phone_with_opt_out(ANCHOR)])
    harness.run()
    assert harness.query_store("select canonical, opt_out from former_entries") == [(NUMBER, 1)]
    pretend_older_grammar(harness, "update former_entries set canonical = '0511\u200b1234567'")
    harness.advo.add_row(1, "0511 1234567")
    harness.run()
    opt_outs = {item_json["phoneNumber"]: item_json["optOut"] for item_json in harness.espo.items(entity_id)}
    assert opt_outs == {ANCHOR: False, NUMBER: True}


def test_what_is_held_is_not_remembered_as_former_by_an_older_reading(harness: SyncHarness) -> None:
    harness.espo.add_person(
        "Max Muster", 1, phones=[phone_with_opt_out(ANCHOR), phone_with_opt_out(NUMBER, opt_out=True)]
    )
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "030/901820")
    harness.run()
    old = "0511\u200b1234567"
    pretend_older_grammar(harness, f"update espo_entries set canonical = '{old}' where value = '{NUMBER}'")
    harness.run()
    assert harness.query_store("select * from former_entries") == []
