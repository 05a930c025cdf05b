"""A run broken off at any of its writes leaves no marker behind that speaks of nobody's value (rules.md §3, Leftovers).

Each case is a person in sync and people's edits. The run is broken off at its first write, then, from the beginning
again, at its second, until one comes through; after each, calm runs come to rest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import Stopped
from etl.records import Direction
from etl.rules.marker import MarkerKind, decode
from jobs.sandbox.simulator import TimedOut, json_answer
from tests.notation import marker, slot
from tests.practice import Practice, keys, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call

    Edit = Callable[[Practice, str], object]

X, X2, Y, Z = "+495111234560", "+495111234561", "+495112222222", "+495119999999"
FIRST, SECOND, MAIL = 88001, 88002, 88003
OFFICE, FAX, HOME = "Office", "Fax", "Home"
BLANKS = " \u00ad\t"


def in_sync(folder: Path, direction: Direction = Direction.BOTH) -> tuple[Practice, str]:
    """A person with two numbers and a mail, agreed on by both sides, and its id."""
    practice = Practice.of(folder, 0, sync={"direction": direction})
    entity_id = practice.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, FAX)], mails=["max@muster.de"])
    practice.advo.add_person(1, "Max Muster")
    practice.advo.switches.real_komm_kz = True
    for value, remark in (("0511 1234560", "Zentrale"), ("0511 2222222", None), ("Max@muster.de", None)):
        practice.advo.add_row(1, value, remark)
    assert practice.run(direction=Direction.BOTH).outcome == "done"
    return practice, entity_id


def typed(value: str, row: int = FIRST) -> Edit:
    return lambda practice, _: practice.advo.edit_row(1, row, value=value)


def phones(*items: tuple[str, str]) -> Edit:
    return lambda practice, entity_id: practice.espo.edit(entity_id, phones=[*items])


def both(*edits: Edit) -> Edit:
    def done(practice: Practice, entity_id: str) -> None:
        for edit in edits:
            edit(practice, entity_id)

    return done


def home_row(practice: Practice, _: str) -> None:
    practice.advo.add_row(1, "0511/1234560", komm_kz=6)


EDITS: Mapping[str, Edit] = {
    "a row was emptied": lambda practice, _: practice.advo.empty_row(1, FIRST),
    "blanks were typed over a number": typed(BLANKS),
    "blanks were typed over a mail": typed(BLANKS, MAIL),
    "a row was deleted": lambda practice, _: practice.advo.remove_row(1, FIRST),
    "blanks were typed while EspoCRM deleted the number": both(typed(BLANKS), phones((Y, FAX))),
    "blanks were typed while EspoCRM changed the number": both(typed(BLANKS), phones((X2, OFFICE), (Y, FAX))),
    "blanks were typed while EspoCRM got a number": both(typed(BLANKS), phones((X, OFFICE), (Y, FAX), (Z, HOME))),
    "an item was deleted": phones((Y, FAX)),
    "an item was changed": phones((X2, OFFICE), (Y, FAX)),
    "an item got another type": phones((X, HOME), (Y, FAX)),
    "an item got another type, its number stands in such a row": both(phones((X, HOME), (Y, FAX)), home_row),
    "an item got another type, its number and text stand in such a row": both(
        phones((X, HOME), (Y, FAX)), lambda practice, _: practice.advo.add_row(1, X, "privat", komm_kz=6)
    ),
    "a row was changed": typed("0511 1234561"),
    "a row was added": lambda practice, _: practice.advo.add_row(1, "0511 9999999", "neu"),
    "numbers changed on both sides": both(typed("0511 3333333", SECOND), phones((X2, OFFICE), (Y, FAX))),
    "an item was deleted while its row was changed": both(typed("0511 1234561"), phones((Y, FAX))),
    "two rows changed places": both(typed("0511 2222222"), typed("0511 1234560", SECOND)),
    "the number of a pair was typed into the row of another": typed("0511 2222222"),
}


@dataclass
class BreaksOff:
    """Ends a run at the ``number``-th write: ``before`` it, or ``after`` its effect; ``met`` tells whether it did."""

    number: int
    before: Any = None
    after: Any = None
    stops: bool = False
    met: bool = field(default=False)

    def over(self, practice: Practice) -> None:
        practice.espo.before = practice.advo.before = lambda call: self.at(call, self.before)
        practice.espo.after = practice.advo.after = lambda call, _: self.happens(self.after) if self.due(call) else None
        if self.stops:
            practice.world = replace(practice.world, checkpoint=self.stopped)

    def at(self, call: Call, what: Any) -> Answer | None:
        self.number -= call.is_write
        return self.happens(what) if self.due(call) else None

    def due(self, call: Call) -> bool:
        return call.is_write and self.number == 0

    def happens(self, what: Any) -> Answer | None:
        self.met = True
        if isinstance(what, type):
            raise what
        answer: Answer | None = what
        return answer

    def stopped(self) -> None:
        if self.met:
            raise Stopped("Stopped by SIGTERM; what is left waits for the next run.")


class Killed(BaseException):
    """The process is dead."""


WAYS: Mapping[str, Mapping[str, Any]] = {
    "the answer is 500 and nothing happened": {"before": json_answer(500, {})},
    "the answer is lost": {"after": TimedOut},
    "killed before it": {"before": Killed},
    "killed after it": {"after": Killed},
    "SIGTERM while it is under way": {"stops": True},
}


def broken_off(practice: Practice, asked: Mapping[str, Any], *, at: int, way: Mapping[str, Any]) -> bool:
    """Let a run break off at one of its writes; False when it made fewer."""
    world, fault = practice.world, BreaksOff(at, **way)
    fault.over(practice)
    try:
        practice.run(**asked)
    except Killed:
        pass
    finally:
        practice.world = world
        for system in (practice.espo, practice.advo):
            system.before = system.after = None
    return fault.met


def come_to_rest(practice: Practice) -> None:
    """Calm runs until a run, and a sweep, write nothing."""
    for _ in range(8):
        practice.run()
        if not practice.writes:
            break
    practice.run(sweep=True)
    assert practice.writes == []


def no_leftover(practice: Practice, entity_id: str) -> None:
    """No marker stands on an empty row, and none speaks of a value that EspoCRM does not hold.

    What an undo put back as it was, and a number of another pair that a person typed over one, are left alone by name.
    """
    left = {komm_id for (komm_id,) in remembered(practice, "select komm_id from left_alone")}
    for row in practice.advo.rows(1):
        remark = decode(row["bemerkung"])
        if remark.kind is MarkerKind.MARKER:
            told = keys("mail" if "@" in (remark.value or "") else "phone", {remark.value or ""})
            assert (row["tlf"] or "").strip() or row["id"] in left, row
            assert told <= practice.espo_values(entity_id) or row["id"] in left, row


def texts_of(practice: Practice) -> list[str]:
    """What people wrote into remarks, wherever it stands."""
    return sorted(filter(None, practice.own_texts().values()))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_run_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: Edit, way: Mapping[str, Any], tmp_path: Path
) -> None:
    at, met = 0, True
    while met:
        at += 1
        (tmp_path / str(at)).mkdir()
        practice, entity_id = in_sync(tmp_path / str(at))
        edits(practice, entity_id)
        texts = texts_of(practice)
        practice.clock.advance(60)
        met = broken_off(practice, {"sweep": True}, at=at, way=way)
        come_to_rest(practice)
        no_leftover(practice, entity_id)
        assert practice.disagreements() == []
        assert texts_of(practice) == texts
    assert at > 1


UNDONE = (
    "a row was emptied", "blanks were typed while EspoCRM deleted the number", "an item was deleted",
    "an item got another type", "a row was added",
)  # fmt: skip


@pytest.mark.parametrize("way", ["killed before it", "killed after it"])
@pytest.mark.parametrize("edits", UNDONE)
def test_an_undo_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: str, way: str, tmp_path: Path
) -> None:
    """And no text is lost; one may stand twice until the undo is asked for again."""
    at, met = 0, True
    while met:
        at += 1
        (tmp_path / str(at)).mkdir()
        practice, entity_id = in_sync(tmp_path / str(at))
        EDITS[edits](practice, entity_id)
        practice.clock.advance(60)
        texts = texts_of(practice)
        undo = {"trigger": "undo", "undo_run": practice.run(sweep=True).run_id}
        met = broken_off(practice, undo, at=at, way=WAYS[way])
        come_to_rest(practice)
        no_leftover(practice, entity_id)
        assert not Counter(texts) - Counter(texts_of(practice))
    assert at > 1


@pytest.mark.parametrize("way", ["killed before it", "killed after it"])
@pytest.mark.parametrize("edits", ["numbers changed on both sides", "an item was deleted while its row was changed"])
def test_a_restore_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: str, way: str, tmp_path: Path
) -> None:
    at, met = 0, True
    while met:
        at += 1
        (tmp_path / str(at)).mkdir()
        practice, entity_id = in_sync(tmp_path / str(at))
        EDITS[edits](practice, entity_id)
        practice.clock.advance(60)
        texts = texts_of(practice)
        practice.run(sweep=True)
        practice.clock.advance(60)
        met = broken_off(practice, {"trigger": "restore", "restore": 1}, at=at, way=WAYS[way])
        come_to_rest(practice)
        no_leftover(practice, entity_id)
        assert texts_of(practice) == texts
        assert practice.disagreements() == []
    assert at > 1


def test_a_leftover_that_an_undo_puts_back_stays_until_somebody_edits_it(tmp_path: Path) -> None:
    practice, _ = in_sync(tmp_path)
    copied = practice.advo.add_row(1, "", marker(Z, 1, "Gegner"))
    report = practice.run(sweep=True)
    assert (report.variants, remark_of(practice, copied)) == ({"leftover": 1}, slot(1, "Gegner"))
    undone = practice.run(trigger="undo", undo_run=report.run_id)
    assert (undone.outcome, remark_of(practice, copied)) == ("done", marker(Z, 1, "Gegner"))
    come_to_rest(practice)
    assert remark_of(practice, copied) == marker(Z, 1, "Gegner")
    practice.run(trigger="undo", undo_run=undone.run_id)
    assert remark_of(practice, copied) == slot(1, "Gegner")


def remark_of(practice: Practice, komm_id: int) -> str:
    return next(str(row["bemerkung"]) for row in practice.advo.rows(1) if row["id"] == komm_id)


@pytest.mark.parametrize("text", [None, "privat"])
def test_office_becomes_home_where_a_home_row_with_the_number_stands_and_no_third_row_is_made(
    text: str | None, tmp_path: Path
) -> None:
    practice, entity_id = in_sync(tmp_path)
    stands = practice.advo.add_row(1, "0511/1234560", text, komm_kz=6)
    practice.run(sweep=True)
    assert remembered(practice, "select reason, komm_id from left_alone") == [("duplicate", stands)]
    practice.espo.edit(entity_id, phones=[(X, HOME), (Y, FAX)])
    report = practice.run()
    assert (report.variants, report.writes.advoware) == ({"retype": 1}, 2)
    rows = {row["id"]: (row["tlf"], row["bemerkung"]) for row in practice.advo.rows(1)}
    assert rows[stands] == ("0511/1234560", marker(X, 6, text or "Zentrale"))
    assert rows[FIRST] == ("", slot(1, "Zentrale" if text else ""))
    assert len(rows) == 4
    come_to_rest(practice)
    undone = practice.run(trigger="undo", undo_run=report.run_id)
    assert undone.notices == []
    assert {row["id"]: row["tlf"] for row in practice.advo.rows(1)}[FIRST] == "0511 1234560"
    come_to_rest(practice)
