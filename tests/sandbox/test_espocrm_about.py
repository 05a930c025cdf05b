"""What EspoCRM tells of itself, Metadata above all, and its stream (espocrm-api.md ² 5, 15, 16, 31)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.simulator import Answer
from tests.sandbox.calls import ADMIN, HOME, ask, get

ENTITY_MANAGER = "/api/v1/EntityManager/action/updateEntity"
OF_STREAM = {"streamUpdatedAt", "isFollowed", "followersIds", "followersNames"}


def metadata(sim: EspoSim, key: str, **headers: str) -> Answer:
    answer = ask(sim, "GET", f"/api/v1/Metadata?key={key}", **headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return answer


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("entityDefs.CBeteiligte.optimisticConcurrencyControl", b""),
        ("entityDefs.CBeteiligte.fields.nope", b""),
        ("entityDefs.CBeteiligte.fields.betnr.type.deeper", b""),
        ("entityDefs.CNirgends.fields", b""),
        ("scopes.CNirgends", b""),
        ("scopes.CBeteiligte.stream", b"true"),
        ("entityDefs.CBeteiligte.fields.betnr.type", b"int"),
        ("entityDefs.CBeteiligte.fields.syncRetryCount.default", b"0"),
        ("entityDefs.CBeteiligte.fields.phoneNumber.typeList", b'["Mobile","Office","Home","Fax","Other"]'),
    ],
)
def test_metadata_is_empty_where_nothing_is_and_bare_where_it_is_a_word(espo: EspoSim, key: str, body: bytes) -> None:
    assert metadata(espo, key).body == body


@pytest.mark.parametrize("key", ["entityDefs.CBeteiligte.fields", "scopes.CBeteiligte"])
def test_a_role_without_the_entity_sees_nothing_of_it(espo: EspoSim, key: str) -> None:
    assert metadata(espo, key).body != b""
    del espo.store.role.table["CBeteiligte"]
    assert metadata(espo, key).body == b""
    assert metadata(espo, key, X_Api_Key="", **ADMIN).body != b""
    refused = ask(espo, "GET", f"{HOME}?maxSize=0")
    assert (refused.status, refused.headers["X-Status-Reason"]) == (403, "No read access.")


def test_an_entity_that_is_not_there_has_no_controller(espo: EspoSim) -> None:
    for headers in ({}, {"X_Api_Key": "", **ADMIN}):
        missing = ask(espo, "GET", "/api/v1/CNirgends?maxSize=0", **headers)
        assert (missing.status, missing.headers["X-Status-Reason"]) == (404, "Controller 'CNirgends' does not exist.")


@pytest.mark.parametrize(("switch", "key"), [
    ("optimisticConcurrencyControl", "entityDefs.CBeteiligte.optimisticConcurrencyControl"),
    ("stream", "scopes.CBeteiligte.stream"),
])  # fmt: skip
def test_a_switch_that_was_saved_is_true_or_false(espo: EspoSim, switch: str, key: str) -> None:
    for saved in (True, False):
        asked = {"name": "CBeteiligte", switch: saved}
        assert ask(espo, "POST", ENTITY_MANAGER, asked).status == 403
        assert ask(espo, "POST", ENTITY_MANAGER, asked, X_Api_Key="", **ADMIN).body == b"true"
        assert metadata(espo, key).body == json.dumps(saved).encode()


def test_without_stream_a_note_is_taken_and_nobody_follows(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    assert get(espo, entity_id).keys() >= OF_STREAM
    espo.store.stream = False
    for post in ("first", "second"):
        note = {"type": "Post", "parentType": "CBeteiligte", "parentId": entity_id, "post": post}
        assert ask(espo, "POST", "/api/v1/Note", note).status == 200
    assert get(espo, entity_id).keys().isdisjoint(OF_STREAM)
    in_list: list[dict[str, Any]] = json.loads(ask(espo, "GET", HOME).body)["list"]
    assert in_list[0].keys().isdisjoint(OF_STREAM)
    stream = json.loads(ask(espo, "GET", f"{HOME}/{entity_id}/stream").body)
    assert [note["post"] for note in stream["list"]] == ["second", "first"]
    assert json.loads(ask(espo, "GET", "/api/v1/App/user").body)["acl"]["table"]["CBeteiligte"]["stream"] == "all"


def test_a_note_for_nobody_is_refused(espo: EspoSim) -> None:
    gone = espo.add_person("A A", 1)
    espo.delete(gone)
    for parent in (gone, "nobody"):
        note = {"type": "Post", "parentType": "CBeteiligte", "parentId": parent, "post": "x"}
        refused = ask(espo, "POST", "/api/v1/Note", note)
        assert (refused.status, refused.headers["X-Status-Reason"]) == (403, "No create access.")


def test_links_are_closed_and_users_are_nobody(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    refused = ask(espo, "GET", f"{HOME}/{entity_id}/phoneNumbers")
    assert (refused.status, "X-Status-Reason" in refused.headers) == (403, False)
    assert json.loads(ask(espo, "GET", "/api/v1/User?maxSize=0").body) == {"total": 0, "list": []}
