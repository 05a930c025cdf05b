"""What goes to a worker and what comes back: plain data. Only the path of a firm's file travels, no secret."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.exit_codes import CommandOutcome


class FirmCommand(StrEnum):
    """What all firms of a folder can be asked."""

    STATUS = "status"
    CHECK = "check"
    PLAN = "plan"
    SYNC = "sync"
    BACKUP = "backup"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class FirmTask:
    """What one firm is asked."""

    firm: str
    path: Path
    command: FirmCommand
    operator: str
    log_level: int = logging.INFO
    details: bool = False


@dataclass(frozen=True, slots=True)
class FirmResult:
    """How a turn ended. ``document`` is what the firm's own command prints with ``--json``."""

    firm: str
    outcome: CommandOutcome
    exit_code: int
    error: str | None = None
    document: dict[str, Any] | None = None


def result_of(
    task: FirmTask, outcome: CommandOutcome, error: str | None = None, document: dict[str, Any] | None = None
) -> FirmResult:
    """A turn that ended with this outcome, and the exit code that goes with it."""
    return FirmResult(task.firm, outcome, outcome.exit_code, error, document)
