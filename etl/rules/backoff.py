"""When a failing person is tried again (rules §6 "Failing person"). Times are UTC text ``YYYY-MM-DD HH:MM:SS``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.enums import PersonStatus
from etl.times import add_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class RetryState:
    """What the record of a failed person is to show: syncStatus, syncRetryCount and the two times."""

    status: PersonStatus
    retry_count: int
    next_retry_at: str | None
    auto_reset_at: str | None


def next_retry(
    retry_count: int, now: str, *, backoff_minutes: Sequence[int], max_failures: int, auto_reset_hours: float
) -> RetryState:
    """Return the state after one more failure of a person that had failed ``retry_count`` times in a row.

    If there are fewer waiting times than failures, the last one repeats; the ``max_failures``-th failure waits for its
    reset.
    """
    count = retry_count + 1
    if count >= max_failures:
        return RetryState(PersonStatus.PERMANENTLY_FAILED, count, None, add_seconds(now, auto_reset_hours * 3600))
    minutes = backoff_minutes[min(count, len(backoff_minutes)) - 1]
    return RetryState(PersonStatus.FAILED, count, add_seconds(now, minutes * 60), None)
