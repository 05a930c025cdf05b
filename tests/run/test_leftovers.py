"""A run broken off at any of its writes leaves no marker behind that speaks of nobody's value (rules §3, Leftovers).

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
from jobs.sandbox.simulator import TimedOut, make_json_response
from tests.harness import SyncHarness, canonical_keys
from tests.notation import marker_text, slot_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse

    Edit = Callable[[SyncHarness, str], object]

X, X2, Y, Z = "+495111234560", "+495111234561", "+495112222222", "+495119999999"
FIRST, SECOND, MAIL = 88001, 88002, 88003
OFFICE, FAX, HOME = "Office", "Fax", "Home"
BLANKS = " \u00ad\t"


def harness_in_sync(folder: Path, direction: Direction = Direction.BOTH) -> tuple[SyncHarness, str]:
    """A person with two numbers and a mail, agreed on by both sides, and its id."""
    harness = SyncHarness(folder, 0, sync={"direction": direction})
    entity_id = harness.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, FAX)], mails=["max@muster.de"])
    harness.advo.add_person(1, "Max Muster")
    harness.advo.behaviour.real_komm_kz = True
    for value, remark in (("0511 1234560", "Zentrale"), ("0511 2222222", None), ("Max@muster.de", None)):
        harness.advo.add_row(1, value, remark)
    assert harness.run(direction=Direction.BOTH).outcome == "done"
    return harness, entity_id


def edit_row_value(value: str, row: int = FIRST) -> Edit:
    return lambda harness, _: harness.advo.edit_row(1, row, value=value)


def set_phones(*items: tuple[str, str]) -> Edit:
    return lambda harness, entity_id: harness.espo.edit(entity_id, phones=[*items])


def all_edits(*edits: Edit) -> Edit:
    def make_edits(harness: SyncHarness, entity_id: str) -> None:
        for edit in edits:
            edit(harness, entity_id)

    return make_edits


def add_home_row(harness: SyncHarness, _: str) -> None:
    harness.advo.add_row(1, "0511/1234560", komm_kz=6)


EDITS: Mapping[str, Edit] = {
    "a row was emptied": lambda harness, _: harness.advo.empty_row(1, FIRST),
    "blanks were typed over a number": edit_row_value(BLANKS),
    "blanks were typed over a mail": edit_row_value(BLANKS, MAIL),
    "a row was deleted": lambda harness, _: harness.advo.remove_row(1, FIRST),
    "blanks were typed while EspoCRM deleted the number": all_edits(edit_row_value(BLANKS), set_phones((Y, FAX))),
    "blanks were typed while EspoCRM changed the number": all_edits(
        edit_row_value(BLANKS), set_phones((X2, OFFICE), (Y, FAX))
    ),
    "blanks were typed while EspoCRM got a number": all_edits(
        edit_row_value(BLANKS), set_phones((X, OFFICE), (Y, FAX), (Z, HOME))
    ),
    "an item was deleted": set_phones((Y, FAX)),
    "an item was changed": set_phones((X2, OFFICE), (Y, FAX)),
    "an item got another type": set_phones((X, HOME), (Y, FAX)),
    "an item got another type, its number stands in such a row": all_edits(
        set_phones((X, HOME), (Y, FAX)), add_home_row
    ),
    "an item got another type, its number and text stand in such a row": all_edits(
        set_phones((X, HOME), (Y, FAX)), lambda harness, _: harness.advo.add_row(1, X, "privat", komm_kz=6)
    ),
    "a row was changed": edit_row_value("0511 1234561"),
    "a row was added": lambda harness, _: harness.advo.add_row(1, "0511 9999999", "neu"),
    "numbers changed on both sides": all_edits(
        edit_row_value("0511 3333333", SECOND), set_phones((X2, OFFICE), (Y, FAX))
    ),
    "an item was deleted while its row was changed": all_edits(edit_row_value("0511 1234561"), set_phones((Y, FAX))),
    "two rows changed places": all_edits(edit_row_value("0511 2222222"), edit_row_value("0511 1234560", SECOND)),
    "the number of a pair was typed into the row of another": edit_row_value("0511 2222222"),
}


@dataclass
class Interruption:
    """Ends a run at the ``write_number``-th write: ``before`` it, or ``after`` its effect.

    ``reached`` tells whether it did.
    """

    write_number: int
    before: Any = None
    after: Any = None
    stops: bool = False
    reached: bool = field(default=False)

    def install(self, harness: SyncHarness) -> None:
        harness.espo.before = harness.advo.before = lambda call: self.before_call(call, self.before)
        harness.espo.after = harness.advo.after = lambda call, _: (
            self.interrupt(self.after) if self.is_due(call) else None
        )
        if self.stops:
            harness.environment = replace(harness.environment, checkpoint=self.stop_if_reached)

    def before_call(self, call: SimRequest, fault: Any) -> SimResponse | None:
        self.write_number -= call.is_write
        return self.interrupt(fault) if self.is_due(call) else None

    def is_due(self, call: SimRequest) -> bool:
        return call.is_write and self.write_number == 0

    def interrupt(self, fault: Any) -> SimResponse | None:
        self.reached = True
        if isinstance(fault, type):
            raise fault
        answer: SimResponse | None = fault
        return answer

    def stop_if_reached(self) -> None:
        if self.reached:
            raise Stopped("Stopped by SIGTERM; what is left waits for the next run.")


class RunKilled(BaseException):
    """The process is dead."""


INTERRUPTIONS: Mapping[str, Mapping[str, Any]] = {
    "the answer is 500 and nothing happened": {"before": make_json_response(500, {})},
    "the answer is lost": {"after": TimedOut},
    "killed before it": {"before": RunKilled},
    "killed after it": {"after": RunKilled},
    "SIGTERM while it is under way": {"stops": True},
}


def interrupt_run(
    harness: SyncHarness, options: Mapping[str, Any], *, at: int, interruption: Mapping[str, Any]
) -> bool:
    """Let a run break off at one of its writes; False when it made fewer."""
    environment, hook = harness.environment, Interruption(at, **interruption)
    hook.install(harness)
    try:
        harness.run(**options)
    except RunKilled:
        pass
    finally:
        harness.environment = environment
        for system in (harness.espo, harness.advo):
            system.before = system.after = None
    return hook.reached


def run_until_quiet(harness: SyncHarness) -> None:
    """Calm runs until a run, and a sweep, write nothing."""
    for _ in range(8):
        harness.run()
        if not harness.writes:
            break
    harness.run(sweep=True)
    assert harness.writes == []


def assert_no_leftover(harness: SyncHarness, entity_id: str) -> None:
    """No marker stands on an empty row, and none speaks of a value that EspoCRM does not hold.

    What an undo put back as it was, and a number of another pair that a person typed over one, are left alone by name.
    """
    left_alone = {komm_id for (komm_id,) in harness.query_store("select komm_id from left_alone")}
    for row in harness.advo.rows(1):
        remark = decode(row["bemerkung"])
        if remark.kind is MarkerKind.MARKER:
            marker_keys = canonical_keys("mail" if "@" in (remark.value or "") else "phone", {remark.value or ""})
            assert (row["tlf"] or "").strip() or row["id"] in left_alone, row
            assert marker_keys <= harness.espo_values(entity_id) or row["id"] in left_alone, row


def list_own_texts(harness: SyncHarness) -> list[str]:
    """What people wrote into remarks, wherever it stands."""
    return sorted(filter(None, harness.own_texts().values()))


@pytest.mark.parametrize("interruption", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_a_run_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: Edit, interruption: Mapping[str, Any], tmp_path: Path
) -> None:
    at, reached = 0, True
    while reached:
        at += 1
        (tmp_path / str(at)).mkdir()
        harness, entity_id = harness_in_sync(tmp_path / str(at))
        edits(harness, entity_id)
        texts = list_own_texts(harness)
        harness.clock.advance(60)
        reached = interrupt_run(harness, {"sweep": True}, at=at, interruption=interruption)
        run_until_quiet(harness)
        assert_no_leftover(harness, entity_id)
        assert harness.disagreements() == []
        assert list_own_texts(harness) == texts
    assert at > 1


EDITS_TO_UNDO = (
    "a row was emptied", "blanks were typed while EspoCRM deleted the number", "an item was deleted",
    "an item got another type", "a row was added",
)  # fmt: skip


@pytest.mark.parametrize("interruption", ["killed before it", "killed after it"])
@pytest.mark.parametrize("edits", EDITS_TO_UNDO)
def test_an_undo_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: str, interruption: str, tmp_path: Path
) -> None:
    """And no text is lost; one may stand twice until the undo is asked for again."""
    at, reached = 0, True
    while reached:
        at += 1
        (tmp_path / str(at)).mkdir()
        harness, entity_id = harness_in_sync(tmp_path / str(at))
        EDITS[edits](harness, entity_id)
        harness.clock.advance(60)
        texts = list_own_texts(harness)
        undo = {"trigger": "undo", "undo_run": harness.run(sweep=True).run_id}
        reached = interrupt_run(harness, undo, at=at, interruption=INTERRUPTIONS[interruption])
        run_until_quiet(harness)
        assert_no_leftover(harness, entity_id)
        assert not Counter(texts) - Counter(list_own_texts(harness))
    assert at > 1


@pytest.mark.parametrize("interruption", ["killed before it", "killed after it"])
@pytest.mark.parametrize("edits", ["numbers changed on both sides", "an item was deleted while its row was changed"])
def test_a_restore_broken_off_at_any_write_leaves_no_marker_of_a_gone_value(
    edits: str, interruption: str, tmp_path: Path
) -> None:
    at, reached = 0, True
    while reached:
        at += 1
        (tmp_path / str(at)).mkdir()
        harness, entity_id = harness_in_sync(tmp_path / str(at))
        EDITS[edits](harness, entity_id)
        harness.clock.advance(60)
        texts = list_own_texts(harness)
        harness.run(sweep=True)
        harness.clock.advance(60)
        reached = interrupt_run(
            harness, {"trigger": "restore", "restore": 1}, at=at, interruption=INTERRUPTIONS[interruption]
        )
        run_until_quiet(harness)
        assert_no_leftover(harness, entity_id)
        assert list_own_texts(harness) == texts
        assert harness.disagreements() == []
    assert at > 1


def test_a_leftover_that_an_undo_puts_back_stays_until_somebody_edits_it(tmp_path: Path) -> None:
    harness, _ = harness_in_sync(tmp_path)
    copied_row = harness.advo.add_row(1, "", marker_text(Z, 1, "Gegner"))
    report = harness.run(sweep=True)
    assert (report.variants, remark_of(harness, copied_row)) == ({"leftover": 1}, slot_text(1, "Gegner"))
    undo_report = harness.run(trigger="undo", undo_run=report.run_id)
    assert (undo_report.outcome, remark_of(harness, copied_row)) == ("done", marker_text(Z, 1, "Gegner"))
    run_until_quiet(harness)
    assert remark_of(harness, copied_row) == marker_text(Z, 1, "Gegner")
    harness.run(trigger="undo", undo_run=undo_report.run_id)
    assert remark_of(harness, copied_row) == slot_text(1, "Gegner")


def remark_of(harness: SyncHarness, komm_id: int) -> str:
    return next(str(row["bemerkung"]) for row in harness.advo.rows(1) if row["id"] == komm_id)


@pytest.mark.parametrize("text", [None, "privat"])
def test_office_becomes_home_where_a_home_row_with_the_number_stands_and_no_third_row_is_made(
    text: str | None, tmp_path: Path
) -> None:
    harness, entity_id = harness_in_sync(tmp_path)
    home_row_id = harness.advo.add_row(1, "0511/1234560", text, komm_kz=6)
    harness.run(sweep=True)
    assert harness.query_store("select reason, komm_id from left_alone") == [("duplicate", home_row_id)]
    harness.espo.edit(entity_id, phones=[(X, HOME), (Y, FAX)])
    report = harness.run()
    assert (report.variants, report.writes.advoware) == ({"retype": 1}, 2)
    rows = {row["id"]: (row["tlf"], row["bemerkung"]) for row in harness.advo.rows(1)}
    assert rows[home_row_id] == ("0511/1234560", marker_text(X, 6, text or "Zentrale"))
    assert rows[FIRST] == ("", slot_text(1, "Zentrale" if text else ""))
    assert len(rows) == 4
    run_until_quiet(harness)
    undo_report = harness.run(trigger="undo", undo_run=report.run_id)
    assert undo_report.notices == []
    assert {row["id"]: row["tlf"] for row in harness.advo.rows(1)}[FIRST] == "0511 1234560"
    run_until_quiet(harness)
