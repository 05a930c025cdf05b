"""Waiting times of a failing person: rules §6."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.enums import PersonStatus
from etl.rules.backoff import RetryState, next_retry

NOW = "2026-03-31 23:58:30"
after = partial(next_retry, backoff_minutes=(1, 5, 15, 60, 240), max_failures=5, auto_reset_hours=24)


@pytest.mark.parametrize(
    ("failed_before", "expected"),
    [
        (0, RetryState(PersonStatus.FAILED, 1, "2026-03-31 23:59:30", None)),
        (1, RetryState(PersonStatus.FAILED, 2, "2026-04-01 00:03:30", None)),
        (2, RetryState(PersonStatus.FAILED, 3, "2026-04-01 00:13:30", None)),
        (3, RetryState(PersonStatus.FAILED, 4, "2026-04-01 00:58:30", None)),
        (4, RetryState(PersonStatus.PERMANENTLY_FAILED, 5, None, "2026-04-01 23:58:30")),
        (9, RetryState(PersonStatus.PERMANENTLY_FAILED, 10, None, "2026-04-01 23:58:30")),
    ],
)
def test_person_is_tried_again_after_1_5_15_60_minutes_then_reset_after_a_day(
    failed_before: int, expected: RetryState
) -> None:
    """The fifth failure in a row is permanent until its reset."""
    assert after(failed_before, NOW) == expected


@pytest.mark.parametrize("failed_before", [4, 5, 7])
def test_last_waiting_time_repeats_when_more_failures_are_allowed(failed_before: int) -> None:
    """A raised max_failures finds the list of minutes too short."""
    assert after(failed_before, NOW, max_failures=9).next_retry_at == "2026-04-01 03:58:30"


@given(st.integers(0, 20), st.integers(1, 10))
def test_a_failed_person_has_exactly_one_time_to_wait_for(failed_before: int, max_failures: int) -> None:
    """Nobody is forgotten: the retry or the reset is always set, in the future."""
    failure = after(failed_before, NOW, max_failures=max_failures)
    times = [time for time in (failure.next_retry_at, failure.auto_reset_at) if time is not None]
    assert len(times) == 1
    assert times[0] > NOW
    assert (failure.status == "failed") is (failure.next_retry_at is not None)
