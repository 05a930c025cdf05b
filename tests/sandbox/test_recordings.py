"""The simulated EspoCRM gives the answers of the recordings to the requests of the recordings.

The cassettes are two sessions against a real EspoCRM 9.2.7; replayed in the order they were recorded, each at the
second of its ``Date``, every status, reason and body must be the same.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.sandbox.simulator import Answer
from tests.recorded import CASSETTES, FIRST, SECOND, brought_to, interactions, replay

HEADERS = ("date", "content-type", "x-app-timestamp", "last-modified", "x-status-reason")


def shape(status: int, headers: dict[str, str], body: str) -> tuple[int, dict[str, str | None], Any]:
    is_json = body[:1] in {"{", "[", '"'}
    return status, {name: headers.get(name) for name in HEADERS}, json.loads(body) if is_json else body


def recorded_shape(response: dict[str, Any]) -> tuple[Any, ...]:
    headers = {name: values[0] for name, values in response["headers"].items()}
    return shape(response["status"]["code"], headers, response["body"]["string"])


def answered_shape(answer: Answer, wanted: Any) -> tuple[Any, ...]:
    """As the simulator answers, without what the recordings cut off."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    status, kept, body = shape(answer.status, headers, answer.body.decode())
    if "acl" in wanted:  # the first session's recording of App/user is older than the field table
        body["acl"] = {name: rights for name, rights in body["acl"].items() if name in wanted["acl"]}
    return status, kept, body


@pytest.mark.parametrize("cassette", FIRST + SECOND)
def test_every_recorded_request_gets_the_recorded_answer(cassette: str) -> None:
    sim, clock = brought_to(cassette)
    for recorded in interactions(cassette):
        request, wanted = recorded["request"], recorded_shape(recorded["response"])
        got = answered_shape(replay(sim, clock, recorded), wanted[2])
        if "/Contact/" in request["uri"] and got[0] == 200:  # the sandbox knows of a Contact what concerns us
            wanted = (*wanted[:2], {name: wanted[2][name] for name in got[2]})
        assert got == wanted, f"{request['method']} {request['uri']}"


def test_no_recording_is_left_out() -> None:
    assert sorted(FIRST + SECOND) == sorted(file.stem for file in CASSETTES.glob("*.yaml"))
