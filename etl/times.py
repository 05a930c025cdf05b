"""UTC text ``YYYY-MM-DD HH:MM:SS``: how EspoCRM, the state store and the code between them write a time. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
UTC_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def format_utc(moment: datetime) -> str:
    """The text of an aware datetime, without fractions of a second."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def parse_utc(text: str) -> datetime:
    """The aware datetime of such a text; ValueError for anything else."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


def add_seconds(text: str, seconds: float) -> str:
    """The text of the time so many seconds later, or earlier if the number is negative."""
    return format_utc(parse_utc(text) + timedelta(seconds=seconds))
