"""Locks and transactional saves of EspoCRM 10, where the recordings do not reach (facts B17 to B26)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.saving import PutCrash
from tests.sandbox.calls import ADMIN, ENTITY_PATH, get_record, phone_data, put_answer, put_record, send_request

if TYPE_CHECKING:
    from jobs.sandbox.simulator import SimClock

NUMBER = "+49511200001"
SWITCHES = "/api/v1/EntityManager/action/updateEntity"


def switch(espo: EspoSim, **switches: bool) -> None:
    """What an administrator does in the Entity Manager."""
    answer = send_request(espo, "POST", SWITCHES, {"name": "CBeteiligte", **switches}, X_Api_Key="", **ADMIN)
    assert (answer.status, answer.body) == (200, b"true")


def request_lock(espo: EspoSim, entity_id: str, action: str) -> tuple[int, str | None]:
    body = {"entityType": "CBeteiligte", "id": entity_id, "action": action, "data": {}}
    answer = send_request(espo, "POST", "/api/v1/Action", body)
    return answer.status, answer.headers.get("X-Status-Reason")


@pytest.fixture
def entity_id(espo: EspoSim) -> str:
    switch(espo, lockable=True)
    return espo.add_person("A A", 1, phones=[(NUMBER, "Office")])


def test_who_may_lock_locks_once_and_the_record_moves(espo: EspoSim, clock: SimClock, entity_id: str) -> None:
    espo.store.role.may_lock = True
    before = get_record(espo, entity_id)
    clock.advance(60)
    assert request_lock(espo, entity_id, "lock") == (200, None)
    assert request_lock(espo, entity_id, "lock") == (400, "Already locked.")
    locked = get_record(espo, entity_id)
    assert (before["isLocked"], locked["isLocked"]) == (False, True)
    assert locked["modifiedAt"] > before["modifiedAt"]
    assert request_lock(espo, entity_id, "unlock") == (200, None)
    assert put_answer(espo, entity_id, {"syncStatus": "clean"})["syncStatus"] == "clean"


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ({"lastName": "B"}, "Name"),
        ({"syncStatus": "dirty", "lastName": "B"}, "Name"),
        ({"emailAddressData": [{"emailAddress": "a@b.de"}], "phoneNumberData": []}, "Email"),
        ({"phoneNumberData": [phone_data(NUMBER, "Fax", primary=True)]}, "Phone"),
    ],
)
def test_nothing_of_a_locked_record_changes(espo: EspoSim, entity_id: str, body: dict[str, Any], label: str) -> None:
    espo.lock(entity_id)
    before = get_record(espo, entity_id)
    answer = put_record(espo, entity_id, body)
    assert (answer.status, json.loads(answer.body)["messageTranslation"]["data"]) == (409, {"field": label})
    assert get_record(espo, entity_id) == before
    with pytest.raises(ValueError, match="cannotModifyLockedRecord"):
        espo.edit(entity_id, lastName="C")


def test_a_stale_version_is_told_before_the_lock(espo: EspoSim, entity_id: str) -> None:
    switch(espo, optimisticConcurrencyControl=True)
    put_answer(espo, entity_id, {"syncStatus": "dirty"})
    espo.lock(entity_id)
    answer = put_record(espo, entity_id, {"syncStatus": "clean"}, X_Version_Number="1")
    assert answer.headers["X-Status-Reason"] == "modified"


def test_without_the_switch_a_lock_is_nothing(espo: EspoSim, entity_id: str) -> None:
    espo.lock(entity_id)
    switch(espo, lockable=False)
    assert "isLocked" not in put_answer(espo, entity_id, {"syncStatus": "clean"})
    assert send_request(espo, "DELETE", f"{ENTITY_PATH}/{entity_id}").status == 200


def test_before_10_nobody_locks_and_nothing_is_saved_as_a_transaction() -> None:
    espo = EspoSim(espocrm="9.3")
    switch(espo, lockable=True, transactionalSave=True)
    assert (espo.store.entity.lockable, espo.store.entity.transactional_save) == (None, None)
    assert "isLocked" not in get_record(espo, espo.add_person("A A", 1))


def test_a_transaction_is_stored_whole_or_not_at_all_and_shows_no_empty_array(espo: EspoSim, entity_id: str) -> None:
    switch(espo, transactionalSave=True)
    before = get_record(espo, entity_id)
    espo.store.put_crashes.append(PutCrash())
    body = {"syncStatus": "dirty", "phoneNumberData": []}
    assert put_record(espo, entity_id, body).status == 500
    assert get_record(espo, entity_id) == before
    espo.store.torn_reads = 1
    put_answer(espo, entity_id, {"phoneNumberData": [phone_data(NUMBER, "Fax", primary=True)]})
    assert [item["type"] for item in get_record(espo, entity_id)["phoneNumberData"]] == ["Fax"]
