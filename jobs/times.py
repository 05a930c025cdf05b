"""Spans of time as people say them; how a moment is written, ``etl.times`` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.times import parse_utc

if TYPE_CHECKING:
    from datetime import datetime, timedelta




def format_age(text: str | None, now: datetime) -> str:
    """How long a time is past; None is never."""
    return f"{format_duration(now - parse_utc(text))} ago" if text else "never"


def format_duration(duration: timedelta) -> str:
    """A span in its two largest units; less than nothing is nothing."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
