"""What a failure does, row by row of rules.md §6: who is to blame, when it is tried again, what EspoCRM shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from jobs.sandbox.simulator import Answer, Call, ConnectionLost, TimedOut, Unreachable, json_answer
from tests.desk import Desk, Person

REFUSED = Answer(400, {"Content-Type": "text/plain"}, b"Der Wert ist ungueltig.")
HTML = Answer(200, {"Content-Type": "text/html"}, b"<html>Wartung</html>")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def without_rows(person: Person) -> Any:
    """Advoware's answer for this person lacks what it must have."""

    def spoiled(call: Call, answer: Answer) -> Answer | None:
        if call.method != "GET" or person.in_advo not in call.path or answer.status != 200:
            return None
        body = json.loads(answer.body)
        del body["kommunikation"]
        return json_answer(200, body)

    return spoiled


# When a failing person is tried again ---------------------------------------------------------------------------------


RETRIES = """
    at               status              count  next              reset
    03-02 08:10      failed              1      03-02 08:11       -
    03-02 08:11      failed              2      03-02 08:16       -
    03-02 08:16      failed              3      03-02 08:31       -
    03-02 08:31      failed              4      03-02 09:31       -
    03-02 09:31      permanently_failed  5      -                 03-03 09:31
    03-03 09:31      failed              1      03-03 09:32       -
    03-03 09:32      failed              2      03-03 09:37       -
    03-03 09:37      clean               0      -                 -
"""


def told(text: str) -> list[tuple[str, ...]]:
    """The lines of a table without its head, cells by two blanks or more."""
    lines = [line.split("  ") for line in text.strip().splitlines()[1:]]
    return [tuple(cell.strip() for cell in line if cell.strip()) for line in lines]


def line_of(desk: Desk, person: Person) -> tuple[str, ...]:
    """What EspoCRM shows, as a line of the table; the store says the same."""
    status, _, count, following, reset = desk.shown(person).values()
    assert desk.kept(person, "status", "retry_count", "next_retry_at", "auto_reset_at") == (
        status, count, following, reset,
    )  # fmt: skip
    now = f"{desk.clock():%m-%d %H:%M}"
    return now, status, str(count), (following or "-")[5:16] or "-", (reset or "-")[5:16] or "-"


