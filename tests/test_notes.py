"""What staff read in a record's stream when a value lost (rules.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.firm import Firm

if TYPE_CHECKING:
    from pathlib import Path

TOLD = {
    ("de", True): "Advoware: 0511 1234562 wurde überschrieben. EspoCRM hat Vorrang; dort steht +495111234561. "
    "Wer 0511 1234562 behalten will, trägt es hier wieder ein (Konflikt 1).",
    ("de", False): "Advoware: 0511 1234562 wurde überschrieben. EspoCRM hat Vorrang; dort steht der Eintrag nicht. "
    "Wer 0511 1234562 behalten will, trägt es hier wieder ein (Konflikt 1).",
    ("en", True): "Advoware: 0511 1234562 was overwritten. EspoCRM wins; there it is +495111234561. "
    "To keep 0511 1234562, enter it here again (conflict 1).",
    ("en", False): "Advoware: 0511 1234562 was overwritten. EspoCRM wins; the entry is not there. "
    "To keep 0511 1234562, enter it here again (conflict 1).",
}


@pytest.mark.parametrize(("language", "changed"), TOLD)
def test_people_are_told_once_in_their_language_what_lost_and_what_stands(
    tmp_path: Path, language: str, *, changed: bool
) -> None:
    firm = Firm.of(tmp_path, persons=0, report={"language": language})
    entity = firm.espo.add_person("Max Muster", 104711, phones=["+495111234560", "+493022334455"])
    firm.advo.add_person(104711, "Max Muster")
    row = firm.advo.add_row(104711, "0511/1234560")
    firm.go()
    firm.espo.edit(entity, phones=[*(["+495111234561"] if changed else []), "+493022334455"])
    firm.advo.edit_row(104711, row, value="0511 1234562")
    for _ in range(3):
        firm.go(sweep=True)
    notes = [call.json for call in firm.espo.writes if call.path.endswith("/Note")]
    assert [(one["parentId"], one["post"]) for one in notes] == [(entity, TOLD[language, changed])]
