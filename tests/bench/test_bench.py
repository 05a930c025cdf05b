"""The benchmarks measure what they say: the filled store is a real one, the loop decides the same, requests are few."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from etl.records import AdvoRow, Channel, EspoItem, Side
from etl.rules.snapshot_records import fingerprint_of_rows, item_record, row_record
from tests.bench import planning, requests, statements
from tests.bench.filling import EDITS, KINDS, REGION, TABLE, agreeing_person, fill_store
from tests.bench.planning import join_frames, plan_all, plan_differences
from tests.bench.results import (
    FIGURES,
    PAGE,
    README,
    SHOWN_IN_README,
    TABLE_SECTION,
    figures,
    load_results,
    results_table,
)

if TYPE_CHECKING:
    from pathlib import Path

MAX_STATEMENTS, MAX_TRANSACTIONS = 72, 9
"""Of a first sync, a person, a start over sixty persons included."""


@pytest.mark.parametrize("number", [0, 7, 249_999])
def test_the_filled_store_holds_what_the_stages_store(number: int) -> None:
    person = agreeing_person(number)
    for record in person.items:
        value, kind = record["value"], record["type"]
        item = EspoItem(Channel(record["channel"]), value, kind, record["is_primary"], raw=record["raw"])
        assert record.items() >= item_record(item, REGION).items()
        assert json.loads(record["raw"])["primary"] is record["is_primary"]
    for record in person.rows:
        row = AdvoRow(record["komm_id"], record["row_id"], record["value"], record["remark"])
        assert record.items() >= row_record(row, {}, REGION, TABLE).items()
    assert person.person["fingerprint"] == fingerprint_of_rows(person.rows)


def test_the_loop_over_dictionaries_decides_the_same_as_the_plan(tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 30 * len(EDITS), edited_every=3)
    variants = Counter(
        decision.variant
        for plan in plan_all(str(tmp_path / "state.db")).values()
        for decision in plan.decisions
        if decision.steps
    )
    assert variants == dict.fromkeys(EDITS, 10)
    assert plan_differences(str(tmp_path / "state.db")) == []


def test_the_joins_decide_the_same_of_everybody_as_behind_the_prefilter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "JOINED_AT_ONCE", 7)
    fill_store(tmp_path / "state.db", 5 * len(EDITS), edited_every=3)
    through_joins = plan_all(str(tmp_path / "state.db"), join_frames)
    steps = {entity_id: plan.steps for entity_id, plan in plan_all(str(tmp_path / "state.db")).items()}
    assert {entity_id: plan.steps for entity_id, plan in through_joins.items()} == steps
    assert len(steps) == 5 * len(EDITS) // 3


def test_of_a_firm_nobody_edited_nothing_is_planned(tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 20, edited_every=0)
    assert plan_all(str(tmp_path / "state.db")) == {}
    assert len(agreeing_person(0).pairs) == len(KINDS)


@pytest.mark.parametrize("kind", requests.KINDS, ids=lambda kind: kind.name)
def test_a_change_costs_no_request_more_than_the_rules_ask_for(
    kind: requests.ChangeKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "OF_A_KIND", 6)
    counts = requests.count_requests(tmp_path, kind)
    assert counts.of_changed() == kind.least_requests
    polled = {(Side.ADVO, "GET"): len(counts.others)} if kind.in_advoware else {}
    assert counts.of_others() == polled
    next_counts = requests.count_next_run(counts)
    assert not [
        refetches
        for person in next_counts.changed
        if (refetches := next_counts.requests_about(person)[Side.ESPO, "GET"])
    ]


def test_the_page_shows_what_was_measured() -> None:
    section = TABLE_SECTION.search(PAGE.read_text("utf-8"))
    assert section is not None
    assert section[0] == results_table(load_results())


def test_the_readme_shows_three_of_the_figures() -> None:
    shown = SHOWN_IN_README.search(README.read_text("utf-8"))
    assert shown is not None
    assert shown[0] == figures(load_results())
    assert [begin for begin in FIGURES if shown[0].count(f"| {begin}") != 1] == []


def test_a_first_sync_asks_little_of_its_store(tmp_path: Path) -> None:
    counted = statements.count_statements(tmp_path, 60)
    assert counted.persons
    assert counted.transactions <= MAX_TRANSACTIONS
    assert counted.statements <= MAX_STATEMENTS
