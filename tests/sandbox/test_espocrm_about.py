"""What EspoCRM tells of itself, Metadata above all, and its stream (EspoCRM facts B5, B15, B16, B31)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.simulator import SimResponse
from tests.sandbox.calls import ADMIN, ENTITY_PATH, get_record, send_request

ENTITY_MANAGER = "/api/v1/EntityManager/action/updateEntity"
STREAM_FIELDS = {"streamUpdatedAt", "isFollowed", "followersIds", "followersNames"}


def metadata_answer(sim: EspoSim, key: str, **headers: str) -> SimResponse:
    answer = send_request(sim, "GET", f"/api/v1/Metadata?key={key}", **headers)
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
    assert metadata_answer(espo, key).body == body


@pytest.mark.parametrize("key", ["entityDefs.CBeteiligte.fields", "scopes.CBeteiligte"])
def test_a_role_without_the_entity_sees_nothing_of_it(espo: EspoSim, key: str) -> None:
    assert metadata_answer(espo, key).body != b""
    del espo.store.role.table["CBeteiligte"]
    assert metadata_answer(espo, key).body == b""
    assert metadata_answer(espo, key, X_Api_Key="", **ADMIN).body != b""
    answer = send_request(espo, "GET", f"{ENTITY_PATH}?maxSize=0")
    assert (answer.status, answer.headers["X-Status-Reason"]) == (403, "No read access.")


def test_an_entity_that_is_not_there_has_no_controller(espo: EspoSim) -> None:
    for headers in ({}, {"X_Api_Key": "", **ADMIN}):
        answer = send_request(espo, "GET", "/api/v1/CNirgends?maxSize=0", **headers)
        assert (answer.status, answer.headers["X-Status-Reason"]) == (404, "Controller 'CNirgends' does not exist.")


@pytest.mark.parametrize(("switch", "key"), [
    ("optimisticConcurrencyControl", "entityDefs.CBeteiligte.optimisticConcurrencyControl"),
    ("stream", "scopes.CBeteiligte.stream"),
])  # fmt: skip
def test_a_switch_that_was_saved_is_true_or_false(espo: EspoSim, switch: str, key: str) -> None:
    for value in (True, False):
        body = {"name": "CBeteiligte", switch: value}
        assert send_request(espo, "POST", ENTITY_MANAGER, body).status == 403
        assert send_request(espo, "POST", ENTITY_MANAGER, body, X_Api_Key="", **ADMIN).body == b"true"
        assert metadata_answer(espo, key).body == json.dumps(value).encode()


def test_without_stream_a_note_is_taken_and_nobody_follows(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    assert get_record(espo, entity_id).keys() >= STREAM_FIELDS
    espo.store.entity.stream = False
    for post in ("first", "second"):
        note = {"type": "Post", "parentType": "CBeteiligte", "parentId": entity_id, "post": post}
        assert send_request(espo, "POST", "/api/v1/Note", note).status == 200
    assert get_record(espo, entity_id).keys().isdisjoint(STREAM_FIELDS)
    in_list: list[dict[str, Any]] = json.loads(send_request(espo, "GET", ENTITY_PATH).body)["list"]
    assert in_list[0].keys().isdisjoint(STREAM_FIELDS)
    stream = json.loads(send_request(espo, "GET", f"{ENTITY_PATH}/{entity_id}/stream").body)
    assert [note["post"] for note in stream["list"]] == ["second", "first"]
    assert (
        json.loads(send_request(espo, "GET", "/api/v1/App/user").body)["acl"]["table"]["CBeteiligte"]["stream"] == "all"
    )


def test_a_note_for_nobody_is_refused(espo: EspoSim) -> None:
    deleted_id = espo.add_person("A A", 1)
    espo.delete(deleted_id)
    for parent in (deleted_id, "nobody"):
        note = {"type": "Post", "parentType": "CBeteiligte", "parentId": parent, "post": "x"}
        answer = send_request(espo, "POST", "/api/v1/Note", note)
        assert (answer.status, answer.headers["X-Status-Reason"]) == (403, "No create access.")


def test_links_are_closed_and_users_are_nobody(espo: EspoSim) -> None:
    entity_id = espo.add_person("A A", 1)
    answer = send_request(espo, "GET", f"{ENTITY_PATH}/{entity_id}/phoneNumbers")
    assert (answer.status, "X-Status-Reason" in answer.headers) == (403, False)
    assert json.loads(send_request(espo, "GET", "/api/v1/User?maxSize=0").body) == {"total": 0, "list": []}
