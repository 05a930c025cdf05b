"""A 403 is one person's, the login's, or everybody's (rules §6), and nobody pays for another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.run.options import Selection
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.harness import FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.sandbox.simulator import Simulator

FIREWALL = SimResponse(403, {"Content-Type": "text/html"}, b"<html><h1>Forbidden</h1>Support ID 4711</html>")
NO_ACCESS = SimResponse(403, {"X-Status-Reason": "No edit access.", "Content-Type": "application/json"}, b"")
LOCKED = SimResponse(403, {"Content-Type": "text/html; charset=UTF-8"}, b"")


@pytest.fixture
def harness(tmp_path: Path) -> FaultHarness:
    return FaultHarness(tmp_path, sync={"conflict_scope": "entry"})


def refuse_persons(
    *people: PersonWithRows, answer: SimResponse = FIREWALL, methods: str = "GET PUT POST"
) -> Callable[[SimRequest], SimResponse | None]:
    """A firewall, or a role, that refuses these persons."""

    def refuse(call: SimRequest) -> SimResponse | None:
        is_about_them = any(path in call.path for person in people for path in (person.espo_path, person.advo_path))
        return answer if is_about_them and call.method in methods.split() else None

    return refuse


def add_numbers_on_both_sides(harness: FaultHarness, people: Sequence[PersonWithRows]) -> None:
    """Each gets a new number on both sides."""
    for person in people:
        harness.advo.add_row(person.betnr, f"0511 8888{person.betnr}")
        harness.add_phone(person, f"+495119999{person.betnr}")


def have_new_numbers(harness: FaultHarness, people: Sequence[PersonWithRows]) -> list[bool]:
    """Whose new numbers stand on both sides."""
    return [(len(harness.espo_phones(person)), len(harness.advo_values(person))) == (4, 4) for person in people]


def entry_counts(harness: FaultHarness, people: Sequence[PersonWithRows]) -> list[int]:
    """How many entries both sides show of each: 5 before the new one is synced, 6 after."""
    return [len(harness.espo_phones(person)) + len(harness.advo_values(person)) for person in people]


def simulator_of(harness: FaultHarness, system: str) -> Simulator:
    return harness.espo if system == "EspoCRM" else harness.advo


# One person ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [FIREWALL, NO_ACCESS, LOCKED], ids=["firewall", "role", "without a word"])
@pytest.mark.parametrize("methods", ["GET PUT POST", "PUT POST", "GET"])
@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_one_refused_person_fails_and_all_others_are_synced(
    harness: FaultHarness, system: str, methods: str, answer: SimResponse
) -> None:
    people = harness.add_persons_in_sync(4)
    add_numbers_on_both_sides(harness, people)
    with harness.hook_before(simulator_of(harness, system), refuse_persons(people[0], answer=answer, methods=methods)):
        report = harness.run()
        assert (report.outcome, report.exit_code()) == ("failed_persons", 1)
        assert [failure["entity_id"] for failure in report.errors] == [people[0].entity_id]
        assert f"{system} refuses this person (403" in report.errors[0]["error"]
        assert have_new_numbers(harness, people) == [False, True, True, True]
        assert harness.person_columns(people[0], "status", "retry_count", "next_retry_at is not null") == (
            "failed",
            1,
            1,
        )
        new_person = harness.add_person()
        assert harness.run().exit_code() == 1
        assert harness.person_columns(new_person, "status") == ("clean",)
    harness.clock.advance(3600)
    assert harness.run().outcome == "done"
    assert all(have_new_numbers(harness, people))
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_the_next_run_begins_behind_the_refused(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(6)
    add_numbers_on_both_sides(harness, people)
    with harness.hook_before(harness.espo, refuse_persons(*people[:2], methods="PUT")):
        harness.run()
        add_numbers_on_both_sides(harness, people[4:])
        harness.clock.advance(3600)
        harness.run()
        paths_read = [
            call.path for call in harness.espo.request_log if call.method == "GET" and "/CBeteiligte/" in call.path
        ]
    first = [next(at for at, path in enumerate(paths_read) if path.endswith(person.espo_path)) for person in people[4:]]
    last = [next(at for at, path in enumerate(paths_read) if path.endswith(person.espo_path)) for person in people[:2]]
    assert max(first) < min(last)


def test_a_firewalls_403_says_nothing_about_a_value(harness: FaultHarness) -> None:
    """EspoCRM refuses two new values, the firewall each tried alone: they are not noted as what EspoCRM cannot hold."""
    (person,) = harness.add_persons_in_sync(1)
    for number in ("0511 8888888", "0511 9999999"):
        harness.advo.add_row(person.betnr, number)
    statuses: list[int] = []

    def refuse(call: SimRequest) -> SimResponse | None:
        new = sum(number in call.body for number in ("8888888", "9999999"))
        refusals = {2: SimResponse(400, {"X-Status-Reason": "Bad request."}, b""), 1: FIREWALL}
        statuses.extend([refusals[new].status] if new else [])
        return refusals.get(new)

    with harness.hook_before(harness.espo, refuse):
        assert harness.run(sweep=True).outcome == "failed_persons"
    assert statuses == [400, 403]
    assert harness.query_store("select count(*) from left_alone") == [(0,)]
    harness.clock.advance(3600)
    assert harness.run().outcome == "done"
    assert len(harness.espo_phones(person)) == 4


def test_a_refused_status_blocks_nothing(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    with harness.hook_before(harness.espo, refuse_persons(person, methods="PUT")):
        assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3
    assert harness.person_columns(person, "status", "retry_count") == ("clean", 0)


@pytest.mark.parametrize("answer", [FIREWALL, LOCKED], ids=["firewall", "without a word"])
def test_a_refused_note_ends_nothing(harness: FaultHarness, answer: SimResponse) -> None:
    people = harness.add_persons_in_sync(2)
    for person in people:
        harness.espo.edit(person.entity_id, phones=[("+4951188888888", "Office"), harness.espo_phones(person)[1]])
        harness.advo.edit_row(person.betnr, person.rows[0], value="0511 777777")
    with harness.hook_before(harness.espo, lambda call: answer if call.path.endswith("/Note") else None):
        assert harness.run().outcome == "done"
    assert harness.query_store("select count(*) from conflicts") == [(2,)]
    assert ["+4951188888888" in harness.advo_values(person) for person in people] == [True, True]


def test_a_person_refused_when_it_is_read_back_fails_and_the_next_run_finds_its_writes(harness: FaultHarness) -> None:
    person, other = harness.add_persons_in_sync(2)
    add_numbers_on_both_sides(harness, [person, other])

    def refuse_after_write(call: SimRequest) -> SimResponse | None:
        was_written = any(person.advo_path in call.path for call in harness.advo.writes)
        return FIREWALL if was_written and person.advo_path in call.path and call.method == "GET" else None

    with harness.hook_before(harness.advo, refuse_after_write):
        assert harness.run().outcome == "failed_persons"
    harness.clock.advance(3600)
    assert harness.run().outcome == "done"
    assert have_new_numbers(harness, [person, other]) == [True, True]
    assert harness.run_without_writes(sweep=True).outcome == "done"


# Everybody ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", ["GET PUT POST", "PUT POST"])
@pytest.mark.parametrize("kind", ["sync", "sweep", "backfill"])
@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_three_persons_without_rights_at_the_head_stop_one_run_and_the_next_begins_behind_them(
    harness: FaultHarness, system: str, kind: str, methods: str
) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "sync": {},
        "sweep": {"sweep": True},
        "backfill": {"trigger": "backfill", "backfill": Selection(everybody=True)},
    }
    options = kinds[kind]
    people = sorted(harness.add_persons_in_sync(7), key=lambda person: person.entity_id)
    harness.settings["advoware"] = {"poll_budget": 0}
    for person in people:
        harness.clock.advance(10)
        if system == "EspoCRM":
            harness.advo.add_row(person.betnr, f"0511 8888{person.betnr}")
            harness.espo.edit(person.entity_id, syncStatus="dirty")
        else:
            harness.add_phone(person, f"+495119999{person.betnr}")
    with harness.hook_before(simulator_of(harness, system), refuse_persons(*people[:3], methods=methods)):
        report = harness.run(**options)
        assert (report.outcome, report.exit_code()) == ("outage", 4)
        assert f"{system} refuses one person after another" in (report.error or "")
        assert [harness.person_columns(person, "retry_count") for person in people] == [(1,)] * 3 + [(0,)] * 4
        assert entry_counts(harness, people) == [5] * 7
        assert harness.run(**options).exit_code() in {0, 1}
        assert entry_counts(harness, people) == [5] * 3 + [6] * 4
    harness.clock.advance(36_000)
    assert harness.run().outcome == "done"
    assert entry_counts(harness, people) == [6] * 7


def test_persons_refused_after_a_write_has_passed_stop_nothing(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(7)
    for person in people:
        harness.clock.advance(10)
        harness.advo.add_row(person.betnr, f"0511 8888{person.betnr}")
        harness.espo.edit(person.entity_id, syncStatus="dirty")
    with harness.hook_before(harness.espo, refuse_persons(*people[1:6])):
        report = harness.run()
    assert (report.exit_code(), report.persons.failed, report.writes.espocrm) == (1, 5, 4)


@pytest.mark.parametrize("system", ["EspoCRM", "Advoware"])
def test_a_firewall_before_everybody_fails_three_persons_and_no_more(harness: FaultHarness, system: str) -> None:
    people = harness.add_persons_in_sync(40)
    add_numbers_on_both_sides(harness, people)
    with harness.hook_before(simulator_of(harness, system), refuse_persons(*people)):
        assert harness.run().exit_code() == 4
    assert harness.query_store("select count(*) from persons where retry_count > 0") == [(3,)]
    assert harness.run().outcome in {"done", "failed_persons"}


def test_persons_who_are_refused_every_time_keep_nobody_out_of_a_small_run(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(6)
    harness.settings["sync"] = {**harness.settings["sync"], "persons_per_run": 2}
    harness.settings["advoware"] = {"poll_budget": 0}
    for person in people:
        harness.clock.advance(10)
        harness.add_phone(person, f"+495119999{person.betnr}")
    harness.seconds_between = 900  # every retry time has come
    with harness.hook_before(harness.advo, refuse_persons(*people[:3])):
        for _ in range(4):
            harness.run()
    assert entry_counts(harness, people) == [5, 5, 5, 6, 6, 6]


# The login ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [FIREWALL, LOCKED, NO_ACCESS], ids=["firewall", "locked", "with a reason"])
def test_espocrm_refuses_our_own_user_too_and_nobody_is_to_blame(harness: FaultHarness, answer: SimResponse) -> None:
    people = harness.add_persons_in_sync(4)
    add_numbers_on_both_sides(harness, people)
    lists = []

    def locked_after_the_lists(call: SimRequest) -> SimResponse | None:
        lists.extend([call] if "/CBeteiligte/" in call.path else [])
        return answer if lists else None

    with harness.hook_before(harness.espo, locked_after_the_lists):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "EspoCRM refuses the login" in (report.error or "")
    assert {harness.person_columns(person, "status", "retry_count") for person in people} == {("clean", 0)}


def test_advoware_refuses_persons_it_showed_before_and_nobody_is_to_blame(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(30)
    for person in people:
        harness.add_phone(person, f"+495119999{person.betnr}")
    calls: list[SimRequest] = []

    def from_the_fifth_on(call: SimRequest) -> SimResponse | None:
        calls.extend([call] if "/Beteiligte/" in call.path else [])
        return NO_ACCESS if len(calls) > 5 and not call.is_login else None

    with harness.hook_before(harness.advo, from_the_fifth_on):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "Advoware refuses the login" in (report.error or "")
    assert {harness.person_columns(person, "status", "retry_count") for person in people} == {("clean", 0)}


# Lists --------------------------------------------------------------------------------------------------------------


def test_a_list_a_firewall_refuses_is_an_outage_that_names_it(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(2)
    with harness.hook_before(harness.espo, lambda call: FIREWALL if call.path.endswith("/CBeteiligte") else None):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "any firewall between" in (report.error or "")
