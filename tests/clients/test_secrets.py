"""Password, keys and tokens appear nowhere: not in repr, errors, tracebacks or logs (Advoware §1)."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from etl.errors import AdvosyncError, ConfigError
from etl.records import RowDraft
from tests.clients.fakes import (
    BETNR,
    TOKEN,
    ScriptedServer,
    advoware_client,
    espocrm_client,
    http_response,
    ok_response,
    person_json,
    record_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

API_KEY, PASSWORD, SIGNING, BEARER = "espo-key-hunter2", "passwort-hunter2", "aHVudGVyMg==", "token-hunter2"
SECRETS = ("hunter2", SIGNING, "refresh-me")
ESPO_ECHO = f"you sent {API_KEY} and {API_KEY}"
ADVO_ECHO = f"you sent {PASSWORD} {SIGNING} {BEARER}"
LOGGED_IN = TOKEN | {"access_token": BEARER, "refresh_token": "refresh-me"}
FIXED: dict[str, Any] = {"base_url": "https://a.test", "security_gateway": "https://a.test"}


def espo_client(script: ScriptedServer) -> Any:
    return espocrm_client(script.transport, api_key=SecretStr(API_KEY))


def advo_client(script: ScriptedServer) -> Any:
    return advoware_client(script.transport, api_key=SecretStr(SIGNING), password=SecretStr(PASSWORD), **FIXED)


def error_texts(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.__dict__)


FAILURES: dict[str, Callable[[str], Any]] = {
    "400 that echoes": lambda echo: http_response(400, echo),
    "reason that echoes": lambda echo: http_response(400, X_Status_Reason=echo),
    "401 that echoes": lambda echo: http_response(401, echo),
    "403 that echoes": lambda echo: http_response(403, X_Status_Reason=echo),
    "500 that echoes": lambda echo: http_response(500, echo),
    "not JSON": lambda echo: http_response(200, echo),
    "connect error": lambda _: httpx.ConnectError,
    "timeout": lambda _: httpx.ReadTimeout,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_no_error_of_espocrm_shows_the_key(failure: str, write: bool) -> None:  # noqa: FBT001
    script = ScriptedServer(*[FAILURES[failure](ESPO_ECHO) for _ in range(3)])
    with pytest.raises(AdvosyncError) as caught:
        espo_client(script).write("e1", {}) if write else espo_client(script).fetch("e1")
    assert not [secret for secret in SECRETS if secret in error_texts(caught.value)]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("at", ["token", "read", "write"])
def test_no_error_of_advoware_shows_password_keys_or_token(failure: str, at: str) -> None:
    failures = [FAILURES[failure](ADVO_ECHO) for _ in range(3)]
    again = [failures[0], ok_response(LOGGED_IN), *failures[1:]] if failure.startswith("401") else failures
    client = advo_client(ScriptedServer(*failures) if at == "token" else ScriptedServer(ok_response(LOGGED_IN), *again))
    with pytest.raises(AdvosyncError) as caught:
        client.create(BETNR, RowDraft("1", "", komm_kz=1)) if at == "write" else client.fetch(BETNR)
    assert not [secret for secret in SECRETS if secret in error_texts(caught.value)]


def test_nothing_of_a_client_shows_a_secret() -> None:
    script = ScriptedServer(ok_response(LOGGED_IN), ok_response(person_json()), ok_response(record_json()))
    first, second = advo_client(script), espo_client(script)
    first.fetch(BETNR)
    second.fetch("e1")
    tokens = vars(first)["_token_auth"]
    objects = [first, second, first.session, vars(first), vars(second), vars(first.session), vars(tokens)]
    assert not [secret for secret in SECRETS if secret in " ".join(map(repr, objects))]
    assert not [secret for secret in SECRETS if secret in repr(vars(vars(second.session)["_http"]))]


def test_the_logs_of_httpx_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusals = [http_response(401, ADVO_ECHO), ok_response(LOGGED_IN), http_response(400, ADVO_ECHO)]
    script = ScriptedServer(ok_response(LOGGED_IN), ok_response(person_json()), *refusals, ok_response(record_json()))
    first, second = advo_client(script), espo_client(script)
    first.fetch(BETNR)
    with pytest.raises(AdvosyncError):
        first.update(BETNR, 1, RowDraft("1", ""))
    second.fetch("e1")
    assert "HTTP Request" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize("key", ["", "hunter2\n", "hun ter2", "schlüssel-hunter2", "hunter2\x00"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.api_key") as caught:
        espocrm_client(None, api_key=SecretStr(key))
    assert "ter2" not in error_texts(caught.value)
