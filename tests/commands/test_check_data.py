"""`check --data`: what a first sync will meet, without a trace in either system or in the state store."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from etl.errors import Outage
from jobs.commands import check_data
from jobs.pipeline import RunOptions, run_to_completion
from jobs.sandbox.firm import small_law_firm
from tests.harness import Harness
from tests.old_store import open_first_edition

if TYPE_CHECKING:
    from pathlib import Path


class DataCheckHarness(Harness):
    """The small law firm, and one more person for each thing that goes wrong."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sync={"persons_per_run": 2})
        small_law_firm(self.espo, self.advo)
        self.second_id = self.espo.add_person("Max Doppel", 104711, phones=[], mails=[])
        self.espo.add_person("Nie Da", 999999, phones=[("+495113219999", "Office")], mails=[])
        self.clock.advance(600)

    def check_data(self) -> check_data.FirstSyncReport:
        return check_data.report_first_sync(self.config, environment=self.environment)


@pytest.fixture
def harness(tmp_path: Path) -> DataCheckHarness:
    return DataCheckHarness(tmp_path)


def test_everybody_is_looked_at_and_nothing_is_written(harness: DataCheckHarness) -> None:
    result = harness.check_data()
    assert result.figures["records"] == 9
    assert result.figures["linked"] == 8
    assert not [call for call in (*harness.espo.writes, *harness.advo.writes) if not call.is_login]
    assert not harness.config.state.path.exists()


def test_what_somebody_must_see_to_is_named(harness: DataCheckHarness) -> None:
    found_by_point = {point.name: point.found for point in harness.check_data().points}
    assert [line.split(":")[0] for line in found_by_point["shared betnr"]] == ["104711"]
    assert harness.second_id in found_by_point["shared betnr"][0]
    assert ["Nie Da" in line for line in found_by_point["not in Advoware"]] == [True]
    assert any("Mutter: 0511 123456 (advo)" in line for line in found_by_point["unclear (words)"])
    assert found_by_point["free text"] == found_by_point["parted"] == ()
    assert any("käthe@krämer.de" in line for line in found_by_point["refused"])
    assert any("+49 511 3210051" in line for line in found_by_point["duplicates"])
    assert any("0171/3210022" in line for line in found_by_point["guessed kommKz"])
    assert found_by_point["synced before"] == ()


def test_who_was_saved_only_just_now_is_left_out_by_name(harness: DataCheckHarness) -> None:
    """0ddc3ba left such records out without a word (issue 13, row 13)."""
    first, *_ = (record.id for record in harness.espo.store.records.values() if record.values["betnr"] == 104712)
    harness.clock.advance(60)  # everybody else was saved a while ago
    harness.espo.edit(first, firstName="Moritz")
    found_by_point = {point.name: point.found for point in harness.check_data().points}
    assert found_by_point["left out"] == (first,)
    harness.clock.advance(60)
    assert {point.name: point.found for point in harness.check_data().points}["left out"] == ()


def test_unclear_values_are_counted_by_why_with_three_examples_and_how_to_write_them(harness: DataCheckHarness) -> None:
    harness.advo.add_person(104799, "Max Unklar")
    harness.espo.add_person("Max Unklar", 104799)
    for value in ("0511 12345/46", "0511 12345/47", "0511 12345/48", "0511 12345/49", "siehe Akte"):
        harness.advo.add_row(104799, value)
    harness.clock.advance(600)
    result = harness.check_data()
    points = {point.name: point for point in result.points}
    assert points["unclear (or_sign)"].count == 4
    assert "Write each number into an entry of its own" in points["unclear (or_sign)"].about
    assert ["siehe Akte" in line for line in points["free text"].found] == [True]
    text = io.StringIO()
    check_data.render_first_sync_report(result, Console(file=text, width=200))
    screen = text.getvalue()
    assert [f"0511 12345/4{last} (advo)" in screen for last in (6, 7, 8, 9)] == [True, True, True, False]
    assert "unclear (prefix)" not in points  # nothing to say of what is not there


def test_pairs_of_the_first_edition_that_are_one_value_no_more_are_counted_before_the_first_run(tmp_path: Path) -> None:
    harness = open_first_edition("corpus", tmp_path)
    before = harness.config.state.path.read_bytes()
    found_by_point = {
        point.name: point.found
        for point in check_data.report_first_sync(harness.config, environment=harness.environment).points
    }
    assert harness.config.state.path.read_bytes() == before
    parted_pairs = {line.partition(": ")[2] for line in found_by_point["parted"]}
    assert "+49491711234567 (espo), 491711234567 (advo)" in parted_pairs
    assert len(found_by_point["unclear (start_lost)"]) > 5
    pairs = set(harness.query_store("select entity_id, komm_id from baseline"))
    harness.run()
    pairs_left = set(harness.query_store("select entity_id, komm_id from baseline"))
    assert len(pairs - pairs_left) == len(found_by_point["parted"]) > 10
    after = {
        point.name: point.found
        for point in check_data.report_first_sync(harness.config, environment=harness.environment).points
    }
    assert after["parted"] == ()


def test_the_variants_are_those_of_the_first_sync(harness: DataCheckHarness) -> None:
    result = harness.check_data()
    harness.clock.advance(60)
    assert result.variants == dict(
        run_to_completion(harness.config, RunOptions(sweep=True), environment=harness.environment).variants
    )


def test_after_a_first_sync_there_is_nothing_left_to_do(harness: DataCheckHarness) -> None:
    run_to_completion(harness.config, RunOptions(sweep=True), environment=harness.environment)
    harness.clock.advance(60)
    assert harness.check_data().variants == {}


def test_the_result_can_be_read_by_a_script(harness: DataCheckHarness) -> None:
    document = json.loads(harness.check_data().to_json())
    assert list(document) == ["figures", "variants", "writes", "points"]
    assert {point["name"]: point["count"] for point in document["points"]}["shared betnr"] == 1


def test_an_outage_ends_the_check(harness: DataCheckHarness) -> None:
    harness.espo.store.settings["maintenanceMode"] = True
    with pytest.raises(Outage):
        harness.check_data()
