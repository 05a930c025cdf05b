"""A state store written by commit 0ddc3ba opens, migrates, and is mended by its next run (``tests/first_edition``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.store.schema import MIGRATIONS
from tests.old_store import first_edition
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = {
    88001: "[ESPOCRM-SLOT:1] nur vormittags",  # killed between EspoCRM's arrays and the row
    88005: "[ESPOCRM-SLOT:1] nur vormittags",  # blanks typed over a number
    88015: "[ESPOCRM-SLOT:1] nur vormittags",  # killed, and no run since
    88017: "[ESPOCRM-SLOT:4]",                 # the mail's row, its PUT answered with 500
}  # fmt: skip


def shown(practice: Practice) -> dict[int, tuple[str | None, str | None]]:
    """Every row's value and remark."""
    rows = [row for betnr in practice.advo.beteiligte.persons for row in practice.advo.rows(betnr)]
    return {row["id"]: (row["tlf"], row["bemerkung"]) for row in rows}


def test_the_next_run_makes_slots_of_leftovers_and_writes_nothing_else(tmp_path: Path) -> None:
    practice = first_edition("leftovers", tmp_path)
    before = shown(practice)
    items = {one: practice.espo.items(one) for one in practice.espo.store.records}
    report = practice.run()
    assert remembered(practice, "pragma user_version") == [(len(MIGRATIONS),)]
    assert report.outcome == "done"
    assert shown(practice) == {**before, **{komm_id: ("", remark) for komm_id, remark in SLOTS.items()}}
    assert {one: practice.espo.items(one) for one in practice.espo.store.records} == items
    assert len(practice.advo.writes) == len(SLOTS)
    assert [call.json["syncStatus"] for call in practice.espo.writes] == ["clean"] * len(SLOTS)


def test_the_run_after_it_and_a_sweep_write_nothing(tmp_path: Path) -> None:
    practice = first_edition("leftovers", tmp_path)
    practice.run()
    for sweep in (False, True, False):
        assert practice.run(sweep=sweep).outcome == "done"
        assert practice.writes == []
