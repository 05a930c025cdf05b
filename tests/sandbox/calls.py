"""How the tests speak to the simulated EspoCRM: raw requests, as any caller sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm_login import API_KEY, BASIC

if TYPE_CHECKING:
    from jobs.sandbox.espocrm import EspoSim
    from jobs.sandbox.simulator import Answer

HOME = "/api/v1/CBeteiligte"
ADMIN = {"Authorization": f"Basic {BASIC}"}


def ask(sim: EspoSim, method: str, target: str, data: Any = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sim.handle(method, target, {"X-Api-Key": API_KEY, **named}, json.dumps(data).encode() if data else b"{}")


def get(sim: EspoSim, entity_id: str) -> dict[str, Any]:
    return dict(json.loads(ask(sim, "GET", f"{HOME}/{entity_id}").body))


def put(sim: EspoSim, entity_id: str, data: Any, **headers: str) -> Answer:
    return ask(sim, "PUT", f"{HOME}/{entity_id}", data, **headers)


def answered(sim: EspoSim, entity_id: str, data: Any) -> dict[str, Any]:
    """What a PUT that succeeds is answered with."""
    answer = put(sim, entity_id, data)
    assert answer.status == 200
    return dict(json.loads(answer.body))


def listed(sim: EspoSim, **params: Any) -> list[str]:
    found = json.loads(ask(sim, "GET", f"{HOME}?searchParams={json.dumps(params)}").body)["list"]
    return [one["name"] for one in found]


def phone(number: str, kind: str = "Office", **keys: Any) -> dict[str, Any]:
    return {"phoneNumber": number, "type": kind, "primary": False, "optOut": False, "invalid": False, **keys}


def mail(address: str, **keys: Any) -> dict[str, Any]:
    return {
        "emailAddress": address, "lower": address.lower(), "primary": False, "optOut": False, "invalid": False, **keys,
    }  # fmt: skip
