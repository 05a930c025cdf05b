"""A round: every firm of a folder has one turn, and each has its result, whatever became of the others."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from jobs.environment import stop_on_signals
from jobs.exit_codes import CommandOutcome
from jobs.firms.engine import run_tasks
from jobs.firms.folder import list_firms
from jobs.firms.overview import sort_results
from jobs.firms.pool import worker_pool
from jobs.firms.result import FirmTask, result_of
from jobs.telemetry.progress import progress_bars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.firms.engine import Engine
    from jobs.firms.result import FirmCommand, FirmResult


class RoundOptions(NamedTuple):
    """Which firms, and by whom asked; ``log_level`` and ``details`` are for what workers log.

    ``workers``: how many processes of this machine; with ``cluster``, the address of a scheduler of Dask's, its own.
    """

    folder: Path
    only: tuple[str, ...]
    workers: int
    cluster: str | None
    operator: str
    log_level: int
    details: bool


def do_round(command: FirmCommand, options: RoundOptions) -> list[FirmResult]:
    """The results, the worst first; ``ConfigError`` where there is no such folder or firm."""
    results, tasks = [], []
    for firm in list_firms(options.folder, options.only):
        task = FirmTask(firm.name, firm.path, command, options.operator, options.log_level, options.details)
        if firm.problem is None and firm.config is not None:
            tasks.append(replace(task, worker=firm.config.state.worker))
        else:
            results.append(result_of(task, CommandOutcome.REFUSED, firm.problem))
    if tasks:
        with (
            progress_bars() as progress,
            stop_on_signals() as stop_signal,
            open_engine(options, len(tasks)) as engine,
        ):
            for number, result in enumerate(run_tasks(engine, tasks, stop_signal)):
                progress("Firms", number, len(tasks))
                results.append(result)
    return sort_results(command, results)


@contextmanager
def open_engine(options: RoundOptions, most_turns: int) -> Iterator[Engine]:
    """What does the turns, for the time of the block."""
    if options.cluster is not None:
        from jobs.firms.cluster import open_cluster  # noqa: PLC0415 - its library is an extra

        with open_cluster(options.cluster) as cluster:
            yield cluster
        return
    with worker_pool(min(options.workers, most_turns)) as pool:
        yield pool
