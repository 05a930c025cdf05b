"""A state store written by commit 0ddc3ba opens, migrates, and is mended by its next run (``tests/first_edition``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.store.schema import MIGRATIONS
from tests.harness import SyncHarness
from tests.old_store import open_first_edition

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = {
    88001: "[ESPOCRM-SLOT:1] nur vormittags",  # killed between EspoCRM's arrays and the row
    88005: "[ESPOCRM-SLOT:1] nur vormittags",  # blanks typed over a number
    88015: "[ESPOCRM-SLOT:1] nur vormittags",  # killed, and no run since
    88017: "[ESPOCRM-SLOT:4]",                 # the mail's row, its PUT answered with 500
}  # fmt: skip


def row_contents(harness: SyncHarness) -> dict[int, tuple[str | None, str | None]]:
    """Every row's value and remark."""
    rows = [row for betnr in harness.advo.beteiligte.persons for row in harness.advo.rows(betnr)]
    return {row["id"]: (row["tlf"], row["bemerkung"]) for row in rows}


def test_the_next_run_makes_slots_of_leftovers_and_writes_nothing_else(tmp_path: Path) -> None:
    harness = open_first_edition("leftovers", tmp_path)
    before = row_contents(harness)
    items = {entity_id: harness.espo.items(entity_id) for entity_id in harness.espo.store.records}
    report = harness.run()
    assert harness.query_store("pragma user_version") == [(len(MIGRATIONS),)]
    assert report.outcome == "done"
    assert row_contents(harness) == {**before, **{komm_id: ("", remark) for komm_id, remark in SLOTS.items()}}
    assert {entity_id: harness.espo.items(entity_id) for entity_id in harness.espo.store.records} == items
    assert len(harness.advo.writes) == len(SLOTS)
    assert [call.json["syncStatus"] for call in harness.espo.writes] == ["clean"] * len(SLOTS)


def test_the_run_after_it_and_a_sweep_write_nothing(tmp_path: Path) -> None:
    harness = open_first_edition("leftovers", tmp_path)
    harness.run()
    for sweep in (False, True, False):
        assert harness.run(sweep=sweep).outcome == "done"
        assert harness.writes == []
