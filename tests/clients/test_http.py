"""The border: every foreign failure becomes one error of ours, and only what is harmless repeats by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from etl.clients.http import HttpSession
from etl.clients.request import ApiRequest, ClientEnvironment, ServerQuirks
from etl.errors import (
    AdvosyncError,
    ConcurrentEdit,
    CredentialsRefused,
    Forbidden,
    NotFound,
    Outage,
    Refused,
    Stopped,
    UnknownOutcome,
)
from tests.clients.fakes import FakeClock, ScriptedServer, http_response, ok_response

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://crm.example.test/api/v1/CBeteiligte/e1"
NOT_FOUND_ERROR = NotFound("EspoCRM", "e1")
ESPO = ServerQuirks("EspoCRM", "check espocrm.api_key", "espocrm.url")
ADVO = ServerQuirks("Advoware", "check advoware.user", "advoware.path_prefix", offline_texts=("ist nicht angemeldet",))
HTML = "<!DOCTYPE html><html><body>Bad Gateway</body></html>"
VALIDATION = "Field validation failure; entityType: CBeteiligte, field: phoneNumber, type: valid."


def http_session(
    script: ScriptedServer, clock: FakeClock | None = None, conventions: ServerQuirks = ESPO, **other: Any
) -> HttpSession:
    clock = clock or FakeClock()
    client_options = ClientEnvironment(
        transport=script.transport,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
        utcnow=clock.utcnow,
        checkpoint=other.pop("checkpoint", lambda: None),
    )
    return HttpSession(
        conventions, timeout_seconds=30, outage_after=other.pop("outage_after", 3), environment=client_options, **other
    )


def get_request() -> ApiRequest:
    return ApiRequest("GET", URL, on_404=NOT_FOUND_ERROR)


def put_request() -> ApiRequest:
    return ApiRequest("PUT", URL, body={"syncStatus": "clean"}, on_404=NOT_FOUND_ERROR)


TRANSIENT = [
    pytest.param(lambda: httpx.ReadTimeout, id="timeout"),
    pytest.param(lambda: httpx.WriteTimeout, id="write timeout"),
    pytest.param(lambda: httpx.RemoteProtocolError, id="connection lost"),
    pytest.param(lambda: httpx.ReadError, id="connection reset"),
    pytest.param(lambda: httpx.DecodingError, id="broken compression"),
    pytest.param(lambda: http_response(500), id="500"),
    pytest.param(lambda: http_response(502, HTML), id="502"),
    pytest.param(lambda: http_response(503), id="503 maintenance"),
    pytest.param(lambda: http_response(504, HTML), id="504"),
    pytest.param(lambda: http_response(408), id="408"),
    pytest.param(lambda: http_response(302, Location="https://login.example.test"), id="redirect"),
    pytest.param(lambda: http_response(200, HTML), id="200 with HTML"),
    pytest.param(lambda: http_response(200, '{"id": "e1", "na'), id="truncated JSON"),
    pytest.param(lambda: http_response(200, b"\xff\xfe\xfa"), id="bytes"),
    pytest.param(lambda: http_response(200, ""), id="200 without body"),
    pytest.param(lambda: http_response(404, HTML), id="404 of a web server"),
]


@pytest.mark.parametrize("failure", TRANSIENT)
def test_a_get_is_repeated_with_backoff_and_then_succeeds(failure: Callable[[], Any]) -> None:
    clock, script = FakeClock(), ScriptedServer(failure(), failure(), ok_response({"id": "e1"}))
    session = http_session(script, clock)
    assert session.send(get_request()).payload == {"id": "e1"}
    assert clock.slept == [0.5, 1.0]
    assert session.calls == {"GET": 3}


@pytest.mark.parametrize("failure", TRANSIENT)
def test_a_get_that_fails_three_times_in_a_row_is_an_outage(failure: Callable[[], Any]) -> None:
    script = ScriptedServer(failure(), failure(), failure())
    with pytest.raises(Outage, match="EspoCRM is out"):
        http_session(script).send(get_request())


@pytest.mark.parametrize("failure", TRANSIENT)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_write_is_never_repeated_and_its_outcome_is_unknown(failure: Callable[[], Any], method: str) -> None:
    script = ScriptedServer(failure())
    with pytest.raises(UnknownOutcome, match="EspoCRM did not confirm a write"):
        http_session(script).send(ApiRequest(method, URL, body={}, on_404=NOT_FOUND_ERROR))


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError])
def test_a_write_that_was_never_sent_is_an_outage(failure: type[httpx.TransportError]) -> None:
    with pytest.raises(Outage):
        http_session(ScriptedServer(failure)).send(put_request())


def test_outage_after_says_how_often_a_get_is_tried() -> None:
    session = http_session(ScriptedServer(*[httpx.ConnectError] * 5), outage_after=5)
    with pytest.raises(Outage):
        session.send(get_request())
    assert session.calls == {"GET": 5}


FINAL = [
    # answer                                                    error               says
    (http_response(401),                                               CredentialsRefused, "check espocrm.api_key"),
    (http_response(403),                                               Forbidden,          r"\(403: no reason given\)"),
    (http_response(403, HTML),                                         Forbidden,          "any firewall between"),
    (http_response(403, X_Status_Reason="No create access."),          Forbidden,          r"\(403: No create access\.\)"),
    (http_response(404),                                               NotFound,               "no person e1"),
    (http_response(409, X_Status_Reason="modified"),                   ConcurrentEdit,              "changed meanwhile"),
    (http_response(409, "[]", X_Status_Reason="duplicate"),            Refused,            r"\(409\): duplicate"),
    (http_response(400, X_Status_Reason=VALIDATION),                   Refused,            "phoneNumber"),
    (http_response(413, HTML),                                         Refused,            "an HTML page"),
    (http_response(414, HTML),                                         Refused,            "an HTML page"),
    (http_response(422, "zu lang"),                                    Refused,            r"\(422\): zu lang"),
    (http_response(418),                                               Refused,            "no reason given"),
]  # fmt: skip


@pytest.mark.parametrize("api_request", [get_request(), put_request()], ids=["GET", "PUT"])
@pytest.mark.parametrize(("response", "error", "message"), FINAL, ids=lambda case: getattr(case, "status_code", None))
def test_a_refusal_is_translated_at_once(
    response: httpx.Response, error: type[AdvosyncError], message: str, api_request: ApiRequest
) -> None:
    fresh = httpx.Response(response.status_code, content=response.content, headers=response.headers)
    session = http_session(ScriptedServer(fresh))
    with pytest.raises(error, match=message):
        session.send(api_request)
    assert session.calls == {api_request.method: 1}


def test_a_403_to_what_only_a_login_can_be_refused_refuses_the_login() -> None:
    with pytest.raises(CredentialsRefused, match=r"check espocrm\.api_key"):
        http_session(ScriptedServer(http_response(403))).send(ApiRequest("GET", URL, proves_login=True))


def test_a_403_to_what_is_no_persons_is_a_refusal_that_says_whether_it_was_explained() -> None:
    for response, explained in [
        (http_response(403), False),
        (http_response(403, X_Status_Reason="No read access."), True),
    ]:
        with pytest.raises(Refused) as caught:
            http_session(ScriptedServer(response)).send(ApiRequest("GET", URL))
        assert (type(caught.value), caught.value.explained) == (Refused, explained)


BODY = '{"messageTranslation": {"label": "validationFailure", "data": {"field": "emailAddress", "type": "maxCount"}}}'


@pytest.mark.parametrize(
    ("response", "field", "kind"),
    [
        (http_response(400, BODY, Content_Type="text/html"), "emailAddress", "maxCount"),
        (http_response(400, X_Status_Reason=VALIDATION), "phoneNumber", "valid"),
        (http_response(400, '{"messageTranslation": [1]}'), None, None),
        (http_response(400, "[]"), None, None),
    ],
    ids=["body", "header", "odd body", "list"],
)
def test_a_refusal_names_field_and_rule_where_espocrm_does(
    response: httpx.Response, field: str | None, kind: str | None
) -> None:
    with pytest.raises(Refused) as caught:
        http_session(ScriptedServer(response)).send(put_request())
    assert (caught.value.status, caught.value.field, caught.value.type) == (400, field, kind)


def test_json_counts_whatever_its_content_type() -> None:
    script = ScriptedServer(
        http_response(200, '\ufeff{"name": "Müller"}'.encode(), Content_Type="text/html; charset=ISO-8859-1")
    )
    assert http_session(script).send(get_request()).payload == {"name": "Müller"}


def test_the_answers_date_is_utc_text_and_our_clock_stands_in_for_it() -> None:
    answer_with_date = http_session(ScriptedServer(ok_response({}))).send(get_request())
    answer_without_date = http_session(ScriptedServer(httpx.Response(200, json={}, headers={"Date": "soon"}))).send(
        get_request()
    )
    assert (answer_with_date.answered_at, answer_without_date.answered_at) == (
        "2026-11-23 13:18:22",
        "2026-11-23 12:00:00",
    )


# Waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_request", [get_request(), put_request()], ids=["GET", "PUT"])
@pytest.mark.parametrize(
    ("retry_after", "waits"), [("7", 7.0), ("0", 1.0), ("Mon, 23 Nov 2026 13:18:52 GMT", 30.0), ("then", 0.5)]
)
def test_too_many_requests_is_waited_for_also_by_a_write(
    api_request: ApiRequest, retry_after: str, waits: float
) -> None:
    clock = FakeClock()
    session = http_session(ScriptedServer(http_response(429, Retry_After=retry_after), ok_response({})), clock)
    session.send(api_request)
    assert clock.slept == [waits]
    assert session.calls == {api_request.method: 2}


def test_an_unavailable_system_is_asked_again_when_it_says() -> None:
    clock = FakeClock()
    http_session(ScriptedServer(http_response(503, Retry_After="20"), ok_response({})), clock).send(get_request())
    assert clock.slept == [20.0]


def test_a_write_to_an_unavailable_system_is_not_repeated() -> None:
    with pytest.raises(UnknownOutcome):
        http_session(ScriptedServer(http_response(503, Retry_After="1"))).send(put_request())


@pytest.mark.parametrize("api_request", [get_request(), put_request()], ids=["GET", "PUT"])
def test_nobody_waits_longer_than_a_minute_at_once_or_two_in_all(api_request: ApiRequest) -> None:
    clock = FakeClock()
    with pytest.raises(Outage, match="429"):
        http_session(ScriptedServer(http_response(429, Retry_After="61")), clock).send(api_request)
    assert clock.slept == []
    with pytest.raises(Outage, match="429"):
        http_session(ScriptedServer(*[http_response(429, Retry_After="50") for _ in range(3)]), clock).send(api_request)
    assert clock.slept == [50.0, 50.0]


def test_429_without_a_time_ends_like_any_outage() -> None:
    with pytest.raises(Outage):
        http_session(ScriptedServer(*[http_response(429) for _ in range(3)])).send(put_request())


# Stopping, offline, secrets --------------------------------------------------------------------------------------


def test_the_checkpoint_stops_a_request_before_it_is_sent() -> None:
    script, visits = ScriptedServer(httpx.ReadTimeout), []

    def stop_at_the_second_try() -> None:
        visits.append(1)
        if len(visits) > 1:
            raise Stopped("stopped by a signal")

    with pytest.raises(Stopped):
        http_session(script, checkpoint=stop_at_the_second_try).send(get_request())
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 500])
@pytest.mark.parametrize(
    ("api_request", "error"),
    [
        (ApiRequest("GET", URL, on_404=NOT_FOUND_ERROR), Outage),
        (ApiRequest("PUT", URL, body={}, on_404=NOT_FOUND_ERROR), UnknownOutcome),
    ],
)
def test_the_firms_offline_service_is_an_outage_whatever_the_status(
    status: int, api_request: ApiRequest, error: type[AdvosyncError]
) -> None:
    script = ScriptedServer(*[http_response(status, "Der Benutzer IST NICHT ANGEMELDET.") for _ in range(3)])
    with pytest.raises(error, match="ist nicht angemeldet"):
        http_session(script, conventions=ADVO).send(api_request)


def test_the_same_words_in_a_good_answer_mean_nothing() -> None:
    script = ScriptedServer(ok_response({"bemerkung": "ist nicht angemeldet"}))
    assert http_session(script, conventions=ADVO).send(get_request()).payload == {"bemerkung": "ist nicht angemeldet"}


def test_messages_are_short_and_hold_no_secret() -> None:
    echo = "key=hunter2hunter2 " + "x" * 5000
    session = http_session(ScriptedServer(http_response(400, echo)), secrets=lambda: (SecretStr("hunter2hunter2"),))
    with pytest.raises(Refused) as caught:
        session.send(put_request())
    assert len(caught.value.reason) <= 200
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason.startswith("key=***")


def test_a_secret_on_the_edge_of_the_excerpt_is_masked_whole() -> None:
    session = http_session(
        ScriptedServer(http_response(500, "y" * 195 + "hunter2hunter2")), secrets=lambda: (SecretStr("hunter2hunter2"),)
    )
    with pytest.raises(UnknownOutcome) as caught:
        session.send(put_request())
    assert "hunter2" not in str(caught.value)
    assert "hun" not in str(caught.value)