def tried_at(desk: Desk, person: Person, moment: str) -> list[tuple[str, ...]]:
    """A second before its time a failing person is left alone; then a run at its time."""
    at = datetime.strptime(f"2026-{moment}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    desk.seconds_between = 0
    if desk.shown(person)["syncStatus"] != "clean":
        desk.clock.set(at - timedelta(seconds=1))
        desk.quiet()
        assert "E:GET" not in desk.asked_about(person)
    desk.clock.set(at)
    desk.run()
    return [line_of(desk, person)]


def test_the_retry_times_of_one_person_up_to_auto_reset_and_success(desk: Desk) -> None:
    person, other = desk.hire(), desk.hire()
    assert desk.run().outcome == "done"
    desk.add_phone(person, "+4951188888888")
    lines: list[tuple[str, ...]] = []
    with desk.spoiled(desk.advo, without_rows(person)):
        for line in told(RETRIES)[:-1]:
            lines += tried_at(desk, person, line[0])
    lines += tried_at(desk, person, told(RETRIES)[-1][0])
    assert lines == told(RETRIES)
    assert desk.shown(person)["syncErrorMessage"] is None
    assert "051188888888" in "".join(desk.values(person)) or "+4951188888888" in desk.values(person)
    assert desk.shown(other)["syncStatus"] == "clean"


def test_the_last_waiting_time_is_repeated_when_more_failures_are_allowed(desk: Desk) -> None:
    desk.settings["retry"] = {"max_failures": 8}
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    waits = []
    with desk.spoiled(desk.advo, without_rows(person)):
        for _ in range(7):
            assert desk.run().outcome == "failed_persons"
            due = datetime.strptime(desk.shown(person)["syncNextRetry"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            waits.append((due - desk.clock()).total_seconds() / 60)
            desk.clock.advance((due - desk.clock()).total_seconds() - 60)
    assert waits == [1, 5, 15, 60, 240, 240, 240]


def failing(desk: Desk, times: int = 1) -> Person:
    """A person that failed so often and waits."""
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    with desk.spoiled(desk.advo, without_rows(person)):
        for _ in range(times):
            desk.clock.advance(5 * 3600)
            assert desk.run().outcome == "failed_persons"
    return person


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_a_failing_person_is_not_tried(desk: Desk, times: int) -> None:
    person = failing(desk, times)
    desk.seconds_between = 15
    for sweep in (False, True, False):
        assert desk.quiet(sweep=sweep).outcome == "done"
        assert "E:GET" not in desk.asked_about(person)


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_operator_may_ask_for_a_failing_person(desk: Desk, times: int) -> None:
    person = failing(desk, times)
    desk.seconds_between = 20
    assert desk.run(persons=(str(person.betnr),)).outcome == "done"
    assert line_of(desk, person)[1:] == ("clean", "0", "-", "-")


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_edit_in_espocrm_lets_a_failing_person_be_tried(desk: Desk, times: int) -> None:
    person = failing(desk, times)
    desk.seconds_between = 20
    desk.espo.edit(person.entity_id, firstName="Moritz")
    desk.run()
    assert line_of(desk, person)[1:] == ("clean", "0", "-", "-")


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_edit_in_advoware_lets_a_failing_person_be_tried(desk: Desk, times: int) -> None:
    person = failing(desk, times)
    desk.seconds_between = 20
    desk.advo.edit_row(person.betnr, person.rows[0], remark="nur abends")
    desk.run()
    assert line_of(desk, person)[1:] == ("clean", "0", "-", "-")


def test_our_own_half_done_writes_are_no_edit_that_would_try_a_failing_person_early(desk: Desk) -> None:
    person = desk.hire()
    desk.run()
    desk.add_phone(person, "+4951188888888")
    desk.add_phone(person, "+4951188888889")

    def refused(call: Call) -> Answer | None:
        is_second = call.method == "POST" and "88888889" in call.body
        return Answer(403, {"Content-Type": "text/plain"}, b"verboten") if is_second else None

    with desk.broken(desk.advo, refused):
        assert desk.run().outcome == "failed_persons"
    desk.seconds_between = 20
    assert desk.quiet().outcome == "done"
    desk.seconds_between = 60
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 4


# Outages --------------------------------------------------------------------------------------------------------------


OUTAGES: dict[str, Answer | Exception] = {
    "unreachable": Unreachable(),
    "lost": ConnectionLost(),
    "too late": TimedOut(),
    "500": Answer(500, {}, b""),
    "maintenance": Answer(503, {"Content-Type": "text/html"}, b""),
    "not JSON": HTML,
    "a page says 404": Answer(404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>404</title>"),
    "not logged in": json_answer(400, {"message": "Der Benutzer ist nicht angemeldet."}),
}


def fails_with(what: Answer | Exception) -> Callable[[Call], Answer | None]:
    """A hook that answers every request alike."""

    def hook(call: Call) -> Answer | None:
        if call.is_login:
            return None
        if isinstance(what, Exception):
            raise what
        return what

    return hook


@pytest.mark.parametrize("what", OUTAGES)
def test_an_outage_of_advoware_costs_nobody_a_retry(desk: Desk, what: str) -> None:
    people = desk.crowd(3)
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    with desk.broken(desk.advo, fails_with(OUTAGES[what])):
        report = desk.run()
    assert report.outcome == "outage"
    assert report.exit_code() == 4
    assert "Advoware is out" in (report.error or "")
    assert {desk.kept(one, "status", "retry_count", "next_retry_at") for one in people} == {("clean", 0, None)}
    assert desk.run().writes.advoware == 3


@pytest.mark.parametrize("what", [name for name in OUTAGES if name != "not logged in"])
def test_an_outage_of_espocrm_costs_nobody_a_retry(desk: Desk, what: str) -> None:
    people = desk.crowd(3)
    for person in people:
        desk.advo.add_row(person.betnr, f"0511 8888{person.betnr}")
    with desk.broken(desk.espo, fails_with(OUTAGES[what])):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert {desk.kept(one, "status", "retry_count", "next_retry_at") for one in people} == {("clean", 0, None)}
    assert desk.run().persons.changed == 3


@pytest.mark.parametrize(
    ("what", "sent"),
    [
        ("unreachable", ["POST"]),  # it never arrived: there is nothing to read
        ("too late", ["POST", "GET", "GET", "GET"]),  # three tries to read how it went
        ("500", ["POST", "GET", "GET", "GET"]),
    ],
)
def test_advoware_goes_away_in_the_middle_and_the_next_run_finishes_without_a_sweep(
    desk: Desk, what: str, sent: list[str]
) -> None:
    people = desk.crowd(20)
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    writes, during = [], []

    def from_the_eighth_write_on(call: Call) -> Answer | None:
        writes.extend([call] if call.is_write else [])
        if len(writes) < 8:
            return None
        during.append(call)
        return fails_with(OUTAGES[what])(call)

    with desk.broken(desk.advo, from_the_eighth_write_on):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert [call.method for call in during] == sent  # all that Advoware hears during the outage
    assert {desk.kept(one, "retry_count", "next_retry_at") for one in people} == {(0, None)}
    assert desk.run().outcome == "done"
    assert [len(desk.values(one)) for one in people] == [3] * 20
    assert desk.quiet().outcome == "done"


def test_advoware_goes_away_while_four_readers_are_at_it_and_hears_at_most_twelve_requests(desk: Desk) -> None:
    people = desk.crowd(60)
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    reads, during = count(), []
    four_at_once = threading.Barrier(4)

    def from_the_tenth_read_on(call: Call) -> Answer | None:
        if call.is_login or next(reads) < 10:
            return None
        during.append(call)
        if len(during) <= 4:
            four_at_once.wait(60)
        return fails_with(Unreachable())(call)

    with desk.broken(desk.advo, from_the_tenth_read_on):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert 4 <= len(during) <= 4 * 3  # four readers, three tries each
    assert {desk.kept(one, "status", "retry_count", "next_retry_at") for one in people} == {("clean", 0, None)}
    assert desk.run().writes.advoware == 60
    assert desk.quiet().outcome == "done"


@pytest.mark.parametrize("patience", [(429, "7"), (503, "7")])
def test_retry_after_is_waited_for_and_nobody_fails(desk: Desk, patience: tuple[int, str]) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    asked: list[float] = []

    def busy(call: Call) -> Answer | None:
        if call.is_login or call.method != "GET":
            return None
        asked.append(desk.clock().timestamp())
        return Answer(patience[0], {"Retry-After": patience[1]}, b"") if len(asked) < 3 else None

    with desk.broken(desk.advo, busy):
        assert desk.run().outcome == "done"
    assert [round(later - earlier) for earlier, later in pairwise(asked[:3])] == [7, 7]


def test_a_retry_after_beyond_the_limits_is_an_outage(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    with desk.broken(desk.advo, fails_with(Answer(429, {"Retry-After": "3600"}, b""))):
        assert desk.run().outcome == "outage"
    assert desk.kept(person, "retry_count") == (0,)


# Credentials ----------------------------------------------------------------------------------------------------------


def test_espocrm_refuses_the_key_and_is_asked_once(desk: Desk) -> None:
    desk.crowd(30)
    desk.espo.login.api_key = "another"
    report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "EspoCRM refuses the login" in (report.error or "")
    assert "espocrm.api_key" in (report.error or "")
    assert len(desk.espo.journal) == 1


def test_a_key_revoked_in_the_middle_is_not_tried_until_the_address_is_locked(desk: Desk) -> None:
    people = desk.crowd(60)
    for person in people:
        desk.espo.edit(person.entity_id, firstName="Moritz")

    def revoked(call: Call) -> Answer | None:
        return Answer(401, {}, b"") if "/CBeteiligte/" in call.path else None

    with desk.broken(desk.espo, revoked):
        assert desk.run().outcome == "outage"
    assert sum(call.status == 401 for call in desk.espo.journal) <= 2  # as many as reads overlap
    assert {desk.kept(one, "retry_count") for one in people} == {(0,)}
    assert desk.run().outcome == "done"


def test_advoware_refuses_the_login_and_nobody_is_to_blame(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    desk.settings["advoware"] = {"password": "wrong"}
    report = desk.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "Advoware refuses the login" in (report.error or "")
    assert sum(call.path.endswith("/Token") for call in desk.advo.journal) == 1
    assert desk.kept(person, "retry_count") == (0,)


# One person fails, all others go on -----------------------------------------------------------------------------------


def test_a_malformed_payload_fails_that_person_with_a_sentence_that_names_the_field(desk: Desk) -> None:
    people = desk.crowd(5)
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    with desk.spoiled(desk.advo, without_rows(people[2])):
        report = desk.run()
    assert (report.outcome, report.exit_code()) == ("failed_persons", 1)
    assert [one["entity_id"] for one in report.errors] == [people[2].entity_id]
    assert "kommunikation" in report.errors[0]["error"]
    assert "kommunikation" in desk.shown(people[2])["syncErrorMessage"]
    assert [len(desk.values(one)) for one in people] == [3, 3, 2, 3, 3]


def test_a_malformed_record_of_espocrm_fails_that_person_only(desk: Desk) -> None:
    people = desk.crowd(3)
    for person in people:
        desk.advo.add_row(person.betnr, f"0511 8888{person.betnr}")

    def spoiled(call: Call, answer: Answer) -> Answer | None:
        if people[1].in_espo not in call.path or answer.status != 200:
            return None
        body = json.loads(answer.body)
        return json_answer(200, {**body, "phoneNumberData": None})

    with desk.spoiled(desk.espo, spoiled):
        report = desk.run()
    assert [one["entity_id"] for one in report.errors] == [people[1].entity_id]
    assert "phoneNumberData" in report.errors[0]["error"]
    assert [len(desk.phones(one)) for one in people] == [3, 2, 3]


def test_a_write_advoware_acknowledged_and_did_not_do_is_a_failure(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.espo.edit(person.entity_id, phones=[("+4951188888888", "Office"), desk.phones(person)[1]])

    def ignored(call: Call) -> Answer | None:
        return json_answer(200, {}) if call.method == "PUT" else None

    with desk.broken(desk.advo, ignored):
        report = desk.run()
    assert report.outcome == "failed_persons"
    assert "did not carry it out" in report.errors[0]["error"]
    assert line_of(desk, person)[1:3] == ("failed", "1")
    assert desk.run().outcome == "done"
    assert "+4951188888888" in desk.values(person)


def test_the_message_is_at_most_2000_characters(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    said = Answer(403, {"Content-Type": "text/plain"}, b"verboten " * 1000)
    with desk.broken(desk.advo, lambda call: said if call.method == "POST" and not call.is_login else None):
        assert desk.run().outcome == "failed_persons"
    assert 0 < len(desk.shown(person)["syncErrorMessage"]) <= 2000


# EspoCRM's status at the right moments --------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["pending_sync", "dirty"])
def test_the_status_goes_from_asking_through_syncing_with_the_arrays_to_clean(desk: Desk, asking: str) -> None:
    (person,) = desk.crowd(1)
    desk.advo.add_row(person.betnr, "0511 88888888")
    desk.espo.edit(person.entity_id, syncStatus=asking)
    assert desk.run().outcome == "done"
    bodies = [call.json for call in desk.espo.writes]
    assert [body["syncStatus"] for body in bodies] == ["syncing", "clean"]
    assert ["phoneNumberData" in body for body in bodies] == [True, False]


def test_a_status_that_is_refused_blocks_nothing(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    refused = Answer(400, {"X-Status-Reason": "Field validation failure; field: syncStatus, type: valid."}, b"")
    with desk.broken(desk.espo, lambda call: refused if call.is_write else None):
        assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3
    assert desk.kept(person, "status") == ("clean",)
    desk.run()
    assert desk.espo.record(person.entity_id)["kommunikationHash"] == desk.kept(person, "fingerprint")[0]
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_status_whose_answer_is_lost_is_read_and_not_written_again(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")

    def lost(call: Call, _answer: Answer) -> Answer | None:
        if call.is_write:
            raise TimedOut
        return None

    with desk.spoiled(desk.espo, lost):
        assert desk.run().outcome == "done"
    assert len(desk.espo.writes) == 1
    assert desk.quiet().outcome == "done"
    assert desk.quiet(sweep=True).outcome == "done"
    assert desk.held() == []


# Persons that cannot be synced ----------------------------------------------------------------------------------------


def test_a_person_deleted_in_advoware_keeps_its_entries_and_comes_back_with_a_sweep(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    deleted = desk.advo.beteiligte.persons[person.betnr]
    desk.advo.delete_person(person.betnr)
    desk.run()
    report = desk.later()
    assert (report.outcome, report.exit_code()) == ("done", 0)
    assert desk.shown(person)["syncStatus"] == "deleted_in_advoware"
    assert len(desk.phones(person)) == 2
    assert desk.quiet(sweep=True).persons.skipped == 1
    desk.advo.beteiligte.persons[person.betnr] = deleted
    assert desk.quiet().outcome == "done"
    assert desk.run(sweep=True).outcome == "done"
    assert desk.shown(person)["syncStatus"] == "clean"
    assert (len(desk.phones(person)), len(desk.values(person))) == (2, 2)


def test_a_deletion_that_could_not_be_shown_yet_is_shown_by_the_next_run(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.advo.delete_person(person.betnr)

    def out(call: Call) -> Answer | None:
        if call.is_write:
            raise Unreachable
        return None

    desk.add_phone(person, "+4951188888888")
    desk.run()
    with desk.broken(desk.espo, out):
        assert desk.later().outcome == "outage"
    assert desk.kept(person, "status, due_since is not null") == ("deleted_in_advoware", 1)
    assert desk.run().outcome == "done"
    assert desk.shown(person)["syncStatus"] == "deleted_in_advoware"
    assert desk.kept(person, "due_since") == (None,)
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_person_deleted_in_advoware_between_plan_and_write_is_no_failure(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.add_phone(person, "+4951188888888")

    def deleted(call: Call) -> Answer | None:
        if call.method == "POST" and not call.is_login:
            desk.advo.delete_person(person.betnr)
        return None

    with desk.broken(desk.advo, deleted):
        assert desk.run().outcome == "done"
    assert desk.kept(person, "status", "retry_count") == ("clean", 0)
    assert desk.later().outcome == "done"
    assert desk.shown(person)["syncStatus"] == "deleted_in_advoware"
    assert desk.kept(person, "retry_count") == (0,)


def test_a_record_gone_in_espocrm_is_reported_and_nothing_happens_in_advoware(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.advo.add_row(person.betnr, "0511 88888888")
    desk.espo.delete(person.entity_id)
    report = desk.quiet(sweep=True)
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    report = desk.later()
    assert (report.outcome, report.persons.skipped, desk.written()) == ("done", 1, [])
    assert desk.kept(person, "gone_at is not null") == (1,)
    desk.espo.restore(person.entity_id)
    assert desk.run(sweep=True).outcome == "done"
    assert (len(desk.phones(person)), len(desk.values(person))) == (3, 3)


def test_a_record_gone_between_plan_and_write_is_no_failure(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.advo.add_row(person.betnr, "0511 88888888")

    def gone(call: Call) -> Answer | None:
        if call.is_write:
            desk.espo.delete(person.entity_id)
        return None

    with desk.broken(desk.espo, gone):
        report = desk.run()
    assert (report.outcome, report.persons.failed) == ("done", 0)
    assert desk.later().outcome == "done"
    assert desk.kept(person, "gone_at is not null") == (1,)


def test_without_a_betnr_a_person_is_skipped_and_what_was_agreed_ends(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.espo.edit(person.entity_id, betnr=None)
    report = desk.quiet()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert desk.later().persons.skipped == 1
    assert desk.ask("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    desk.advo.remove_row(person.betnr, person.rows[0])
    desk.espo.edit(person.entity_id, betnr=person.betnr)
    assert desk.run().outcome == "done"
    assert (len(desk.phones(person)), len(desk.values(person))) == (2, 2)  # a first sync removes nothing


@pytest.mark.parametrize("how", ["relinked", "unlinked", "deleted"])
def test_two_records_with_one_betnr_wait_for_a_human_and_recover_by_themselves(desk: Desk, how: str) -> None:
    person, other = desk.crowd(2)
    desk.espo.edit(other.entity_id, betnr=person.betnr)
    assert desk.quiet().persons.waiting == 2
    report = desk.later()
    assert (report.outcome, report.persons.skipped, report.writes.advoware) == ("done", 2, 0)
    assert [desk.shown(one)["syncStatus"] for one in (person, other)] == ["conflict", "conflict"]
    assert str(person.betnr) in desk.shown(person)["syncErrorMessage"]
    assert desk.quiet().persons.skipped == 2
    match how:
        case "relinked":
            desk.espo.edit(other.entity_id, betnr=other.betnr)
        case "unlinked":
            desk.espo.edit(other.entity_id, betnr=None)
        case "deleted":
            desk.espo.delete(other.entity_id)
            assert desk.quiet().persons.waiting == 1  # a 404 is looked at twice, also of a second record
            desk.later()
    assert desk.run().outcome == "done"
    assert line_of(desk, person)[1:] == ("clean", "0", "-", "-")
    assert len(desk.values(person)) == 2
    assert desk.quiet().outcome == "done"


# Values a system does not take ----------------------------------------------------------------------------------------


def test_a_value_advoware_shortens_is_put_back_named_and_not_tried_again(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.advo.switches.max_tlf = 13
    desk.add_phone(person, "+4951188888888")
    report = desk.run()
    assert report.outcome == "done"
    assert desk.ask("select reason, side, value from left_alone") == [("unsyncable", "espo", "+4951188888888")]
    assert len(desk.values(person)) == 2
    assert len(desk.phones(person)) == 3
    assert desk.shown(person)["syncStatus"] == "clean"
    assert desk.quiet(sweep=True).outcome == "done"
    desk.espo.edit(person.entity_id, phones=[*desk.phones(person)[:2], ("+4951188888", "Office")])
    assert desk.run().outcome == "done"
    assert desk.ask("select count(*) from left_alone") == [(0,)]
    assert "+4951188888" in desk.values(person)


def test_a_value_advoware_refuses_is_named_and_all_others_go_on(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.advo.switches.refused_values = {"+4951188888888"}
    desk.espo.edit(person.entity_id, phones=[*desk.phones(person), "+4951188888888", "+4951188888889"])
    assert desk.run().outcome == "done"
    assert desk.ask("select reason, side, value from left_alone") == [("unsyncable", "espo", "+4951188888888")]
    assert "+4951188888889" in desk.values(person)
    assert line_of(desk, person)[1:3] == ("clean", "0")
    assert desk.quiet(sweep=True).outcome == "done"


def cuts_letters(desk: Desk, units: int) -> Callable[[Call, Answer], Answer | None]:
    """Advoware keeps so many UTF-16 units of a remark, and the first half of a letter that does not fit.

    Half a letter cannot stand in a Python text that is sent, so U+E000 stands for it until the answer is made.
    """

    def cut(call: Call, answer: Answer) -> Answer:
        for row in [row for one in desk.advo.beteiligte.persons.values() for row in one.rows.values()]:
            sent = (row.bemerkung or "").encode("utf-16-le")
            if call.is_write and len(sent) > 2 * units:
                kept = sent[: 2 * units].decode("utf-16-le", "ignore")
                row.bemerkung = kept if len(kept.encode("utf-16-le")) == 2 * units else f"{kept}\ue000"
        return answer._replace(body=answer.body.replace("\ue000".encode(), b"\\ud83d"))

    return cut


@pytest.mark.parametrize("silent", [False, True], ids=["answers with the row", "answers nothing"])
@pytest.mark.parametrize("lost", [False, True], ids=["read back", "settled by the next run"])
def test_a_remark_cut_inside_a_letter_keeps_its_own_text_whole(desk: Desk, *, silent: bool, lost: bool) -> None:
    person = desk.hire(1)
    text = "ruft nur abends an \U0001f600"
    desk.advo.switches.answers_put = not silent
    desk.advo.edit_row(person.betnr, person.rows[0], remark=text)
    units = len("[ESPOCRM:KzQ5NTExMDAwMDA0Mg==:1] ") + len(text)  # one unit of the letter's two

    def unreachable_once_written(call: Call) -> Answer | None:
        if call.method == "GET" and desk.advo.writes:
            raise Unreachable
        return None

    with desk.spoiled(desk.advo, cuts_letters(desk, units)):
        if lost:
            with desk.broken(desk.advo, unreachable_once_written):
                assert desk.run().outcome == "outage"
        assert desk.run().outcome == "done"
        assert desk.advo.rows(person.betnr)[0]["bemerkung"] == text
        assert desk.ask("select unmarked from baseline") == [(1,)]
        assert desk.quiet(sweep=True).outcome == "done"


@pytest.mark.parametrize("refuses", [False, True])
def test_a_remark_too_long_for_a_marker_keeps_its_own_text_whole(desk: Desk, *, refuses: bool) -> None:
    desk.advo.switches.max_bemerkung = 60
    desk.advo.switches.refuses_too_long = refuses
    person = desk.hire()
    text = "ein Text der so lang ist dass mit Marke nichts mehr passt"
    desk.advo.edit_row(person.betnr, person.rows[0], remark=text)
    assert desk.run().outcome == "done"
    row = desk.advo.rows(person.betnr)[0]
    assert row["bemerkung"] == text
    assert desk.ask("select unmarked from baseline where komm_id = ?", person.rows[0]) == [(1,)]
    assert desk.quiet(sweep=True).outcome == "done"
    desk.advo.edit_row(person.betnr, person.rows[0], remark="kurz")
    assert desk.run(sweep=True).outcome == "done"
    assert desk.advo.rows(person.betnr)[0]["bemerkung"].startswith("[ESPOCRM:")
