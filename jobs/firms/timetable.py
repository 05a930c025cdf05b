"""Which firm has its turn next: pure, the time is an argument.

A firm's regular runs stand at fixed places of its interval, by the hash of its name, so that three hundred firms do
not begin together, today or after a restart. Whose time came longest ago goes first; a sweep or the maintenance of
all firms at the same hour of the night lets regular runs pass for an hour.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from etl.times import parse_utc
from jobs.schedule import Job, count_missed_runs, job_times, next_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from jobs.config import Config, ScheduleSection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YIELDS_FOR = {Job.SYNC: timedelta(0), Job.MAINTENANCE: timedelta(hours=1), Job.SWEEP: timedelta(hours=1)}
"""How long a job that is due lets others go before it."""

SWEEP_AGAIN_AFTER = timedelta(minutes=15)
"""A sweep that was interrupted goes on after so long."""

ASK_AGAIN_AFTER = timedelta(minutes=1)
"""A firm that could not be asked how it stands is asked again after so long."""


class Turn(NamedTuple):
    """What a firm is due for; ``job`` None: to be asked how it stands, before anything else."""

    firm: str
    job: Job | None
    due: datetime


@dataclass
class ScheduledFirm:
    """A firm and what is known of its turns.

    ``last``: when each job was last begun, or since when its times count; empty until the firm was asked. ``due``:
    when its next turns are. ``is_suspect``: its last turn met an outage, died or took all its time. ``share``: of the
    persons that a run may take; less after runs whose time was up, which may have been while they read.
    """

    name: str
    path: Path
    config: Config
    last: dict[Job, datetime] = field(default_factory=dict)
    due: dict[Job | None, datetime] = field(default_factory=lambda: {None: EPOCH})
    is_at_turn: bool = False
    is_suspect: bool = False
    share: float = 1.0

    def note_status(self, status: Mapping[str, Any], now: datetime) -> None:
        """Take over from the firm's own store when each job was last begun; a clock set back counts from now."""
        times = {
            Job.SYNC: (status.get("last_run") or {}).get("started_at"),
            Job.SWEEP: status.get("sweep", {}).get("last_at"),
            Job.MAINTENANCE: status.get("maintenance", {}).get("last_at"),
        }
        self.last = {job: min(parse_utc(text), now) if text else now for job, text in times.items()}
        self.due = {
            job: due_time(self.config.schedule, job, self.name, self.last[job], is_new=not text)
            for job, text in times.items()
        }
        if status.get("sweep", {}).get("after") is not None:
            self.due[Job.SWEEP] = now

    def forget_status(self, now: datetime) -> None:
        """Ask the firm again how it stands before anything else."""
        self.last, self.due = {}, {None: now}

    def begin(self, job: Job | None, now: datetime) -> int:
        """A turn begins; how many of the job's times passed without one."""
        self.is_at_turn = True
        if job is None:
            self.due = {None: now + ASK_AGAIN_AFTER}
            return 0
        missed = count_missed_runs(self.config.schedule, job, self.last[job], now)
        self.last[job] = now
        self.due[job] = due_time(self.config.schedule, job, self.name, now)
        return missed

    def turns(self) -> list[Turn]:
        """When each of its turns is due; none while it is at one."""
        return [] if self.is_at_turn else [Turn(self.name, job, due) for job, due in self.due.items()]


def due_turns(firms: Iterable[ScheduledFirm], now: datetime) -> list[Turn]:
    """Who is due and not at a turn: each firm's first turn, the most overdue first."""
    waiting = sorted((turn for firm in firms for turn in firm.turns() if turn.due <= now), key=urgency)
    first_turns: dict[str, Turn] = {}
    for turn in waiting:
        first_turns.setdefault(turn.firm, turn)
    return list(first_turns.values())


def urgency(turn: Turn) -> tuple[datetime, str]:
    """The smaller, the sooner; what a firm is asked goes before all else, as it takes no time."""
    return (EPOCH if turn.job is None else turn.due + YIELDS_FOR[turn.job], turn.firm)


def next_due(firms: Iterable[ScheduledFirm], now: datetime) -> datetime | None:
    """When the next turn after ``now`` is due; None when all firms are at their turns."""
    return min((turn.due for firm in firms for turn in firm.turns() if turn.due > now), default=None)


def due_time(schedule: ScheduleSection, job: Job, name: str, last: datetime, *, is_new: bool = False) -> datetime:
    """The first time of a job after its last one; what never was done and has an interval is due at once."""
    minutes = job_times(schedule, job).minutes
    if minutes is None:
        delay = timedelta(seconds=schedule.jitter_seconds * hash_share(name))
        return next_time(schedule, job, last=last - delay, now=last) + delay
    if is_new:
        return last
    interval = timedelta(minutes=minutes)
    place = interval * hash_share(name)
    return EPOCH + place + interval * ((last - EPOCH - place) // interval + 1)


def hash_share(name: str) -> float:
    """A number from 0 to 1 that a name always gets."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
