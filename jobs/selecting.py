"""Whom a backfill is to take, out of what was typed; whatever cannot be meant is refused at once."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.store.states import Status
from jobs.options import Selection

if TYPE_CHECKING:
    from collections.abc import Sequence


def selection_of(  # noqa: PLR0913 - an option each
    *,
    everybody: bool = False,
    betnrs: Sequence[int] | None = None,
    entities: Sequence[str] | None = None,
    since: str | None = None,
    statuses: Sequence[str] | None = None,
    chunk: int = 200,
    resume: bool = False,
) -> Selection:
    """The selection; ConfigError when it selects nobody, or goes on with one and begins another."""
    begins = bool(everybody or betnrs or entities or since or statuses)
    if resume and begins:
        raise ConfigError("--resume goes on with the selection that was begun; leave the others out.")
    if not (resume or begins):
        raise ConfigError("Say whom: --all, --betnr, --entity, --since or --status; or --resume the last one.")
    if everybody and (betnrs or entities):
        raise ConfigError("--all means everybody; leave --betnr and --entity out, or --all.")
    unknown = [one for one in statuses or () if one not in set(Status)]
    if unknown:
        raise ConfigError(f"--status {unknown[0]}: there is {', '.join(Status)}.")
    return Selection(
        everybody,
        tuple(betnrs or ()),
        tuple(one.strip() for one in entities or ()),
        None if since is None else f"{day(since)} 00:00:00",
        tuple(statuses or ()),
        chunk,
        resume,
    )


def day(text: str) -> date:
    """A day as people type it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since {text}: a day is written like 2026-08-01 (UTC).") from None
