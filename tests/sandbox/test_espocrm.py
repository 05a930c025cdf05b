"""What etl/clients/README.md measured beyond the recordings."""

from __future__ import annotations

import json

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import API_KEY
from jobs.sandbox.simulator import SimClock
from tests.sandbox.calls import ADMIN, ENTITY_PATH, list_names, phone_data, put_record, send_request


def test_an_edit_by_a_person_bumps_modified_at_and_names_that_person(espo: EspoSim, clock: SimClock) -> None:
    entity_id = espo.add_person("Anna Ahrens", 1, phones=["+49511200000"])
    clock.advance(90.7)
    espo.edit(entity_id, firstName="Antje")
    record = espo.record(entity_id)
    assert (record["name"], record["modifiedAt"], record["modifiedByName"]) == (
        "Antje Ahrens", "2026-11-23 12:01:30", "Petra Sommer",
    )  # fmt: skip


def test_a_person_keeps_the_keys_of_the_numbers_that_stay(espo: EspoSim) -> None:
    entity_id = espo.add_person("A B", 1, phones=[("+49511200000", "Fax"), ("+49511200001", "Home")])
    espo.edit(entity_id, phones=["+49511200001", ("+49511200002", "Other")])
    assert [(item["phoneNumber"], item["type"], item["primary"]) for item in espo.items(entity_id)] == [
        ("+49511200001", "Home", True),
        ("+49511200002", "Other", False),
    ]


def test_opt_out_and_letter_case_are_shared_without_touching_the_other_record(
    espo: EspoSim, clock: SimClock
) -> None:
    first = espo.add_person("A A", 1, mails=["a@b.de"])
    second = espo.add_person("B B", 2, mails=["a@b.de"])
    before = espo.record(first)["modifiedAt"]
    clock.advance(60)
    put_record(espo, second, {"emailAddressData": [{"emailAddress": "A@b.de", "optOut": True, "primary": True}]})
    record = espo.record(first)
    assert record["emailAddressData"] == [
        {"emailAddress": "A@b.de", "lower": "a@b.de", "primary": True, "optOut": True, "invalid": False}
    ]
    assert record["modifiedAt"] == before


