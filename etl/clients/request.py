"""What a client says to the border: the request, the system's habits, the world around; and what may pass by itself.

Answers of either system, read defensively: empty bodies, HTML, JSON under an HTML content type, dates, reasons.

Both systems answer errors with whatever their web server likes (EspoCRM, Writing; Advoware §2).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypedDict

import httpx

from etl.errors import ConfigError
from etl.times import format_utc, parse_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import SecretStr

    from etl.errors import AdvosyncError

LOGIN_EXTENSION = "advosync.login"
"""Request extension that marks a login: counted apart, and safe to repeat."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request as a client means it. ``on_404`` is what a 404 stands for; without it a 404 is a refusal.

    ``allow_empty``: an empty body is an answer; ``allow_bare``: that, and a word that is no JSON, as EspoCRM's metadata
    come. ``proves_login``: only the login can be what a 403 to it refuses.
    """

    method: str
    url: str
    params: Mapping[str, str] | None = None
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] | None = None
    on_404: AdvosyncError | None = None
    allow_empty: bool = False
    allow_bare: bool = False
    auth: httpx.Auth | None = None
    is_login: bool = False
    proves_login: bool = False

    @property
    def is_write(self) -> bool:
        """Whether sending the request twice could write twice."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class ServerQuirks:
    """How one system says things that others say differently; ``address_keys`` names the keys of its address."""

    system: str
    login_hint: str
    address_keys: str
    offline_texts: tuple[str, ...] = ()
    login_refused_texts: tuple[str, ...] = ()


Transport = httpx.BaseTransport
"""How requests travel; the sandbox and tests give their own."""


class ClientOptions(TypedDict, total=False):
    """The keyword arguments every client passes on to ``ClientEnvironment``."""

    transport: httpx.BaseTransport | None
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    utcnow: Callable[[], datetime]
    checkpoint: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class ClientEnvironment:
    """What a client needs of the world; tests and the sandbox give their own.

    ``checkpoint`` is called before each try and may raise ``Stopped``; what it raises is passed on untouched.
    """

    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    checkpoint: Callable[[], None] = lambda: None


