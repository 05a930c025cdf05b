"""Moments and spans as people read them. Everything else, JSON included, is UTC text, as ``etl.times`` writes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etl.times import TIME_FORMAT, UTC_TEXT, parse_utc

if TYPE_CHECKING:
    from datetime import datetime, timedelta, tzinfo

UTC_IN_SENTENCE: Final = re.compile(rf"({UTC_TEXT.pattern}) UTC\b")


def format_local(text: str | None, zone: tzinfo, time_format: str = TIME_FORMAT) -> str:
    """A moment as the firm's clocks show it (``schedule.timezone``); None is never."""
    return parse_utc(text).astimezone(zone).strftime(time_format) if text else "never"


def with_local_times(sentence: str, zone: tzinfo) -> str:
    """A sentence of the log or the store, where times are UTC and say so, as people read it."""
    return UTC_IN_SENTENCE.sub(lambda moment: format_local(moment[1], zone), sentence)


def format_age(text: str | None, now: datetime) -> str:
    """How long a time is past; None is never."""
    return f"{format_duration(now - parse_utc(text))} ago" if text else "never"


def format_duration(duration: timedelta) -> str:
    """A span in its two largest units; less than nothing is nothing."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
