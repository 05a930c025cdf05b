"""The benchmarks measure what they say: the filled store is a real one, the loop decides the same, requests are few."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from etl.records import Channel, Item, Row, Side
from etl.rules.observed import fingerprint_of, item_record, row_record
from tests.bench import requests
from tests.bench.filling import EDITS, KINDS, REGION, TABLE, agreeing, fill
from tests.bench.planning import differences, planned
from tests.bench.results import FIGURES, PAGE, README, SHOWN, SHOWN_IN_README, figures, kept, table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [0, 7, 249_999])
def test_the_filled_store_holds_what_the_stages_store(number: int) -> None:
    known = agreeing(number)
    for stored in known.items:
        value, kind = stored["value"], stored["type"]
        item = Item(Channel(stored["channel"]), value, kind, stored["is_primary"], raw=stored["raw"])
        assert stored.items() >= item_record(item, REGION).items()
        assert json.loads(stored["raw"])["primary"] is stored["is_primary"]
    for stored in known.rows:
        row = Row(stored["komm_id"], stored["row_id"], stored["value"], stored["remark"])
        assert stored.items() >= row_record(row, {}, REGION, TABLE).items()
    assert known.person["fingerprint"] == fingerprint_of(known.rows)


def test_the_loop_over_dictionaries_decides_the_same_as_the_plan(tmp_path: Path) -> None:
    fill(tmp_path / "state.db", 30 * len(EDITS), edited_every=3)
    variants = Counter(
        decision.variant
        for plan in planned(str(tmp_path / "state.db")).values()
        for decision in plan.decisions
        if decision.steps
    )
    assert variants == dict.fromkeys(EDITS, 10)
    assert differences(str(tmp_path / "state.db")) == []


def test_of_a_firm_nobody_edited_nothing_is_planned(tmp_path: Path) -> None:
    fill(tmp_path / "state.db", 20, edited_every=0)
    assert planned(str(tmp_path / "state.db")) == {}
    assert len(agreeing(0).pairs) == len(KINDS)


@pytest.mark.parametrize("kind", requests.KINDS, ids=lambda kind: kind.name)
def test_a_change_costs_no_request_more_than_the_rules_ask_for(
    kind: requests.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "OF_A_KIND", 6)
    found = requests.counted(tmp_path, kind)
    assert found.of_struck() == kind.bound
    looked_at = {(Side.ADVO, "GET"): len(found.others)} if kind.in_advoware else {}
    assert found.of_others() == looked_at
    again = requests.after(found)
    assert not [count for person in again.struck if (count := again.about(person)[Side.ESPO, "GET"])]


def test_the_page_shows_what_was_measured() -> None:
    shown = SHOWN.search(PAGE.read_text("utf-8"))
    assert shown is not None
    assert shown[0] == table(kept())


def test_the_readme_shows_three_of_the_figures() -> None:
    shown = SHOWN_IN_README.search(README.read_text("utf-8"))
    assert shown is not None
    assert shown[0] == figures(kept())
    assert [begin for begin in FIGURES if shown[0].count(f"| {begin}") != 1] == []
