"""Signature, discovery and the life of a token, without any server (Advoware §1)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from etl.clients.advoware_auth import (
    Credentials,
    Endpoints,
    decode_api_key,
    parse_discovery,
    parse_iso_time,
    parse_token,
    require_trusted_host,
    token_body,
    token_signature,
)
from etl.clients.request import parse_response
from etl.errors import ConfigError, Outage
from tests.clients.fakes import (
    BETNR,
    START,
    TOKEN,
    FakeClock,
    ScriptedServer,
    advoware_client,
    ok_response,
    person_json,
)

KEY = SecretStr(base64.b64encode(b"test-secret-key").decode())
VECTOR = "o7rz9KmoXZs550HfzO6ffiG17XwiPmlBHlksUYKZ3jcfolELow51Fw5KlrQqCK5y41aIValDjrh1iQ2GZ2WtqQ=="
NOON = datetime(2026, 8, 30, tzinfo=UTC)


def test_the_signature_is_the_observed_one() -> None:
    signed = token_signature(
        decode_api_key(KEY), product=64, app_id="app-123", nonce="nonce-abc", timestamp="2026-08-30T00:00:00.000Z"
    )
    assert signed == VECTOR


def test_the_token_request_signs_what_it_sends() -> None:
    account = Credentials("muster", "DB", "SYNC", 2, 64, "app-123", KEY, SecretStr("pw"))
    assert token_body(account, "nonce-abc", NOON) == {
        "AppID": "app-123",
        "Kanzlei": "muster",
        "Database": "DB",
        "User": "SYNC",
        "Role": 2,
        "Product": 64,
        "Password": "pw",
        "Nonce": "nonce-abc",
        "HMAC512Signature": VECTOR,
        "RequestTimeStamp": "2026-08-30T00:00:00.000Z",
    }


def test_every_token_request_has_a_fresh_nonce() -> None:
    script = ScriptedServer(
        ok_response(TOKEN | {"expires_in": 1}),
        ok_response(person_json(BETNR)),
        ok_response(TOKEN),
        ok_response(person_json(BETNR)),
    )
    clock = FakeClock()
    advo = advoware_client(script.transport, clock, base_url="https://a.test", security_gateway="https://a.test")
    advo.fetch(BETNR)
    clock.seconds += 2
    advo.fetch(BETNR)
    nonces = {body["Nonce"] for body in script.bodies()}
    assert len(nonces) == 2
    assert [r.headers.get("authorization") for r in script.requests] == [None, "Bearer t0k3n", None, "Bearer t0k3n"]


@pytest.mark.parametrize("request_of", ["token", "data", "discovery"])
def test_every_request_has_a_timeout(request_of: str) -> None:
    discovery = {"relayUrl": "https://x.advo-net.net:90/", "connectorUrl": None, "securityGateway": "https://y.advo-net.net/"}
    script = ScriptedServer(ok_response(discovery), ok_response(TOKEN), ok_response(person_json(BETNR)))
    advoware_client(script.transport, timeout_seconds=7).fetch(BETNR)
    request = script.requests[["discovery", "token", "data"].index(request_of)]
    assert request.extensions["timeout"] == {"connect": 7, "read": 7, "write": 7, "pool": 7}


def test_a_key_that_is_not_base64_is_found_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match=r"advoware\.api_key: is not base64") as caught:
        advoware_client(ScriptedServer().transport, api_key=SecretStr("geheim!geheim"))
    assert "geheim" not in str(caught.value)


# How long a token lives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token_fields", "usable"),
    [
        ({"expires_in": 3600, "expiration_utc": "2026-08-30T05:00:00.0000000Z"}, 3480.0),
        ({"expiration_utc": "2026-08-30T01:00:00.1234567Z"},                     3480.123456),
        ({"expiration_utc": "2026-08-30T01:00:00.1234567"},                      3480.123456),
        ({"expires_in": "3600", "expiration_utc": "soon"},                       3180.0),
        ({"expires_in": 60},                                                     30.0),
        ({"expires_in": -1},                                                     3180.0),
        ({},                                                                     3180.0),
    ],
)  # fmt: skip
def test_a_token_is_used_for_its_life_less_a_margin(token_fields: dict[str, Any], usable: float) -> None:
    token, seconds = parse_token(parse_response(ok_response({"access_token": "t"} | token_fields), NOON), NOON)
    assert token.get_secret_value() == "t"
    assert seconds == pytest.approx(usable)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-08-30T01:00:00.0000000Z", datetime(2026, 8, 30, 1, tzinfo=UTC)),
        ("2026-08-30T01:00:00",          datetime(2026, 8, 30, 1, tzinfo=UTC)),
        ("2026-08-30T03:00:00+02:00",    datetime(2026, 8, 30, 1, tzinfo=UTC)),
        ("", None),
        (7, None),
        (None, None),
    ],
)  # fmt: skip
def test_times_are_read_with_any_number_of_decimals(text: object, read: datetime | None) -> None:
    assert parse_iso_time(text) == read


# Discovery -------------------------------------------------------------------------------------------------------

RELAY, CONNECTOR, GATEWAY = "https://r.advo-net.net:90/", "https://c.advo-net.net/", "https://g.advo-net.net/"
HOSTS = ["advo-net.net"]


def test_the_connector_goes_before_the_relay() -> None:
    both = {"relayUrl": RELAY, "connectorUrl": CONNECTOR, "securityGateway": GATEWAY}
    without_connector = both | {"connectorUrl": None}
    assert parse_discovery(both, "k", HOSTS, Endpoints()) == Endpoints(CONNECTOR[:-1], GATEWAY[:-1])
    assert parse_discovery(without_connector, "k", HOSTS, Endpoints()) == Endpoints(RELAY[:-1], GATEWAY[:-1])


def test_what_is_configured_is_not_taken_from_discovery() -> None:
    discovery = {"relayUrl": "http://evil.test", "securityGateway": GATEWAY}
    assert parse_discovery(discovery, "k", HOSTS, Endpoints(base="https://own.test")).base == "https://own.test"


@pytest.mark.parametrize(
    ("payload", "error", "message"),
    [
        ({"relayUrl": RELAY},                                 ConfigError, r"set advoware\.security_gateway"),
        ({"relayUrl": RELAY, "securityGateway": None},        ConfigError, r"set advoware\.security_gateway"),
        ({"relayUrl": None, "securityGateway": GATEWAY},      ConfigError, r"check advoware\.kanzlei"),
        ({"relayUrl": 7, "securityGateway": GATEWAY},         ConfigError, "not sent there"),
        ([RELAY],                                             Outage,      "no object"),
    ],
)  # fmt: skip
def test_an_incomplete_discovery_says_what_to_do(payload: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_discovery(payload, "k", HOSTS, Endpoints())


@pytest.mark.parametrize(
    "address",
    [
        "https://advo-net.net/", "https://www2.advo-net.net:90/", "https://WWW.ADVO-NET.NET", "https://a.advo-net.net./x",
        "http://localhost:8000/", "http://127.0.0.1:90", "https://[::1]:90/", "http://127.8.9.1/",
    ],
)  # fmt: skip
def test_an_address_under_the_allowed_hosts_or_on_this_machine_is_trusted(address: str) -> None:
    assert require_trusted_host(address, HOSTS)


@pytest.mark.parametrize(
    "address",
    [
        "http://www2.advo-net.net/", "https://evil-advo-net.net/", "https://advo-net.net.evil.test/",
        "https://advo-net.net@evil.test/", "https://evil.test/advo-net.net", "ftp://advo-net.net", "advo-net.net", "",
        "http://127.0.0.1.evil.test", "http://localhost.evil.test", "https://evil.test#.advo-net.net", "https://[",
        "https://evil.test\\.advo-net.net", "https://www2.advo-net.net/#", "https://www2.advo-net.net?",
    ],
)  # fmt: skip
def test_any_other_address_gets_no_password(address: str) -> None:
    with pytest.raises(ConfigError, match="the password is not sent there"):
        require_trusted_host(address, HOSTS)


def test_no_allowed_host_allows_nothing() -> None:
    for hosts in ([], [""], ["."]):
        with pytest.raises(ConfigError):
            require_trusted_host("https://www2.advo-net.net/", hosts)


def test_discovery_is_asked_once_for_the_kanzlei_and_again_after_a_failure() -> None:
    discovery = {"relayUrl": RELAY, "securityGateway": GATEWAY}
    script = ScriptedServer(
        *[ok_response({"relayUrl": RELAY})],
        ok_response(discovery),
        ok_response(TOKEN),
        ok_response(person_json(BETNR)),
        ok_response(person_json(BETNR)),
    )
    advo = advoware_client(script.transport, kanzlei="Muster & Co")
    with pytest.raises(ConfigError):
        advo.fetch(BETNR)
    advo.fetch(BETNR)
    advo.fetch(BETNR)
    assert [request.url.host for request in script.requests] == [
        "www2.advo-net.net", "www2.advo-net.net", "g.advo-net.net", "r.advo-net.net", "r.advo-net.net",
    ]  # fmt: skip
    assert script.requests[0].url.params["Kanzlei"] == "Muster & Co"
    assert str(script.requests[3].url) == f"https://r.advo-net.net:90/api/v1/advonet/Beteiligte/{BETNR}"


def test_configured_addresses_are_used_without_discovery() -> None:
    script = ScriptedServer(ok_response(TOKEN), ok_response(person_json(BETNR)))
    addresses: dict[str, Any] = {"base_url": "https://a.test/x/", "security_gateway": "https://b.test/"}
    advoware_client(script.transport, path_prefix="/api/v1/", **addresses).fetch(BETNR)
    assert [str(request.url) for request in script.requests] == [
        "https://b.test/api/v1/Token", f"https://a.test/x/api/v1/Beteiligte/{BETNR}",
    ]  # fmt: skip


def test_the_time_of_a_request_is_the_clocks() -> None:
    script = ScriptedServer(ok_response(TOKEN), ok_response(person_json(BETNR)))
    advoware_client(script.transport, base_url="https://a.test", security_gateway="https://a.test").fetch(BETNR)
    assert script.bodies()[0]["RequestTimeStamp"] == START.strftime("%Y-%m-%dT%H:%M:%S.000Z")
