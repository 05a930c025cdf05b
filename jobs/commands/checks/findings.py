"""What `check` found of one precondition: how it stands, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.exit_codes import ExitCode, outcome_of

if TYPE_CHECKING:
    from etl.errors import AdvosyncError


class CheckState(StrEnum):
    """How a precondition stands."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One precondition: what it is about, how it stands, what was seen or what to do, and its exit code."""

    about: str
    state: CheckState
    message: str
    code: ExitCode = ExitCode.DONE


def check_ok(about: str, message: str) -> CheckResult:
    """It holds."""
    return CheckResult(about, CheckState.OK, message)


def check_note(about: str, message: str) -> CheckResult:
    """A run works, but somebody should know."""
    return CheckResult(about, CheckState.NOTE, message)


def check_error(about: str, error: AdvosyncError) -> CheckResult:
    """What was asked ended with an error: a system that is out or refuses the login, or something to be set right."""
    code = outcome_of(error).exit_code
    return check_failure(about, str(error), ExitCode.USAGE if code is ExitCode.FAILED_PERSONS else code)


def check_failure(about: str, message: str, code: ExitCode = ExitCode.USAGE) -> CheckResult:
    """A run would not work; the message says what to do."""
    return CheckResult(about, CheckState.BAD, message, code)