def test_of_two_primaries_the_last_wins(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    both = [phone_data("+49511200001", primary=True), phone_data("+49511200002", primary=True)]
    put_record(espo, entity_id, {"phoneNumberData": both})
    assert espo.record(entity_id)["phoneNumber"] == "+49511200002"


def test_the_same_mail_twice_loses_the_primary(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    twice = [{"emailAddress": "a@b.de", "primary": True}, {"emailAddress": "A@b.de", "primary": False}]
    assert put_record(espo, entity_id, {"emailAddressData": twice}).status == 200
    assert [(item["emailAddress"], item["primary"]) for item in espo.items(entity_id)] == [("A@b.de", False)]
    assert espo.record(entity_id)["emailAddress"] is None


@pytest.mark.parametrize("array", [None, "absent"])
def test_null_and_no_key_change_no_array(espo: EspoSim, array: str | None) -> None:
    entity_id = espo.add_person("A A", 1, phones=["+49511200001"])
    put_record(espo, entity_id, {"phoneNumberData": None} if array is None else {"syncStatus": "clean"})
    assert len(espo.items(entity_id)) == 1


@pytest.mark.parametrize("number", ["030 12345", "0049 30 123456", "110", "", "+49 abc", "+491", "+49 30 12 App. 3"])
def test_numbers_that_are_not_international_are_refused_whole(espo: EspoSim, number: str) -> None:
    entity_id = espo.add_person("A A", 1, phones=["+49511200001"])
    answer = put_record(
        espo, entity_id, {"syncStatus": "clean", "phoneNumberData": [phone_data("+49511200002"), phone_data(number)]}
    )
    assert (answer.status, answer.headers["X-Status-Reason"]) == (
        400, "Field validation failure; entityType: CBeteiligte, field: phoneNumber, type: valid.",
    )  # fmt: skip
    assert espo.items(entity_id)[0]["phoneNumber"] == "+49511200001"
    assert espo.record(entity_id)["syncStatus"] == "pending_sync"


def test_an_extension_is_dropped_unless_extensions_are_on(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    put_record(espo, entity_id, {"phoneNumberData": [phone_data("+49 511 12345 ext. 60")]})
    assert espo.items(entity_id)[0]["phoneNumber"] == "+4951112345"


@pytest.mark.parametrize(
    ("number", "status"), [("0511 12345", 200), ("0511/12345", 400), ("0" * 36, 200), ("0" * 37, 400)]
)
def test_without_international_numbers_values_are_kept_raw(espo: EspoSim, number: str, status: int) -> None:
    espo.store.settings["phoneNumberInternational"] = False
    entity_id = espo.add_person("A A", 1)
    assert put_record(espo, entity_id, {"phoneNumberData": [phone_data(number)]}).status == status
    assert [item["phoneNumber"] for item in espo.items(entity_id)] == [number] * (status == 200)


def test_an_old_national_number_cannot_be_echoed(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1, phones=["0511/12345"])
    assert put_record(espo, entity_id, {"phoneNumberData": espo.items(entity_id)}).status == 400
    assert put_record(espo, entity_id, {"syncStatus": "clean"}).status == 200


def test_torn_reads_show_new_scalars_with_empty_arrays_within_the_second(espo: EspoSim, clock: SimClock) -> None:
    entity_id = espo.add_person("A A", 1, phones=["+49511200001"])
    espo.store.torn_reads = 2
    espo.edit(entity_id, phones=["+49511200002"], syncStatus="dirty")

    def status_and_phones() -> tuple[str, int]:
        record = json.loads(send_request(espo, "GET", f"{ENTITY_PATH}/{entity_id}").body)
        return record["syncStatus"], len(record["phoneNumberData"])

    assert [status_and_phones(), status_and_phones(), status_and_phones()] == [("dirty", 0), ("dirty", 0), ("dirty", 1)]
    espo.edit(entity_id, phones=["+49511200003"])
    clock.advance(1)
    assert status_and_phones() == ("dirty", 1)


def test_null_meets_no_not_equals(espo: EspoSim) -> None:
    edited_id = espo.add_person("A A", 1)
    espo.add_person("B B", 2)
    espo.edit(edited_id, betnr=3)
    other = {"type": "notEquals", "attribute": "modifiedById", "value": "x"}
    blank = {"type": "isNull", "attribute": "modifiedById"}
    assert list_names(espo, where=[other]) == ["A A"]
    assert list_names(espo, where=[{"type": "or", "value": [other, blank]}], orderBy="id") == ["A A", "B B"]


def test_garbage_as_a_date_lets_every_record_through(espo: EspoSim) -> None:
    espo.add_person("A A", 1)
    assert list_names(espo, where=[{"type": "greaterThan", "attribute": "modifiedAt", "value": "tomorrow"}]) == ["A A"]


def test_lists_show_neither_arrays_nor_deleted_records(espo: EspoSim) -> None:
    deleted_id = espo.add_person("A A", 1, phones=["+49511200001"])
    espo.add_person("B B", 2, phones=["+49511200002"])
    espo.delete(deleted_id)
    target = f"{ENTITY_PATH}?select=id,phoneNumberData,emailAddressData"
    assert set(json.loads(send_request(espo, "GET", target).body)["list"][0]) == {
        "id", "createdAt", "createdById", "assignedUserId",
    }  # fmt: skip
    assert list_names(espo) == ["B B"]
    espo.restore(deleted_id)
    assert sorted(list_names(espo)) == ["A A", "B B"]


def test_restoring_does_not_bump_modified_at(espo: EspoSim, clock: SimClock) -> None:
    entity_id = espo.add_person("A A", 1)
    before = espo.record(entity_id)
    clock.advance(60)
    espo.delete(entity_id)
    espo.restore(entity_id)
    assert espo.record(entity_id) == before


def test_eleven_bad_keys_lock_the_address_for_a_minute(espo: EspoSim, clock: SimClock) -> None:
    statuses = [send_request(espo, "GET", "/api/v1/App/user", X_Api_Key="wrong").status for _ in range(12)]
    answer = send_request(espo, "GET", "/api/v1/App/user")
    assert statuses == [401] * 11 + [403]
    assert (answer.status, answer.body, "X-Status-Reason" in answer.headers) == (403, b"", False)
    clock.advance(61)
    assert send_request(espo, "GET", "/api/v1/App/user").status == 200


def test_maintenance_answers_503(espo: EspoSim) -> None:
    espo.store.settings["maintenanceMode"] = True
    assert send_request(espo, "GET", "/api/v1/Settings").status == 503


def test_an_administrator_creates_fields_and_switches_concurrency_on(clock: SimClock) -> None:
    espo = EspoSim(clock, custom_fields=False)
    entity_id = espo.add_person("A A", 1)
    field = {"name": "syncStatus", "type": "enum", "options": ["clean"], "default": "clean"}
    target = "/api/v1/Admin/fieldManager/CBeteiligte"
    assert send_request(espo, "POST", target, field).status == 403
    assert "syncStatus" not in json.loads(put_record(espo, entity_id, {"syncStatus": "clean"}).body)
    assert [send_request(espo, "POST", target, field, X_Api_Key="", **ADMIN).status for _ in range(2)] == [200, 409]
    assert json.loads(put_record(espo, entity_id, {"syncStatus": "clean"}).body)["syncStatus"] == "clean"
    switch = {"name": "CBeteiligte", "optimisticConcurrencyControl": True}
    assert (
        send_request(espo, "POST", "/api/v1/EntityManager/action/updateEntity", switch, X_Api_Key="", **ADMIN).status
        == 200
    )
    assert json.loads(put_record(espo, entity_id, {}).body)["versionNumber"] == 1


def test_a_stale_version_is_refused_only_when_a_value_would_change(espo: EspoSim) -> None:
    espo.store.entity.concurrency = True
    entity_id = espo.add_person("A A", 1, phones=["+49511200001"], syncStatus="clean")
    espo.edit(entity_id, phones=["+49511200002"])
    same = {"syncStatus": "clean", "phoneNumberData": espo.items(entity_id)}
    assert put_record(espo, entity_id, same, X_Version_Number="1").status == 200
    answer = put_record(espo, entity_id, {"syncStatus": "dirty"}, X_Version_Number="1")
    assert (answer.status, json.loads(answer.body)) == (409, {"values": {"syncStatus": "clean"}, "versionNumber": 3})


def test_creating_a_person_whose_name_exists_is_a_duplicate(espo: EspoSim) -> None:
    espo.add_person("Anna Ahrens", 1)
    duplicate = {"firstName": "Anna", "lastName": "Ahrens"}
    answer = send_request(espo, "POST", ENTITY_PATH, duplicate)
    assert (answer.status, answer.headers["X-Status-Reason"]) == (409, "duplicate")
    assert [record["betnr"] for record in json.loads(answer.body)] == [1]
    assert send_request(espo, "POST", ENTITY_PATH, duplicate, X_Skip_Duplicate_Check="true").status == 200


def test_bad_json_is_500_and_a_long_url_414(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    answer = espo.handle("PUT", f"{ENTITY_PATH}/{entity_id}", {"X-Api-Key": API_KEY}, b"{")
    assert (answer.status, answer.body) == (500, b"")
    assert send_request(espo, "GET", f"{ENTITY_PATH}?x={'0' * 9000}").status == 414


def test_the_same_seed_makes_the_same_ids(clock: SimClock) -> None:
    first, second = (EspoSim(clock, seed=7).add_person("A A", 1) for _ in range(2))
    assert first == second
    assert EspoSim(clock, seed=8).add_person("A A", 1) != first
