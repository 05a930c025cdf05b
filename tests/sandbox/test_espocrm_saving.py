"""EspoCRMs that store less than they are sent: half stored PUTs, and a hook that undoes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_arrays import Stored
from jobs.sandbox.espocrm_saving import Death, Hook
from jobs.sandbox.simulator import ConnectionLost, SimClock, TimedOut
from tests.sandbox.calls import answered, get, mail, phone, put

OLD, NEW, STAYS = "+49511200001", "+49511200002", "+49511200003"
ARRAYS = {
    "phoneNumberData": [phone(NEW, "Fax", primary=True), phone(STAYS, "Home", optOut=True)],
    "emailAddressData": [mail("new@b.de", primary=True)],
}


@pytest.fixture
def entity_id(espo: EspoSim) -> str:
    return espo.add_person("A B", 1, phones=[OLD, (STAYS, "Mobile")], mails=["old@b.de"], syncStatus="clean")


def seen(sim: EspoSim, entity_id: str) -> tuple[list[str], list[str]]:
    shown = get(sim, entity_id)
    return (
        [one["phoneNumber"] for one in shown["phoneNumberData"]],
        [one["emailAddress"] for one in shown["emailAddressData"]],
    )


@pytest.mark.parametrize(
    ("death", "phones", "mails"),
    [
        (Death(), [OLD, STAYS], ["old@b.de"]),
        (Death(mails=Stored.UNLINKED), [OLD, STAYS], []),
        (Death(mails=Stored.ALL), [OLD, STAYS], ["new@b.de"]),
        (Death(Stored.ALL, Stored.UNLINKED), [STAYS], ["new@b.de"]),
        (Death(Stored.ALL, Stored.LINKED), [NEW, OLD, STAYS], ["new@b.de"]),
        (Death(Stored.NOTHING, Stored.UNLINKED), [STAYS], ["old@b.de"]),
        (Death(Stored.ALL, Stored.ALL), [NEW, STAYS], ["new@b.de"]),
    ],
)
def test_espocrm_dies_within_a_put_and_stores_the_fields_and_a_part_of_the_arrays(
    espo: EspoSim, clock: SimClock, entity_id: str, death: Death, phones: list[str], mails: list[str]
) -> None:
    clock.advance(60)
    espo.store.deaths.append(death)
    answer = put(espo, entity_id, {"syncStatus": "syncing", **ARRAYS})
    assert (answer.status, answer.body) == (500, b"")
    shown = get(espo, entity_id)
    assert (shown["syncStatus"], shown["modifiedAt"]) == ("syncing", "2026-11-23 12:01:00")
    assert (shown["modifiedByName"], seen(espo, entity_id)) == ("sync_api", (phones, mails))
    assert put(espo, entity_id, {"syncStatus": "syncing", **ARRAYS}).status == 200
    assert seen(espo, entity_id) == ([NEW, STAYS], ["new@b.de"])


def test_only_linking_changes_the_rows(espo: EspoSim, entity_id: str) -> None:
    espo.store.deaths += [Death(Stored.ALL, Stored.UNLINKED), Death(Stored.ALL, Stored.LINKED)]
    put(espo, entity_id, ARRAYS)
    [stays] = get(espo, entity_id)["phoneNumberData"]
    assert stays == phone(STAYS, "Mobile")
    put(espo, entity_id, ARRAYS)
    assert get(espo, entity_id)["phoneNumberData"] == ARRAYS["phoneNumberData"]


@pytest.mark.parametrize("fault", [ConnectionLost, TimedOut])
def test_a_death_may_lose_the_connection(espo: EspoSim, entity_id: str, fault: type[ConnectionLost | TimedOut]) -> None:
    espo.store.deaths.append(Death(Stored.ALL, Stored.UNLINKED, fault))
    with pytest.raises(fault):
        put(espo, entity_id, ARRAYS)
    assert seen(espo, entity_id) == ([STAYS], ["new@b.de"])


def test_neither_people_nor_a_status_put_meet_the_death_of_an_array_put(espo: EspoSim, entity_id: str) -> None:
    espo.store.deaths.append(Death())
    espo.edit(entity_id, phones=[OLD])
    assert put(espo, entity_id, {"syncStatus": "dirty"}).status == 200
    assert put(espo, entity_id, ARRAYS).status == 500


@pytest.mark.parametrize("echoes", [True, False])
def test_a_hook_undoes_an_array_put_that_is_answered_with_200(
    espo: EspoSim, clock: SimClock, entity_id: str, *, echoes: bool
) -> None:
    before = get(espo, entity_id)
    clock.advance(60)
    espo.store.hook = Hook(echoes=echoes)
    told = answered(espo, entity_id, {"syncStatus": "syncing", **ARRAYS})
    arrays: dict[str, Any] = ARRAYS if echoes else {name: before[name] for name in ARRAYS}
    assert {name: told[name] for name in ARRAYS} == arrays
    after = get(espo, entity_id)
    assert (after["syncStatus"], after["modifiedAt"]) == ("syncing", "2026-11-23 12:01:00")
    assert {name: after[name] for name in ARRAYS} == {name: before[name] for name in ARRAYS}


def test_a_hook_may_guard_single_values(espo: EspoSim, entity_id: str) -> None:
    espo.store.hook = Hook(guards=lambda value: value in {OLD, NEW})
    told = answered(espo, entity_id, ARRAYS)
    assert told["phoneNumberData"] == ARRAYS["phoneNumberData"]
    assert seen(espo, entity_id) == ([OLD, STAYS], ["new@b.de"])
    assert get(espo, entity_id)["phoneNumberData"][1] == phone(STAYS, "Home", optOut=True)


def test_people_do_not_meet_the_hook(espo: EspoSim, entity_id: str) -> None:
    espo.store.hook = Hook()
    espo.edit(entity_id, phones=[NEW])
    assert seen(espo, entity_id) == ([NEW], ["old@b.de"])


def test_the_answer_to_an_array_put_shows_scalars_of_a_moment_ago(espo: EspoSim, entity_id: str) -> None:
    told = answered(espo, entity_id, {"emailAddressData": [mail("New@b.de", primary=True, optOut=True)]})
    assert (told["emailAddress"], told["emailAddressIsOptedOut"]) == ("new@b.de", False)
    told = answered(espo, entity_id, {"emailAddressData": [mail("NEW@b.de", primary=True)]})
    assert (told["emailAddress"], told["emailAddressIsOptedOut"]) == ("New@b.de", True)
    told = answered(espo, entity_id, {"emailAddressData": []})
    assert (told["emailAddress"], told["emailAddressIsOptedOut"]) == ("NEW@b.de", False)
    assert get(espo, entity_id)["emailAddress"] is None


def test_null_as_an_array_changes_nothing_and_is_answered_with_null(espo: EspoSim, entity_id: str) -> None:
    told = answered(espo, entity_id, {"phoneNumberData": None})
    assert told["phoneNumberData"] is None
    assert json.dumps(told["emailAddressData"]) == json.dumps(get(espo, entity_id)["emailAddressData"])
    assert seen(espo, entity_id) == ([OLD, STAYS], ["old@b.de"])
