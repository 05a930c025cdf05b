"""An Advoware that trims remarks, has line ends of its own, or cuts them in the middle of a letter loses nobody's text.

rules.md §3, Unsyncable: a cut remark is written again without marker; a trimmed one, or one with other line ends, is
stored as sent. Advoware counts UTF-16 units here, of which an emoji has two.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

from tests.notation import marker
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUMBER = "+495111234560"
TEXTS = {
    "an emoji": "abends 😀",
    "an emoji of several": "Familie 👨‍👩‍👧 nein",
    "a letter and its accent": unicodedata.normalize("NFD", "für Renée"),
    "lines": "eins\r\nzwei 😀\r\ndrei",
    "blanks at its ends": "  abends 😀  ",
}
HALVES = ("surrogatepass", "replace", "ignore")
"""What is left of a letter that was cut in two: half of it, U+FFFD, nothing."""


def units(text: str) -> int:
    """UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def with_text(folder: Path, text: str) -> Practice:
    """A person whose only number has this text in Advoware, not synced yet."""
    practice = Practice.of(folder, 0)
    practice.espo.add_person("Max Muster", 1, phones=[(NUMBER, "Office")])
    practice.advo.add_person(1, "Max Muster")
    practice.advo.add_row(1, "0511 1234560", text)
    return practice


def remark(practice: Practice) -> str:
    (row,) = practice.advo.rows(1)
    return str(row["bemerkung"])


def writes_nothing_more(practice: Practice) -> None:
    for sweep in (False, True):
        assert practice.run(sweep=sweep).outcome == "done"
        assert practice.writes == []


def limits(text: str) -> Iterator[int]:
    """Every length at which the text is whole, and beside its marker it is not; blanks at its end are nobody's loss."""
    return iter(range(max(units(text), 40), units(marker(NUMBER, 1, text).rstrip())))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_cut_anywhere_is_written_again_without_marker(text: str, half: str, tmp_path: Path) -> None:
    for limit in limits(text):
        (tmp_path / str(limit)).mkdir()
        practice = with_text(tmp_path / str(limit), text)
        practice.advo.switches.utf16, practice.advo.switches.max_bemerkung = True, limit
        practice.advo.switches.half_letters, practice.advo.switches.answers_put = half, limit % 2 == 0
        assert practice.run().outcome == "done"
        assert (limit, remark(practice)) == (limit, text)
        assert remembered(practice, "select unmarked from baseline") == [(1,)]
        writes_nothing_more(practice)


STORED = {"trimmed": (True, None), "line feeds": (False, "\n"), "returns": (False, "\r"), "both": (True, "\r\n")}


@pytest.mark.parametrize("silent", [False, True], ids=["", "PUT without answer"])
@pytest.mark.parametrize(("trims", "line_ends"), STORED.values(), ids=STORED)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_that_is_trimmed_or_gets_other_line_ends_is_stored_as_sent(
    text: str, trims: bool, line_ends: str | None, silent: bool, tmp_path: Path  # noqa: FBT001
) -> None:
    practice = with_text(tmp_path, text)
    practice.advo.switches.trims, practice.advo.switches.line_ends = trims, line_ends
    practice.advo.switches.answers_put = not silent
    assert practice.run().outcome == "done"
    assert remark(practice).startswith(marker(NUMBER, 1))
    assert remembered(practice, "select unmarked from baseline") == [(0,)]
    assert remembered(practice, "select * from left_alone") == []
    writes_nothing_more(practice)


@pytest.mark.parametrize(("trims", "line_ends"), STORED.values(), ids=STORED)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_without_marker_that_is_trimmed_is_not_marked_again_and_again(
    text: str, trims: bool, line_ends: str | None, tmp_path: Path  # noqa: FBT001
) -> None:
    practice = with_text(tmp_path, text)
    practice.advo.switches.trims, practice.advo.switches.line_ends = trims, line_ends
    practice.advo.switches.utf16, practice.advo.switches.max_bemerkung = True, 40
    assert practice.run().outcome == "done"
    assert remark(practice).split() == text.split()
    writes_nothing_more(practice)


SYSTEMS = {
    "trimmed": {"trims": True},
    "line ends": {"line_ends": "\r"},
    "cut in a letter": {"utf16": True, "max_bemerkung": units(marker(NUMBER, 1, "abends 😀")) - 1},
}


@pytest.mark.parametrize("switches", SYSTEMS.values(), ids=SYSTEMS)
def test_undo_puts_a_remark_back_that_was_not_stored_letter_for_letter(
    switches: dict[str, object], tmp_path: Path
) -> None:
    text = "abends 😀" if "utf16" in switches else "eins\nzwei "
    practice = with_text(tmp_path, text)
    for name, value in switches.items():
        setattr(practice.advo.switches, name, value)
    first = practice.run()
    undone = practice.run(trigger="undo", undo_run=first.run_id)
    assert (undone.outcome, undone.notices) == ("done", [])
    assert remark(practice).split() == text.split()
    writes_nothing_more(practice)
