"""A round: every firm of a folder has one turn, and each has its result, whatever became of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobs.environment import stop_on_signals
from jobs.exit_codes import CommandOutcome
from jobs.firms.folder import list_firms
from jobs.firms.overview import sort_results
from jobs.firms.pool import run_tasks
from jobs.firms.result import FirmTask, result_of
from jobs.operator import current_user
from jobs.telemetry.progress import progress_bars

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.firms.result import FirmCommand, FirmResult


class RoundOptions(NamedTuple):
    """Which firms, and how many of them at once; ``log_level`` and ``details`` are for what workers log."""

    folder: Path
    only: tuple[str, ...]
    workers: int
    log_level: int
    details: bool


def do_round(command: FirmCommand, options: RoundOptions) -> list[FirmResult]:
    """The results, the worst first; ``ConfigError`` where there is no such folder or firm."""
    firms, operator = list_firms(options.folder, options.only), current_user()
    results, tasks = [], []
    for firm in firms:
        task = FirmTask(firm.name, firm.path, command, operator, options.log_level, options.details)
        if firm.problem is None:
            tasks.append(task)
        else:
            results.append(result_of(task, CommandOutcome.REFUSED, firm.problem))
    with progress_bars() as progress, stop_on_signals() as stop_signal:
        for number, result in enumerate(run_tasks(tasks, options.workers, stop_signal)):
            progress("Firms", number, len(tasks))
            results.append(result)
    return sort_results(command, results)
