"""The EspoCRM client against answers a well-behaved EspoCRM does not give; the others are in test_conformance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from etl.clients.espocrm import EspoClient
from etl.clients.espocrm_admin import CUSTOM_FIELDS, EspoAdminClient
from etl.errors import (
    AdvosyncError,
    ConcurrentEdit,
    ConfigError,
    CredentialsRefused,
    Forbidden,
    MalformedPayload,
    NotFound,
    Outage,
    Refused,
    Stopped,
    UnknownOutcome,
)
from etl.records import Channel, EspoItem
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import ADMIN_NAME, ADMIN_PASSWORD
from tests.clients.fakes import ScriptedServer, espocrm_client, http_response, ok_response, record_json
from tests.in_process import InProcess

PHONE = {"phoneNumber": "+49511700000", "type": "Office", "primary": True, "optOut": False, "invalid": False}
MAIL = {"emailAddress": "M@A.de", "lower": "m@a.de", "primary": True, "optOut": True, "invalid": False, "own": 1}

# Reading ---------------------------------------------------------------------------------------------------------


def test_items_keep_every_key_for_echoing_and_blank_ones_are_skipped() -> None:
    arrays: dict[str, Any] = {
        "phoneNumberData": [PHONE, {"phoneNumber": "  "}, {"phoneNumber": None}, {"phoneNumber": "110"}],
        "emailAddressData": [MAIL, {}],
    }
    record_read = espocrm_client(ScriptedServer(ok_response(record_json(**arrays))).transport).fetch("e1")
    assert record_read.items == (
        EspoItem(Channel.PHONE, "+49511700000", "Office", primary=True, raw=json.dumps(PHONE, sort_keys=True)),
        EspoItem(Channel.PHONE, "110", None, raw='{"phoneNumber": "110"}'),
        EspoItem(Channel.MAIL, "M@A.de", None, primary=True, opt_out=True, raw=json.dumps(MAIL, sort_keys=True)),
    )


def record_without(name: str) -> dict[str, Any]:
    return {key: value for key, value in record_json().items() if key != name}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (record_without("phoneNumberData"),                    "lacks the list phoneNumberData"),
        (record_json(emailAddressData=None),              "lacks the list emailAddressData"),
        (record_json(phoneNumberData={}),                 "lacks the list phoneNumberData"),
        (record_json(phoneNumberData=["110"]),            "phoneNumberData of record e1 is no object"),
        (record_json(phoneNumberData=[{"phoneNumber": 110}]), "phoneNumberData of record e1 has phoneNumber as int"),
        (record_without("betnr"),                              "lacks betnr"),
        (record_without("kommunikationHash"),                  "lacks kommunikationHash"),
        (record_without("id"),                                 "lacks id"),
        (record_json(id="e2"),                            "answered record e2 where e1"),
        (record_json(betnr="zwei"),                       "has betnr as str instead of a whole number"),
        (record_json(betnr=1.5),                          "has betnr as float"),
        (record_json(betnr=True),                         "has betnr as bool"),
        (record_json(syncStatus=3),                       "has syncStatus as int instead of text"),
        ([],                                         "record e1 is no object"),
        (True,                                       "record e1 is no object"),
    ],
)  # fmt: skip
def test_a_record_that_lacks_something_is_malformed_and_the_field_named(payload: Any, message: str) -> None:
    with pytest.raises(MalformedPayload, match=message):
        espocrm_client(ScriptedServer(ok_response(payload)).transport).fetch("e1")


@pytest.mark.parametrize(("betnr_sent", "read"), [("104711", 104711), ("", None), (None, None), (7, 7)])
def test_a_betnr_kept_as_text_is_a_number(betnr_sent: object, read: int | None) -> None:
    assert (
        espocrm_client(ScriptedServer(ok_response(record_json(betnr=betnr_sent))).transport).fetch("e1").betnr == read
    )


def test_configured_field_names_are_used_for_reading_and_writing() -> None:
    record_before = record_json()
    renamed_record = {("cStatus" if key == "syncStatus" else key): value for key, value in record_before.items()}
    script = ScriptedServer(ok_response(renamed_record), ok_response(renamed_record | {"cStatus": "dirty"}))
    espo = espocrm_client(script.transport, fields={"sync_status": "cStatus"})
    assert espo.fetch("e1").status == "clean"
    assert espo.write("e1", {"sync_status": "dirty", "error": None}).status == "dirty"
    assert script.bodies() == [{"cStatus": "dirty", "syncErrorMessage": None}]


def test_an_unknown_name_of_a_field_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.fields: syncStatus unknown"):
        espocrm_client(None, fields={"syncStatus": "x"})


@pytest.mark.parametrize("url", ["", "crm.example.de", "ftp://crm.example.de", "https://"])
def test_an_address_that_is_none_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.url"):
        espocrm_client(None, url=url)


@pytest.mark.parametrize("url", ["https://crm.test/x", "https://crm.test/x/", "https://crm.test/x/api/v1/"])
def test_the_api_is_found_below_the_address(url: str) -> None:
    script = ScriptedServer(ok_response(record_json("a/b?c")))
    espocrm_client(script.transport, url=url).fetch("a/b?c")
    assert str(script.requests[0].url) == "https://crm.test/x/api/v1/CBeteiligte/a%2Fb%3Fc"


# Writing ---------------------------------------------------------------------------------------------------------


def test_a_write_sends_only_what_it_is_given() -> None:
    script = ScriptedServer(*[ok_response(record_json(versionNumber=4)) for _ in range(3)])
    espo = espocrm_client(script.transport)
    espo.write("e1", {"sync_status": "clean", "last_sync": "2026-11-23 12:00:00"})
    espo.write("e1", {}, {Channel.PHONE: [PHONE]}, version=3)
    assert espo.write("e1", {}, {Channel.MAIL: (), Channel.PHONE: (PHONE,)}).version == 4
    assert script.bodies() == [
        {"syncStatus": "clean", "advowareLastSync": "2026-11-23 12:00:00"},
        {"phoneNumberData": [PHONE]},
        {"emailAddressData": [], "phoneNumberData": [PHONE]},
    ]
    assert [request.headers.get("x-version-number") for request in script.requests] == [None, "3", None]
    assert espo.calls == {"PUT": 3}


@pytest.mark.parametrize(
    "payload", [record_without("phoneNumberData"), record_json(emailAddressData=None), {}, [], True]
)
def test_an_answer_without_arrays_is_completed_by_one_get(payload: Any) -> None:
    script = ScriptedServer(ok_response(payload), ok_response(record_json(phoneNumberData=[PHONE])))
    espo = espocrm_client(script.transport)
    assert len(espo.write("e1", {"sync_status": "clean"}).items) == 1
    assert espo.calls == {"PUT": 1, "GET": 1}


@pytest.mark.parametrize(
    "answers",
    [
        (ok_response({}), http_response(404)),
        (ok_response({}), ok_response({})),
        (ok_response({}), http_response(500), http_response(500), http_response(500)),
        (ok_response({}), http_response(401)),
        (ok_response(record_json(betnr=[])),),
    ],
    ids=["gone", "malformed", "outage", "login", "malformed answer"],
)
def test_a_write_that_arrived_never_looks_like_one_that_did_not(answers: Any) -> None:
    with pytest.raises(UnknownOutcome, match="the answer to a PUT of e1 cannot be read"):
        espocrm_client(ScriptedServer(*answers).transport).write("e1", {"sync_status": "clean"})


DECIDES = [
    # App/user answers     so the 403 is
    (ok_response({"user": {}}),      Forbidden),
    (http_response(404),           Forbidden),
    (http_response(403),           CredentialsRefused),
    (http_response(401),           CredentialsRefused),
]  # fmt: skip


@pytest.mark.parametrize(("user", "error"), DECIDES)
@pytest.mark.parametrize("refusal", ["", "<html>WAF</html>"])
@pytest.mark.parametrize("method", ["fetch", "write"])
def test_after_a_403_to_a_person_our_own_user_decides(
    method: str, refusal: str, user: httpx.Response, error: type[AdvosyncError]
) -> None:
    fresh = httpx.Response(user.status_code, content=user.content, headers=user.headers)
    espo = espocrm_client(ScriptedServer(http_response(403, refusal), fresh).transport)
    with pytest.raises(error):
        espo.fetch("e1") if method == "fetch" else espo.write("e1", {})


def test_after_a_403_an_espocrm_that_is_out_is_no_persons_failure() -> None:
    script = ScriptedServer(http_response(403), *[http_response(503) for _ in range(3)])
    with pytest.raises(Outage):
        espocrm_client(script.transport).write("e1", {})


@pytest.mark.parametrize("ask", [EspoClient.get_server, EspoClient.get_field_defs, lambda espo: espo.iter_pages([])])
def test_a_403_to_what_is_no_persons_is_the_logins_a_firewalls_or_the_roles(
    ask: Callable[[EspoClient], Iterable[object]],
) -> None:
    for refusal, user, error, message in [
        (http_response(403), http_response(403), CredentialsRefused, "check espocrm.api_key"),
        (http_response(403, "<html>"), ok_response({"user": {}}), Outage, "any firewall between"),
        (
            http_response(403, X_Status_Reason="No read access."),
            ok_response({"user": {}}),
            ConfigError,
            "run `advosync check`",
        ),
    ]:
        espo = espocrm_client(ScriptedServer(refusal, user).transport)
        with pytest.raises(error, match=message):
            list(ask(espo))


def test_a_refused_note_asks_nothing_more() -> None:
    with pytest.raises(Forbidden):
        espocrm_client(ScriptedServer(http_response(403)).transport).post_note("e1", "text")


def test_not_even_a_signal_makes_a_write_that_arrived_look_undone() -> None:
    visits: list[int] = []

    def stop_after_the_put() -> None:
        visits.append(1)
        if len(visits) > 1:
            raise Stopped("stopped by a signal")

    with pytest.raises(UnknownOutcome):
        espocrm_client(ScriptedServer(ok_response({})).transport, checkpoint=stop_after_the_put).write("e1", {})


def test_writes_that_did_not_arrive_say_so() -> None:
    for response_given, error in [
        (http_response(404), NotFound),
        (http_response(409, X_Status_Reason="modified"), ConcurrentEdit),
        (http_response(400, X_Status_Reason="Bad"), Refused),
        (http_response(401), CredentialsRefused),
    ]:
        with pytest.raises(error):
            espocrm_client(ScriptedServer(response_given).transport).write("e1", {}, version=1)


# Who and what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{}, {"user": None}, {"user": {"id": ""}}, []])
def test_a_user_without_id_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedPayload, match="App/user"):
        espocrm_client(ScriptedServer(ok_response(payload)).transport).get_user()


def test_settings_that_say_little_are_an_old_espocrm() -> None:
    server = espocrm_client(ScriptedServer(ok_response({"phoneNumberInternational": None})).transport).get_server()
    assert (server.version, server.international, server.max_mails, server.maintenance) == ("unknown", False, 10, False)


def test_another_web_server_at_the_address_is_named() -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.url: no EspoCRM answers at http://crm\.example\.test"):
        espocrm_client(ScriptedServer(http_response(404)).transport).get_user()
    with pytest.raises(Outage, match=r"check espocrm\.url"):
        espocrm_client(
            ScriptedServer(*[http_response(404, "<html>nginx</html>") for _ in range(3)]).transport
        ).get_user()


@pytest.mark.parametrize("path", ["get_user", "get_server", "get_field_defs"])
def test_who_refuses_to_say_what_it_is_blames_the_configuration_not_a_person(path: str) -> None:
    with pytest.raises(ConfigError, match=r"EspoCRM refuses \S+ \(413: .*advosync check"):
        getattr(espocrm_client(ScriptedServer(http_response(413)).transport), path)()


def test_an_entity_without_rights_is_told_from_one_that_is_not_there() -> None:
    """Metadata are empty either way (EspoCRM fact B15)."""
    user = ok_response({"user": {"id": "u1"}})
    for responses in (
        [ok_response({"total": 3, "list": []})],
        [http_response(403, X_Status_Reason="No read access."), user],
    ):
        espocrm_client(ScriptedServer(*responses).transport, entity="CMandant").require_entity()
    missing = http_response(404, X_Status_Reason="Controller 'CMandant' does not exist.")
    with pytest.raises(ConfigError, match=r"knows no entity CMandant; .*Entity Manager"):
        espocrm_client(ScriptedServer(missing).transport, entity="CMandant").require_entity()


METADATA = [
    # body             value
    ("",               None),
    ("int",            "int"),
    ("true",           True),
    ("null",           None),
    ('["Mobile"]',     ["Mobile"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "value"), METADATA)
def test_metadata_are_json_or_a_bare_word_or_nothing(body: str, value: object) -> None:
    assert espocrm_client(ScriptedServer(http_response(200, body)).transport)._api.get_metadata("a.b") == value  # noqa: SLF001 - its own part


@pytest.mark.parametrize("body", ["<html>Wartung</html>", '{"betnr": {"ty', '["Mobile"', '"in'])
def test_metadata_that_broke_off_or_are_a_page_are_an_outage(body: str) -> None:
    with pytest.raises(Outage):
        espocrm_client(ScriptedServer(*[http_response(200, body) for _ in range(3)]).transport).get_field_defs()


def test_the_stream_is_on_off_or_never_switched() -> None:
    streams = [
        espocrm_client(ScriptedServer(http_response(200, body)).transport).has_stream()
        for body in ("true", "false", "")
    ]
    assert streams == [True, False, False]


def test_an_unknown_entity_is_named() -> None:
    with pytest.raises(ConfigError, match="knows no entity CMandant"):
        espocrm_client(ScriptedServer(http_response(200, "null")).transport, entity="CMandant").get_field_defs()
    with pytest.raises(ConfigError, match="knows no entity CMandant"):
        list(espocrm_client(ScriptedServer(http_response(404)).transport, entity="CMandant").iter_pages([]))


# The administrator -----------------------------------------------------------------------------------------------


def admin_client(sim: EspoSim, password: str = ADMIN_PASSWORD) -> EspoAdminClient:
    return EspoAdminClient(
        url="http://crm.test", user=ADMIN_NAME, password=SecretStr(password), transport=InProcess(sim)
    )


def test_an_administrator_creates_the_missing_fields_once() -> None:
    sim = EspoSim(custom_fields=False)
    setup = admin_client(sim)
    assert [setup.create_field(name) for name in CUSTOM_FIELDS] == [False] + [True] * 7  # betnr is the firm's own
    assert not any(setup.create_field(name) for name in CUSTOM_FIELDS)
    assert sim.store.entity.fields["syncStatus"]["options"][0] == "pending_sync"


def test_an_administrator_switches_on_optimistic_concurrency() -> None:
    setup = admin_client(EspoSim())
    assert not setup.has_switch("optimisticConcurrencyControl")
    setup.switch_on("optimisticConcurrencyControl")
    assert setup.has_switch("optimisticConcurrencyControl")


def test_a_wrong_administrator_is_told_so_at_once() -> None:
    with pytest.raises(CredentialsRefused, match="administrator's name and password"):
        admin_client(EspoSim(), "wrong").create_field("error")
