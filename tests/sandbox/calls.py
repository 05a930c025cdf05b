"""How the tests speak to the simulated EspoCRM: raw requests, as any caller sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm.login import API_KEY, BASIC_CREDENTIALS

if TYPE_CHECKING:
    from jobs.sandbox.espocrm.api import EspoSim
    from jobs.sandbox.simulator import SimResponse

ENTITY_PATH = "/api/v1/CBeteiligte"
ADMIN = {"Authorization": f"Basic {BASIC_CREDENTIALS}"}


def send_request(sim: EspoSim, method: str, target: str, data: Any = None, **headers: str) -> SimResponse:
    header_values = {name.replace("_", "-"): value for name, value in headers.items()}
    return sim.handle(
        method, target, {"X-Api-Key": API_KEY, **header_values}, json.dumps(data).encode() if data else b"{}"
    )


def get_record(sim: EspoSim, entity_id: str) -> dict[str, Any]:
    return dict(json.loads(send_request(sim, "GET", f"{ENTITY_PATH}/{entity_id}").body))


def put_record(sim: EspoSim, entity_id: str, data: Any, **headers: str) -> SimResponse:
    return send_request(sim, "PUT", f"{ENTITY_PATH}/{entity_id}", data, **headers)


def put_answer(sim: EspoSim, entity_id: str, data: Any) -> dict[str, Any]:
    """What a PUT that succeeds is answered with."""
    answer = put_record(sim, entity_id, data)
    assert answer.status == 200
    return dict(json.loads(answer.body))


def list_names(sim: EspoSim, **params: Any) -> list[str]:
    records = json.loads(send_request(sim, "GET", f"{ENTITY_PATH}?searchParams={json.dumps(params)}").body)["list"]
    return [record["name"] for record in records]


def phone_data(number: str, kind: str = "Office", **changes: Any) -> dict[str, Any]:
    return {"phoneNumber": number, "type": kind, "primary": False, "optOut": False, "invalid": False, **changes}


def mail_data(address: str, **changes: Any) -> dict[str, Any]:
    return {
        "emailAddress": address, "lower": address.lower(), "primary": False, "optOut": False, "invalid": False, **changes,
    }  # fmt: skip
