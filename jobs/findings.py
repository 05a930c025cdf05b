"""What `check` found of one precondition: how it stands, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.exit_codes import ExitCode, outcome_of

if TYPE_CHECKING:
    from etl.errors import AdvosyncError


class State(StrEnum):
    """How a precondition stands."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One precondition: what it is about, how it stands, what was seen or what to do, and its exit code."""

    about: str
    state: State
    message: str
    code: ExitCode = ExitCode.DONE


def ok(about: str, message: str) -> Finding:
    """It holds."""
    return Finding(about, State.OK, message)


def note(about: str, message: str) -> Finding:
    """A run works, but somebody should know."""
    return Finding(about, State.NOTE, message)


def failed(about: str, error: AdvosyncError) -> Finding:
    """What was asked ended with an error: a system that is out or refuses the login, or something to be set right."""
    code = outcome_of(error).exit_code
    return bad(about, str(error), ExitCode.USAGE if code is ExitCode.FAILED_PERSONS else code)


def bad(about: str, message: str, code: ExitCode = ExitCode.USAGE) -> Finding:
    """A run would not work; the message says what to do."""
    return Finding(about, State.BAD, message, code)
