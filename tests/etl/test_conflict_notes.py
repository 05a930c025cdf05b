"""What staff read in a record's stream when a value lost (rules §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import CommandHarness

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED_NOTES = {
    ("de", True): "Advoware: 0511 1234562 wurde überschrieben. EspoCRM hat Vorrang; dort steht +495111234561. "
    "Wer 0511 1234562 behalten will, trägt es hier wieder ein (Konflikt 1).",
    ("de", False): "Advoware: 0511 1234562 wurde überschrieben. EspoCRM hat Vorrang; dort steht der Eintrag nicht. "
    "Wer 0511 1234562 behalten will, trägt es hier wieder ein (Konflikt 1).",
    ("en", True): "Advoware: 0511 1234562 was overwritten. EspoCRM wins; there it is +495111234561. "
    "To keep 0511 1234562, enter it here again (conflict 1).",
    ("en", False): "Advoware: 0511 1234562 was overwritten. EspoCRM wins; the entry is not there. "
    "To keep 0511 1234562, enter it here again (conflict 1).",
}


@pytest.mark.parametrize(("language", "changed"), EXPECTED_NOTES)
def test_people_are_told_once_in_their_language_what_lost_and_what_stands(
    tmp_path: Path, language: str, *, changed: bool
) -> None:
    harness = CommandHarness(tmp_path, persons=0, report={"language": language})
    entity = harness.espo.add_person("Max Muster", 104711, phones=["+495111234560", "+493022334455"])
    harness.advo.add_person(104711, "Max Muster")
    row = harness.advo.add_row(104711, "0511/1234560")
    harness.run()
    harness.espo.edit(entity, phones=[*(["+495111234561"] if changed else []), "+493022334455"])
    harness.advo.edit_row(104711, row, value="0511 1234562")
    notes = []
    for _ in range(3):
        harness.run(sweep=True)
        notes += [call.json for call in harness.espo.writes if call.path.endswith("/Note")]
    assert [(note["parentId"], note["post"]) for note in notes] == [(entity, EXPECTED_NOTES[language, changed])]
