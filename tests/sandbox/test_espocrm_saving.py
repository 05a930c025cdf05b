"""EspoCRMs that store less than they are sent: half stored PUTs, and a hook that undoes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.arrays import StoredPart
from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
from jobs.sandbox.simulator import ConnectionLost, SimClock, TimedOut
from tests.sandbox.calls import get_record, mail_data, phone_data, put_answer, put_record

OLD, NEW, KEPT = "+49511200001", "+49511200002", "+49511200003"
ARRAYS = {
    "phoneNumberData": [phone_data(NEW, "Fax", primary=True), phone_data(KEPT, "Home", optOut=True)],
    "emailAddressData": [mail_data("new@b.de", primary=True)],
}


@pytest.fixture
def entity_id(espo: EspoSim) -> str:
    return espo.add_person("A B", 1, phones=[OLD, (KEPT, "Mobile")], mails=["old@b.de"], syncStatus="clean")


def numbers_and_mails(sim: EspoSim, entity_id: str) -> tuple[list[str], list[str]]:
    record = get_record(sim, entity_id)
    return (
        [item["phoneNumber"] for item in record["phoneNumberData"]],
        [item["emailAddress"] for item in record["emailAddressData"]],
    )


@pytest.mark.parametrize(
    ("death", "phones", "mails"),
    [
        (PutCrash(), [OLD, KEPT], ["old@b.de"]),
        (PutCrash(mails=StoredPart.UNLINKED), [OLD, KEPT], []),
        (PutCrash(mails=StoredPart.ALL), [OLD, KEPT], ["new@b.de"]),
        (PutCrash(StoredPart.ALL, StoredPart.UNLINKED), [KEPT], ["new@b.de"]),
        (PutCrash(StoredPart.ALL, StoredPart.LINKED), [NEW, OLD, KEPT], ["new@b.de"]),
        (PutCrash(StoredPart.NOTHING, StoredPart.UNLINKED), [KEPT], ["old@b.de"]),
        (PutCrash(StoredPart.ALL, StoredPart.ALL), [NEW, KEPT], ["new@b.de"]),
    ],
)
def test_espocrm_dies_within_a_put_and_stores_the_fields_and_a_part_of_the_arrays(
    espo: EspoSim, clock: SimClock, entity_id: str, death: PutCrash, phones: list[str], mails: list[str]
) -> None:
    clock.advance(60)
    espo.store.put_crashes.append(death)
    answer = put_record(espo, entity_id, {"syncStatus": "syncing", **ARRAYS})
    assert (answer.status, answer.body) == (500, b"")
    record = get_record(espo, entity_id)
    assert (record["syncStatus"], record["modifiedAt"]) == ("syncing", "2026-11-23 12:01:00")
    assert (record["modifiedByName"], numbers_and_mails(espo, entity_id)) == ("sync_api", (phones, mails))
    assert put_record(espo, entity_id, {"syncStatus": "syncing", **ARRAYS}).status == 200
    assert numbers_and_mails(espo, entity_id) == ([NEW, KEPT], ["new@b.de"])


def test_only_linking_changes_the_rows(espo: EspoSim, entity_id: str) -> None:
    espo.store.put_crashes += [
        PutCrash(StoredPart.ALL, StoredPart.UNLINKED),
        PutCrash(StoredPart.ALL, StoredPart.LINKED),
    ]
    put_record(espo, entity_id, ARRAYS)
    [kept_item] = get_record(espo, entity_id)["phoneNumberData"]
    assert kept_item == phone_data(KEPT, "Mobile")
    put_record(espo, entity_id, ARRAYS)
    assert get_record(espo, entity_id)["phoneNumberData"] == ARRAYS["phoneNumberData"]


@pytest.mark.parametrize("fault", [ConnectionLost, TimedOut])
def test_a_death_may_lose_the_connection(espo: EspoSim, entity_id: str, fault: type[ConnectionLost | TimedOut]) -> None:
    espo.store.put_crashes.append(PutCrash(StoredPart.ALL, StoredPart.UNLINKED, fault))
    with pytest.raises(fault):
        put_record(espo, entity_id, ARRAYS)
    assert numbers_and_mails(espo, entity_id) == ([KEPT], ["new@b.de"])


def test_neither_people_nor_a_status_put_meet_the_death_of_an_array_put(espo: EspoSim, entity_id: str) -> None:
    espo.store.put_crashes.append(PutCrash())
    espo.edit(entity_id, phones=[OLD])
    assert put_record(espo, entity_id, {"syncStatus": "dirty"}).status == 200
    assert put_record(espo, entity_id, ARRAYS).status == 500


@pytest.mark.parametrize("echoes", [True, False])
def test_a_hook_undoes_an_array_put_that_is_answered_with_200(
    espo: EspoSim, clock: SimClock, entity_id: str, *, echoes: bool
) -> None:
    before = get_record(espo, entity_id)
    clock.advance(60)
    espo.store.hook = ResettingHook(echoes=echoes)
    put_json = put_answer(espo, entity_id, {"syncStatus": "syncing", **ARRAYS})
    arrays: dict[str, Any] = ARRAYS if echoes else {name: before[name] for name in ARRAYS}
    assert {name: put_json[name] for name in ARRAYS} == arrays
    after = get_record(espo, entity_id)
    assert (after["syncStatus"], after["modifiedAt"]) == ("syncing", "2026-11-23 12:01:00")
    assert {name: after[name] for name in ARRAYS} == {name: before[name] for name in ARRAYS}


def test_a_hook_may_guard_single_values(espo: EspoSim, entity_id: str) -> None:
    espo.store.hook = ResettingHook(guards=lambda value: value in {OLD, NEW})
    put_json = put_answer(espo, entity_id, ARRAYS)
    assert put_json["phoneNumberData"] == ARRAYS["phoneNumberData"]
    assert numbers_and_mails(espo, entity_id) == ([OLD, KEPT], ["new@b.de"])
    assert get_record(espo, entity_id)["phoneNumberData"][1] == phone_data(KEPT, "Home", optOut=True)


def test_people_do_not_meet_the_hook(espo: EspoSim, entity_id: str) -> None:
    espo.store.hook = ResettingHook()
    espo.edit(entity_id, phones=[NEW])
    assert numbers_and_mails(espo, entity_id) == ([NEW], ["old@b.de"])


def test_the_answer_to_an_array_put_shows_scalars_of_a_moment_ago(espo: EspoSim, entity_id: str) -> None:
    put_json = put_answer(espo, entity_id, {"emailAddressData": [mail_data("New@b.de", primary=True, optOut=True)]})
    assert (put_json["emailAddress"], put_json["emailAddressIsOptedOut"]) == ("new@b.de", False)
    put_json = put_answer(espo, entity_id, {"emailAddressData": [mail_data("NEW@b.de", primary=True)]})
    assert (put_json["emailAddress"], put_json["emailAddressIsOptedOut"]) == ("New@b.de", True)
    put_json = put_answer(espo, entity_id, {"emailAddressData": []})
    assert (put_json["emailAddress"], put_json["emailAddressIsOptedOut"]) == ("NEW@b.de", False)
    assert get_record(espo, entity_id)["emailAddress"] is None


@pytest.mark.parametrize(("version", "numbers_answered"), [("9.3", None), ("10", [OLD, KEPT])])
def test_null_as_an_array_changes_nothing_and_is_answered_with_null_before_10(
    version: str, numbers_answered: list[str] | None
) -> None:
    espo = EspoSim(espocrm=version)
    entity_id = espo.add_person("A A", 1, phones=[OLD, KEPT], mails=["old@b.de"])
    put_json = put_answer(espo, entity_id, {"phoneNumberData": None})
    items = put_json["phoneNumberData"]
    assert (items and [item["phoneNumber"] for item in items]) == numbers_answered
    assert json.dumps(put_json["emailAddressData"]) == json.dumps(get_record(espo, entity_id)["emailAddressData"])
    assert numbers_and_mails(espo, entity_id) == ([OLD, KEPT], ["old@b.de"])
