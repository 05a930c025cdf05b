"""The EspoCRM client against answers a well-behaved EspoCRM does not give; the others are in test_conformance."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from etl.clients.espocrm_admin import WANTED, EspoAdmin
from etl.errors import (
    AdvosyncError,
    ConfigError,
    CredentialsRefused,
    Forbidden,
    Gone,
    Malformed,
    Moved,
    Outage,
    Refused,
    Stopped,
    UnknownOutcome,
)
from etl.records import Channel, Item
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.transport import InProcess
from tests.clients.fakes import Script, answer, espocrm, ok, record

PHONE = {"phoneNumber": "+49511700000", "type": "Office", "primary": True, "optOut": False, "invalid": False}
MAIL = {"emailAddress": "M@A.de", "lower": "m@a.de", "primary": True, "optOut": True, "invalid": False, "own": 1}

# Reading ---------------------------------------------------------------------------------------------------------


def test_items_keep_every_key_for_echoing_and_blank_ones_are_skipped() -> None:
    arrays: dict[str, Any] = {
        "phoneNumberData": [PHONE, {"phoneNumber": "  "}, {"phoneNumber": None}, {"phoneNumber": "110"}],
        "emailAddressData": [MAIL, {}],
    }
    found = espocrm(Script(ok(record(**arrays))).transport).fetch("e1")
    assert found.items == (
        Item(Channel.PHONE, "+49511700000", "Office", primary=True, raw=json.dumps(PHONE, sort_keys=True)),
        Item(Channel.PHONE, "110", None, raw='{"phoneNumber": "110"}'),
        Item(Channel.MAIL, "M@A.de", None, primary=True, opt_out=True, raw=json.dumps(MAIL, sort_keys=True)),
    )


def less(name: str) -> dict[str, Any]:
    return {key: value for key, value in record().items() if key != name}


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (less("phoneNumberData"),                    "lacks the list phoneNumberData"),
        (record(emailAddressData=None),              "lacks the list emailAddressData"),
        (record(phoneNumberData={}),                 "lacks the list phoneNumberData"),
        (record(phoneNumberData=["110"]),            "phoneNumberData of record e1 is no object"),
        (record(phoneNumberData=[{"phoneNumber": 110}]), "phoneNumberData of record e1 has phoneNumber as int"),
        (less("betnr"),                              "lacks betnr"),
        (less("kommunikationHash"),                  "lacks kommunikationHash"),
        (less("id"),                                 "lacks id"),
        (record(id="e2"),                            "answered record e2 where e1"),
        (record(betnr="zwei"),                       "has betnr as str instead of a whole number"),
        (record(betnr=1.5),                          "has betnr as float"),
        (record(betnr=True),                         "has betnr as bool"),
        (record(syncStatus=3),                       "has syncStatus as int instead of text"),
        ([],                                         "record e1 is no object"),
        (True,                                       "record e1 is no object"),
    ],
)  # fmt: skip
def test_a_record_that_lacks_something_is_malformed_and_the_field_named(payload: Any, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        espocrm(Script(ok(payload)).transport).fetch("e1")


@pytest.mark.parametrize(("written", "read"), [("104711", 104711), ("", None), (None, None), (7, 7)])
def test_a_betnr_kept_as_text_is_a_number(written: object, read: int | None) -> None:
    assert espocrm(Script(ok(record(betnr=written))).transport).fetch("e1").betnr == read


def test_configured_field_names_are_used_for_reading_and_writing() -> None:
    plain = record()
    named = {("cStatus" if key == "syncStatus" else key): value for key, value in plain.items()}
    script = Script(ok(named), ok(named | {"cStatus": "dirty"}))
    espo = espocrm(script.transport, fields={"sync_status": "cStatus"})
    assert espo.fetch("e1").status == "clean"
    assert espo.write("e1", {"sync_status": "dirty", "error": None}).status == "dirty"
    assert script.bodies() == [{"cStatus": "dirty", "syncErrorMessage": None}]


def test_an_unknown_name_of_a_field_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.fields: syncStatus unknown"):
        espocrm(None, fields={"syncStatus": "x"})


@pytest.mark.parametrize("url", ["", "crm.example.de", "ftp://crm.example.de", "https://"])
def test_an_address_that_is_none_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.url"):
        espocrm(None, url=url)


@pytest.mark.parametrize("url", ["https://crm.test/x", "https://crm.test/x/", "https://crm.test/x/api/v1/"])
def test_the_api_is_found_below_the_address(url: str) -> None:
    script = Script(ok(record("a/b?c")))
    espocrm(script.transport, url=url).fetch("a/b?c")
    assert str(script.requests[0].url) == "https://crm.test/x/api/v1/CBeteiligte/a%2Fb%3Fc"


# Writing ---------------------------------------------------------------------------------------------------------


def test_a_write_sends_only_what_it_is_given() -> None:
    script = Script(*[ok(record(versionNumber=4)) for _ in range(3)])
    espo = espocrm(script.transport)
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


@pytest.mark.parametrize("answered", [less("phoneNumberData"), record(emailAddressData=None), {}, [], True])
def test_an_answer_without_arrays_is_completed_by_one_get(answered: Any) -> None:
    script = Script(ok(answered), ok(record(phoneNumberData=[PHONE])))
    espo = espocrm(script.transport)
    assert len(espo.write("e1", {"sync_status": "clean"}).items) == 1
    assert espo.calls == {"PUT": 1, "GET": 1}


@pytest.mark.parametrize(
    "answers",
    [
        (ok({}), answer(404)),
        (ok({}), ok({})),
        (ok({}), answer(500), answer(500), answer(500)),
        (ok({}), answer(401)),
        (ok(record(betnr=[])),),
    ],
    ids=["gone", "malformed", "outage", "login", "malformed answer"],
)
def test_a_write_that_arrived_never_looks_like_one_that_did_not(answers: Any) -> None:
    with pytest.raises(UnknownOutcome, match="the answer to a PUT of e1 cannot be read"):
        espocrm(Script(*answers).transport).write("e1", {"sync_status": "clean"})


DECIDES = [
    # App/user answers     so the 403 is
    (ok({"user": {}}),      Forbidden),
    (answer(404),           Forbidden),
    (answer(403),           CredentialsRefused),
    (answer(401),           CredentialsRefused),
]  # fmt: skip


@pytest.mark.parametrize(("user", "error"), DECIDES)
@pytest.mark.parametrize("refusal", ["", "<html>WAF</html>"])
@pytest.mark.parametrize("method", ["fetch", "write"])
def test_after_a_403_to_a_person_our_own_user_decides(
    method: str, refusal: str, user: httpx.Response, error: type[AdvosyncError]
) -> None:
    fresh = httpx.Response(user.status_code, content=user.content, headers=user.headers)
    espo = espocrm(Script(answer(403, refusal), fresh).transport)
    with pytest.raises(error):
        espo.fetch("e1") if method == "fetch" else espo.write("e1", {})


def test_after_a_403_an_espocrm_that_is_out_is_no_persons_failure() -> None:
    script = Script(answer(403), *[answer(503) for _ in range(3)])
    with pytest.raises(Outage):
        espocrm(script.transport).write("e1", {})


@pytest.mark.parametrize("ask", ["server", "field_defs", "everyone"])
def test_a_403_to_what_is_no_persons_is_the_logins_a_firewalls_or_the_roles(ask: str) -> None:
    for refusal, user, error, says in [
        (answer(403), answer(403), CredentialsRefused, "check espocrm.api_key"),
        (answer(403, "<html>"), ok({"user": {}}), Outage, "any firewall between"),
        (answer(403, X_Status_Reason="No read access."), ok({"user": {}}), ConfigError, "run `advosync check`"),
    ]:
        espo = espocrm(Script(refusal, user).transport)
        with pytest.raises(error, match=says):
            list(getattr(espo, ask)())


def test_a_refused_note_asks_nothing_more() -> None:
    with pytest.raises(Forbidden):
        espocrm(Script(answer(403)).transport).note("e1", "text")


def test_not_even_a_signal_makes_a_write_that_arrived_look_undone() -> None:
    visits: list[int] = []

    def stop_after_the_put() -> None:
        visits.append(1)
        if len(visits) > 1:
            raise Stopped("stopped by a signal")

    with pytest.raises(UnknownOutcome):
        espocrm(Script(ok({})).transport, checkpoint=stop_after_the_put).write("e1", {})


def test_writes_that_did_not_arrive_say_so() -> None:
    for given, error in [
        (answer(404), Gone),
        (answer(409, X_Status_Reason="modified"), Moved),
        (answer(400, X_Status_Reason="Bad"), Refused),
        (answer(401), CredentialsRefused),
    ]:
        with pytest.raises(error):
            espocrm(Script(given).transport).write("e1", {}, version=1)


# Who and what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{}, {"user": None}, {"user": {"id": ""}}, []])
def test_a_user_without_id_is_malformed(payload: Any) -> None:
    with pytest.raises(Malformed, match="App/user"):
        espocrm(Script(ok(payload)).transport).user()


def test_settings_that_say_little_are_an_old_espocrm() -> None:
    server = espocrm(Script(ok({"phoneNumberInternational": None})).transport).server()
    assert (server.version, server.international, server.max_mails, server.maintenance) == ("unknown", False, 10, False)


def test_another_web_server_at_the_address_is_named() -> None:
    with pytest.raises(ConfigError, match=r"espocrm\.url: no EspoCRM answers at http://crm\.example\.test"):
        espocrm(Script(answer(404)).transport).user()
    with pytest.raises(Outage, match=r"check espocrm\.url"):
        espocrm(Script(*[answer(404, "<html>nginx</html>") for _ in range(3)]).transport).user()


@pytest.mark.parametrize("path", ["user", "server", "field_defs"])
def test_who_refuses_to_say_what_it_is_blames_the_configuration_not_a_person(path: str) -> None:
    with pytest.raises(ConfigError, match=r"EspoCRM refuses \S+ \(413: .*advosync check"):
        getattr(espocrm(Script(answer(413)).transport), path)()


def test_an_entity_without_rights_is_told_from_one_that_is_not_there() -> None:
    """Metadata are empty either way (espocrm-api.md ² 15)."""
    user = ok({"user": {"id": "u1"}})
    for given in ([ok({"total": 3, "list": []})], [answer(403, X_Status_Reason="No read access."), user]):
        espocrm(Script(*given).transport, entity="CMandant").demand_entity()
    missing = answer(404, X_Status_Reason="Controller 'CMandant' does not exist.")
    with pytest.raises(ConfigError, match=r"knows no entity CMandant; .*Entity Manager"):
        espocrm(Script(missing).transport, entity="CMandant").demand_entity()


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
    assert espocrm(Script(answer(200, body)).transport)._asking.metadata("a.b") == value  # noqa: SLF001 - its own part


@pytest.mark.parametrize("body", ["<html>Wartung</html>", '{"betnr": {"ty', '["Mobile"', '"in'])
def test_metadata_that_broke_off_or_are_a_page_are_an_outage(body: str) -> None:
    with pytest.raises(Outage):
        espocrm(Script(*[answer(200, body) for _ in range(3)]).transport).field_defs()


def test_the_stream_is_on_off_or_never_switched() -> None:
    told = [espocrm(Script(answer(200, body)).transport).has_stream() for body in ("true", "false", "")]
    assert told == [True, False, False]


def test_an_unknown_entity_is_named() -> None:
    with pytest.raises(ConfigError, match="knows no entity CMandant"):
        espocrm(Script(answer(200, "null")).transport, entity="CMandant").field_defs()
    with pytest.raises(ConfigError, match="knows no entity CMandant"):
        list(espocrm(Script(answer(404)).transport, entity="CMandant").everyone())


# The administrator -----------------------------------------------------------------------------------------------


def admin(sim: EspoSim, password: str = ADMIN_PASSWORD) -> EspoAdmin:
    return EspoAdmin(
        url="http://crm.test", user=ADMIN_NAME, password=SecretStr(password), transport=InProcess(sim)
    )


def test_an_administrator_creates_the_missing_fields_once() -> None:
    sim = EspoSim(custom_fields=False)
    setup = admin(sim)
    assert [setup.create_field(name) for name in WANTED] == [False] + [True] * 7  # betnr is the firm's own
    assert not any(setup.create_field(name) for name in WANTED)
    assert sim.store.fields["syncStatus"]["options"][0] == "pending_sync"


def test_an_administrator_switches_on_optimistic_concurrency() -> None:
    setup = admin(EspoSim())
    assert not setup.has_concurrency_control()
    setup.switch_on_concurrency_control()
    assert setup.has_concurrency_control()


def test_a_wrong_administrator_is_told_so_at_once() -> None:
    with pytest.raises(CredentialsRefused, match="administrator's name and password"):
        admin(EspoSim(), "wrong").create_field("error")
