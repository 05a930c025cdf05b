"""What the API user may not do, and whose rows it may not change (EspoCRM facts B1 to B14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.simulator import SimClock
from tests.sandbox.calls import (
    ADMIN,
    ENTITY_PATH,
    get_record,
    list_names,
    mail_data,
    phone_data,
    put_answer,
    put_record,
    send_request,
)

NUMBER, OTHER = "+49511200001", "+49511200002"
NO_EDIT, NO_READ = {"read": "yes", "edit": "no"}, {"read": "no", "edit": "no"}
OPTED_OUT_FAX = phone_data(NUMBER, "Fax", optOut=True, invalid=True)


def address_flags(sim: EspoSim, entity_id: str) -> list[tuple[str, str, bool, bool]]:
    return [
        (item.get("phoneNumber") or item["emailAddress"], item.get("type", "mail"), item["optOut"], item["invalid"])
        for item in sim.items(entity_id)
    ]


def where_condition(kind: str, attribute: str, value: Any) -> dict[str, Any]:
    """A condition, its "+" quoted as a query must."""
    return {"type": kind, "attribute": attribute, "value": json.loads(json.dumps(value).replace("+", "%2B"))}


def condition_group(kind: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "value": list(conditions)}


# Fields ---------------------------------------------------------------------------------------------------------------


def test_a_field_that_may_not_be_edited_is_stored_neither_by_put_nor_by_post(espo: EspoSim) -> None:
    espo.store.role.fields["phoneNumber"] = dict(NO_EDIT)
    entity_id = espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    arrays = {"phoneNumberData": [phone_data(OTHER)], "emailAddressData": [mail_data("c@d.de", primary=True)]}
    put_json = put_answer(espo, entity_id, arrays)
    assert [item["phoneNumber"] for item in put_json["phoneNumberData"]] == [NUMBER]
    assert [item["emailAddress"] for item in put_json["emailAddressData"]] == ["c@d.de"]
    post_json = json.loads(
        send_request(espo, "POST", ENTITY_PATH, {"lastName": "B", **arrays, "emailAddressData": []}).body
    )
    assert (post_json["phoneNumberData"], post_json["phoneNumber"]) == ([], None)
    assert put_record(espo, entity_id, {"phoneNumberData": [phone_data("nonsense")]}).status == 200


def test_any_other_field_may_be_closed_too(espo: EspoSim) -> None:
    espo.store.role.fields["syncStatus"] = dict(NO_EDIT)
    entity_id = espo.add_person("A A", 1, syncStatus="clean")
    assert put_answer(espo, entity_id, {"syncStatus": "dirty"})["syncStatus"] == "clean"
    espo.edit(entity_id, syncStatus="dirty")
    assert get_record(espo, entity_id)["syncStatus"] == "dirty"


def test_a_field_that_may_not_be_read_is_absent_everywhere(espo: EspoSim) -> None:
    espo.store.role.fields["phoneNumber"] = dict(NO_READ)
    entity_id = espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    post_json = json.loads(send_request(espo, "POST", ENTITY_PATH, {"lastName": "B"}).body)
    in_list = json.loads(send_request(espo, "GET", ENTITY_PATH).body)["list"]
    for record in (get_record(espo, entity_id), put_answer(espo, entity_id, {}), post_json, *in_list):
        assert [name for name in record if name.startswith("phone")] == []
        assert "emailAddress" in record
    for condition in (
        where_condition("in", "phoneNumber", [NUMBER]),
        where_condition("isNull", "phoneNumberIsOptedOut", None),
    ):
        params = json.dumps({"where": [{"type": "or", "value": [condition]}]})
        answer = send_request(espo, "GET", f"{ENTITY_PATH}?searchParams={params}")
        reason = f"Forbidden attribute '{condition['attribute']}' in where."
        assert (answer.status, answer.headers["X-Status-Reason"]) == (400, reason)
    assert espo.record(entity_id)["phoneNumber"] == NUMBER
    assert (
        json.loads(send_request(espo, "GET", f"{ENTITY_PATH}/{entity_id}", X_Api_Key="", **ADMIN).body)["phoneNumber"]
        == NUMBER
    )


def test_app_user_tells_the_rights(espo: EspoSim) -> None:
    def acl(**headers: str) -> Any:
        return json.loads(send_request(espo, "GET", "/api/v1/App/user", **headers).body)["acl"]

    assert acl()["fieldTable"] == {"CBeteiligte": {}}
    espo.store.role.fields["phoneNumber"] = dict(NO_EDIT)
    assert acl()["fieldTable"] == {"CBeteiligte": {"phoneNumber": NO_EDIT}}
    assert acl(X_Api_Key="", **ADMIN)["fieldTable"] == {"CBeteiligte": {}}
    espo.store.role.table["CBeteiligte"]["edit"] = "no"
    assert acl()["table"]["CBeteiligte"]["edit"] == "no"


@pytest.mark.parametrize(
    ("action", "method", "reason"),
    [("read", "GET", "No read access."), ("edit", "PUT", "No edit access."), ("delete", "DELETE", "No delete access.")],
)
def test_an_action_the_role_denies_is_403(espo: EspoSim, action: str, method: str, reason: str) -> None:
    entity_id = espo.add_person("A A", 1)
    espo.store.role.table["CBeteiligte"][action] = "no"
    answer = send_request(espo, method, f"{ENTITY_PATH}/{entity_id}")
    assert (answer.status, answer.headers["X-Status-Reason"]) == (403, reason)
    assert send_request(espo, method, f"{ENTITY_PATH}/{entity_id}", X_Api_Key="", **ADMIN).status == 200


# Shared rows ----------------------------------------------------------------------------------------------------------


def test_a_row_of_a_contact_is_linked_and_kept_whatever_is_sent(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[OPTED_OUT_FAX], mails=[mail_data("Karl@b.de", optOut=True)])
    entity_id = espo.add_person("A A", 1)
    put_json = put_answer(espo, entity_id, {"phoneNumberData": [{"phoneNumber": NUMBER}]})
    assert put_json["phoneNumberData"] == [{"phoneNumber": NUMBER, "type": "Fax", "optOut": True, "invalid": True}]
    for address, opted_out in (("karl@b.de", True), ("KARL@b.de", False)):
        put_json = put_answer(espo, entity_id, {"emailAddressData": [mail_data(address)]})
        assert [(item["emailAddress"], item["optOut"]) for item in put_json["emailAddressData"]] == [
            (address, opted_out)
        ]
    assert address_flags(espo, entity_id) == [(NUMBER, "Fax", True, True), ("Karl@b.de", "mail", True, False)]
    assert address_flags(espo, contact) == address_flags(espo, entity_id)


def test_while_a_contact_holds_a_row_its_other_holder_cannot_change_it_but_people_can(espo: EspoSim) -> None:
    espo.add_contact("Karl Krause", phones=[OPTED_OUT_FAX])
    entity_id = espo.add_person("A A", 1, phones=[NUMBER])
    espo.add_person("B B", 2, phones=[NUMBER])
    espo.edit(entity_id, phones=[OPTED_OUT_FAX])
    put_answer(espo, entity_id, {"phoneNumberData": [phone_data(NUMBER, "Home")]})
    assert address_flags(espo, entity_id) == [(NUMBER, "Fax", True, True)]
    espo.edit(entity_id, phones=[(NUMBER, "Home")])
    assert address_flags(espo, entity_id) == [(NUMBER, "Home", True, True)]


def test_a_contact_is_edited_by_people_and_its_row_outlives_it(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[OPTED_OUT_FAX])
    entity_id = espo.add_person("A A", 1, phones=[OTHER])
    espo.edit_contact(contact, phones=[OTHER])
    put_answer(espo, entity_id, {"phoneNumberData": [phone_data(OTHER, "Home")]})
    assert address_flags(espo, entity_id) == [(OTHER, "Mobile", False, False)]
    assert (espo.store.phones.rows[NUMBER].type, list_names(espo, where=[where_condition("in", "phoneNumber", [NUMBER])])) == (
        "Fax", [],
    )  # fmt: skip
    espo.delete(contact)
    put_answer(espo, entity_id, {"phoneNumberData": [phone_data(OTHER, "Home"), phone_data(NUMBER)]})
    assert sorted(address_flags(espo, entity_id)) == [(NUMBER, "Office", False, False), (OTHER, "Home", False, False)]


def test_a_record_of_ours_that_may_not_be_edited_protects_its_rows_until_it_is_deleted(espo: EspoSim) -> None:
    first, second = (espo.add_person(name, None, phones=[OPTED_OUT_FAX]) for name in ("A A", "B B"))
    espo.edit(second, phones=[OTHER])
    espo.store.role.protected_ids.add(first)
    answer = put_record(espo, first, {"syncStatus": "clean"})
    assert (answer.status, answer.headers["X-Status-Reason"]) == (403, "No edit access.")
    put_answer(espo, second, {"phoneNumberData": [phone_data(NUMBER)]})
    assert address_flags(espo, first) == address_flags(espo, second) == [(NUMBER, "Fax", True, True)]
    espo.delete(first)
    put_answer(espo, second, {"phoneNumberData": [phone_data(NUMBER)]})
    assert address_flags(espo, second) == [(NUMBER, "Office", False, False)]


def test_a_stale_item_and_left_out_keys_lift_an_opt_out_on_other_records(espo: EspoSim, clock: SimClock) -> None:
    first, second = (espo.add_person(name, None, phones=[NUMBER]) for name in ("A A", "B B"))
    stale = get_record(espo, second)["phoneNumberData"]
    espo.edit(first, phones=[OPTED_OUT_FAX])
    before = get_record(espo, first)["modifiedAt"]
    clock.advance(60)
    put_answer(espo, second, {"phoneNumberData": stale})
    assert address_flags(espo, first) == [(NUMBER, "Mobile", False, False)]
    espo.edit(first, phones=[OPTED_OUT_FAX])
    put_json = put_answer(espo, second, {"phoneNumberData": [{"phoneNumber": NUMBER, "type": None}]})
    assert put_json["phoneNumberData"] == [{"phoneNumber": NUMBER, "type": None}]
    assert address_flags(espo, first) == [(NUMBER, "Mobile", False, False)]
    assert before == "2026-11-23 12:00:00"


def test_creating_stamps_shared_rows_as_a_put_does(espo: EspoSim) -> None:
    first = espo.add_person("A A", 1, phones=[OPTED_OUT_FAX])
    espo.add_contact("Karl Krause", phones=[phone_data(OTHER, "Home", optOut=True)])
    post_json = json.loads(
        send_request(
            espo, "POST", ENTITY_PATH, {"lastName": "B", "phoneNumberData": [phone_data(NUMBER), phone_data(OTHER)]}
        ).body
    )
    assert [(item["type"], item["optOut"]) for item in post_json["phoneNumberData"]] == [
        ("Office", False),
        ("Home", True),
    ]
    assert address_flags(espo, first) == [(NUMBER, "Office", False, False)]


# Looking up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (where_condition("in", "phoneNumber", [OTHER, "+4950"]), ["A A", "B B"]),
        (where_condition("equals", "phoneNumber", NUMBER), ["A A"]),
        (where_condition("in", "phoneNumber", ["0511200001", "49511200001", "+49 511200001"]), []),
        (where_condition("in", "phoneNumberNumeric", ["49511200001"]), ["A A"]),
        (where_condition("in", "emailAddress", ["SECOND@b.de"]), ["B B"]),
        (condition_group("or", where_condition("in", "phoneNumber", [NUMBER]), where_condition("equals", "emailAddress", "second@B.de")),
         ["A A", "B B"]),
        (condition_group("or", where_condition("in", "phoneNumber", [NUMBER]), where_condition("equals", "betnr", 2)), ["A A", "B B"]),
        (condition_group("and", where_condition("in", "phoneNumber", [OTHER]), where_condition("equals", "betnr", 2)), ["B B"]),
        (where_condition("isNull", "emailAddress", None), ["A A"]),
    ],
)  # fmt: skip
def test_a_record_is_found_by_any_of_its_addresses(espo: EspoSim, condition: dict[str, Any], names: list[str]) -> None:
    espo.add_person("A A", 1, phones=[NUMBER, OTHER])
    espo.add_person("B B", 2, phones=["+49511200003", OTHER], mails=["first@b.de", "Second@b.de"])
    deleted_id = espo.add_person("C C", 3, phones=[NUMBER, OTHER], mails=["second@b.de"])
    espo.add_contact("D D", phones=[NUMBER, OTHER], mails=["second@b.de"])
    espo.delete(deleted_id)
    assert sorted(list_names(espo, where=[condition], select=["id", "name"])) == names


def test_a_list_of_ids_names_each_record_once(espo: EspoSim) -> None:
    first, second = espo.add_person("A A", 1), espo.add_person("B B", 2)
    ids = where_condition("in", "id", [second, first, second, "nobody"])
    assert list_names(espo, where=[ids, where_condition("equals", "betnr", 2)]) == ["B B"]
    assert list_names(espo, where=[ids], orderBy="id") == ["A A", "B B"]


def test_version_8_dies_of_an_in_on_mails_but_knows_equals() -> None:
    espo = EspoSim(espocrm="8.4")
    espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    answer = send_request(
        espo,
        "GET",
        f"{ENTITY_PATH}?searchParams={json.dumps({'where': [where_condition('in', 'emailAddress', ['a@b.de'])]})}",
    )
    assert (answer.status, answer.body) == (500, b"<h1>Slim Application Error</h1>")
    assert list_names(espo, where=[{"type": "or", "value": [where_condition("equals", "emailAddress", "A@b.de")]}]) == [
        "A A"
    ]
    assert list_names(espo, where=[where_condition("in", "phoneNumber", [NUMBER])]) == ["A A"]


@pytest.mark.parametrize("entity", ["Contact", "Lead", "Account", "PhoneNumber", "EmailAddress"])
def test_other_entities_are_closed_to_the_api_user(espo: EspoSim, entity: str) -> None:
    contact = espo.add_contact("Karl Krause", phones=[OPTED_OUT_FAX])
    for target in (entity, f"{entity}/{contact}", f"{entity}?maxSize=0"):
        answer = send_request(espo, "GET", f"/api/v1/{target}")
        assert (answer.status, answer.headers["X-Status-Reason"]) == (403, "No read access.")


def test_an_administrator_reads_a_contact(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[OPTED_OUT_FAX])
    record = json.loads(send_request(espo, "GET", f"/api/v1/Contact/{contact}", X_Api_Key="", **ADMIN).body)
    assert (record["name"], record["phoneNumberIsOptedOut"]) == ("Karl Krause", True)
