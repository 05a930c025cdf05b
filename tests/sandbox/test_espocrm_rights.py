"""What the API user may not do, and whose rows it may not change (espocrm-api.md ² 1 to 14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.simulator import SimClock
from tests.sandbox.calls import ADMIN, HOME, answered, ask, get, listed, mail, phone, put

NUMBER, OTHER = "+49511200001", "+49511200002"
NO_EDIT, NO_READ = {"read": "yes", "edit": "no"}, {"read": "no", "edit": "no"}
MARKED = phone(NUMBER, "Fax", optOut=True, invalid=True)


def marks(sim: EspoSim, entity_id: str) -> list[tuple[str, str, bool, bool]]:
    return [
        (one.get("phoneNumber") or one["emailAddress"], one.get("type", "mail"), one["optOut"], one["invalid"])
        for one in sim.items(entity_id)
    ]


def where(kind: str, attribute: str, value: Any) -> dict[str, Any]:
    """A condition, its "+" quoted as a query must."""
    return {"type": kind, "attribute": attribute, "value": json.loads(json.dumps(value).replace("+", "%2B"))}


def group(kind: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "value": list(conditions)}


# Fields ---------------------------------------------------------------------------------------------------------------


def test_a_field_that_may_not_be_edited_is_stored_neither_by_put_nor_by_post(espo: EspoSim) -> None:
    espo.store.role.fields["phoneNumber"] = dict(NO_EDIT)
    entity_id = espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    both = {"phoneNumberData": [phone(OTHER)], "emailAddressData": [mail("c@d.de", primary=True)]}
    told = answered(espo, entity_id, both)
    assert [one["phoneNumber"] for one in told["phoneNumberData"]] == [NUMBER]
    assert [one["emailAddress"] for one in told["emailAddressData"]] == ["c@d.de"]
    made = json.loads(ask(espo, "POST", HOME, {"lastName": "B", **both, "emailAddressData": []}).body)
    assert (made["phoneNumberData"], made["phoneNumber"]) == ([], None)
    assert put(espo, entity_id, {"phoneNumberData": [phone("nonsense")]}).status == 200


def test_any_other_field_may_be_closed_too(espo: EspoSim) -> None:
    espo.store.role.fields["syncStatus"] = dict(NO_EDIT)
    entity_id = espo.add_person("A A", 1, syncStatus="clean")
    assert answered(espo, entity_id, {"syncStatus": "dirty"})["syncStatus"] == "clean"
    espo.edit(entity_id, syncStatus="dirty")
    assert get(espo, entity_id)["syncStatus"] == "dirty"


def test_a_field_that_may_not_be_read_is_absent_everywhere(espo: EspoSim) -> None:
    espo.store.role.fields["phoneNumber"] = dict(NO_READ)
    entity_id = espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    made = json.loads(ask(espo, "POST", HOME, {"lastName": "B"}).body)
    in_list = json.loads(ask(espo, "GET", HOME).body)["list"]
    for shown in (get(espo, entity_id), answered(espo, entity_id, {}), made, *in_list):
        assert [name for name in shown if name.startswith("phone")] == []
        assert "emailAddress" in shown
    for condition in (where("in", "phoneNumber", [NUMBER]), where("isNull", "phoneNumberIsOptedOut", None)):
        params = json.dumps({"where": [{"type": "or", "value": [condition]}]})
        answer = ask(espo, "GET", f"{HOME}?searchParams={params}")
        said = f"Forbidden attribute '{condition['attribute']}' in where."
        assert (answer.status, answer.headers["X-Status-Reason"]) == (400, f"{said} {said}")
    assert espo.record(entity_id)["phoneNumber"] == NUMBER
    assert json.loads(ask(espo, "GET", f"{HOME}/{entity_id}", X_Api_Key="", **ADMIN).body)["phoneNumber"] == NUMBER


def test_app_user_tells_the_rights(espo: EspoSim) -> None:
    def acl(**headers: str) -> Any:
        return json.loads(ask(espo, "GET", "/api/v1/App/user", **headers).body)["acl"]

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
    answer = ask(espo, method, f"{HOME}/{entity_id}")
    assert (answer.status, answer.headers["X-Status-Reason"]) == (403, reason)
    assert ask(espo, method, f"{HOME}/{entity_id}", X_Api_Key="", **ADMIN).status == 200


# Shared rows ----------------------------------------------------------------------------------------------------------


def test_a_row_of_a_contact_is_linked_and_kept_whatever_is_sent(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[MARKED], mails=[mail("Karl@b.de", optOut=True)])
    entity_id = espo.add_person("A A", 1)
    told = answered(espo, entity_id, {"phoneNumberData": [{"phoneNumber": NUMBER}]})
    assert told["phoneNumberData"] == [{"phoneNumber": NUMBER, "type": "Fax", "optOut": True, "invalid": True}]
    for sent, shown in (("karl@b.de", True), ("KARL@b.de", False)):
        told = answered(espo, entity_id, {"emailAddressData": [mail(sent)]})
        assert [(one["emailAddress"], one["optOut"]) for one in told["emailAddressData"]] == [(sent, shown)]
    assert marks(espo, entity_id) == [(NUMBER, "Fax", True, True), ("Karl@b.de", "mail", True, False)]
    assert marks(espo, contact) == marks(espo, entity_id)


def test_while_a_contact_holds_a_row_its_other_holder_cannot_change_it_but_people_can(espo: EspoSim) -> None:
    espo.add_contact("Karl Krause", phones=[MARKED])
    entity_id = espo.add_person("A A", 1, phones=[NUMBER])
    espo.add_person("B B", 2, phones=[NUMBER])
    espo.edit(entity_id, phones=[MARKED])
    answered(espo, entity_id, {"phoneNumberData": [phone(NUMBER, "Home")]})
    assert marks(espo, entity_id) == [(NUMBER, "Fax", True, True)]
    espo.edit(entity_id, phones=[(NUMBER, "Home")])
    assert marks(espo, entity_id) == [(NUMBER, "Home", True, True)]


def test_a_contact_is_edited_by_people_and_its_row_outlives_it(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[MARKED])
    entity_id = espo.add_person("A A", 1, phones=[OTHER])
    espo.edit_contact(contact, phones=[OTHER])
    answered(espo, entity_id, {"phoneNumberData": [phone(OTHER, "Home")]})
    assert marks(espo, entity_id) == [(OTHER, "Mobile", False, False)]
    assert (espo.store.phones.rows[NUMBER].type, listed(espo, where=[where("in", "phoneNumber", [NUMBER])])) == (
        "Fax", [],
    )  # fmt: skip
    espo.delete(contact)
    answered(espo, entity_id, {"phoneNumberData": [phone(OTHER, "Home"), phone(NUMBER)]})
    assert sorted(marks(espo, entity_id)) == [(NUMBER, "Office", False, False), (OTHER, "Home", False, False)]


def test_a_record_of_ours_that_may_not_be_edited_protects_its_rows_until_it_is_deleted(espo: EspoSim) -> None:
    first, second = (espo.add_person(name, None, phones=[MARKED]) for name in ("A A", "B B"))
    espo.edit(second, phones=[OTHER])
    espo.store.role.protected.add(first)
    refused = put(espo, first, {"syncStatus": "clean"})
    assert (refused.status, refused.headers["X-Status-Reason"]) == (403, "No edit access.")
    answered(espo, second, {"phoneNumberData": [phone(NUMBER)]})
    assert marks(espo, first) == marks(espo, second) == [(NUMBER, "Fax", True, True)]
    espo.delete(first)
    answered(espo, second, {"phoneNumberData": [phone(NUMBER)]})
    assert marks(espo, second) == [(NUMBER, "Office", False, False)]


def test_a_stale_item_and_left_out_keys_lift_an_opt_out_on_other_records(espo: EspoSim, clock: SimClock) -> None:
    first, second = (espo.add_person(name, None, phones=[NUMBER]) for name in ("A A", "B B"))
    stale = get(espo, second)["phoneNumberData"]
    espo.edit(first, phones=[MARKED])
    before = get(espo, first)["modifiedAt"]
    clock.advance(60)
    answered(espo, second, {"phoneNumberData": stale})
    assert marks(espo, first) == [(NUMBER, "Mobile", False, False)]
    espo.edit(first, phones=[MARKED])
    told = answered(espo, second, {"phoneNumberData": [{"phoneNumber": NUMBER, "type": None}]})
    assert told["phoneNumberData"] == [{"phoneNumber": NUMBER, "type": None}]
    assert marks(espo, first) == [(NUMBER, "Mobile", False, False)]
    assert before == "2026-11-23 12:00:00"


def test_creating_stamps_shared_rows_as_a_put_does(espo: EspoSim) -> None:
    first = espo.add_person("A A", 1, phones=[MARKED])
    espo.add_contact("Karl Krause", phones=[phone(OTHER, "Home", optOut=True)])
    made = json.loads(ask(espo, "POST", HOME, {"lastName": "B", "phoneNumberData": [phone(NUMBER), phone(OTHER)]}).body)
    assert [(one["type"], one["optOut"]) for one in made["phoneNumberData"]] == [("Office", False), ("Home", True)]
    assert marks(espo, first) == [(NUMBER, "Office", False, False)]


# Looking up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (where("in", "phoneNumber", [OTHER, "+4950"]), ["A A", "B B"]),
        (where("equals", "phoneNumber", NUMBER), ["A A"]),
        (where("in", "phoneNumber", ["0511200001", "49511200001", "+49 511200001"]), []),
        (where("in", "phoneNumberNumeric", ["49511200001"]), ["A A"]),
        (where("in", "emailAddress", ["SECOND@b.de"]), ["B B"]),
        (group("or", where("in", "phoneNumber", [NUMBER]), where("equals", "emailAddress", "second@B.de")),
         ["A A", "B B"]),
        (group("or", where("in", "phoneNumber", [NUMBER]), where("equals", "betnr", 2)), ["A A", "B B"]),
        (group("and", where("in", "phoneNumber", [OTHER]), where("equals", "betnr", 2)), ["B B"]),
        (where("isNull", "emailAddress", None), ["A A"]),
    ],
)  # fmt: skip
def test_a_record_is_found_by_any_of_its_addresses(espo: EspoSim, condition: dict[str, Any], names: list[str]) -> None:
    espo.add_person("A A", 1, phones=[NUMBER, OTHER])
    espo.add_person("B B", 2, phones=["+49511200003", OTHER], mails=["first@b.de", "Second@b.de"])
    gone = espo.add_person("C C", 3, phones=[NUMBER, OTHER], mails=["second@b.de"])
    espo.add_contact("D D", phones=[NUMBER, OTHER], mails=["second@b.de"])
    espo.delete(gone)
    assert sorted(listed(espo, where=[condition], select=["id", "name"])) == names


def test_a_list_of_ids_names_each_record_once(espo: EspoSim) -> None:
    first, second = espo.add_person("A A", 1), espo.add_person("B B", 2)
    ids = where("in", "id", [second, first, second, "nobody"])
    assert listed(espo, where=[ids, where("equals", "betnr", 2)]) == ["B B"]
    assert listed(espo, where=[ids], orderBy="id") == ["A A", "B B"]


def test_version_8_dies_of_an_in_on_mails_but_knows_equals(espo: EspoSim) -> None:
    espo.store.settings["version"] = "8.4.2"
    espo.add_person("A A", 1, phones=[NUMBER], mails=["a@b.de"])
    dead = ask(espo, "GET", f"{HOME}?searchParams={json.dumps({'where': [where('in', 'emailAddress', ['a@b.de'])]})}")
    assert (dead.status, dead.body) == (500, b"<h1>Slim Application Error</h1>")
    assert listed(espo, where=[{"type": "or", "value": [where("equals", "emailAddress", "A@b.de")]}]) == ["A A"]
    assert listed(espo, where=[where("in", "phoneNumber", [NUMBER])]) == ["A A"]


@pytest.mark.parametrize("entity", ["Contact", "Lead", "Account", "PhoneNumber", "EmailAddress"])
def test_other_entities_are_closed_to_the_api_user(espo: EspoSim, entity: str) -> None:
    contact = espo.add_contact("Karl Krause", phones=[MARKED])
    for target in (entity, f"{entity}/{contact}", f"{entity}?maxSize=0"):
        refused = ask(espo, "GET", f"/api/v1/{target}")
        assert (refused.status, refused.headers["X-Status-Reason"]) == (403, "No read access.")


def test_an_administrator_reads_a_contact(espo: EspoSim) -> None:
    contact = espo.add_contact("Karl Krause", phones=[MARKED])
    shown = json.loads(ask(espo, "GET", f"/api/v1/Contact/{contact}", X_Api_Key="", **ADMIN).body)
    assert (shown["name"], shown["phoneNumberIsOptedOut"]) == ("Karl Krause", True)
