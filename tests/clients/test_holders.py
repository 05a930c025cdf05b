"""Which records hold a number or mail: what the client asks, what it makes of the answer (EspoCRM facts B2 to B5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etl.errors import CredentialsRefused, Forbidden, Outage, Refused
from etl.records import Channel
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.versions import VERSIONS
from tests.clients.fakes import ScriptedServer, espocrm_client, http_response, ok_response
from tests.in_process import InProcess

PHONE, MAIL = Channel.PHONE, Channel.MAIL
RECORDED_ANSWER = {  # of espocrm-9.2.7/shared_lookup
    "total": 1,
    "list": [
        {
            "id": "6b08de38baa685113",
            "createdAt": "2026-11-27 01:34:48",
            "createdById": "6b08de35b0fdfcf66",
            "assignedUserId": None,
        }
    ],
}
EMPTY_ANSWER: dict[str, Any] = {"total": 0, "list": []}


def where_conditions(script: ScriptedServer) -> list[Any]:
    """The conditions of each request."""
    return [json.loads(request.url.params["searchParams"])["where"] for request in script.requests]


def test_numbers_and_mails_are_asked_for_in_one_request_that_every_version_answers() -> None:
    script = ScriptedServer(ok_response(RECORDED_ANSWER))
    holders = espocrm_client(script.transport).list_holders(
        [(PHONE, "+491"), (MAIL, "a@b.de"), (PHONE, "+492"), (MAIL, "c@d.de")]
    )
    assert holders == ["6b08de38baa685113"]
    conditions = [
        {"type": "in", "attribute": "phoneNumber", "value": ["+491", "+492"]},
        {"type": "equals", "attribute": "emailAddress", "value": "a@b.de"},  # `in` by mail: 500 on EspoCRM 8
        {"type": "equals", "attribute": "emailAddress", "value": "c@d.de"},
    ]
    assert where_conditions(script) == [[{"type": "or", "value": conditions}]]


@pytest.mark.parametrize(
    ("values", "requests"),
    [
        ([(PHONE, f"+49511{number:07}") for number in range(150)],                1),
        ([(MAIL, f"{number:03}@{'kanzlei' * 3}.de") for number in range(40)],      1),
        ([(MAIL, f"{number:03}@{'kanzlei' * 3}.de") for number in range(100)],     3),
        ([],                                                                       0),
    ],
)  # fmt: skip
def test_no_address_grows_longer_than_a_web_server_takes(values: list[tuple[Channel, str]], requests: int) -> None:
    script = ScriptedServer(*[ok_response(EMPTY_ANSWER) for _ in range(requests)])
    assert espocrm_client(script.transport).list_holders(values) == []
    assert len(script.requests) == requests
    assert all(len(str(request.url)) < 8000 for request in script.requests)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_record_is_found_by_any_of_its_values_and_a_deleted_one_not(version: str) -> None:
    sim = EspoSim(api_key="API-KEY", espocrm=version)
    first = sim.add_person("A", 1, phones=["+491", "+492"], mails=["eins@b.de", "Zwei@B.de"])
    second = sim.add_person("B", 2, phones=["+493", "+492"])
    deleted_id = sim.add_person("C", 3, phones=["+492"])
    sim.delete(deleted_id)
    espo = espocrm_client(InProcess(sim))
    assert espo.list_holders([(PHONE, "+492")]) == sorted([first, second])
    assert espo.list_holders([(MAIL, "zwei@b.DE"), (PHONE, "+493")]) == sorted([first, second])
    assert espo.list_holders([(PHONE, "+49 2"), (MAIL, "drei@b.de")]) == []


@pytest.mark.parametrize(
    "payload",
    [
        {"total": 2, "list": RECORDED_ANSWER["list"]},
        {"total": -1, "list": []},
        {"list": []},
        {"total": 1, "list": [{"name": "Max"}]},
        {"total": True, "list": []},
        [],
    ],
)
def test_a_list_that_is_not_whole_tells_nothing(payload: Any) -> None:
    with pytest.raises(Outage, match="incomplete list"):
        espocrm_client(ScriptedServer(ok_response(payload)).transport).list_holders([(PHONE, "+491")])


def test_of_very_many_holders_some_are_enough() -> None:
    list_items = [{"id": f"e{number:02}"} for number in range(20)]
    script = ScriptedServer(ok_response({"total": 5000, "list": list_items}))
    assert espocrm_client(script.transport).list_holders([(PHONE, "+491")]) == [item["id"] for item in list_items]


def test_a_record_that_came_between_count_and_list_is_welcome() -> None:
    assert espocrm_client(ScriptedServer(ok_response({**RECORDED_ANSWER, "total": 0})).transport).list_holders(
        [(PHONE, "+491")]
    )


def test_what_the_key_may_not_ask_is_refused() -> None:
    refusal = http_response(403, X_Status_Reason="Forbidden attribute 'phoneNumber' in where.")
    user = ok_response({"user": {"id": "u1"}, "acl": {"table": {}}})
    with pytest.raises(Refused, match="Forbidden attribute"):
        espocrm_client(ScriptedServer(refusal, user).transport).list_holders([(PHONE, "+491")])


def test_a_403_without_a_word_is_the_firewalls_where_the_login_stands_and_else_the_logins() -> None:
    user = ok_response({"user": {"id": "u1"}, "acl": {"table": {}}})
    with pytest.raises(Forbidden) as refusal:
        espocrm_client(ScriptedServer(http_response(403), user).transport).list_holders([(PHONE, "+491")])
    assert not refusal.value.explained
    with pytest.raises(CredentialsRefused):
        espocrm_client(ScriptedServer(http_response(403), http_response(403)).transport).list_holders([(PHONE, "+491")])
