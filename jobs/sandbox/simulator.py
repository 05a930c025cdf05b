"""What both simulated systems share: answers, a journal of calls, a clock one can move, and faults on request.

A simulator is its `handle`: a method, a target (path and query), headers and a body go in, an `Answer` comes out. It
needs no socket, so a test may run thousands of worlds in one process; `server.py` puts the same object behind HTTP and
`transport.py` behind an httpx client. A base class is used here although the house avoids inheritance: the two systems
*are* servers with one front, and everything behind `handle` that is not theirs alone stands here once.
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

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Fault(Exception):
    """Raised by a hook: the caller gets no answer. Raised before, nothing happened; after, the effect stands."""


class ConnectionLost(Fault):
    """The connection breaks before an answer."""


class TimedOut(Fault):
    """The answer does not come in time."""


class Unreachable(Fault):
    """Nobody listens."""


class Answer(NamedTuple):
    """What goes back to the caller."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
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
        return self.method in WRITING and not self.is_login

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


class Reply(Exception):
    """An answer that ends the handling of a request wherever it stands."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body; half a surrogate pair is escaped in it, as no UTF-8 can hold it."""
    body = JSON.encode(value).encode("utf-8", "backslashreplace")
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)


class Simulator(ABC):
    """A simulated system with a journal, hooks for faults, and a lock: one request takes effect at a time.

    ``before(call)`` may answer instead of the system or raise a `Fault`; ``after(call, answer)`` may replace the answer
    or lose it, the effect stands. Both run outside the lock, so they may let people edit in between.
    """

    def __init__(self, clock: Callable[[], datetime] | None) -> None:
        self.clock: Callable[[], datetime] = clock or SimClock()
        self.journal: list[Call] = []
        self.before: Callable[[Call], Answer | None] | None = None
        self.after: Callable[[Call, Answer], Answer | None] | None = None
        self.overlapping_writes = 0
        self.latency_seconds = 0.0  # only the HTTP server waits; in process a call takes no time
        self._lock = threading.RLock()
        self._writes_under_way = 0

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer one request, its effect included. Raises a `Fault` when a hook asks for one."""
        with self.under_way(method, target):
            return self.answer(method, target, headers, body)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Like `handle`, for a caller that holds `under_way` itself, as the HTTP server does with its latency."""
        call = Call(method, target, body.decode(errors="replace"))
        try:
            answer = self.before(call) if self.before else None
            if answer is None:
                answer = self._serve(method, target, headers, body)
            call = replace(call, status=answer.status)
            return (self.after(call, answer) if self.after else None) or answer
        finally:
            self.journal.append(call)

    @contextmanager
    def under_way(self, method: str, target: str) -> Iterator[None]:
        """Mark a request as being under way; a write that meets another write is counted."""
        writes = Call(method, target).is_write
        with self._lock:
            self.overlapping_writes += writes and self._writes_under_way > 0
            self._writes_under_way += writes
        try:
            yield
        finally:
            with self._lock:
                self._writes_under_way -= writes

    @property
    def counts(self) -> Counter[str]:
        """Calls for data in the journal by method; discovery and tokens are not counted."""
        return Counter(call.method for call in self.journal if not call.is_login)

    @property
    def writes(self) -> list[Call]:
        """The journal's writing calls in their order, refused ones included."""
        return [call for call in self.journal if call.is_write]

    def forget_calls(self) -> None:
        """Start the journal afresh."""
        with self._lock:
            self.journal.clear()
            self.overlapping_writes = 0

    @abstractmethod
    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The system's own answer and effect; header names arrive in lower case."""

    def _serve(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._lock:
            lowered = {name.lower(): value for name, value in headers.items()}
            try:
                answer = self.respond(method, target, lowered, body)
            except Reply as reply:
                answer = reply.answer
            date = self.clock().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            return answer._replace(headers={**answer.headers, "Date": date})
