"""What both simulated systems share: answers, a journal of calls, a clock one can move, and faults on request.

A simulator is its `handle`: a method, a target (path and query), headers and a body go in, an `Answer` comes out. It
needs no socket, so a test may run thousands of worlds in one process; `server.py` puts the same object behind HTTP and
`tests/in_process.py` behind an httpx client. A base class is used here although the house avoids inheritance: the two
systems *are* servers with one front, and everything behind `handle` that is not theirs alone stands here once.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]

WRITE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class SimulatedFault(Exception):
    """Raised by a hook: the caller gets no answer. Raised before, nothing happened; after, the effect stands."""


class ConnectionLost(SimulatedFault):
    """The connection breaks before an answer."""


class TimedOut(SimulatedFault):
    """The answer does not come in time."""


class Unreachable(SimulatedFault):
    """Nobody listens."""


class SimResponse(NamedTuple):
    """What goes back to the caller."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One request as it arrived. ``status`` is the answer's, 0 while there is none."""

    method: str
    target: str
    body: str = ""
    status: int = 0

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def is_login(self) -> bool:
        """Whether it asked for an address or a token of Advoware, not for data."""
        return self.path.endswith(("/api/Url", "/Token"))

    @property
    def is_write(self) -> bool:
        """Whether it would change data."""
        return self.method in WRITE_METHODS and not self.is_login

    @property
    def json(self) -> Any:  # noqa: ANN401  a body is whatever the caller sent
        """The body as JSON; None when there is none."""
        return json.loads(self.body) if self.body else None


@dataclass
class SimClock:
    """The time of a simulated world: real time plus an offset, or standing still at ``at`` until advanced."""

    at: datetime | None = None
    offset: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        """Now, in UTC."""
        return (self.at or datetime.now(UTC)) + self.offset

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self.offset += timedelta(seconds=seconds)

    def set(self, at: datetime) -> None:
        """Stand still at a moment."""
        self.at, self.offset = at, timedelta()


class EarlyResponse(Exception):
    """An answer that ends the handling of a request wherever it stands."""

    def __init__(self, response: SimResponse) -> None:
        super().__init__(response.status)
        self.response = response


JSON_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def make_json_response(status: int, value: object, headers: Mapping[str, str] | None = None) -> SimResponse:
    """An answer with a JSON body; half a surrogate pair is escaped in it, as no UTF-8 can hold it."""
    body = JSON_ENCODER.encode(value).encode("utf-8", "backslashreplace")
    return SimResponse(status, {"Content-Type": "application/json", **(headers or {})}, body)


class Simulator(ABC):
    """A simulated system with a journal, hooks for faults, and a lock: one request takes effect at a time.

    ``before(call)`` may answer instead of the system or raise a `Fault`; ``after(call, answer)`` may replace the answer
    or lose it, the effect stands. Both run outside the lock, so they may let people edit in between.
    """

    def __init__(self, clock: Callable[[], datetime] | None) -> None:
        self.clock: Callable[[], datetime] = clock or SimClock()
        self.request_log: list[SimRequest] = []
        self.before: Callable[[SimRequest], SimResponse | None] | None = None
        self.after: Callable[[SimRequest, SimResponse], SimResponse | None] | None = None
        self.overlapping_writes = 0
        self.latency_seconds = 0.0  # only the HTTP server waits; in process a call takes no time
        self._lock = threading.RLock()
        self._writes_in_flight = 0

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> SimResponse:
        """Answer one request, its effect included. Raises a `Fault` when a hook asks for one."""
        with self.in_flight(method, target):
            return self.respond_and_log(method, target, headers, body)

    def respond_and_log(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> SimResponse:
        """Like `handle`, for a caller that holds `under_way` itself, as the HTTP server does with its latency."""
        request = SimRequest(method, target, body.decode(errors="replace"))
        try:
            response = self.before(request) if self.before else None
            if response is None:
                response = self._respond_under_lock(method, target, headers, body)
            request = replace(request, status=response.status)
            return (self.after(request, response) if self.after else None) or response
        finally:
            self.request_log.append(request)

    @contextmanager
    def in_flight(self, method: str, target: str) -> Iterator[None]:
        """Mark a request as being under way; a write that meets another write is counted."""
        is_write = SimRequest(method, target).is_write
        with self._lock:
            self.overlapping_writes += is_write and self._writes_in_flight > 0
            self._writes_in_flight += is_write
        try:
            yield
        finally:
            with self._lock:
                self._writes_in_flight -= is_write

    @property
    def counts(self) -> Counter[str]:
        """Calls for data in the journal by method; discovery and tokens are not counted."""
        return Counter(call.method for call in self.request_log if not call.is_login)

    @property
    def writes(self) -> list[SimRequest]:
        """The journal's writing calls in their order, refused ones included."""
        return [call for call in self.request_log if call.is_write]

    def clear_request_log(self) -> None:
        """Start the journal afresh."""
        with self._lock:
            self.request_log.clear()
            self.overlapping_writes = 0

    @abstractmethod
    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> SimResponse:
        """The system's own answer and effect; header names arrive in lower case."""

    def _respond_under_lock(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> SimResponse:
        with self._lock:
            lower_headers = {name.lower(): value for name, value in headers.items()}
            try:
                response = self.respond(method, target, lower_headers, body)
            except EarlyResponse as early:
                response = early.response
            date = self.clock().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            return response._replace(headers={**response.headers, "Date": date})
