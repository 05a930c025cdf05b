"""Whole runs where EspoCRM's versions differ for the firm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.practice import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [f"0511 12345{number:02}" for number in range(12)]


@pytest.mark.parametrize(("version", "items", "left_alone"), [("8.4", 12, 0), ("9.2", 10, 2), ("10", 10, 2)])
def test_espocrm_8_takes_every_phone_and_later_ones_ten(
    version: str, items: int, left_alone: int, tmp_path: Path
) -> None:
    harness = SyncHarness.create(tmp_path, 0, espocrm=version)
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
    harness = SyncHarness.create(tmp_path, 0, espocrm=version)
    opted_out = {"emailAddress": "Max@Muster.de", "optOut": True}
    harness.espo.add_person("Other Person", mails=[opted_out])
    entity_id = harness.espo.add_person("Max Muster", 1)
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "max@muster.de", komm_kz=4)
    assert harness.run().outcome == "done"
    (item,) = harness.espo.items(entity_id)
    assert (item["emailAddress"], item["optOut"]) == ("Max@Muster.de", True)
