"""The journal keeps the very facts an entry was decided by: whoever asks why later is told what the table was told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from etl.rules.facts import decision_table
from etl.rules.variants import FACTS
from jobs.sandbox.people import random_edits
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
OFFICE, FAX = "Office", "Fax"
REWRITTEN = ("both sides moved to one value", "the person has this value already")
"""How reasons begin where two decisions that end at one value were rewritten."""


def wrongly_recorded(practice: Practice) -> list[tuple[str, str, str]]:
    """Variant, the table's variant, reason: of the decisions whose facts, as recorded, decide otherwise."""
    table = decision_table().set_index(FACTS)["variant"].to_dict()
    found = []
    for variant, reason, recorded in remembered(practice, "select variant, reason, facts from decisions"):
        facts = tuple(json.loads(recorded)["seen"][name] for name in FACTS)
        if variant not in ("leave", "leftover") and table[facts] != variant and not reason.startswith(REWRITTEN):
            found.append((variant, table[facts], reason))
    return found


@pytest.mark.parametrize("again", [Z, "+49 511 9999999"], ids=["written alike", "spelled otherwise"])
def test_a_phone_that_got_the_same_new_number_on_both_sides_is_a_repair_and_recorded_as_one(
    again: str, tmp_path: Path
) -> None:
    practice = Practice.of(tmp_path, 0)
    entity_id = practice.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, FAX)])
    practice.advo.add_person(1, "Max Muster")
    first, _ = (practice.advo.add_row(1, value) for value in ("0511 1234560", "0511 2222222"))
    practice.run()
    practice.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    practice.advo.edit_row(1, first, value=again)
    assert practice.run().variants == {"repair": 1}
    (recorded,) = remembered(practice, "select facts from decisions where variant = 'repair'")
    seen = json.loads(recorded[0])["seen"]
    assert seen == {
        "known": True, "in_espo": True, "in_advo": True, "espo_edit": False, "advo_edit": False, "type_edit": False,
        "marked": False,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_every_decision_is_recorded_with_facts_that_decide_so(seed: int, tmp_path: Path) -> None:
    practice = Practice.of(tmp_path, 40, seed=seed, guards={"max_removals": 1000, "max_removal_share": 1.0})
    practice.run()
    for number in range(3):
        random_edits(practice.espo, practice.advo, 40, seed=10 * seed + number)
        practice.run(sweep=True)
    assert wrongly_recorded(practice) == []
