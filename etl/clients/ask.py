"""What a client says to the border: the request, the system's habits, the world around; and what may pass by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

import httpx

from etl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from etl.errors import AdvosyncError

LOGIN = "advosync.login"
"""Request extension that marks a login: counted apart, and safe to repeat."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as a client means it. ``missing`` is what a 404 stands for; without it a 404 is a refusal.

    ``empty_ok``: an empty body is an answer; ``bare_ok``: that, and a word that is no JSON, as EspoCRM's metadata come.
    ``proves_login``: only the login can be what a 403 to it refuses.
    """

    method: str
    url: str
    params: Mapping[str, str] | None = None
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] | None = None
    missing: AdvosyncError | None = None
    empty_ok: bool = False
    bare_ok: bool = False
    auth: httpx.Auth | None = None
    login: bool = False
    proves_login: bool = False

    @property
    def is_write(self) -> bool:
        """Sending it twice could do something twice."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Habits:
    """How one system says things that others say differently; ``address`` names the keys of its address."""

    system: str
    login_hint: str
    address: str
    offline: tuple[str, ...] = ()
    login_refused: tuple[str, ...] = ()


Transport = httpx.BaseTransport
"""How requests travel; the sandbox and tests give their own."""


class World(TypedDict, total=False):
    """The keyword arguments every client passes on to ``Surroundings``."""

    transport: httpx.BaseTransport | None
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    utcnow: Callable[[], datetime]
    checkpoint: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a client needs of the world; tests and the sandbox give their own.

    ``checkpoint`` is called before each try and may raise ``Stopped``; what it raises is passed on untouched.
    """

    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    checkpoint: Callable[[], None] = lambda: None


class Fault(Exception):
    """A failure that may pass by itself. Never leaves this package: it ends as ``Outage`` or ``UnknownOutcome``."""

    def __init__(
        self, reason: str, *, unsent: bool = False, repeatable: bool = False, patient: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unsent = unsent  # certainly not applied
        self.repeatable = repeatable  # also on a write
        self.patient = patient  # the Retry-After in seconds


def header_safe(secret: SecretStr, key: str) -> SecretStr:
    """``secret``, when it can stand in an HTTP header; else a ``ConfigError`` that names ``key``, never the value."""
    value = secret.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{key}: is empty or holds blanks, line ends or letters a key cannot have")
    return secret


def web_address(url: str, key: str) -> str:
    """``url`` without its closing slash, when it is one; else a ``ConfigError`` that names ``key``."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    lost = {"?", "#", "@"} & set(url)  # what we add behind them would be lost, and a login is ours to send
    if parsed.scheme not in {"http", "https"} or not parsed.host or lost:
        raise ConfigError(f"{key}: must be an address like https://crm.example.de")
    return url.rstrip("/")
