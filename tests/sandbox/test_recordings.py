"""The simulated EspoCRM gives the answers of the recordings to the requests of the recordings.

The cassettes are one session against a real EspoCRM 9.2.7; replayed in the order they were recorded, each at the
second of its ``Date``, every status, reason and body must be the same.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import yaml

from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_login import BASIC, SYNC_USER
from jobs.sandbox.simulator import SimClock

RECORDED = Path(__file__).parents[1] / "cassettes" / "espocrm-9.2.7"

IN_ORDER = (
    "login",
    "settings_and_fields",
    "list_keyset_paging",
    "list_limits",
    "list_due_persons",
    "get_record",
    "write_arrays",
    "write_refused",
    "shared_phone_row",
    "version_number",
    "stream_note",
    "create_fields",
    "deleted_record",
)
PERSONS = (
    # id                   name            betnr   mail      second
    ("6b043d185cf2319ed", "Anna Ahrens",   910001, "ahrens0", 16),
    ("6b043d197d5ce6745", "Bernd Brandt",  910002, "brandt1", 17),
    ("6b043d1a9d5c1ad31", "Clara Conrad",  910003, "conrad2", 18),
    ("6b043d1bbce6e4a8b", "Doris Drewes",  910004, "drewes3", 19),
    ("6b043d1cdc3df6f0b", "Emil Ernst",    910005, "ernst4",  20),
)
DORIS = PERSONS[3][0]
NOTE = "6b043d1f91f747a65"


def seed_recorded_persons(sim: EspoSim, clock: SimClock) -> None:
    """The five invented persons as they stood when the recording began."""
    for number, (entity_id, name, betnr, mailbox, second) in enumerate(PERSONS):
        clock.set(datetime(2026, 11, 23, 13, 18, second, tzinfo=UTC))
        sim.add_person(
            name,
            betnr,
            phones=[(f"+4951170000{number}", "Office"), (f"+4917170000{number}", "Mobile")],
            mails=[f"{mailbox}@kanzlei-muster.de"],
            entity_id=entity_id,
            user=SYNC_USER,
        )


def interactions(name: str) -> list[dict[str, Any]]:

    return list(yaml.safe_load((RECORDED / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"])


def credentials(request: dict[str, Any], status: int) -> dict[str, str]:
    """The recordings mask keys: whoever got 401 had the wrong one, Basic was the administrator."""
    if "Authorization" in request["headers"]:
        return {"Authorization": f"Basic {BASIC}"}
    return {"X-Api-Key": "wrong" if status == 401 else "API-KEY"}


def shape(status: int, reason: str | None, body: str) -> tuple[int, str | None, Any]:
    return status, reason, json.loads(body) if body else ""


def replay(sim: EspoSim, clock: SimClock, recorded: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    request, response = recorded["request"], recorded["response"]
    status, headers = response["status"]["code"], response["headers"]
    clock.set(parsedate_to_datetime(headers["date"][0]))
    sent = {name: values[0] for name, values in request["headers"].items()} | credentials(request, status)
    target = request["uri"].removeprefix("http://crm.example.test")
    answer = sim.handle(request["method"], target, sent, (request["body"] or "").encode())
    kept = ("date", "content-type", "x-app-timestamp", "last-modified")
    lowered = {name.lower(): value for name, value in answer.headers.items()}
    assert {name: lowered.get(name) for name in kept} == {name: headers.get(name, [None])[0] for name in kept}
    wanted = shape(status, headers.get("x-status-reason", [None])[0], response["body"]["string"])
    return wanted, shape(answer.status, lowered.get("x-status-reason"), answer.body.decode())


def test_every_recorded_request_gets_the_recorded_answer() -> None:
    clock = SimClock()
    sim = EspoSim(clock, api_key="API-KEY")
    seed_recorded_persons(sim, clock)
    sim.store.ids = itertools.chain([NOTE], sim.store.ids)
    replayed = 0
    for name in IN_ORDER:
        sim.store.concurrency = name == "version_number"
        if name == "deleted_record":
            sim.delete(DORIS)
        for recorded in interactions(name):
            wanted, got = replay(sim, clock, recorded)
            assert got == wanted, f"{name}: {recorded['request']['method']} {recorded['request']['uri']}"
            replayed += 1
    assert replayed == 42
