"""A simulator as an httpx transport: a client under test talks to it without sockets.

A client is built with a transport, and a fault must reach it as the very exception httpx would raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from jobs.sandbox.simulator import ConnectionLost, SimulatedFault, TimedOut, Unreachable

if TYPE_CHECKING:
    from jobs.sandbox.simulator import Simulator

HTTPX_ERRORS: dict[type[SimulatedFault], type[httpx.TransportError]] = {
    ConnectionLost: httpx.RemoteProtocolError,
    TimedOut:       httpx.ReadTimeout,
    Unreachable:    httpx.ConnectError,
}


class InProcess(httpx.BaseTransport):
    """Give to `httpx.Client(transport=…)`; the host in the URL does not matter."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer, or httpx's exception for its fault."""
        target = request.url.raw_path.decode("ascii")
        try:
            response = self.sim.handle(request.method, target, dict(request.headers), request.read())
        except SimulatedFault as fault:
            raise HTTPX_ERRORS.get(type(fault), httpx.TransportError)(f"simulated: {fault}", request=request) from fault
        return httpx.Response(response.status, headers=response.headers, content=response.body)
