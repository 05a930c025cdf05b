"""Journal, faults, transport, servers: the front both simulators share."""

from __future__ import annotations

import ast
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import API_KEY
from jobs.sandbox.server import Servers, open_listening_socket
from jobs.sandbox.simulator import ConnectionLost, SimRequest, SimResponse, SimulatedFault, TimedOut, Unreachable
from tests.in_process import InProcess

KEY = {"X-Api-Key": API_KEY}


def simulator_client(sim: EspoSim) -> httpx.Client:
    return httpx.Client(transport=InProcess(sim), base_url="http://crm.test/api/v1", headers=KEY)


def test_the_sandbox_imports_nothing_of_the_sync() -> None:
    for file in (Path(__file__).parents[2] / "jobs" / "sandbox").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "etl"], file.name


def test_the_journal_holds_every_call_with_its_status() -> None:
    sim = EspoSim()
    entity_id = sim.add_person("A A", 1)
    with simulator_client(sim) as http:
        http.get(f"/CBeteiligte/{entity_id}")
        http.put(f"/CBeteiligte/{entity_id}", json={"syncStatus": "nonsense"})
    path = f"/api/v1/CBeteiligte/{entity_id}"
    assert sim.request_log == [
        SimRequest("GET", path, "", 200),
        SimRequest("PUT", path, '{"syncStatus":"nonsense"}', 400),
    ]
    assert dict(sim.counts) == {"GET": 1, "PUT": 1}
    assert [call.json for call in sim.writes] == [{"syncStatus": "nonsense"}]


@pytest.mark.parametrize(
    ("fault", "error"),
    [(ConnectionLost, httpx.RemoteProtocolError), (TimedOut, httpx.ReadTimeout), (Unreachable, httpx.ConnectError)],
)
def test_a_fault_before_has_no_effect_and_one_after_loses_only_the_answer(
    fault: type[SimulatedFault], error: type[Exception]
) -> None:
    sim = EspoSim()
    entity_id = sim.add_person("A A", 1, syncStatus="clean")

    def raise_fault(*_: object) -> None:
        raise fault

    with simulator_client(sim) as http:
        sim.before = raise_fault
        with pytest.raises(error):
            http.put(f"/CBeteiligte/{entity_id}", json={"syncStatus": "dirty"})
        assert sim.record(entity_id)["syncStatus"] == "clean"
        sim.before, sim.after = None, raise_fault
        with pytest.raises(error):
            http.put(f"/CBeteiligte/{entity_id}", json={"syncStatus": "dirty"})
        assert sim.record(entity_id)["syncStatus"] == "dirty"
    assert [call.status for call in sim.request_log] == [0, 200]


def test_a_hook_may_answer_instead_and_let_people_edit_in_between() -> None:
    sim = EspoSim()
    entity_id = sim.add_person("A A", 1)

    def edit_or_answer_busy(call: SimRequest) -> SimResponse | None:
        sim.edit(entity_id, betnr=2)
        return SimResponse(429, {"Retry-After": "2"}, b"") if call.method == "PUT" else None

    sim.before = edit_or_answer_busy
    with simulator_client(sim) as http:
        assert http.get(f"/CBeteiligte/{entity_id}").json()["betnr"] == 2
        assert http.put(f"/CBeteiligte/{entity_id}", json={}).headers["Retry-After"] == "2"


def test_a_write_during_another_write_is_counted() -> None:
    sim = EspoSim()
    entity_id = sim.add_person("A A", 1)
    both_inside = threading.Barrier(2, timeout=10)

    def wait_for_other(_: SimRequest) -> None:
        both_inside.wait()

    with simulator_client(sim) as http, ThreadPoolExecutor(2) as pool:
        sim.before = wait_for_other
        list(pool.map(lambda _: http.get(f"/CBeteiligte/{entity_id}"), range(2)))
        assert sim.overlapping_writes == 0
        list(pool.map(lambda _: http.put(f"/CBeteiligte/{entity_id}", json={}), range(2)))
        assert sim.overlapping_writes == 1


def test_both_systems_answer_over_http() -> None:
    espo, advo = EspoSim(), AdvoSim()
    entity_id = espo.add_person("Jürgen Müller", 1)
    with Servers(espo, advo) as servers, httpx.Client(headers=KEY) as http:
        settings = servers.config()
        record_answer = http.get(f"{settings['espocrm']['url']}/api/v1/CBeteiligte/{entity_id}")
        url = settings["advoware"]["configurator_url"] + "/api/Url"
        discovery = http.get(url, params={"Kanzlei": settings["advoware"]["kanzlei"]})
    assert (record_answer.status_code, record_answer.json()["name"]) == (200, "Jürgen Müller")
    assert record_answer.headers.get_list("date") == [record_answer.headers["date"]]
    assert "server" not in record_answer.headers
    assert discovery.json()["relayUrl"] == f"{servers.advo_url}/relay/"


def test_an_answer_of_two_packets_waits_for_no_acknowledgement() -> None:
    """What a listening socket says holds for each of its connections: 45 ms a request without it."""
    with open_listening_socket() as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_over_http_a_fault_breaks_the_connection_off() -> None:
    espo = EspoSim()
    entity_id = espo.add_person("A A", 1)

    def raise_fault(*_: object) -> None:
        raise ConnectionLost

    espo.after = raise_fault
    with Servers(espo, AdvoSim()) as servers, httpx.Client(headers=KEY) as http:
        url = f"{servers.espo_url}/api/v1/CBeteiligte/{entity_id}"
        with pytest.raises(httpx.RemoteProtocolError):
            http.put(url, json={"syncStatus": "dirty"})
        espo.after = None
        assert http.get(url).json()["syncStatus"] == "dirty"
