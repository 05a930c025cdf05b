"""The journal keeps the very facts an entry was decided by: whoever asks why later is told what the table was told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from etl.rules.joins.facts import decision_table
from etl.rules.variants import FACTS
from jobs.sandbox.people import random_edits
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
OFFICE, FAX = "Office", "Fax"
REWRITTEN = ("both sides moved to one value", "the person has this value already")
"""How reasons begin where two decisions that end at one value were rewritten."""


def decisions_with_wrong_facts(harness: SyncHarness) -> list[tuple[str, str, str]]:
    """Variant, the table's variant, reason: of the decisions whose facts, as recorded, decide otherwise."""
    table = decision_table().set_index(FACTS)["variant"].to_dict()
    wrong = []
    for variant, reason, facts_json in harness.query_store("select variant, reason, facts from decisions"):
        facts = tuple(json.loads(facts_json)["seen"][name] for name in FACTS)
        if variant not in ("leave", "leftover") and table[facts] != variant and not reason.startswith(REWRITTEN):
            wrong.append((variant, table[facts], reason))
    return wrong


@pytest.mark.parametrize("new_spelling", [Z, "+49 511 9999999"], ids=["written alike", "spelled otherwise"])
def test_a_phone_that_got_the_same_new_number_on_both_sides_is_a_repair_and_recorded_as_one(
    new_spelling: str, tmp_path: Path
) -> None:
    harness = SyncHarness(tmp_path, 0)
    entity_id = harness.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, FAX)])
    harness.advo.add_person(1, "Max Muster")
    first, _ = (harness.advo.add_row(1, value) for value in ("0511 1234560", "0511 2222222"))
    harness.run()
    harness.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    harness.advo.edit_row(1, first, value=new_spelling)
    assert harness.run().variants == {"repair": 1}
    (facts_json,) = harness.query_store("select facts from decisions where variant = 'repair'")
    facts = json.loads(facts_json[0])["seen"]
    assert facts == {
        "known": True, "in_espo": True, "in_advo": True, "espo_edit": False, "advo_edit": False, "type_edit": False,
        "marked": False,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_every_decision_is_recorded_with_facts_that_decide_so(seed: int, tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 40, seed=seed, guards={"max_removals": 1000, "max_removal_share": 1.0})
    harness.run()
    for number in range(3):
        random_edits(harness.espo, harness.advo, 40, seed=10 * seed + number)
        harness.run(sweep=True)
    assert decisions_with_wrong_facts(harness) == []
