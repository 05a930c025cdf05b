"""Moments and spans, as the state store writes them and as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def format_store_time(moment: datetime) -> str:
    """UTC text, as the state store and EspoCRM write times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def parse_store_time(text: str) -> datetime:
    """The moment UTC text stands for."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def format_age(text: str | None, now: datetime) -> str:
    """How long a time is past; None is never."""
    return f"{format_duration(now - parse_store_time(text))} ago" if text else "never"


def format_duration(duration: timedelta) -> str:
    """A span in its two largest units; less than nothing is nothing."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