class TransientError(Exception):
    """A failure that may pass by itself. Never leaves this package: it ends as ``Outage`` or ``UnknownOutcome``."""

    def __init__(
        self, reason: str, *, not_applied: bool = False, repeatable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.not_applied = not_applied  # certainly not applied
        self.repeatable = repeatable  # also on a write
        self.retry_after = retry_after  # the Retry-After in seconds


def check_header_value(secret: SecretStr, key: str) -> SecretStr:
    """``secret``, when it can stand in an HTTP header; else a ``ConfigError`` that names ``key``, never the value."""
    value = secret.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{key}: is empty or holds blanks, line ends or letters a key cannot have")
    return secret


def check_url(url: str, key: str) -> str:
    """``url`` without its closing slash, when it is one; else a ``ConfigError`` that names ``key``."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    not_allowed = {"?", "#", "@"} & set(url)  # what we add behind them would be lost, and a login is ours to send
    if parsed.scheme not in {"http", "https"} or not parsed.host or not_allowed:
        raise ConfigError(f"{key}: must be an address like https://crm.example.de")
    return url.rstrip("/")


MAX_EXCERPT = 200
"""Most characters of a foreign text that enter one of our messages."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: valid in JSON, but no text that a file, a database or a request can hold."""

VALIDATION_FAILURE = re.compile(r"field: (?P<field>\w+), type: (?P<type>\w+)")
"""EspoCRM's ``X-Status-Reason`` on a refused value: ``Field validation failure; entityType: …, field: …, type: …``."""


MESSAGE_PATHS = (("messageTranslation", "label"), ("message",), ("Message",), ("detail",), ("title",), ("error",))
"""Where an error's JSON may explain itself: EspoCRM's way, then what servers like Advoware's usually do (A)."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One answer as it came. ``payload`` is its JSON (``None`` also where ``is_json`` is false)."""

    status: int
    answered_at: str
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    payload: object = field(repr=False, default=None)
    is_json: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the status says that the request was carried out."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses that mean success

    @property
    def is_empty(self) -> bool:
        """Whether the body is empty."""
        return not self.text.strip()

    @property
    def is_html(self) -> bool:
        """Whether the body is an HTML page, so most likely not the application's own answer."""
        return self.text.lstrip("\ufeff \t\r\n").startswith("<")

    @property
    def is_bare(self) -> bool:
        """Whether the body is empty or one word: neither a page nor truncated JSON."""
        return not self.text.lstrip("\ufeff \t\r\n").startswith(("<", "{", "[", '"'))

    @property
    def value(self) -> object:
        """The JSON, or a bare word as EspoCRM's metadata have it (fact B15); ``None`` for an empty body."""
        return self.payload if self.is_json else self.text.strip() or None

    @property
    def status_reason(self) -> str:
        """EspoCRM's own one-line explanation, empty when it gives none."""
        return self.headers.get("x-status-reason", "").strip()

    def find_text(self, fragments: Iterable[str]) -> str | None:
        """The first of ``fragments`` the body contains, upper or lower case."""
        body = self.text.casefold()
        return next((fragment for fragment in fragments if fragment.casefold() in body), None)


def parse_response(response: httpx.Response, now: datetime) -> ApiResponse:
    """The answer in ``response``; ``now`` stands in where it carries no usable ``Date``.

    JSON is recognised by parsing, never by its content type, which is often wrong.
    """
    try:
        payload, is_json = replace_lone_surrogates(json.loads(response.content)), True
    except (ValueError, RecursionError):
        payload, is_json = None, False
    sent_at = parse_http_date(response.headers.get("date"))
    return ApiResponse(
        response.status_code, format_utc(sent_at or now), response.headers, response.text, payload, is_json
    )


def replace_lone_surrogates(payload: Any) -> Any:  # noqa: ANN401 - foreign JSON
    """Put ``REPLACEMENT_CHARACTER`` for each half of a letter in the payload.

    Halves that belong together become one letter. Advoware may cut a text by UTF-16 units, in the middle of an emoji
    (Advoware §2).
    """
    text = json.dumps(payload, ensure_ascii=False)
    if not LONE_SURROGATE.search(text):
        return payload
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # "replace" writes CUT_LETTER
    return json.loads(joined)


def refusal_details(response: ApiResponse) -> tuple[str, str | None, str | None]:
    """Why something was refused (in full, unmasked), and EspoCRM's ``field`` and ``type`` where it names them."""
    header_match = VALIDATION_FAILURE.search(response.status_reason)
    data = _get_path(response.payload, "messageTranslation", "data")
    in_body = data if isinstance(data, dict) else {}
    in_header = header_match.groupdict() if header_match else {}
    details = {name: in_body.get(name, in_header.get(name)) for name in ("field", "type")}
    texts = {name: value if isinstance(value, str) else None for name, value in details.items()}
    return _refusal_reason(response), texts["field"], texts["type"]


def parse_retry_after(response: ApiResponse) -> float | None:
    """Seconds until the server wants to be asked again; ``None`` when it does not say so understandably."""
    header = response.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    until = parse_http_date(header)
    if until is None:
        return None
    return max(0.0, (until - parse_utc(response.answered_at)).total_seconds())


def parse_http_date(text: str | None) -> datetime | None:
    """An HTTP date as an aware UTC time; ``None`` for anything else."""
    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None




def excerpt(text: str) -> str:
    """At most ``MAX_EXCERPT`` characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_EXCERPT else line[: MAX_EXCERPT - 1] + "…"


def _refusal_reason(response: ApiResponse) -> str:
    if response.status_reason:
        return response.status_reason
    explanations = [_get_path(response.payload, *path) for path in MESSAGE_PATHS]
    if texts := [text for text in explanations if isinstance(text, str)]:
        return texts[0]
    if response.is_html:
        return "an HTML page instead of a reason"
    return response.text.strip() or "no reason given"


def _get_path(payload: object, *keys: str) -> object:
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload
