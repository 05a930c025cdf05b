"""An Advoware that trims remarks, has line ends of its own, or cuts them in the middle of a letter loses nobody's text.

rules §3, Unsyncable: a cut remark is written again without marker; a trimmed one, or one with other line ends, is
stored as sent. Advoware counts UTF-16 units here, of which an emoji has two.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

from tests.harness import SyncHarness
from tests.notation import marker_text

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
HALF_LETTERS = ("surrogatepass", "replace", "ignore")
"""What is left of a letter that was cut in two: half of it, U+FFFD, nothing."""


def utf16_units(text: str) -> int:
    """UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def harness_with_text(folder: Path, text: str) -> SyncHarness:
    """A person whose only number has this text in Advoware, not synced yet."""
    harness = SyncHarness(folder, 0)
    harness.espo.add_person("Max Muster", 1, phones=[(NUMBER, "Office")])
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "0511 1234560", text)
    return harness


def remark_in_advoware(harness: SyncHarness) -> str:
    (row,) = harness.advo.rows(1)
    return str(row["bemerkung"])


def assert_no_more_writes(harness: SyncHarness) -> None:
    for sweep in (False, True):
        assert harness.run(sweep=sweep).outcome == "done"
        assert harness.writes == []


def text_limits(text: str) -> Iterator[int]:
    """Every length at which the text is whole, and beside its marker it is not; blanks at its end are nobody's loss."""
    return iter(range(max(utf16_units(text), 40), utf16_units(marker_text(NUMBER, 1, text).rstrip())))


@pytest.mark.parametrize("half_letter", HALF_LETTERS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_cut_anywhere_is_written_again_without_marker(text: str, half_letter: str, tmp_path: Path) -> None:
    for limit in text_limits(text):
        (tmp_path / str(limit)).mkdir()
        harness = harness_with_text(tmp_path / str(limit), text)
        harness.advo.behaviour.utf16, harness.advo.behaviour.max_bemerkung = True, limit
        harness.advo.behaviour.half_letters, harness.advo.behaviour.answers_put = half_letter, limit % 2 == 0
        assert harness.run().outcome == "done"
        assert (limit, remark_in_advoware(harness)) == (limit, text)
        assert harness.query_store("select unmarked from baseline") == [(1,)]
        assert_no_more_writes(harness)


REMARK_STORAGE = {
    "trimmed": (True, None),
    "line feeds": (False, "\n"),
    "returns": (False, "\r"),
    "both": (True, "\r\n"),
}


@pytest.mark.parametrize("no_answer", [False, True], ids=["", "PUT without answer"])
@pytest.mark.parametrize(("trims", "line_ends"), REMARK_STORAGE.values(), ids=REMARK_STORAGE)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_that_is_trimmed_or_gets_other_line_ends_is_stored_as_sent(
    text: str, trims: bool, line_ends: str | None, no_answer: bool, tmp_path: Path  # noqa: FBT001
) -> None:
    harness = harness_with_text(tmp_path, text)
    harness.advo.behaviour.trims, harness.advo.behaviour.line_ends = trims, line_ends
    harness.advo.behaviour.answers_put = not no_answer
    assert harness.run().outcome == "done"
    assert remark_in_advoware(harness).startswith(marker_text(NUMBER, 1))
    assert harness.query_store("select unmarked from baseline") == [(0,)]
    assert harness.query_store("select * from left_alone") == []
    assert_no_more_writes(harness)


@pytest.mark.parametrize(("trims", "line_ends"), REMARK_STORAGE.values(), ids=REMARK_STORAGE)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_remark_without_marker_that_is_trimmed_is_not_marked_again_and_again(
    text: str, trims: bool, line_ends: str | None, tmp_path: Path  # noqa: FBT001
) -> None:
    harness = harness_with_text(tmp_path, text)
    harness.advo.behaviour.trims, harness.advo.behaviour.line_ends = trims, line_ends
    harness.advo.behaviour.utf16, harness.advo.behaviour.max_bemerkung = True, 40
    assert harness.run().outcome == "done"
    assert remark_in_advoware(harness).split() == text.split()
    assert_no_more_writes(harness)


SYSTEMS = {
    "trimmed": {"trims": True},
    "line ends": {"line_ends": "\r"},
    "cut in a letter": {"utf16": True, "max_bemerkung": utf16_units(marker_text(NUMBER, 1, "abends 😀")) - 1},
}


@pytest.mark.parametrize("switches", SYSTEMS.values(), ids=SYSTEMS)
def test_undo_puts_a_remark_back_that_was_not_stored_letter_for_letter(
    switches: dict[str, object], tmp_path: Path
) -> None:
    text = "abends 😀" if "utf16" in switches else "eins\nzwei "
    harness = harness_with_text(tmp_path, text)
    for name, value in switches.items():
        setattr(harness.advo.behaviour, name, value)
    first = harness.run()
    undo_report = harness.run(trigger="undo", undo_run=first.run_id)
    assert (undo_report.outcome, undo_report.notices) == ("done", [])
    assert remark_in_advoware(harness).split() == text.split()
    assert_no_more_writes(harness)
