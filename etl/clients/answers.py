"""Answers of either system, read defensively: empty bodies, HTML, JSON under an HTML content type, dates, reasons.

Both systems answer errors with whatever their web server likes (espocrm-api.md, Writing; advoware-api.md §2).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import httpx

EXCERPT = 200
"""Most characters of a foreign text that enter one of our messages."""

HALF_LETTER = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: valid in JSON, but no text that a file, a database or a request can hold."""

VALIDATION = re.compile(r"field: (?P<field>\w+), type: (?P<type>\w+)")
"""EspoCRM's ``X-Status-Reason`` on a refused value: ``Field validation failure; entityType: …, field: …, type: …``."""


EXPLANATIONS = (("messageTranslation", "label"), ("message",), ("Message",), ("detail",), ("title",), ("error",))
"""Where an error's JSON may explain itself: EspoCRM's way, then what servers like Advoware's usually do (A)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came. ``payload`` is its JSON (``None`` also where ``is_json`` is false)."""

    status: int
    answered_at: str
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    payload: object = field(repr=False, default=None)
    is_json: bool = False

    @property
    def ok(self) -> bool:
        """The request was carried out, by what the status says."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses that mean success

    @property
    def empty(self) -> bool:
        """Nothing but a status came."""
        return not self.text.strip()

    @property
    def is_html(self) -> bool:
        """The body is a page for people, so most likely not the application's own words."""
        return self.text.lstrip("\ufeff \t\r\n").startswith("<")

    @property
    def is_bare(self) -> bool:
        """Nothing, or a word: neither a page nor the beginning of JSON that broke off."""
        return not self.text.lstrip("\ufeff \t\r\n").startswith(("<", "{", "[", '"'))

    @property
    def value(self) -> object:
        """The JSON, or a bare word as EspoCRM's metadata have it (² 15); ``None`` for an empty body."""
        return self.payload if self.is_json else self.text.strip() or None

    @property
    def status_reason(self) -> str:
        """EspoCRM's own one-line explanation, empty when it gives none."""
        return self.headers.get("x-status-reason", "").strip()

    def says(self, fragments: Iterable[str]) -> str | None:
        """The first of ``fragments`` the body contains, upper or lower case."""
        body = self.text.casefold()
        return next((fragment for fragment in fragments if fragment.casefold() in body), None)


def read_answer(response: httpx.Response, now: datetime) -> Answer:
    """The answer in ``response``; ``now`` stands in where it carries no usable ``Date``.

    JSON is recognised by parsing, never by its content type, which is often wrong.
    """
    try:
        payload, is_json = whole_letters(json.loads(response.content)), True
    except (ValueError, RecursionError):
        payload, is_json = None, False
    told = http_date(response.headers.get("date"))
    return Answer(response.status_code, utc_text(told or now), response.headers, response.text, payload, is_json)


def whole_letters(payload: Any) -> Any:  # noqa: ANN401 - foreign JSON
    """``payload`` with ``CUT_LETTER`` for each half of a letter in it; halves that belong together become one letter.

    Advoware may cut a text by UTF-16 units, in the middle of an emoji (advoware-api.md §2).
    """
    text = json.dumps(payload, ensure_ascii=False)
    if not HALF_LETTER.search(text):
        return payload
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # "replace" writes CUT_LETTER
    return json.loads(joined)


def refusal_of(answer: Answer) -> tuple[str, str | None, str | None]:
    """Why something was refused (in full, unmasked), and EspoCRM's ``field`` and ``type`` where it names them."""
    named = VALIDATION.search(answer.status_reason)
    data = _dig(answer.payload, "messageTranslation", "data")
    in_body = data if isinstance(data, dict) else {}
    in_header = named.groupdict() if named else {}
    found = {name: in_body.get(name, in_header.get(name)) for name in ("field", "type")}
    texts = {name: value if isinstance(value, str) else None for name, value in found.items()}
    return _reason(answer), texts["field"], texts["type"]


def retry_after(answer: Answer) -> float | None:
    """Seconds until the server wants to be asked again; ``None`` when it does not say so understandably."""
    written = answer.headers.get("retry-after", "").strip()
    if written.isascii() and written.isdigit():
        return float(written[:9])
    until = http_date(written)
    if until is None:
        return None
    return max(0.0, (until - from_utc_text(answer.answered_at)).total_seconds())


def http_date(written: str | None) -> datetime | None:
    """An HTTP date as an aware UTC time; ``None`` for anything else."""
    try:
        told = parsedate_to_datetime(written or "")
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def utc_text(moment: datetime) -> str:
    """``YYYY-MM-DD HH:MM:SS`` in UTC, the form of every time in this project (records.py)."""
    return moment.astimezone(UTC).isoformat(" ", "seconds")[:19]


def from_utc_text(written: str) -> datetime:
    """The inverse of ``utc_text``."""
    return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def excerpt(text: str) -> str:
    """At most ``EXCERPT`` characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def _reason(answer: Answer) -> str:
    if answer.status_reason:
        return answer.status_reason
    said = [_dig(answer.payload, *path) for path in EXPLANATIONS]
    if texts := [text for text in said if isinstance(text, str)]:
        return texts[0]
    if answer.is_html:
        return "an HTML page instead of a reason"
    return answer.text.strip() or "no reason given"


def _dig(payload: object, *keys: str) -> object:
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload
