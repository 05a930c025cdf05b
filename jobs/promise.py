"""The promise: within which time an edit arrives at the present size of the firm, what was measured, and if it is kept.

It is worked out for the worst moment: an edit made right after its run began. Of what was measured (table ``arrivals``)
95 of 100 edits must have kept it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from jobs.schedule import Job, longest_gap
from jobs.times import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jobs.config import Config

NO_PROMISE = "none: nothing runs by itself here; start `advosync run`, or a timer"

MEASURED: Final = timedelta(days=7)
"""The edits that arrived within this time are told of, and compared with the promise."""

EDITED_SYSTEMS: Final = {"espocrm_edit": "EspoCRM", "advoware_edit": "Advoware"}
"""What ``status`` calls the edits, and where they were made."""


@dataclass(frozen=True)
class DeliveryTime:
    """Within which time an edit of one side arrives on the other, at worst."""

    espo_edit: timedelta
    advo_edit: timedelta


def delivery_time(config: Config, status: dict[str, Any], now: datetime) -> DeliveryTime:
    """What the schedule, the budget and the number of persons allow to promise.

    EspoCRM: a record saved just before a run is left to settle, so it waits for the next one. Advoware: at least half
    of the budget goes to the oldest looks, and a sweep looks at everybody, as quickly as the ceiling of requests lets.
    """
    gap = longest_gap(config.schedule, Job.SYNC, now)
    delay = timedelta(
        seconds=config.schedule.jitter_seconds + config.espocrm.settle_seconds + status["longest_run_seconds"]
    )
    runs_for_those_due = max(1, ceil(status["due"]["persons"] / config.sync.persons_per_run))
    linked_count = sum(count for name, count in status["persons"].items() if name != "not_linked")
    oldest_per_run = config.advoware.poll_budget - config.advoware.poll_budget // 2
    requests_per_second = config.advoware.max_requests_per_second
    by_sweep = (
        longest_gap(config.schedule, Job.SWEEP, now)
        + delay
        + timedelta(seconds=linked_count / requests_per_second if requests_per_second else 0)
    )
    by_polling = gap * max(1, ceil(linked_count / oldest_per_run)) + delay if oldest_per_run else by_sweep
    return DeliveryTime(gap * runs_for_those_due + delay, min(by_polling, by_sweep))


def is_promise_kept(status: Mapping[str, Any], edits: str) -> bool | None:
    """Whether 95 of 100 of these edits arrived as promised; None where nothing is promised, or none arrived."""
    measured = status["measured"][edits]["p95_seconds"]
    if measured is None or not status["runs_by_itself"]:
        return None
    return bool(measured <= status["promise"][f"{edits}_seconds"])


TIMER_CONDITION: Final = ", if a timer starts syncs here"

# For the eye -------------------------------------------------------------------------------------------------------


def format_promise(status: Mapping[str, Any]) -> str:
    """Within which time an edit arrives."""
    if not status["runs_by_itself"]:
        return NO_PROMISE
    espo, advo = (format_seconds(status["promise"][f"{edits}_seconds"]) for edits in EDITED_SYSTEMS)
    condition = "" if has_scheduler(status) else TIMER_CONDITION
    return f"an edit in EspoCRM arrives within {espo}, one in Advoware within {advo}{condition}"


def has_scheduler(status: Mapping[str, Any]) -> bool:
    """Whether a scheduler runs; without one a run by hand cannot be told from a timer's."""
    return status["scheduler"] is not None and bool(status["scheduler"]["runs"])


def format_measurement(status: Mapping[str, Any]) -> str:
    """How long the edits of the last days took, and whether that is longer than promised."""
    measured = status["measured"]
    parts = [
        f"{times['edits']} in {system}, half within {format_seconds(times['median_seconds'])}, "
        f"95 of 100 within {format_seconds(times['p95_seconds'])}"
        + (", longer than promised" if is_promise_kept(status, edits) is False else "")
        for edits, system in EDITED_SYSTEMS.items()
        if (times := measured[edits])["edits"]
    ]
    return f"edits that arrived in {measured['days']} days: {'; '.join(parts) or 'none'}"


def format_seconds(seconds: int) -> str:
    """So many seconds as a span."""
    return format_duration(timedelta(seconds=seconds))
