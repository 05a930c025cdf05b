"""What httpx does between a client and a transport, as far as the sync needs it, and nothing else.

Half of what a simulated request costs is parsing addresses, headers and cookies that never leave the process. That it
makes no difference is held by lives over real sockets, with httpx itself (``test_over_http.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from etl.clients import http
from jobs.sandbox.simulator import JSON_ENCODER, SimResponse, SimulatedFault
from tests.in_process import HTTPX_ERRORS, InProcess

DEFAULT_HEADERS = {"User-Agent": "advosync", "Accept": "application/json", "Content-Type": "application/json"}
HTTPX_NAME = "httpx"  # the name by which the border asks for it


@dataclass
class WireRequest:
    """A request."""

    method: str
    target: str
    content: bytes
    headers: dict[str, str]
    url: SimpleNamespace
    extensions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WireResponse:
    """A response that came whole."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def read(self) -> bytes:
        return self.content


class WireClient:
    """Stands where the border makes its ``httpx.Client``; a transport is a simulator in this process."""

    def __init__(
        self, *, auth: httpx.Auth | None, transport: InProcess, event_hooks: Mapping[str, Any], **_: object
    ) -> None:
        self._auth, self._sim, self._hooks = auth or httpx.Auth(), transport.sim, event_hooks["request"]

    def close(self) -> None:
        pass

    def build_request(
        self, method: str, url: str, *, params: Any = None, json: object = None, headers: Any = None
    ) -> WireRequest:
        parts = urlsplit(url)
        query = urlencode(params) if params else parts.query
        target = f"{parts.path}?{query}" if query else parts.path
        return WireRequest(
            method,
            target,
            encode_json(json),
            {**DEFAULT_HEADERS, **(headers or {})},
            SimpleNamespace(host=parts.hostname),
        )

    def send(self, request: Any, *, auth: Any) -> Any:
        flow = (self._auth if auth is httpx.USE_CLIENT_DEFAULT else auth).sync_auth_flow(request)
        outgoing = next(flow)
        while True:
            reply: Any = self._send_once(outgoing)
            try:
                outgoing = flow.send(reply)
            except StopIteration:
                return reply

    def _send_once(self, request: Any) -> WireResponse:
        for hook in self._hooks:
            hook(request)
        target = request.target if isinstance(request, WireRequest) else request.url.raw_path.decode()
        try:
            answer: SimResponse = self._sim.handle(request.method, target, dict(request.headers), request.content)
        except SimulatedFault as fault:
            raise HTTPX_ERRORS.get(type(fault), httpx.TransportError)(f"simulated: {fault}", request=request) from fault
        return WireResponse(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)


def encode_json(body: object) -> bytes:
    """JSON as httpx writes it."""
    return b"" if body is None else JSON_ENCODER.encode(body).encode()


@contextmanager
def bypass_httpx() -> Iterator[None]:
    """Let clients that talk to a simulator in this process do without httpx's client; all others are httpx's own."""

    def new_client(*, transport: Any, **options: Any) -> Any:
        client_class: Any = WireClient if isinstance(transport, InProcess) else httpx.Client
        return client_class(transport=transport, **options)

    setattr(http, HTTPX_NAME, SimpleNamespace(**{**vars(httpx), "Client": new_client}))
    try:
        yield
    finally:
        setattr(http, HTTPX_NAME, httpx)
