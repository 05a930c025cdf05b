"""Whole runs where EspoCRM's versions differ for the firm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.commands.status import collect_status
from jobs.sandbox.espocrm.versions import VERSIONS
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest

ROWS = [f"0511 12345{number:02}" for number in range(12)]


@pytest.mark.parametrize(("version", "items", "left_alone"), [("8.4", 12, 0), ("9.2", 10, 2), ("10", 10, 2)])
def test_espocrm_8_takes_every_phone_and_later_ones_ten(
    version: str, items: int, left_alone: int, tmp_path: Path
) -> None:
    harness = SyncHarness(tmp_path, 0, version=version)
    entity_id = harness.espo.add_person("Max Muster", 1)
    harness.advo.add_person(1, "Max Muster")
    for value in ROWS:
        harness.advo.add_row(1, value)
    report = harness.run()
    assert (len(harness.espo.items(entity_id)), report.persons.left_alone) == (items, left_alone)
    assert harness.run().writes.espocrm == 0


@pytest.mark.parametrize("version", ["8.4", "10"])
def test_an_opt_out_on_another_record_outlives_a_new_mail_of_the_same_address(version: str, tmp_path: Path) -> None:
    """The look-up of shared addresses: `in` on mails would be a 500 on EspoCRM 8 (fact B3)."""
    harness = SyncHarness(tmp_path, 0, version=version)
    opted_out = {"emailAddress": "Max@Muster.de", "optOut": True}
    harness.espo.add_person("Other Person", mails=[opted_out])
    entity_id = harness.espo.add_person("Max Muster", 1)
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "max@muster.de", komm_kz=4)
    assert harness.run().outcome == "done"
    (item,) = harness.espo.items(entity_id)
    assert (item["emailAddress"], item["optOut"]) == ("Max@Muster.de", True)


@pytest.mark.parametrize(("before", "after"), [("8.4", "9.2"), ("9.2", "9.3"), ("9.3", "10"), ("8.4", "10")])
def test_an_upgrade_amid_a_run_is_an_outage_that_ends(before: str, after: str, tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 12, version=before)

    def begin_maintenance(call: SimRequest) -> None:
        if call.method == "PUT" and len(harness.espo.writes) > 5:
            harness.espo.store.settings["maintenanceMode"] = True

    harness.espo.before = begin_maintenance
    report = harness.run()
    assert (report.outcome, len(harness.disagreements()) > 0) == ("outage", True)
    harness.espo.before = None
    assert harness.run().outcome == "outage"
    assert harness.writes == []
    harness.espo.store.settings["maintenanceMode"] = False
    harness.espo.store.upgrade(VERSIONS[after])
    report = harness.run()
    numbers = VERSIONS[before].number, VERSIONS[after].number
    assert report.notices == [f"EspoCRM is version {numbers[1]} now; the run before met version {numbers[0]}"]
    assert (report.outcome, report.persons.failed, harness.disagreements()) == ("done", 0, [])
    report = harness.run()
    assert (report.notices, harness.writes) == ([], [])
    assert harness.query_store("select espo_version from runs order by id") == [
        (numbers[0],), (None,), (numbers[1],), (numbers[1],)
    ]  # fmt: skip
    espocrm = collect_status(harness.config, harness.clock())["espocrm"]
    assert (espocrm["version"], espocrm["before"]) == (numbers[1], numbers[0])


def test_more_than_ten_phones_of_an_espocrm_8_outlive_its_upgrade(tmp_path: Path) -> None:
    """EspoCRM 10 refuses every array of more than ten: what changes there waits, all else goes on."""
    harness = SyncHarness(tmp_path, 0, version="8.4")
    entity_id = harness.espo.add_person("Max Muster", 1)
    harness.advo.add_person(1, "Max Muster")
    row_ids = [harness.advo.add_row(1, value) for value in ROWS]
    harness.run()
    items = harness.espo.items(entity_id)
    harness.espo.store.upgrade(VERSIONS["10"])
    harness.advo.edit_row(1, row_ids[3], value="0511 9999999")
    harness.advo.empty_row(1, row_ids[4])
    harness.advo.add_row(1, "0511 8888888")
    harness.advo.add_row(1, "max@muster.de", komm_kz=4)
    for _ in range(2):
        report = harness.run()
        assert (report.outcome, report.persons.failed) == ("done", 0)
        assert harness.query_store("select side, value, reason from left_alone order by komm_id") == [
            ("advo", "0511 9999999", "unsyncable"),
            ("espo", "+495111234504", "unsyncable"),
            ("advo", "0511 8888888", "unsyncable"),
        ]
        assert harness.espo.items(entity_id)[:12] == items
    assert harness.espo.items(entity_id)[12]["emailAddress"] == "max@muster.de"
    remaining = [item for item in items if item["phoneNumber"] not in {"+495111234500", "+495111234501"}]
    harness.espo.edit(entity_id, phones=remaining[:9])
    harness.run()
    rows = {row["tlf"] for row in harness.advo.rows(1)}
    assert {"0511 9999999", "0511 8888888"} < rows
    assert rows.isdisjoint({"0511 1234500", "0511 1234501", "0511 1234511"})
    harness.advo.edit_row(1, row_ids[3], value="0511 7777777")
    report = harness.run()
    assert report.outcome == "done"
    assert "+495117777777" in {item.get("phoneNumber") for item in harness.espo.items(entity_id)}
    assert harness.run().writes.advoware == 0


@pytest.mark.parametrize("version", ["8.4", "10"])
def test_an_undo_puts_back_as_many_items_as_this_espocrm_takes(version: str, tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 0, version=version)
    entity_id = harness.espo.add_person("Max Muster", 1)
    harness.advo.add_person(1, "Max Muster")
    row_ids = [harness.advo.add_row(1, value) for value in ROWS]
    harness.run()
    before = {item["phoneNumber"] for item in harness.espo.items(entity_id)}
    harness.advo.empty_row(1, row_ids[0])
    deletion = harness.run(sweep=True)
    assert len(before) - len(harness.espo.items(entity_id)) == 1
    report = harness.run(trigger="undo", undo_run=deletion.run_id)
    assert (report.outcome, report.notices) == ("done", [])
    assert {item["phoneNumber"] for item in harness.espo.items(entity_id)} == before
