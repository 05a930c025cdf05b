"""Both simulators as real HTTP servers on loopback, on ports the system picks."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from jobs.sandbox.advoware import login as advoware_login
from jobs.sandbox.espocrm import login as espocrm_login
from jobs.sandbox.simulator import SimulatedFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim
    from jobs.sandbox.simulator import Json, SimResponse, Simulator

HOST = "127.0.0.1"
TRUNCATED_RESPONSE = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]}


def simulator_app(sim: Simulator) -> ASGIApp:
    """Any method on any path goes to the simulator, after its latency; a fault breaks the connection off."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        target = _target(scope)
        body = await request.body()
        try:
            answer = await run_in_threadpool(
                _respond_after_latency, sim, request.method, target, dict(request.headers), body
            )
        except SimulatedFault:
            await send(TRUNCATED_RESPONSE)  # promised a byte that never comes: uvicorn then closes the connection
            return
        await Response(answer.body, answer.status, answer.headers)(scope, receive, send)

    return serve


def simulators_app(sims: Mapping[str, Simulator]) -> ASGIApp:
    """Many simulators behind one address: the first part of the path says which."""
    apps = {name.encode(): simulator_app(sim) for name, sim in sims.items()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope["raw_path"].removeprefix(b"/").partition(b"/")
        if name not in apps:
            await Response("no such firm", 404)(scope, receive, send)
            return
        await apps[name]({**scope, "raw_path": b"/" + rest}, receive, send)

    return serve


def _target(scope: Scope) -> str:
    """Path and query as they were sent, still quoted."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return (path + b"?" + query if query else path).decode("ascii")


def _respond_after_latency(
    sim: Simulator, method: str, target: str, headers: dict[str, str], body: bytes
) -> SimResponse:
    """The answer after the latency, counted as under way all the while."""
    with sim.in_flight(method, target):
        time.sleep(sim.latency_seconds)
        return sim.respond_and_log(method, target, headers, body)


class Servers:
    """Both systems running while the context is open.

    ``espo_url`` and ``advo_url`` are their addresses; `config` is a config.yaml that uses them.
    """

    def __init__(self, espo: EspoSim, advo: AdvoSim) -> None:
        self.espo = espo
        self.advo = advo
        self._servers = [_Server(simulator_app(espo)), _Server(simulator_app(advo))]
        self.espo_url, self.advo_url = (server.url for server in self._servers)
        advo.address = self.advo_url

    def __enter__(self) -> Self:
        for server in self._servers:
            server.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()

    def config(self) -> Json:
        """The content of a config.yaml for these servers, found by discovery; all else keeps its default."""
        return sandbox_config(self.espo_url, self.advo_url)

    def environment(self) -> dict[str, str]:
        """The secrets by the names config.yaml's example gives them."""
        return {
            "ESPOCRM_API_KEY": espocrm_login.API_KEY,
            "ADVOWARE_APP_ID": advoware_login.APP_ID,
            "ADVOWARE_API_KEY": advoware_login.API_KEY,
            "ADVOWARE_PASSWORD": advoware_login.PASSWORD,
        }


class FirmsServer:
    """The systems of many firms behind one port, while the context is open; `config` is one firm's config.yaml."""

    def __init__(self, firms: Mapping[str, tuple[EspoSim, AdvoSim]]) -> None:
        sims: dict[str, Simulator] = {}
        for name, (espo, advo) in firms.items():
            sims |= {f"{name}-espocrm": espo, f"{name}-advoware": advo}
        self._server = _Server(simulators_app(sims))
        for name, (_, advo) in firms.items():
            advo.address = f"{self._server.url}/{name}-advoware"

    def __enter__(self) -> Self:
        self._server.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def config(self, name: str) -> Json:
        """The sections for this firm's two systems."""
        return sandbox_config(f"{self._server.url}/{name}-espocrm", f"{self._server.url}/{name}-advoware")


def sandbox_config(espo_url: str, advo_url: str) -> Json:
    """The espocrm and advoware sections for simulators at these addresses, secrets included: they protect nothing."""
    return {
        "espocrm": {"url": espo_url, "api_key": espocrm_login.API_KEY},
        "advoware": {
            "configurator_url": f"{advo_url}/AdvonetConfigurator",
            "kanzlei": advoware_login.KANZLEI,
            "database": advoware_login.DATABASE,
            "user": advoware_login.USER,
            "app_id": advoware_login.APP_ID,
            "api_key": advoware_login.API_KEY,
            "password": advoware_login.PASSWORD,
            "max_requests_per_second": 0,
        },
    }


def open_listening_socket() -> socket.socket:
    """A socket on a free port, whose connections send at once.

    asyncio sees to that only on sockets that name their protocol; else each answer waits 40 ms for an acknowledgement.
    """
    server_socket = socket.create_server((HOST, 0), backlog=128)
    server_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server_socket


class _Server:
    """Simulators behind uvicorn, in a thread of its own. Its socket listens at once, so nobody waits for a start."""

    def __init__(self, app: ASGIApp) -> None:
        self._socket = open_listening_socket()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def stop(self) -> None:
        self._server.should_exit = True
        self.thread.join()
        self._socket.close()
