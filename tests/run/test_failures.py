"""What a failure does, row by row of rules §6: who is to blame, when it is tried again, what EspoCRM shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest

from jobs.sandbox.simulator import ConnectionLost, SimRequest, SimResponse, TimedOut, Unreachable, make_json_response
from tests.harness import FaultHarness, PersonWithRows

REFUSED = SimResponse(400, {"Content-Type": "text/plain"}, b"Der Wert ist ungueltig.")
HTML = SimResponse(200, {"Content-Type": "text/html"}, b"<html>Wartung</html>")


def drop_rows_of(person: PersonWithRows) -> Any:
    """Advoware's answer for this person lacks what it must have."""

    def spoil_answer(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        if call.method != "GET" or person.advo_path not in call.path or answer.status != 200:
            return None
        body = json.loads(answer.body)
        del body["kommunikation"]
        return make_json_response(200, body)

    return spoil_answer


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


def table_lines(text: str) -> list[tuple[str, ...]]:
    """The lines of a table without its head, cells by two blanks or more."""
    lines = [line.split("  ") for line in text.strip().splitlines()[1:]]
    return [tuple(cell.strip() for cell in line if cell.strip()) for line in lines]


def retry_line(harness: FaultHarness, person: PersonWithRows) -> tuple[str, ...]:
    """What EspoCRM shows, as a line of the table; the store says the same."""
    status, _, count, next_retry, auto_reset = harness.sync_fields(person).values()
    assert harness.person_columns(person, "status", "retry_count", "next_retry_at", "auto_reset_at") == (
        status, count, next_retry, auto_reset,
    )  # fmt: skip
    now = f"{harness.clock():%m-%d %H:%M}"
    return now, status, str(count), (next_retry or "-")[5:16] or "-", (auto_reset or "-")[5:16] or "-"


def retry_lines_at(harness: FaultHarness, person: PersonWithRows, time_text: str) -> list[tuple[str, ...]]:
    """A second before its time a failing person is left alone; then a run at its time."""
    at = datetime.strptime(f"2026-{time_text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    harness.seconds_between = 0
    if harness.sync_fields(person)["syncStatus"] != "clean":
        harness.clock.set(at - timedelta(seconds=1))
        harness.run_without_writes()
        assert "E:GET" not in harness.requests_about(person)
    harness.clock.set(at)
    harness.run()
    return [retry_line(harness, person)]


def test_the_retry_times_of_one_person_up_to_auto_reset_and_success(harness: FaultHarness) -> None:
    person, other = harness.add_person(), harness.add_person()
    assert harness.run().outcome == "done"
    harness.add_phone(person, "+4951188888888")
    lines: list[tuple[str, ...]] = []
    with harness.hook_after(harness.advo, drop_rows_of(person)):
        for line in table_lines(RETRIES)[:-1]:
            lines += retry_lines_at(harness, person, line[0])
    lines += retry_lines_at(harness, person, table_lines(RETRIES)[-1][0])
    assert lines == table_lines(RETRIES)
    assert harness.sync_fields(person)["syncErrorMessage"] is None
    assert "051188888888" in "".join(harness.advo_values(person)) or "+4951188888888" in harness.advo_values(person)
    assert harness.sync_fields(other)["syncStatus"] == "clean"


def test_the_last_waiting_time_is_repeated_when_more_failures_are_allowed(harness: FaultHarness) -> None:
    harness.settings["retry"] = {"max_failures": 8}
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    minutes = []
    with harness.hook_after(harness.advo, drop_rows_of(person)):
        for _ in range(7):
            assert harness.run().outcome == "failed_persons"
            due = datetime.strptime(harness.sync_fields(person)["syncNextRetry"], "%Y-%m-%d %H:%M:%S").replace(
                tzinfo=UTC
            )
            minutes.append((due - harness.clock()).total_seconds() / 60)
            harness.clock.advance((due - harness.clock()).total_seconds() - 60)
    assert minutes == [1, 5, 15, 60, 240, 240, 240]


def failing_person(harness: FaultHarness, times: int = 1) -> PersonWithRows:
    """A person that failed so often and waits."""
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    with harness.hook_after(harness.advo, drop_rows_of(person)):
        for _ in range(times):
            harness.clock.advance(5 * 3600)
            assert harness.run().outcome == "failed_persons"
    return person


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_a_failing_person_is_not_tried(harness: FaultHarness, times: int) -> None:
    person = failing_person(harness, times)
    harness.seconds_between = 15
    for sweep in (False, True, False):
        assert harness.run_without_writes(sweep=sweep).outcome == "done"
        assert "E:GET" not in harness.requests_about(person)


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_operator_may_ask_for_a_failing_person(harness: FaultHarness, times: int) -> None:
    person = failing_person(harness, times)
    harness.seconds_between = 20
    assert harness.run(persons=(str(person.betnr),)).outcome == "done"
    assert retry_line(harness, person)[1:] == ("clean", "0", "-", "-")


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_edit_in_espocrm_lets_a_failing_person_be_tried(harness: FaultHarness, times: int) -> None:
    person = failing_person(harness, times)
    harness.seconds_between = 20
    harness.espo.edit(person.entity_id, firstName="Moritz")
    harness.run()
    assert retry_line(harness, person)[1:] == ("clean", "0", "-", "-")


@pytest.mark.parametrize("times", [1, 5])
def test_before_its_time_an_edit_in_advoware_lets_a_failing_person_be_tried(harness: FaultHarness, times: int) -> None:
    person = failing_person(harness, times)
    harness.seconds_between = 20
    harness.advo.edit_row(person.betnr, person.rows[0], remark="nur abends")
    harness.run()
    assert retry_line(harness, person)[1:] == ("clean", "0", "-", "-")


def test_our_own_half_done_writes_are_no_edit_that_would_try_a_failing_person_early(harness: FaultHarness) -> None:
    person = harness.add_person()
    harness.run()
    harness.add_phone(person, "+4951188888888")
    harness.add_phone(person, "+4951188888889")

    def refuse_second(call: SimRequest) -> SimResponse | None:
        is_second = call.method == "POST" and "88888889" in call.body
        return SimResponse(403, {"Content-Type": "text/plain"}, b"verboten") if is_second else None

    with harness.hook_before(harness.advo, refuse_second):
        assert harness.run().outcome == "failed_persons"
    harness.seconds_between = 20
    assert harness.run_without_writes().outcome == "done"
    harness.seconds_between = 60
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 4


# Outages --------------------------------------------------------------------------------------------------------------


OUTAGES: dict[str, SimResponse | Exception] = {
    "unreachable": Unreachable(),
    "lost": ConnectionLost(),
    "too late": TimedOut(),
    "500": SimResponse(500, {}, b""),
    "maintenance": SimResponse(503, {"Content-Type": "text/html"}, b""),
    "not JSON": HTML,
    "a page says 404": SimResponse(404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>404</title>"),
    "not logged in": make_json_response(400, {"message": "Der Benutzer ist nicht angemeldet."}),
}


def answer_all_with(fault: SimResponse | Exception) -> Callable[[SimRequest], SimResponse | None]:
    """A hook that answers every request alike."""

    def answer_call(call: SimRequest) -> SimResponse | None:
        if call.is_login:
            return None
        if isinstance(fault, Exception):
            raise fault
        return fault

    return answer_call


@pytest.mark.parametrize("fault", OUTAGES)
def test_an_outage_of_advoware_costs_nobody_a_retry(harness: FaultHarness, fault: str) -> None:
    people = harness.add_persons_in_sync(3)
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    with harness.hook_before(harness.advo, answer_all_with(OUTAGES[fault])):
        report = harness.run()
    assert report.outcome == "outage"
    assert report.exit_code() == 4
    assert "Advoware is out" in (report.error or "")
    assert {harness.person_columns(person, "status", "retry_count", "next_retry_at") for person in people} == {
        ("clean", 0, None)
    }
    assert harness.run().writes.advoware == 3


@pytest.mark.parametrize("fault", [name for name in OUTAGES if name != "not logged in"])
def test_an_outage_of_espocrm_costs_nobody_a_retry(harness: FaultHarness, fault: str) -> None:
    people = harness.add_persons_in_sync(3)
    for person in people:
        harness.advo.add_row(person.betnr, f"0511 8888{person.betnr}")
    with harness.hook_before(harness.espo, answer_all_with(OUTAGES[fault])):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert {harness.person_columns(person, "status", "retry_count", "next_retry_at") for person in people} == {
        ("clean", 0, None)
    }
    assert harness.run().persons.changed == 3


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ("unreachable", ["POST"]),  # it never arrived: there is nothing to read
        ("too late", ["POST", "GET", "GET", "GET"]),  # three tries to read how it went
        ("500", ["POST", "GET", "GET", "GET"]),
    ],
)
def test_advoware_goes_away_in_the_middle_and_the_next_run_finishes_without_a_sweep(
    harness: FaultHarness, fault: str, sent: list[str]
) -> None:
    people = harness.add_persons_in_sync(20)
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    writes, calls_in_outage = [], []

    def from_the_eighth_write_on(call: SimRequest) -> SimResponse | None:
        writes.extend([call] if call.is_write else [])
        if len(writes) < 8:
            return None
        calls_in_outage.append(call)
        return answer_all_with(OUTAGES[fault])(call)

    with harness.hook_before(harness.advo, from_the_eighth_write_on):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert [call.method for call in calls_in_outage] == sent  # all that Advoware hears during the outage
    assert {harness.person_columns(person, "retry_count", "next_retry_at") for person in people} == {(0, None)}
    assert harness.run().outcome == "done"
    assert [len(harness.advo_values(person)) for person in people] == [3] * 20
    assert harness.run_without_writes().outcome == "done"


def test_advoware_goes_away_while_four_readers_are_at_it_and_hears_at_most_twelve_requests(
    harness: FaultHarness,
) -> None:
    people = harness.add_persons_in_sync(60)
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    reads, calls_in_outage = count(), []
    four_readers = threading.Barrier(4)

    def from_the_tenth_read_on(call: SimRequest) -> SimResponse | None:
        if call.is_login or next(reads) < 10:
            return None
        calls_in_outage.append(call)
        if len(calls_in_outage) <= 4:
            four_readers.wait(60)
        return answer_all_with(Unreachable())(call)

    with harness.hook_before(harness.advo, from_the_tenth_read_on):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert 4 <= len(calls_in_outage) <= 4 * 3  # four readers, three tries each
    assert {harness.person_columns(person, "status", "retry_count", "next_retry_at") for person in people} == {
        ("clean", 0, None)
    }
    assert harness.run().writes.advoware == 60
    assert harness.run_without_writes().outcome == "done"


@pytest.mark.parametrize("retry_after", [(429, "7"), (503, "7")])
def test_retry_after_is_waited_for_and_nobody_fails(harness: FaultHarness, retry_after: tuple[int, str]) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    times: list[float] = []

    def answer_busy(call: SimRequest) -> SimResponse | None:
        if call.is_login or call.method != "GET":
            return None
        times.append(harness.clock().timestamp())
        return SimResponse(retry_after[0], {"Retry-After": retry_after[1]}, b"") if len(times) < 3 else None

    with harness.hook_before(harness.advo, answer_busy):
        assert harness.run().outcome == "done"
    assert [round(later - earlier) for earlier, later in pairwise(times[:3])] == [7, 7]


def test_a_retry_after_beyond_the_limits_is_an_outage(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    with harness.hook_before(harness.advo, answer_all_with(SimResponse(429, {"Retry-After": "3600"}, b""))):
        assert harness.run().outcome == "outage"
    assert harness.person_columns(person, "retry_count") == (0,)


# Credentials ----------------------------------------------------------------------------------------------------------


def test_espocrm_refuses_the_key_and_is_asked_once(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(30)
    harness.espo.login.api_key = "another"
    report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "EspoCRM refuses the login" in (report.error or "")
    assert "espocrm.api_key" in (report.error or "")
    assert len(harness.espo.request_log) == 1


def test_a_key_revoked_in_the_middle_is_not_tried_until_the_address_is_locked(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(60)
    for person in people:
        harness.espo.edit(person.entity_id, firstName="Moritz")

    def answer_401(call: SimRequest) -> SimResponse | None:
        return SimResponse(401, {}, b"") if "/CBeteiligte/" in call.path else None

    with harness.hook_before(harness.espo, answer_401):
        assert harness.run().outcome == "outage"
    assert sum(call.status == 401 for call in harness.espo.request_log) <= 2  # as many as reads overlap
    assert {harness.person_columns(person, "retry_count") for person in people} == {(0,)}
    assert harness.run().outcome == "done"


def test_advoware_refuses_the_login_and_nobody_is_to_blame(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    harness.settings["advoware"] = {"password": "wrong"}
    report = harness.run()
    assert (report.outcome, report.exit_code()) == ("outage", 4)
    assert "Advoware refuses the login" in (report.error or "")
    assert sum(call.path.endswith("/Token") for call in harness.advo.request_log) == 1
    assert harness.person_columns(person, "retry_count") == (0,)


# One person fails, all others go on -----------------------------------------------------------------------------------


def test_a_malformed_payload_fails_that_person_with_a_sentence_that_names_the_field(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(5)
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    with harness.hook_after(harness.advo, drop_rows_of(people[2])):
        report = harness.run()
    assert (report.outcome, report.exit_code()) == ("failed_persons", 1)
    assert [failure["entity_id"] for failure in report.errors] == [people[2].entity_id]
    assert "kommunikation" in report.errors[0]["error"]
    assert "kommunikation" in harness.sync_fields(people[2])["syncErrorMessage"]
    assert [len(harness.advo_values(person)) for person in people] == [3, 3, 2, 3, 3]


def test_a_malformed_record_of_espocrm_fails_that_person_only(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(3)
    for person in people:
        harness.advo.add_row(person.betnr, f"0511 8888{person.betnr}")

    def spoil_answer(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        if people[1].espo_path not in call.path or answer.status != 200:
            return None
        body = json.loads(answer.body)
        return make_json_response(200, {**body, "phoneNumberData": None})

    with harness.hook_after(harness.espo, spoil_answer):
        report = harness.run()
    assert [failure["entity_id"] for failure in report.errors] == [people[1].entity_id]
    assert "phoneNumberData" in report.errors[0]["error"]
    assert [len(harness.espo_phones(person)) for person in people] == [3, 2, 3]


def test_a_write_advoware_acknowledged_and_did_not_do_is_a_failure(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.espo.edit(person.entity_id, phones=[("+4951188888888", "Office"), harness.espo_phones(person)[1]])

    def ignore_put(call: SimRequest) -> SimResponse | None:
        return make_json_response(200, {}) if call.method == "PUT" else None

    with harness.hook_before(harness.advo, ignore_put):
        report = harness.run()
    assert report.outcome == "failed_persons"
    assert "did not carry it out" in report.errors[0]["error"]
    assert retry_line(harness, person)[1:3] == ("failed", "1")
    assert harness.run().outcome == "done"
    assert "+4951188888888" in harness.advo_values(person)


def test_the_message_is_at_most_2000_characters(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    long_answer = SimResponse(403, {"Content-Type": "text/plain"}, b"verboten " * 1000)
    with harness.hook_before(
        harness.advo, lambda call: long_answer if call.method == "POST" and not call.is_login else None
    ):
        assert harness.run().outcome == "failed_persons"
    assert 0 < len(harness.sync_fields(person)["syncErrorMessage"]) <= 2000


# EspoCRM's status at the right moments --------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["pending_sync", "dirty"])
def test_the_status_goes_from_asking_through_syncing_with_the_arrays_to_clean(
    harness: FaultHarness, asking: str
) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.advo.add_row(person.betnr, "0511 88888888")
    harness.espo.edit(person.entity_id, syncStatus=asking)
    assert harness.run().outcome == "done"
    bodies = [call.json for call in harness.espo.writes]
    assert [body["syncStatus"] for body in bodies] == ["syncing", "clean"]
    assert ["phoneNumberData" in body for body in bodies] == [True, False]


def test_a_status_that_is_refused_blocks_nothing(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    refused_status = SimResponse(
        400, {"X-Status-Reason": "Field validation failure; field: syncStatus, type: valid."}, b""
    )
    with harness.hook_before(harness.espo, lambda call: refused_status if call.is_write else None):
        assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3
    assert harness.person_columns(person, "status") == ("clean",)
    harness.run()
    assert (
        harness.espo.record(person.entity_id)["kommunikationHash"] == harness.person_columns(person, "fingerprint")[0]
    )
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_status_whose_answer_is_lost_is_read_and_not_written_again(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")

    def lose_answer(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.is_write:
            raise TimedOut
        return None

    with harness.hook_after(harness.espo, lose_answer):
        assert harness.run().outcome == "done"
    assert len(harness.espo.writes) == 1
    assert harness.run_without_writes().outcome == "done"
    assert harness.run_without_writes(sweep=True).outcome == "done"
    assert harness.open_hold_rows() == []


# Persons that cannot be synced ----------------------------------------------------------------------------------------


def test_a_person_deleted_in_advoware_keeps_its_entries_and_comes_back_with_a_sweep(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    person_rows = harness.advo.beteiligte.persons[person.betnr]
    harness.advo.delete_person(person.betnr)
    harness.run()
    report = harness.run_later()
    assert (report.outcome, report.exit_code()) == ("done", 0)
    assert harness.sync_fields(person)["syncStatus"] == "deleted_in_advoware"
    assert len(harness.espo_phones(person)) == 2
    assert harness.run_without_writes(sweep=True).persons.skipped == 1
    harness.advo.beteiligte.persons[person.betnr] = person_rows
    assert harness.run_without_writes().outcome == "done"
    assert harness.run(sweep=True).outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "clean"
    assert (len(harness.espo_phones(person)), len(harness.advo_values(person))) == (2, 2)


def test_a_deletion_that_could_not_be_shown_yet_is_shown_by_the_next_run(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.advo.delete_person(person.betnr)

    def raise_unreachable(call: SimRequest) -> SimResponse | None:
        if call.is_write:
            raise Unreachable
        return None

    harness.add_phone(person, "+4951188888888")
    harness.run()
    with harness.hook_before(harness.espo, raise_unreachable):
        assert harness.run_later().outcome == "outage"
    assert harness.person_columns(person, "status, due_since is not null") == ("deleted_in_advoware", 1)
    assert harness.run().outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "deleted_in_advoware"
    assert harness.person_columns(person, "due_since") == (None,)
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_person_deleted_in_advoware_between_plan_and_write_is_no_failure(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.add_phone(person, "+4951188888888")

    def delete_meanwhile(call: SimRequest) -> SimResponse | None:
        if call.method == "POST" and not call.is_login:
            harness.advo.delete_person(person.betnr)
        return None

    with harness.hook_before(harness.advo, delete_meanwhile):
        assert harness.run().outcome == "done"
    assert harness.person_columns(person, "status", "retry_count") == ("clean", 0)
    assert harness.run_later().outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "deleted_in_advoware"
    assert harness.person_columns(person, "retry_count") == (0,)


def test_a_record_gone_in_espocrm_is_reported_and_nothing_happens_in_advoware(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.advo.add_row(person.betnr, "0511 88888888")
    harness.espo.delete(person.entity_id)
    report = harness.run_without_writes(sweep=True)
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    report = harness.run_later()
    assert (report.outcome, report.persons.skipped, harness.write_requests()) == ("done", 1, [])
    assert harness.person_columns(person, "gone_at is not null") == (1,)
    harness.espo.restore(person.entity_id)
    assert harness.run(sweep=True).outcome == "done"
    assert (len(harness.espo_phones(person)), len(harness.advo_values(person))) == (3, 3)


def test_a_record_gone_between_plan_and_write_is_no_failure(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.advo.add_row(person.betnr, "0511 88888888")

    def delete_record_meanwhile(call: SimRequest) -> SimResponse | None:
        if call.is_write:
            harness.espo.delete(person.entity_id)
        return None

    with harness.hook_before(harness.espo, delete_record_meanwhile):
        report = harness.run()
    assert (report.outcome, report.persons.failed) == ("done", 0)
    assert harness.run_later().outcome == "done"
    assert harness.person_columns(person, "gone_at is not null") == (1,)


def test_without_a_betnr_a_person_is_skipped_and_what_was_agreed_ends(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.espo.edit(person.entity_id, betnr=None)
    report = harness.run_without_writes()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert harness.run_later().persons.skipped == 1
    assert harness.query_store("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    harness.advo.remove_row(person.betnr, person.rows[0])
    harness.espo.edit(person.entity_id, betnr=person.betnr)
    assert harness.run().outcome == "done"
    assert (len(harness.espo_phones(person)), len(harness.advo_values(person))) == (
        2,
        2,
    )  # a first sync removes nothing


@pytest.mark.parametrize("end_of_conflict", ["relinked", "unlinked", "deleted"])
def test_two_records_with_one_betnr_wait_for_a_human_and_recover_by_themselves(
    harness: FaultHarness, end_of_conflict: str
) -> None:
    person, other = harness.add_persons_in_sync(2)
    harness.espo.edit(other.entity_id, betnr=person.betnr)
    assert harness.run_without_writes().persons.waiting == 2
    report = harness.run_later()
    assert (report.outcome, report.persons.skipped, report.writes.advoware) == ("done", 2, 0)
    assert [harness.sync_fields(person)["syncStatus"] for person in (person, other)] == ["conflict", "conflict"]
    assert str(person.betnr) in harness.sync_fields(person)["syncErrorMessage"]
    assert harness.run_without_writes().persons.skipped == 2
    match end_of_conflict:
        case "relinked":
            harness.espo.edit(other.entity_id, betnr=other.betnr)
        case "unlinked":
            harness.espo.edit(other.entity_id, betnr=None)
        case "deleted":
            harness.espo.delete(other.entity_id)
            assert (
                harness.run_without_writes().persons.waiting == 1
            )  # a 404 is looked at twice, also of a second record
            harness.run_later()
    assert harness.run().outcome == "done"
    assert retry_line(harness, person)[1:] == ("clean", "0", "-", "-")
    assert len(harness.advo_values(person)) == 2
    assert harness.run_without_writes().outcome == "done"


# Values a system does not take ----------------------------------------------------------------------------------------


def test_a_value_advoware_shortens_is_put_back_named_and_not_tried_again(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.advo.behaviour.max_tlf = 13
    harness.add_phone(person, "+4951188888888")
    report = harness.run()
    assert report.outcome == "done"
    assert harness.query_store("select reason, side, value from left_alone") == [
        ("unsyncable", "espo", "+4951188888888")
    ]
    assert len(harness.advo_values(person)) == 2
    assert len(harness.espo_phones(person)) == 3
    assert harness.sync_fields(person)["syncStatus"] == "clean"
    assert harness.run_without_writes(sweep=True).outcome == "done"
    harness.espo.edit(person.entity_id, phones=[*harness.espo_phones(person)[:2], ("+4951188888", "Office")])
    assert harness.run().outcome == "done"
    assert harness.query_store("select count(*) from left_alone") == [(0,)]
    assert "+4951188888" in harness.advo_values(person)


def test_a_value_advoware_refuses_is_named_and_all_others_go_on(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.advo.behaviour.refused_values = {"+4951188888888"}
    harness.espo.edit(person.entity_id, phones=[*harness.espo_phones(person), "+4951188888888", "+4951188888889"])
    assert harness.run().outcome == "done"
    assert harness.query_store("select reason, side, value from left_alone") == [
        ("unsyncable", "espo", "+4951188888888")
    ]
    assert "+4951188888889" in harness.advo_values(person)
    assert retry_line(harness, person)[1:3] == ("clean", "0")
    assert harness.run_without_writes(sweep=True).outcome == "done"


def truncate_remarks(harness: FaultHarness, units: int) -> Callable[[SimRequest, SimResponse], SimResponse | None]:
    """Advoware keeps so many UTF-16 units of a remark, and the first half of a letter that does not fit.

    Half a letter cannot stand in a Python text that is sent, so U+E000 stands for it until the answer is made.
    """

    def truncate(call: SimRequest, answer: SimResponse) -> SimResponse:
        for row in [
            row for person_rows in harness.advo.beteiligte.persons.values() for row in person_rows.rows.values()
        ]:
            sent = (row.bemerkung or "").encode("utf-16-le")
            if call.is_write and len(sent) > 2 * units:
                kept_text = sent[: 2 * units].decode("utf-16-le", "ignore")
                row.bemerkung = kept_text if len(kept_text.encode("utf-16-le")) == 2 * units else f"{kept_text}\ue000"
        return answer._replace(body=answer.body.replace("\ue000".encode(), b"\\ud83d"))

    return truncate


@pytest.mark.parametrize("no_answer", [False, True], ids=["answers with the row", "answers nothing"])
@pytest.mark.parametrize("is_lost", [False, True], ids=["read back", "settled by the next run"])
def test_a_remark_cut_inside_a_letter_keeps_its_own_text_whole(
    harness: FaultHarness, *, no_answer: bool, is_lost: bool
) -> None:
    person = harness.add_person(1)
    text = "ruft nur abends an \U0001f600"
    harness.advo.behaviour.answers_put = not no_answer
    harness.advo.edit_row(person.betnr, person.rows[0], remark=text)
    units = len("[ESPOCRM:KzQ5NTExMDAwMDA0Mg==:1] ") + len(text)  # one unit of the letter's two

    def unreachable_once_written(call: SimRequest) -> SimResponse | None:
        if call.method == "GET" and harness.advo.writes:
            raise Unreachable
        return None

    with harness.hook_after(harness.advo, truncate_remarks(harness, units)):
        if is_lost:
            with harness.hook_before(harness.advo, unreachable_once_written):
                assert harness.run().outcome == "outage"
        assert harness.run().outcome == "done"
        assert harness.advo.rows(person.betnr)[0]["bemerkung"] == text
        assert harness.query_store("select unmarked from baseline") == [(1,)]
        assert harness.run_without_writes(sweep=True).outcome == "done"


@pytest.mark.parametrize("refuses", [False, True])
def test_a_remark_too_long_for_a_marker_keeps_its_own_text_whole(harness: FaultHarness, *, refuses: bool) -> None:
    harness.advo.behaviour.max_bemerkung = 60
    harness.advo.behaviour.refuses_too_long = refuses
    person = harness.add_person()
    text = "ein Text der so lang ist dass mit Marke nichts mehr passt"
    harness.advo.edit_row(person.betnr, person.rows[0], remark=text)
    assert harness.run().outcome == "done"
    row = harness.advo.rows(person.betnr)[0]
    assert row["bemerkung"] == text
    assert harness.query_store("select unmarked from baseline where komm_id = ?", person.rows[0]) == [(1,)]
    assert harness.run_without_writes(sweep=True).outcome == "done"
    harness.advo.edit_row(person.betnr, person.rows[0], remark="kurz")
    assert harness.run(sweep=True).outcome == "done"
    assert harness.advo.rows(person.betnr)[0]["bemerkung"].startswith("[ESPOCRM:")
