"""The border: every foreign failure becomes one error of ours, and only what is harmless repeats by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from etl.clients.ask import Ask, Habits, Surroundings
from etl.clients.http import Border
from etl.errors import (
    AdvosyncError,
    CredentialsRefused,
    Forbidden,
    Gone,
    Moved,
    Outage,
    Refused,
    Stopped,
    UnknownOutcome,
)
from tests.clients.fakes import Clock, Script, answer, ok

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://crm.example.test/api/v1/CBeteiligte/e1"
GONE = Gone("EspoCRM", "e1")
ESPO = Habits("EspoCRM", "check espocrm.api_key", "espocrm.url")
ADVO = Habits("Advoware", "check advoware.user", "advoware.path_prefix", offline=("ist nicht angemeldet",))
HTML = "<!DOCTYPE html><html><body>Bad Gateway</body></html>"
VALIDATION = "Field validation failure; entityType: CBeteiligte, field: phoneNumber, type: valid."


def border(script: Script, clock: Clock | None = None, habits: Habits = ESPO, **other: Any) -> Border:
    clock = clock or Clock()
    world = Surroundings(
        transport=script.transport,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
        utcnow=clock.utcnow,
        checkpoint=other.pop("checkpoint", lambda: None),
    )
    return Border(habits, timeout_seconds=30, outage_after=other.pop("outage_after", 3), world=world, **other)


def get() -> Ask:
    return Ask("GET", URL, missing=GONE)


def put() -> Ask:
    return Ask("PUT", URL, body={"syncStatus": "clean"}, missing=GONE)


PASSING = [
    pytest.param(lambda: httpx.ReadTimeout, id="timeout"),
    pytest.param(lambda: httpx.WriteTimeout, id="write timeout"),
    pytest.param(lambda: httpx.RemoteProtocolError, id="connection lost"),
    pytest.param(lambda: httpx.ReadError, id="connection reset"),
    pytest.param(lambda: httpx.DecodingError, id="broken compression"),
    pytest.param(lambda: answer(500), id="500"),
    pytest.param(lambda: answer(502, HTML), id="502"),
    pytest.param(lambda: answer(503), id="503 maintenance"),
    pytest.param(lambda: answer(504, HTML), id="504"),
    pytest.param(lambda: answer(408), id="408"),
    pytest.param(lambda: answer(302, Location="https://login.example.test"), id="redirect"),
    pytest.param(lambda: answer(200, HTML), id="200 with HTML"),
    pytest.param(lambda: answer(200, '{"id": "e1", "na'), id="truncated JSON"),
    pytest.param(lambda: answer(200, b"\xff\xfe\xfa"), id="bytes"),
    pytest.param(lambda: answer(200, ""), id="200 without body"),
    pytest.param(lambda: answer(404, HTML), id="404 of a web server"),
]


@pytest.mark.parametrize("failure", PASSING)
def test_a_get_is_repeated_with_backoff_and_then_succeeds(failure: Callable[[], Any]) -> None:
    clock, script = Clock(), Script(failure(), failure(), ok({"id": "e1"}))
    one = border(script, clock)
    assert one.send(get()).payload == {"id": "e1"}
    assert clock.slept == [0.5, 1.0]
    assert one.calls == {"GET": 3}


@pytest.mark.parametrize("failure", PASSING)
def test_a_get_that_fails_three_times_in_a_row_is_an_outage(failure: Callable[[], Any]) -> None:
    script = Script(failure(), failure(), failure())
    with pytest.raises(Outage, match="EspoCRM is out"):
        border(script).send(get())


@pytest.mark.parametrize("failure", PASSING)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_write_is_never_repeated_and_its_outcome_is_unknown(failure: Callable[[], Any], method: str) -> None:
    script = Script(failure())
    with pytest.raises(UnknownOutcome, match="EspoCRM did not confirm a write"):
        border(script).send(Ask(method, URL, body={}, missing=GONE))


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError])
def test_a_write_that_was_never_sent_is_an_outage(failure: type[httpx.TransportError]) -> None:
    with pytest.raises(Outage):
        border(Script(failure)).send(put())


def test_outage_after_says_how_often_a_get_is_tried() -> None:
    one = border(Script(*[httpx.ConnectError] * 5), outage_after=5)
    with pytest.raises(Outage):
        one.send(get())
    assert one.calls == {"GET": 5}


FINAL = [
    # answer                                                    error               says
    (answer(401),                                               CredentialsRefused, "check espocrm.api_key"),
    (answer(403),                                               Forbidden,          r"\(403: no reason given\)"),
    (answer(403, HTML),                                         Forbidden,          "any firewall between"),
    (answer(403, X_Status_Reason="No create access."),          Forbidden,          r"\(403: No create access\.\)"),
    (answer(404),                                               Gone,               "no person e1"),
    (answer(409, X_Status_Reason="modified"),                   Moved,              "changed meanwhile"),
    (answer(409, "[]", X_Status_Reason="duplicate"),            Refused,            r"\(409\): duplicate"),
    (answer(400, X_Status_Reason=VALIDATION),                   Refused,            "phoneNumber"),
    (answer(413, HTML),                                         Refused,            "an HTML page"),
    (answer(414, HTML),                                         Refused,            "an HTML page"),
    (answer(422, "zu lang"),                                    Refused,            r"\(422\): zu lang"),
    (answer(418),                                               Refused,            "no reason given"),
]  # fmt: skip


@pytest.mark.parametrize("ask", [get(), put()], ids=["GET", "PUT"])
@pytest.mark.parametrize(("given", "error", "says"), FINAL, ids=lambda case: getattr(case, "status_code", None))
def test_a_refusal_is_translated_at_once(
    given: httpx.Response, error: type[AdvosyncError], says: str, ask: Ask
) -> None:
    fresh = httpx.Response(given.status_code, content=given.content, headers=given.headers)
    one = border(Script(fresh))
    with pytest.raises(error, match=says):
        one.send(ask)
    assert one.calls == {ask.method: 1}


def test_a_403_to_what_only_a_login_can_be_refused_refuses_the_login() -> None:
    with pytest.raises(CredentialsRefused, match=r"check espocrm\.api_key"):
        border(Script(answer(403))).send(Ask("GET", URL, proves_login=True))


def test_a_403_to_what_is_no_persons_is_a_refusal_that_says_whether_it_was_explained() -> None:
    for given, explained in [(answer(403), False), (answer(403, X_Status_Reason="No read access."), True)]:
        with pytest.raises(Refused) as caught:
            border(Script(given)).send(Ask("GET", URL))
        assert (type(caught.value), caught.value.explained) == (Refused, explained)


BODY = '{"messageTranslation": {"label": "validationFailure", "data": {"field": "emailAddress", "type": "maxCount"}}}'


@pytest.mark.parametrize(
    ("given", "field", "kind"),
    [
        (answer(400, BODY, Content_Type="text/html"), "emailAddress", "maxCount"),
        (answer(400, X_Status_Reason=VALIDATION), "phoneNumber", "valid"),
        (answer(400, '{"messageTranslation": [1]}'), None, None),
        (answer(400, "[]"), None, None),
    ],
    ids=["body", "header", "odd body", "list"],
)
def test_a_refusal_names_field_and_rule_where_espocrm_does(
    given: httpx.Response, field: str | None, kind: str | None
) -> None:
    with pytest.raises(Refused) as caught:
        border(Script(given)).send(put())
    assert (caught.value.status, caught.value.field, caught.value.type) == (400, field, kind)


def test_json_counts_whatever_its_content_type() -> None:
    script = Script(answer(200, '\ufeff{"name": "Müller"}'.encode(), Content_Type="text/html; charset=ISO-8859-1"))
    assert border(script).send(get()).payload == {"name": "Müller"}


def test_the_answers_date_is_utc_text_and_our_clock_stands_in_for_it() -> None:
    told = border(Script(ok({}))).send(get())
    untold = border(Script(httpx.Response(200, json={}, headers={"Date": "soon"}))).send(get())
    assert (told.answered_at, untold.answered_at) == ("2026-11-23 13:18:22", "2026-11-23 12:00:00")


# Waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [get(), put()], ids=["GET", "PUT"])
@pytest.mark.parametrize(
    ("written", "waits"), [("7", 7.0), ("0", 1.0), ("Mon, 23 Nov 2026 13:18:52 GMT", 30.0), ("then", 0.5)]
)
def test_too_many_requests_is_waited_for_also_by_a_write(ask: Ask, written: str, waits: float) -> None:
    clock = Clock()
    one = border(Script(answer(429, Retry_After=written), ok({})), clock)
    one.send(ask)
    assert clock.slept == [waits]
    assert one.calls == {ask.method: 2}


def test_an_unavailable_system_is_asked_again_when_it_says() -> None:
    clock = Clock()
    border(Script(answer(503, Retry_After="20"), ok({})), clock).send(get())
    assert clock.slept == [20.0]


def test_a_write_to_an_unavailable_system_is_not_repeated() -> None:
    with pytest.raises(UnknownOutcome):
        border(Script(answer(503, Retry_After="1"))).send(put())


@pytest.mark.parametrize("ask", [get(), put()], ids=["GET", "PUT"])
def test_nobody_waits_longer_than_a_minute_at_once_or_two_in_all(ask: Ask) -> None:
    clock = Clock()
    with pytest.raises(Outage, match="429"):
        border(Script(answer(429, Retry_After="61")), clock).send(ask)
    assert clock.slept == []
    with pytest.raises(Outage, match="429"):
        border(Script(*[answer(429, Retry_After="50") for _ in range(3)]), clock).send(ask)
    assert clock.slept == [50.0, 50.0]


def test_429_without_a_time_ends_like_any_outage() -> None:
    with pytest.raises(Outage):
        border(Script(*[answer(429) for _ in range(3)])).send(put())


# Stopping, offline, secrets --------------------------------------------------------------------------------------


def test_the_checkpoint_stops_a_request_before_it_is_sent() -> None:
    script, visits = Script(httpx.ReadTimeout), []

    def stop_at_the_second_try() -> None:
        visits.append(1)
        if len(visits) > 1:
            raise Stopped("stopped by a signal")

    with pytest.raises(Stopped):
        border(script, checkpoint=stop_at_the_second_try).send(get())
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 500])
@pytest.mark.parametrize(
    ("ask", "error"),
    [(Ask("GET", URL, missing=GONE), Outage), (Ask("PUT", URL, body={}, missing=GONE), UnknownOutcome)],
)
def test_the_firms_offline_service_is_an_outage_whatever_the_status(
    status: int, ask: Ask, error: type[AdvosyncError]
) -> None:
    script = Script(*[answer(status, "Der Benutzer IST NICHT ANGEMELDET.") for _ in range(3)])
    with pytest.raises(error, match="ist nicht angemeldet"):
        border(script, habits=ADVO).send(ask)


def test_the_same_words_in_a_good_answer_mean_nothing() -> None:
    script = Script(ok({"bemerkung": "ist nicht angemeldet"}))
    assert border(script, habits=ADVO).send(get()).payload == {"bemerkung": "ist nicht angemeldet"}


def test_messages_are_short_and_hold_no_secret() -> None:
    echo = "key=hunter2hunter2 " + "x" * 5000
    one = border(Script(answer(400, echo)), secrets=lambda: (SecretStr("hunter2hunter2"),))
    with pytest.raises(Refused) as caught:
        one.send(put())
    assert len(caught.value.reason) <= 200
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason.startswith("key=***")


def test_a_secret_on_the_edge_of_the_excerpt_is_masked_whole() -> None:
    one = border(Script(answer(500, "y" * 195 + "hunter2hunter2")), secrets=lambda: (SecretStr("hunter2hunter2"),))
    with pytest.raises(UnknownOutcome) as caught:
        one.send(put())
    assert "hunter2" not in str(caught.value)
    assert "hun" not in str(caught.value)
