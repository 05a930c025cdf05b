"""What a command's exit code says, and the one place where an error becomes one (jobs/README.md, Exit codes)."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from etl import errors
from etl.enums import COMPLETED_OUTCOMES, RunOutcome


class ExitCode(IntEnum):
    """What monitoring reads; a promise to other people's scripts."""

    DONE = 0
    """Done, nothing failed."""
    FAILED_PERSONS = 1
    """Some persons failed; all others were synced."""
    CHANGES_PLANNED = 2
    """``plan``: there is something to do."""
    HELD = 3
    """A guard newly held somebody."""
    OUTAGE = 4
    """A system is out, refuses the login, or refuses one person after another."""
    LOCKED = 5
    """Another run holds the lock."""
    STOPPED = 6
    """Stopped by a signal; the rest waits."""
    USAGE = 64
    """Wrong usage or configuration."""
    REFUSED = USAGE
    """The same, found once a run had begun."""
    CRASHED = 70
    """A mistake in advosync itself; please report it."""


class CommandOutcome(StrEnum):
    """How a command ended, as ``--json`` says it: as the table ``runs`` does, or before a run began."""

    DONE = RunOutcome.DONE
    FAILED_PERSONS = RunOutcome.FAILED_PERSONS
    HELD = RunOutcome.HELD
    OUTAGE = RunOutcome.OUTAGE
    LOCKED = RunOutcome.LOCKED
    STOPPED = RunOutcome.STOPPED
    USAGE = "usage"
    REFUSED = RunOutcome.REFUSED
    CRASHED = RunOutcome.CRASHED

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of this outcome; ``plan`` with something to do is the one case decided elsewhere."""
        return ExitCode[self.name]

    @property
    def is_completed(self) -> bool:
        """Whether the run went to its end; whom it failed or held is reported in other ways than by an alarm."""
        return self.value in COMPLETED_OUTCOMES


def outcome_of(error: BaseException) -> CommandOutcome:
    """How a run ended that ended with this error; follows from the error's class alone."""
    match error:
        case errors.ConfigError() | errors.StoreError():
            return CommandOutcome.REFUSED
        case errors.LockHeld():
            return CommandOutcome.LOCKED
        case errors.Stopped() | KeyboardInterrupt():
            return CommandOutcome.STOPPED
        case errors.RunAborted() | errors.UnknownOutcome():
            return CommandOutcome.OUTAGE
        case errors.PersonError():
            return CommandOutcome.FAILED_PERSONS
        case _:
            return CommandOutcome.CRASHED
