"""UTC text ``YYYY-MM-DD HH:MM:SS``: how EspoCRM, the state store and all between them write a moment. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
UTC_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def format_utc(moment: datetime) -> str:
    """The text of an aware moment, its fraction of a second cut off."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def parse_utc(text: str) -> datetime:
    """The aware moment of a text; ValueError for anything else."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


def add_seconds(text: str, seconds: float) -> str:
    """The text of the moment so many seconds later; a negative number goes back."""
    return format_utc(parse_utc(text) + timedelta(seconds=seconds))
