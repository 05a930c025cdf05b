"""One firm's turn in a process that serves many: its file is read, its command carried out, and nothing of it is kept.

A process does one turn at a time. Clients, tokens, frames and the open store live and die with the run; what a module
keeps for the next run, the readings of values people typed, is cleared when the turn ends.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from etl.errors import AdvosyncError
from jobs.commands import check, maintenance, status
from jobs.config import read_config
from jobs.environment import PRODUCTION, Environment, with_stop_signal
from jobs.exit_codes import CommandOutcome, outcome_of
from jobs.firms.result import FirmCommand, FirmResult, result_of
from jobs.run.options import RunOptions
from jobs.run_and_notify import run_and_notify
from jobs.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.config import Config
    from jobs.environment import StopSignal
    from jobs.firms.result import FirmTask


STORE_ONLY = {FirmCommand.STATUS, FirmCommand.BACKUP, FirmCommand.MAINTENANCE}
"""These look into the state store only: the logins may lack their variables."""


def take_turn(task: FirmTask, stop_signal: StopSignal, *, environment: Environment = PRODUCTION) -> FirmResult:
    """Carry a task out; whatever goes wrong is this firm's result and nobody else's."""
    with firm_scope(task.firm):
        try:
            config = read_config(task.path, with_credentials=task.command not in STORE_ONLY)
            configure_logging(
                config.report.log_format, secrets=config.secrets(), level=task.log_level, details=task.details
            )
            return carry_out(task, config, stop_signal, environment)
        except AdvosyncError as error:
            return result_of(task, outcome_of(error), str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other firms have their turns
            structlog.get_logger().exception("crashed")
            return result_of(task, CommandOutcome.CRASHED, f"a mistake in advosync itself ({type(error).__name__})")


@contextmanager
def firm_scope(firm: str) -> Iterator[None]:
    """For the time of the block every log line names the firm; afterwards no value of its people is in memory.

    Nor are its secrets, which the log would go on to mask.
    """
    with structlog.contextvars.bound_contextvars(firm=firm):
        try:
            yield
        finally:
            clear_value_caches()
            configure_logging()


def clear_value_caches() -> None:
    """Forget how values were read. A cache with a bound holds what people typed; without one, what all firms share."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("etl.", "jobs.")):
            for cached in vars(module).values():
                if hasattr(cached, "cache_clear") and cached.cache_parameters()["maxsize"] is not None:
                    cached.cache_clear()


def carry_out(task: FirmTask, config: Config, stop_signal: StopSignal, environment: Environment) -> FirmResult:
    """Do what the firm's own command does."""
    match task.command:
        case FirmCommand.STATUS:
            document = status.collect_status(config, environment.utcnow())
            stale = status.is_overdue(config, document, environment.utcnow())
            return result_of(task, CommandOutcome.DONE, document=document | {"stale": stale})
        case FirmCommand.CHECK:
            results = check.run_checks(config)
            outcome = CommandOutcome[check.checks_exit_code(results).name]
            return result_of(task, outcome, document=json.loads(check.checks_to_json(results)))
        case FirmCommand.PLAN | FirmCommand.SYNC:
            is_plan = task.command is FirmCommand.PLAN
            options = RunOptions(trigger=task.command, operator=task.operator, write=not is_plan)
            report = run_and_notify(config, options, stop_signal, environment=environment)
            return FirmResult(task.firm, report.outcome, report.exit_code(), report.error, report.to_dict())
        case FirmCommand.BACKUP:
            options = RunOptions(trigger=task.command, operator=task.operator)
            document = maintenance.back_up(config, options, maintenance.MaintenanceArgs(), environment=environment)
            return result_of(task, CommandOutcome.DONE, document=document)
        case FirmCommand.MAINTENANCE:
            options = RunOptions(trigger=task.command, operator=task.operator)
            document = maintenance.maintain(config, options, environment=with_stop_signal(environment, stop_signal))
            return result_of(task, CommandOutcome.DONE, document=document)
