"""One firm's turn in a process that serves many: its file is read, its command carried out, and nothing of it is kept.

A process does one turn at a time. Clients, tokens, frames and the open store live and die with the run; what a module
keeps for the next run, the readings of values people typed, is cleared when the turn ends.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from etl.errors import AdvosyncError, Stopped
from jobs.commands import check, maintenance, status
from jobs.config_file import read_config
from jobs.environment import PRODUCTION, Environment, with_stop_signal
from jobs.exit_codes import CommandOutcome, outcome_of
from jobs.firms.result import FirmCommand, FirmResult, result_of
from jobs.run.options import RunOptions
from jobs.run_and_notify import run_and_notify
from jobs.schedule import Job
from jobs.scheduler import note_scheduler, record_skips
from jobs.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.config import Config
    from jobs.environment import StopSignal
    from jobs.firms.result import FirmTask, ScheduledTurn
    from jobs.run.report import RunReport


STORE_ONLY = {FirmCommand.STATUS, FirmCommand.BACKUP, FirmCommand.MAINTENANCE}
"""These look into the state store only: the logins may lack their variables."""


ONE_TURN_AT_A_TIME = threading.Lock()
"""A worker of a cluster may have several threads; how the log is written, and what it masks, is a process's own."""


def take_turn(task: FirmTask, stop_signal: StopSignal, *, environment: Environment = PRODUCTION) -> FirmResult:
    """Carry a task out; whatever goes wrong is this firm's result and nobody else's."""
    with ONE_TURN_AT_A_TIME, firm_scope(task.firm):
        try:
            config = read_config(task.path, with_credentials=task.command not in STORE_ONLY)
            configure_logging(
                config.report.log_format, secrets=config.secrets(), level=task.log_level, details=task.details
            )
            result = carry_out(task, config, stop_signal, environment)
            return note_turn(task, task.scheduled, config, result, environment) if task.scheduled else result
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
    modules = [module for name, module in sys.modules.items() if name.startswith(("etl.", "jobs."))]
    for cached in [value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")]:
        if cached.cache_parameters()["maxsize"] is not None:
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
        case FirmCommand.PLAN | FirmCommand.SYNC | FirmCommand.SWEEP:
            report = run_once_for(task, config, stop_signal, environment)
            return FirmResult(
                task.firm, str(report.outcome), report.exit_code(), report.error, report.to_dict(), report=report
            )
        case FirmCommand.BACKUP:
            options = RunOptions(trigger=task.command, operator=task.operator)
            document = maintenance.back_up(config, options, maintenance.MaintenanceArgs(), environment=environment)
            return result_of(task, CommandOutcome.DONE, document=document)
        case FirmCommand.MAINTENANCE:
            options = RunOptions(trigger=task.command, operator=task.operator)
            document = maintenance.maintain(config, options, environment=with_stop_signal(environment, stop_signal))
            return result_of(task, CommandOutcome.DONE, document=document)


def run_once_for(task: FirmTask, config: Config, stop_signal: StopSignal, environment: Environment) -> RunReport:
    """One run, or one chunk of a sweep: the scheduler sees to the next one, so that others have turns between them."""
    options = RunOptions(
        trigger=task.command,
        operator=task.operator if task.scheduled is None else None,
        write=task.command is not FirmCommand.PLAN,
        sweep=task.command is FirmCommand.SWEEP,
    )
    if task.scheduled is not None:
        config = with_share(config, task.scheduled.share)
    if task.scheduled is not None and task.scheduled.budget_seconds is not None:
        environment = with_budget(environment, task.scheduled.budget_seconds)
    return run_and_notify(
        config, options, stop_signal, environment=environment, in_chunks=task.command is FirmCommand.SWEEP
    )


def with_share(config: Config, share: float) -> Config:
    """The same configuration with so much of the persons that a run takes, so that it comes from reading to writing."""
    persons = max(1, int(config.sync.persons_per_run * share))
    sync = config.sync.model_copy(update={"persons_per_run": persons})
    advoware = config.advoware.model_copy(update={"poll_budget": int(config.advoware.poll_budget * share)})
    return config.model_copy(update={"sync": sync, "advoware": advoware})


def with_budget(environment: Environment, seconds: float) -> Environment:
    """The same world, in which a run ends between two persons, or pages of a list, once its time is up.

    The first person that is read or written is always served.
    """
    end, has_list = environment.monotonic() + seconds, threading.Event()
    thread_of_lists = threading.get_ident()  # persons are read by others, several at once

    def end_between_pages() -> None:
        environment.checkpoint()
        is_list = threading.get_ident() == thread_of_lists and not has_list.is_set()
        if is_list and environment.monotonic() >= end:
            raise Stopped("The time for one run is up before it is known who changed; it begins anew next time.")

    def end_between_persons(part: str, number: int, total: int) -> None:
        has_list.set()
        environment.progress(part, number, total)
        if number and environment.monotonic() >= end:
            what = "persons" if part == "persons" else f"persons read in {part}"
            raise Stopped(f"The time for one run is up after {number} of {total} {what}; the rest goes on next time.")

    return replace(environment, progress=end_between_persons, checkpoint=end_between_pages)


# What a turn that came by itself leaves ---------------------------------------------------------------------------


def note_turn(
    task: FirmTask, turn: ScheduledTurn, config: Config, result: FirmResult, environment: Environment
) -> FirmResult:
    """Let ``status`` know who runs this firm and what did not take place; with the result goes how the firm stands."""
    note_scheduler(config, environment, {**turn.scheduler, "seen_at": environment.now()})
    record_skips(config, environment, {Job(task.command.value): turn.skips})
    return replace(result, status=status.collect_status(config, environment.utcnow()))
