"""What goes to a worker and what comes back: plain data. Only the path of a firm's file travels, no secret."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobs.exit_codes import CommandOutcome, ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport


class FirmCommand(StrEnum):
    """What a firm can be asked; a sweep, of which a turn is one chunk, by the scheduler only."""

    STATUS = "status"
    CHECK = "check"
    PLAN = "plan"
    SYNC = "sync"
    SWEEP = "sweep"
    BACKUP = "backup"
    MAINTENANCE = "maintenance"


AWAY = "away"
"""The outcome of a firm whose worker is not there: nobody can see its store, which is another thing than none."""


@dataclass(frozen=True, slots=True)
class ScheduledTurn:
    """What a turn that came by itself is given besides.

    ``scheduler`` is the mark by which ``status`` knows that a scheduler runs; ``skips``: how many of the job's times
    passed; ``budget_seconds``: after which the run ends behind the person it is at; ``share``: of the persons that a
    run may take, as its last run had to end so.
    """

    scheduler: dict[str, Any]
    skips: int = 0
    budget_seconds: float | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class FirmTask:
    """What one firm is asked, and by which worker, where the firm's file names one.

    ``limit_seconds``: after which the process that is at it is ended from outside, as it does not end by itself.
    """

    firm: str
    path: Path
    command: FirmCommand
    operator: str
    log_level: int = logging.INFO
    details: bool = False
    worker: str | None = None
    scheduled: ScheduledTurn | None = None
    limit_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class FirmResult:
    """How a turn ended. ``document`` is what the firm's own command prints with ``--json``.

    ``report`` is a run's; ``status``: how the firm stands after a turn that came by itself.
    """

    firm: str
    outcome: str
    exit_code: int
    error: str | None = None
    document: dict[str, Any] | None = None
    status: dict[str, Any] | None = None
    report: RunReport | None = None


def result_of(
    task: FirmTask, outcome: CommandOutcome, error: str | None = None, document: dict[str, Any] | None = None
) -> FirmResult:
    """A turn that ended with this outcome, and the exit code that goes with it."""
    return FirmResult(task.firm, str(outcome), outcome.exit_code, error, document)


def result_away(task: FirmTask, reason: str | None = None) -> FirmResult:
    """The result of a firm that cannot be asked where its store is."""
    if reason is None:
        worker = task.worker and f"its state store is with the worker {task.worker}, which is not there"
        reason = worker or "no worker is there"
    return FirmResult(task.firm, AWAY, ExitCode.OUTAGE, reason)


def result_stuck(task: FirmTask, ended: str = "was ended from outside") -> FirmResult:
    """The result of a firm whose process did not end its turn in time, or not when it was asked to stop."""
    return result_of(task, CommandOutcome.CRASHED, f"its worker process was stuck and {ended}")


def result_before_turn(task: FirmTask, stopped_by: str | None) -> FirmResult:
    """The result of a firm whose turn did not begin any more."""
    return result_of(task, CommandOutcome.STOPPED, f"Stopped by {stopped_by} before its turn.")
