"""A 403 is one person's, the login's, or everybody's (rules.md §6), and nobody pays for another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.options import Selection
from jobs.sandbox.simulator import Answer, Call
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.sandbox.simulator import Simulator

FIREWALL = Answer(403, {"Content-Type": "text/html"}, b"<html><h1>Forbidden</h1>Support ID 4711</html>")
NO_ACCESS = Answer(403, {"X-Status-Reason": "No edit access.", "Content-Type": "application/json"}, b"")
LOCKED = Answer(403, {"Content-Type": "text/html; charset=UTF-8"}, b"")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, settings={"sync": {"conflict_scope": "entry"}})


def to(*people: Person, says: Answer = FIREWALL, methods: str = "GET PUT POST") -> Callable[[Call], Answer | None]:
    """A firewall, or a role, that refuses these persons."""

    def refuses(call: Call) -> Answer | None:
        about = any(path in call.path for one in people for path in (one.in_espo, one.in_advo))
        return says if about and call.method in methods.split() else None

    return refuses


def edited(desk: Desk, people: Sequence[Person]) -> None:
    """Each gets a new number on both sides."""
    for one in people:
        desk.advo.add_row(one.betnr, f"0511 8888{one.betnr}")
        desk.add_phone(one, f"+495119999{one.betnr}")


def synced(desk: Desk, people: Sequence[Person]) -> list[bool]:
    """Whose new numbers stand on both sides."""
    return [(len(desk.phones(one)), len(desk.values(one))) == (4, 4) for one in people]


def entries(desk: Desk, people: Sequence[Person]) -> list[int]:
    """How many entries both sides show of each: 5 before the new one is synced, 6 after."""
    return [len(desk.phones(one)) + len(desk.values(one)) for one in people]


def sim_of(desk: Desk, system: str) -> Simulator:
    return desk.espo if system == "EspoCRM" else desk.advo


# One person ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", [FIREWALL, NO_ACCESS, LOCKED], ids=["firewall", "role", "without a word"])
@pytest.mark.parametrize("methods", ["GET PUT POST", "PUT POST", "GET"])
@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_one_refused_person_fails_and_all_others_are_synced(
    desk: Desk, system: str, methods: str, says: Answer
) -> None:
    people = desk.crowd(4)
    edited(desk, people)
    with desk.broken(sim_of(desk, system), to(people[0], says=says, methods=methods)):
        report = desk.run()
        assert (report.outcome, report.exit_code()) == ("failed_persons", 1)
        assert [one["entity_id"] for one in report.errors] == [people[0].entity_id]
        assert f"{system} refuses this person (403" in report.errors[0]["error"]
        assert synced(desk, people) == [False, True, True, True]
        assert desk.kept(people[0], "status", "retry_count", "next_retry_at is not null") == ("failed", 1, 1)
        edited_later = desk.hire()
        assert desk.run().exit_code() == 1
        assert desk.kept(edited_later, "status") == ("clean",)
    desk.clock.advance(3600)
    assert desk.run().outcome == "done"
    assert all(synced(desk, people))
    assert desk.quiet(sweep=True).outcome == "done"


def test_the_next_run_begins_behind_the_refused(desk: Desk) -> None:
    people = desk.crowd(6)
    edited(desk, people)
    with desk.broken(desk.espo, to(*people[:2], methods="PUT")):
        desk.run()
        edited(desk, people[4:])
        desk.clock.advance(3600)
        desk.run()
        asked = [call.path for call in desk.espo.journal if call.method == "GET" and "/CBeteiligte/" in call.path]
    first = [next(at for at, path in enumerate(asked) if path.endswith(one.in_espo)) for one in people[4:]]
    last = [next(at for at, path in enumerate(asked) if path.endswith(one.in_espo)) for one in people[:2]]
    assert max(first) < min(last)


def test_a_firewalls_403_says_nothing_about_a_value(desk: Desk) -> None:
    """EspoCRM refuses two new values, the firewall each tried alone: they are not noted as what EspoCRM cannot hold."""
    (person,) = desk.crowd(1)
    for number in ("0511 8888888", "0511 9999999"):
        desk.advo.add_row(person.betnr, number)
    said: list[int] = []

    def refuses(call: Call) -> Answer | None:
        new = sum(number in call.body for number in ("8888888", "9999999"))
        refusals = {2: Answer(400, {"X-Status-Reason": "Bad request."}, b""), 1: FIREWALL}
        said.extend([refusals[new].status] if new else [])
        return refusals.get(new)

    with desk.broken(desk.espo, refuses):
        assert desk.run(sweep=True).outcome == "failed_persons"
    assert said == [400, 403]
    assert desk.ask("select count(*) from left_alone") == [(0,)]
    desk.clock.advance(3600)
    assert desk.run().outcome == "done"
    assert len(desk.phones(person)) == 4


def test_a_refused_status_blocks_nothing(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    with desk.broken(desk.espo, to(person, methods="PUT")):
        assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3
    assert desk.kept(person, "status", "retry_count") == ("clean", 0)


@pytest.mark.parametrize("says", [FIREWALL, LOCKED], ids=["firewall", "without a word"])
def test_a_refused_note_ends_nothing(desk: Desk, says: Answer) -> None:
    people = desk.crowd(2)
    for one in people:
        desk.espo.edit(one.entity_id, phones=[("+4951188888888", "Office"), desk.phones(one)[1]])
        desk.advo.edit_row(one.betnr, one.rows[0], value="0511 777777")
    with desk.broken(desk.espo, lambda call: says if call.path.endswith("/Note") else None):
        assert desk.run().outcome == "done"
    assert desk.ask("select count(*) from conflicts") == [(2,)]
    assert ["+4951188888888" in desk.values(one) for one in people] == [True, True]


def test_a_person_refused_when_it_is_read_back_fails_and_the_next_run_finds_its_writes(desk: Desk) -> None:
    person, other = desk.crowd(2)
    edited(desk, [person, other])

    def once_written(call: Call) -> Answer | None:
        written = any(person.in_advo in one.path for one in desk.advo.writes)
        return FIREWALL if written and person.in_advo in call.path and call.method == "GET" else None

    with desk.broken(desk.advo, once_written):
        assert desk.run().outcome == "failed_persons"
    desk.clock.advance(3600)
    assert desk.run().outcome == "done"
    assert synced(desk, [person, other]) == [True, True]
    assert desk.quiet(sweep=True).outcome == "done"


# Everybody ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", ["GET PUT POST", "PUT POST"])
@pytest.mark.parametrize("kind", ["sync", "sweep", "backfill"])
@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_three_persons_without_rights_at_the_head_stop_one_run_and_the_next_begins_behind_them(
    desk: Desk, system: str, kind: str, methods: str
) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "sync": {},
        "sweep": {"sweep": True},
        "backfill": {"trigger": "backfill", "backfill": Selection(everybody=True)},
    }
    asked = kinds[kind]
    people = sorted(desk.crowd(7), key=lambda one: one.entity_id)
    desk.settings["advoware"] = {"poll_budget": 0}
    for one in people:
        desk.clock.advance(10)
        if system == "EspoCRM":
            desk.advo.add_row(one.betnr, f"0511 8888{one.betnr}")
            desk.espo.edit(one.entity_id, syncStatus="dirty")
        else:
            desk.add_phone(one, f"+495119999{one.betnr}")
    with desk.broken(sim_of(desk, system), to(*people[:3], methods=methods)):
        report = desk.run(**asked)
        assert (report.outcome, report.exit_code()) == ("outage", 4)
        assert f"{system} refuses one person after another" in (report.error or "")
        assert [desk.kept(one, "retry_count") for one in people] == [(1,)] * 3 + [(0,)] * 4
        assert entries(desk, people) == [5] * 7
        assert desk.run(**asked).exit_code() in {0, 1}
        assert entries(desk, people) == [5] * 3 + [6] * 4
    desk.clock.advance(36_000)
    assert desk.run().outcome == "done"
    assert entries(desk, people) == [6] * 7


def test_persons_refused_after_a_write_has_passed_stop_nothing(desk: Desk) -> None:
    people = desk.crowd(7)
    for one in people:
        desk.clock.advance(10)
        desk.advo.add_row(one.betnr, f"0511 8888{one.betnr}")
        desk.espo.edit(one.entity_id, syncStatus="dirty")
    with desk.broken(desk.espo, to(*people[1:6])):
        report = desk.run()
    assert (report.exit_code(), report.persons.failed, report.writes.espocrm) == (1, 5, 4)


@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_a_firewall_before_everybody_fails_three_persons_and_no_more(desk: Desk, system: str) -> None:
    people = desk.crowd(40)
    edited(desk, people)
    with desk.broken(sim_of(desk, system), to(*people)):
        assert desk.run().exit_code() == 4
    assert desk.ask("select count(*) from persons where retry_count > 0") == [(3,)]
    assert desk.run().outcome in {"done", "failed_persons"}


def test_persons_who_are_refused_every_time_keep_nobody_out_of_a_small_run(desk: Desk) -> None:
    people = desk.crowd(6)
    desk.settings["sync"] = {**desk.settings["sync"], "persons_per_run": 2}
    desk.settings["advoware"] = {"poll_budget": 0}
    for one in people:
        desk.clock.advance(10)
        desk.add_phone(one, f"+495119999{one.betnr}")
    desk.seconds_between = 900  # every retry time has come
    with desk.broken(desk.advo, to(*people[:3])):
        for _ in range(4):
            desk.run()
    assert entries(desk, people) == [5, 5, 5, 6, 6, 6]


# The login ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", [FIREWALL, LOCKED, NO_ACCESS], ids=["firewall", "locked", "with a reason"])
def test_espocrm_refuses_our_own_user_too_and_nobody_is_to_blame(desk: Desk, says: Answer) -> None:
    people = desk.crowd(4)
    edited(desk, people)
    lists = []

    def locked_after_the_lists(call: Call) -> Answer | None:
        lists.extend([call] if "/CBeteiligte/" in call.path else [])
        return says if lists else None

    with desk.broken(desk.espo, locked_after_the_lists):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "EspoCRM refuses the login" in (report.error or "")
    assert {desk.kept(one, "status", "retry_count") for one in people} == {("clean", 0)}


def test_advoware_refuses_persons_it_showed_before_and_nobody_is_to_blame(desk: Desk) -> None:
    people = desk.crowd(30)
    for one in people:
        desk.add_phone(one, f"+495119999{one.betnr}")
    shown: list[Call] = []

    def from_the_fifth_on(call: Call) -> Answer | None:
        shown.extend([call] if "/Beteiligte/" in call.path else [])
        return NO_ACCESS if len(shown) > 5 and not call.is_login else None

    with desk.broken(desk.advo, from_the_fifth_on):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "Advoware refuses the login" in (report.error or "")
    assert {desk.kept(one, "status", "retry_count") for one in people} == {("clean", 0)}


# Lists --------------------------------------------------------------------------------------------------------------


def test_a_list_a_firewall_refuses_is_an_outage_that_names_it(desk: Desk) -> None:
    desk.crowd(2)
    with desk.broken(desk.espo, lambda call: FIREWALL if call.path.endswith("/CBeteiligte") else None):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "any firewall between" in (report.error or "")
