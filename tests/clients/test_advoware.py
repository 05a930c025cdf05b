"""The Advoware client against the simulated Advoware, and against answers the simulator is too well-behaved to give.

The simulator proves that the project agrees with itself and with etl/clients/README.md; nobody here has the real one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from etl.errors import (
    ConcurrentEdit,
    CredentialsRefused,
    Forbidden,
    MalformedPayload,
    NotFound,
    Outage,
    Refused,
    UnknownOutcome,
)
from etl.records import AdvoRecord, AdvoRow, RowDraft
from jobs.sandbox.advoware.api import AdvoSim, ErrorStyle
from tests.clients.fakes import (
    BETNR,
    TOKEN,
    FakeClock,
    ScriptedServer,
    advoware_client,
    http_response,
    komm_json,
    ok_response,
    person_json,
)
from tests.in_process import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.clients.advoware import AdvowareClient

def client_and_script(
    *answers: httpx.Response | type[httpx.TransportError], **other: Any
) -> tuple[AdvowareClient, ScriptedServer]:
    """A client that is logged in with the first of the scripted answers, and the script."""
    script = ScriptedServer(ok_response(TOKEN), *answers)
    addresses = {"base_url": "https://a.test/relay/", "security_gateway": "https://a.test/gateway/"}
    return advoware_client(script.transport, **addresses | other), script


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sim(clock: FakeClock) -> AdvoSim:
    sim = AdvoSim(clock.utcnow)
    sim.add_person(BETNR, "Max Muster", mobil="0171 2223334")
    return sim


# Reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a list of one"])
@pytest.mark.parametrize("connector", [False, True], ids=["relay", "connector"])
def test_a_person_is_read_with_rows_and_contact_fields(
    sim: AdvoSim, clock: FakeClock, wrapped: bool, connector: bool  # noqa: FBT001
) -> None:
    sim.behaviour.wrapped, sim.behaviour.connector = wrapped, connector
    komm_id = sim.add_row(BETNR, "0511/12345-60", None, komm_kz=1)
    person_read = advoware_client(InProcess(sim), clock).fetch(BETNR)
    row_id = sim.rows(BETNR)[0]["rowId"]
    assert person_read.rows == (AdvoRow(komm_id, row_id, "0511/12345-60", None, 0, online=False),)
    assert person_read.fields == {"mobil": "0171 2223334"}


def test_fields_we_do_not_know_are_no_contact_fields() -> None:
    advo, _ = client_and_script(
        ok_response(
            person_json(BETNR, komm_json(), name="Muster", mobil="", telGesch=None, faxGesch="0511 1", internet=7)
        )
    )
    assert advo.fetch(BETNR).fields == {"mobil": "", "faxGesch": "0511 1"}


def test_a_person_without_rows_is_a_person() -> None:
    advo, _ = client_and_script(ok_response(person_json(BETNR)))
    assert advo.fetch(BETNR) == AdvoRecord(BETNR)


def komm_without(name: str) -> dict[str, Any]:
    return {key: value for key, value in komm_json().items() if key != name}


MALFORMED = [
    ({"betNr": BETNR},                                            "kommunikation is missing"),
    (person_json(BETNR) | {"kommunikation": None},                     "kommunikation is not usable"),
    (person_json(BETNR) | {"kommunikation": {}},                       "kommunikation is not usable"),
    (person_json(BETNR, komm_json(), komm_without("id")),                        "kommunikation.1.id is missing"),
    (person_json(BETNR, komm_without("rowId")),                             "kommunikation.0.rowId is missing"),
    (person_json(BETNR, komm_json(rowId="")),                               "kommunikation.0.rowId is not usable"),
    (person_json(BETNR, komm_json(rowId=None)),                             "kommunikation.0.rowId is not usable"),
    (person_json(BETNR, komm_without("tlf")),                               "kommunikation.0.tlf is missing"),
    (person_json(BETNR, komm_without("bemerkung")),                         "kommunikation.0.bemerkung is missing"),
    (person_json(BETNR, komm_json(tlf=511)),                                "kommunikation.0.tlf is not usable"),
    (person_json(BETNR, komm_json(), komm_json()),                               "kommunikation holds an id twice"),
    (person_json(999),                                                 "betNr is 999"),
    ({"kommunikation": [komm_json(betNr=999)]},                        "betNr is 999"),
    ([],                                                          "the answer is not usable"),
    ([person_json(BETNR), person_json(BETNR)],                              "the answer is not usable"),
    ("nothing",                                                   "the answer is not usable"),
    (None,                                                        "the answer is not usable"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "message"), MALFORMED)
def test_a_payload_that_lacks_something_fails_this_person_and_names_the_field(payload: Any, message: str) -> None:
    advo, _ = client_and_script(ok_response(payload))
    with pytest.raises(MalformedPayload, match=rf"Beteiligter {BETNR}: {message}"):
        advo.fetch(BETNR)


def test_rows_may_lack_what_nothing_depends_on() -> None:
    row = {"id": 1, "rowId": "A", "tlf": None, "bemerkung": None}
    advo, _ = client_and_script(ok_response({"kommunikation": [row, row | {"id": 2, "online": None, "kommKz": None}]}))
    assert advo.fetch(BETNR).rows == (AdvoRow(1, "A", None, None), AdvoRow(2, "A", None, None))


def test_after_a_403_to_a_person_a_fresh_login_decides_where_nobody_else_was_shown() -> None:
    for login, error in [(ok_response(TOKEN), Forbidden), (http_response(401), CredentialsRefused)]:
        advo, script = client_and_script(http_response(403), login)
        with pytest.raises(error):
            advo.fetch(BETNR)
        assert script.answers_left == []


def test_after_a_403_to_a_person_another_one_it_showed_before_decides() -> None:
    for other, error in [
        (ok_response(person_json(1)), Forbidden),
        (http_response(404), Forbidden),
        (http_response(403), CredentialsRefused),
    ]:
        advo, script = client_and_script(
            ok_response(person_json(1)), ok_response(person_json(BETNR)), http_response(403), other
        )
        advo.fetch(1)
        advo.fetch(BETNR)
        with pytest.raises(error):
            advo.create(BETNR, RowDraft("1", "", komm_kz=1))
        assert [request.url.path.rpartition("/")[2] for request in script.requests[-2:]] == ["Kommunikationen", "1"]


@pytest.mark.parametrize("style", [ErrorStyle.JSON, ErrorStyle.TEXT])
def test_a_person_deleted_in_advoware_is_gone(sim: AdvoSim, clock: FakeClock, style: ErrorStyle) -> None:
    sim.behaviour.error_style = style
    with pytest.raises(NotFound, match="no person 4711"):
        advoware_client(InProcess(sim), clock).fetch(4711)


@pytest.mark.parametrize("page", ["<html>404</html>", "\ufeff\r\n<!DOCTYPE html>", "<?xml version='1.0'?>"])
def test_a_404_that_is_a_page_says_nothing_about_the_person(page: str) -> None:
    """A mistyped path_prefix is answered by the web server, for everybody."""
    advo, script = client_and_script(*[http_response(404, page) for _ in range(3)])
    with pytest.raises(Outage, match=r"check advoware\.path_prefix"):
        advo.fetch(BETNR)
    assert len(script.requests) == 4


def test_a_write_answered_by_a_404_page_is_settled_by_reading() -> None:
    advo, _ = client_and_script(http_response(404, "<html>404</html>"))
    with pytest.raises(UnknownOutcome, match=r"check advoware\.path_prefix"):
        advo.update(BETNR, 88002, RowDraft("1", ""))


def test_half_a_letter_reads_as_u_fffd_and_halves_that_belong_together_as_one() -> None:
    rows = '[{"id": 1, "rowId": "A", "tlf": "\\ud83d", "bemerkung": "a\\ude00b\\ud83d\\ude00c\\ud83d"}]'
    advo, _ = client_and_script(http_response(200, f'{{"betNr": {BETNR}, "kommunikation": {rows}}}'))
    assert advo.fetch(BETNR).rows == (AdvoRow(1, "A", "\ufffd", "a\ufffdb\U0001f600c\ufffd"),)


@pytest.mark.parametrize("style", ErrorStyle)
@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_an_offline_service_is_an_outage_and_makes_nobody_malformed_or_gone(
    sim: AdvoSim, clock: FakeClock, style: ErrorStyle, status: int
) -> None:
    sim.behaviour.error_style, sim.behaviour.offline, sim.behaviour.offline_status = style, True, status
    with pytest.raises(Outage, match="ist nicht angemeldet"):
        advoware_client(InProcess(sim), clock).fetch(BETNR)


def test_an_offline_service_leaves_the_outcome_of_a_write_open(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    advo.login()
    sim.behaviour.offline = True
    with pytest.raises(UnknownOutcome):
        advo.create(BETNR, RowDraft("0511 1", "", komm_kz=1))


# Writing ---------------------------------------------------------------------------------------------------------


def test_a_row_is_created_with_all_four_fields_and_read_from_the_answer(sim: AdvoSim, clock: FakeClock) -> None:
    row = advoware_client(InProcess(sim), clock).create(BETNR, RowDraft("0511 1", "[ESPOCRM:x:6] privat", komm_kz=6))
    assert sim.writes[0].json == {"tlf": "0511 1", "bemerkung": "[ESPOCRM:x:6] privat", "kommKz": 6, "online": False}
    stored = sim.rows(BETNR)[0]
    assert row == AdvoRow(stored["id"], stored["rowId"], "0511 1", "[ESPOCRM:x:6] privat", 6, online=False)


ROW_DRAFT = RowDraft("0511 1", "mark", komm_kz=3)


@pytest.mark.parametrize(
    ("payload", "row"),
    [
        ({"id": 5},                                       AdvoRow(5, "", "0511 1", "mark", 3)),
        ([komm_json(5, rowId="N", tlf="0511", kommKz=3)],      AdvoRow(5, "N", "0511", None, 3)),
    ],
    ids=["id only", "in a list"],
)  # fmt: skip
def test_what_the_answer_to_a_creation_lacks_is_taken_from_the_draft(payload: Any, row: AdvoRow) -> None:
    advo, _ = client_and_script(ok_response(payload))
    assert advo.create(BETNR, ROW_DRAFT) == row


@pytest.mark.parametrize("payload", [{}, {"id": None}, {"id": 0}, {"id": True}, {"id": "x"}, [], None, "ok"])
def test_a_creation_without_usable_id_is_settled_by_reading(payload: Any) -> None:
    advo, script = client_and_script(ok_response(payload))
    with pytest.raises(UnknownOutcome):
        advo.create(BETNR, ROW_DRAFT)
    assert len(script.requests) == 2


@pytest.mark.parametrize("replaces", [False, True], ids=["merges", "replaces"])
def test_an_update_always_sends_the_three_writable_fields(
    sim: AdvoSim, clock: FakeClock, replaces: bool  # noqa: FBT001
) -> None:
    sim.behaviour.replaces = replaces
    komm_id = sim.add_row(BETNR, "0511 1", "Büro", online=True)
    row = advoware_client(InProcess(sim), clock).update(BETNR, komm_id, RowDraft("", "Büro", online=True))
    assert sim.writes[0].json == {"tlf": "", "bemerkung": "Büro", "online": True}
    assert row == AdvoRow(komm_id, sim.rows(BETNR)[0]["rowId"], "", "Büro", 0, online=True)


@pytest.mark.parametrize(
    "reply",
    [
        http_response(200),
        http_response(204),
        ok_response({}),
        ok_response(None),
        ok_response(True),  # noqa: FBT003
        ok_response(komm_json(999)),
        ok_response(komm_without("rowId")),
        ok_response([]),
    ],
    ids=["empty", "204", "{}", "null", "true", "another row", "no rowId", "[]"],
)
def test_an_answer_that_is_not_the_row_leaves_the_telling_to_the_verifying_get(reply: httpx.Response) -> None:
    advo, _ = client_and_script(reply)
    assert advo.update(BETNR, 88002, RowDraft("1", "")) is None


def test_a_login_page_in_answer_to_an_update_is_no_confirmation() -> None:
    advo, _ = client_and_script(http_response(200, "<html>Anmeldung</html>"))
    with pytest.raises(UnknownOutcome):
        advo.update(BETNR, 88002, RowDraft("1", ""))


def test_a_row_deleted_meanwhile_moved_and_a_person_deleted_meanwhile_is_gone(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    with pytest.raises(ConcurrentEdit, match="no Kommunikation 7 of 104860"):
        advo.update(BETNR, 7, RowDraft("1", ""))
    with pytest.raises(NotFound):
        advo.create(4711, RowDraft("1", "", komm_kz=1))


@pytest.mark.parametrize("style", ErrorStyle)
def test_a_refused_value_is_refused_with_advowares_reason(sim: AdvoSim, clock: FakeClock, style: ErrorStyle) -> None:
    sim.behaviour.refused_values, sim.behaviour.error_style = {"abc"}, style
    with pytest.raises(Refused, match=r"\(400\): (Der Wert ist|an HTML page)"):
        advoware_client(InProcess(sim), clock).create(BETNR, RowDraft("abc", "", komm_kz=1))


def test_writes_never_overlap_whichever_client_and_thread_sends_them() -> None:
    running, maximum = 0, 0
    lock = threading.Lock()
    start = threading.Barrier(8)

    def respond(request: httpx.Request) -> httpx.Response:
        nonlocal running, maximum
        if request.url.path.endswith("/Token"):
            return ok_response(TOKEN)
        with lock:
            running += 1
            maximum = max(maximum, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1
        return ok_response(komm_json(1))

    addresses: dict[str, Any] = {"base_url": "https://a.test", "security_gateway": "https://a.test"}
    clients = [advoware_client(httpx.MockTransport(respond), **addresses) for _ in range(2)]

    def write(n: int) -> None:
        start.wait()
        clients[n % 2].update(BETNR, 1, RowDraft(str(n), ""))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert maximum == 1


def test_reads_overlap() -> None:
    both_inside = threading.Barrier(2, timeout=10)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/Token"):
            return ok_response(TOKEN)
        both_inside.wait()
        return ok_response(person_json(BETNR))

    advo = advoware_client(httpx.MockTransport(respond), base_url="https://a.test", security_gateway="https://a.test")
    threads = [threading.Thread(target=advo.fetch, args=(BETNR,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both_inside.broken
    assert advo.calls == {"GET": 2}


def test_all_calls_together_keep_the_ceiling(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock, max_requests_per_second=10)
    for _ in range(5):
        advo.fetch(BETNR)
    assert len(sim.request_log) == 7  # discovery, token, five reads
    assert clock.seconds == pytest.approx(0.6)


def test_calls_count_data_and_not_logins(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    advo.create(BETNR, ROW_DRAFT)
    advo.fetch(BETNR)
    assert advo.calls == {"GET": 1, "POST": 1}
    assert advo.session.login_calls == {"GET": 1, "POST": 1}


def test_no_delete_is_ever_sent(sim: AdvoSim, clock: FakeClock) -> None:
    assert not [name for name in dir(advoware_client(InProcess(sim), clock)) if "delete" in name.lower()]


# Logging in ------------------------------------------------------------------------------------------------------


def test_a_token_is_kept_until_two_minutes_before_its_end(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    tokens_given = []
    for seconds in (0, 3479, 1, 3479, 1):
        clock.seconds += seconds
        advo.fetch(BETNR)
        tokens_given.append(sim.login.issued_count)
    assert tokens_given == [1, 1, 2, 2, 3]


def test_a_token_refused_early_is_replaced_once(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    advo.fetch(BETNR)
    sim.login.revoke()
    assert advo.create(BETNR, ROW_DRAFT).value == "0511 1"
    assert sim.login.issued_count == 2
    assert len(sim.rows(BETNR)) == 1


@pytest.mark.parametrize("body", ["", "<html>401</html>", '{"message": "Token ungültig"}'])
def test_a_second_401_is_final(body: str) -> None:
    advo, script = client_and_script(http_response(401, body), ok_response(TOKEN), http_response(401, body))
    with pytest.raises(CredentialsRefused, match=r"check advoware\.user"):
        advo.fetch(BETNR)
    assert script.answers_left == []


def test_threads_that_need_a_token_share_one(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    threads = [threading.Thread(target=advo.fetch, args=(BETNR,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sim.login.issued_count == 1
    assert advo.calls == {"GET": 8}


@pytest.mark.parametrize("style", ErrorStyle)
def test_a_wrong_password_stops_at_once(sim: AdvoSim, clock: FakeClock, style: ErrorStyle) -> None:
    sim.behaviour.error_style = style
    advo = advoware_client(InProcess(sim), clock, password=SecretStr("wrong-password"))
    with pytest.raises(CredentialsRefused, match="Advoware refuses the login"):
        advo.fetch(BETNR)
    assert advo.session.login_calls["POST"] == 1


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("text", ["Falscher Name oder falsches Kennwort", "AppID nicht freigeschaltet"])
def test_the_token_services_words_count_more_than_its_status(status: int, text: str) -> None:
    script = ScriptedServer(http_response(status, text))
    advo = advoware_client(script.transport, base_url="https://a.test", security_gateway="https://a.test")
    with pytest.raises(CredentialsRefused):
        advo.fetch(BETNR)


TOKEN_SERVICE_DOWN: list[Callable[[], Any]] = [
    lambda: httpx.ConnectError,
    lambda: httpx.ReadTimeout,
    lambda: http_response(500),
    lambda: http_response(400, "Bad Request"),
    lambda: http_response(200, "<html>"),
    lambda: ok_response({}),
    lambda: ok_response([]),
    lambda: ok_response({"access_token": "a\nb"}),
    lambda: ok_response({"access_token": None}),
    lambda: http_response(401, "Der Benutzer ist nicht angemeldet"),
]


@pytest.mark.parametrize("failure", TOKEN_SERVICE_DOWN)
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_token_service_that_is_down_is_an_outage_and_nothing_was_written(
    failure: Callable[[], Any], write: bool  # noqa: FBT001
) -> None:
    script = ScriptedServer(failure(), failure(), failure())
    advo = advoware_client(script.transport, base_url="https://a.test", security_gateway="https://a.test")
    with pytest.raises(Outage, match="Advoware is out"):
        advo.create(BETNR, ROW_DRAFT) if write else advo.fetch(BETNR)
    assert {request.url.path for request in script.requests} == {"/api/v1/Token"}


def test_a_token_service_that_stumbles_once_is_asked_again() -> None:
    script = ScriptedServer(http_response(500), ok_response(TOKEN), ok_response(komm_json(5)))
    advo = advoware_client(script.transport, base_url="https://a.test", security_gateway="https://a.test")
    assert advo.create(BETNR, ROW_DRAFT).komm_id == 5


def test_check_logs_in_without_reading_anybody(sim: AdvoSim, clock: FakeClock) -> None:
    advo = advoware_client(InProcess(sim), clock)
    assert advo.login().gateway == "https://advoware.advo-net.net/gateway"
    advo.login()
    assert sim.login.issued_count == 2
    assert advo.calls == {}
