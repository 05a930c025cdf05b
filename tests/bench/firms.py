"""Many firms in warm workers against a process for each: what a round without changes costs, and how that grows.

The firms are those of ``advosync sandbox --firms``, in a process of its own. A round is ``firms sync``; its CPU is that
of the workers and of the process that hands the turns out. The processes are measured on a sample and multiplied.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, NamedTuple

from jobs.environment import StopSignal
from jobs.exit_codes import ExitCode
from jobs.firms.engine import run_tasks
from jobs.firms.folder import list_firms
from jobs.firms.pool import worker_pool
from jobs.firms.result import FirmCommand, FirmTask
from tests.bench.measure import ROOT, cost_of, median_of
from tests.bench.results import BenchLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.firms.pool import Pool
    from tests.bench.__main__ import BenchOptions

COUNTS, PERSONS, WORKERS, ROUNDS, SAMPLE = (30, 300), 40, 2, 20, 10
WARM = 4
"""Rounds after which all that a worker loads and reserves once is there."""

MAX_SHARE, MAX_GROWTH, MAX_MEMORY_GROWTH = 0.25, 1.1, 1.05
TICKS = os.sysconf("SC_CLK_TCK")
LOG_LEVEL = 40


class Round(NamedTuple):
    """One turn of each firm: seconds on the wall and of CPU, and the memory of the larger worker afterwards."""

    seconds: float
    cpu: float
    worker_mb: float


def measure_firms(options: BenchOptions) -> list[BenchLine]:
    """Rounds over few and over many firms."""
    lines: list[BenchLine] = []
    cpu_a_firm: dict[int, float] = {}
    for count in COUNTS:
        with firms_sandbox(options.folder, count) as folder:
            rounds = measure_rounds(folder, ROUNDS)
            cpu_a_firm[count] = median(each.cpu for each in rounds) / count
            lines += round_lines(count, rounds)
            lines.append(wall_line(folder, count, rounds))
            if count == max(COUNTS):
                lines.append(share_line(folder, count, rounds))
    growth = cpu_a_firm[max(COUNTS)] / cpu_a_firm[min(COUNTS)]
    what = f"CPU a firm of a round over {max(COUNTS)} firms ÷ over {min(COUNTS)}"
    return [*lines, BenchLine(what, f"{growth:.2f}", f"≤ {MAX_GROWTH}", growth <= MAX_GROWTH)]


@contextmanager
def firms_sandbox(parent: Path, count: int) -> Iterator[Path]:
    """So many firms until the end of the block; the folder with their files."""
    home = parent / f"firms{count}-{os.getpid()}"
    home.mkdir()
    command = [sys.executable, "-m", "jobs", "sandbox", "--firms", str(count), "--persons", str(PERSONS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        [folder] = home.iterdir()
        yield folder
        process.send_signal(signal.SIGTERM)


def measure_rounds(folder: Path, rounds: int) -> list[Round]:
    """The first syncs, a round in which all is warm, and then so many rounds without a change."""
    firms = list_firms(folder, ())
    tasks = [FirmTask(firm.name, firm.path, FirmCommand.SYNC, "bench", LOG_LEVEL) for firm in firms]
    stop_signal = StopSignal()
    with worker_pool(WORKERS) as pool:
        for _ in range(2):
            do_round(pool, tasks, stop_signal)
        measured = [do_round(pool, tasks, stop_signal) for _ in range(rounds)]
    stop_signal.close()
    return measured


def do_round(pool: Pool, tasks: list[FirmTask], stop_signal: StopSignal) -> Round:
    """One turn of each firm; every one must have gone well."""
    started, cpu = time.perf_counter(), cpu_seconds(pool)
    results = list(run_tasks(pool, tasks, stop_signal))
    assert {result.exit_code for result in results} == {ExitCode.DONE}, results
    seconds = time.perf_counter() - started
    return Round(seconds, cpu_seconds(pool) - cpu, max(memory_mb(worker.process.pid) for worker in pool.workers))


def cpu_seconds(pool: Pool) -> float:
    """What all of them have used: the workers and this process."""
    return sum(cpu_seconds_of(worker.process.pid) for worker in pool.workers) + time.process_time()


def cpu_seconds_of(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int | None) -> float:
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS"))


def round_lines(count: int, rounds: list[Round]) -> list[BenchLine]:
    """What a round takes, and whether a worker grows."""
    seconds, cpu = median(each.seconds for each in rounds), median(each.cpu for each in rounds)
    early, late = (mean(each.worker_mb for each in part) for part in (rounds[WARM : WARM + 3], rounds[-3:]))
    name = f"{count} firms of {PERSONS} persons, no change, {WORKERS} workers"
    return [
        BenchLine(f"a round over {name}", f"{cpu:.1f} s CPU, {seconds:.1f} s"),
        BenchLine(
            f"… memory of a worker after {len(rounds)} rounds ÷ after {WARM}",
            f"{late:.0f} MB ÷ {early:.0f} MB = {late / early:.2f}",
            f"≤ {MAX_MEMORY_GROWTH}",
            late / early <= MAX_MEMORY_GROWTH,
        ),
    ]


def wall_line(folder: Path, count: int, rounds: list[Round]) -> BenchLine:
    """Against a process for each firm, as many at a time as there are workers."""
    firms = list_firms(folder, ())[:SAMPLE]
    started = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as executor:
        codes = list(executor.map(lambda firm: run_sync_process(firm.path), firms))
    assert set(codes) == {ExitCode.DONE}, codes
    of_processes = (time.perf_counter() - started) * count / len(firms)
    of_round = median(each.seconds for each in rounds)
    what = f"… wall ÷ {count} processes, {WORKERS} at a time, from a sample of {len(firms)}"
    return BenchLine(what, f"{of_round:.1f} s ÷ {of_processes:.1f} s = {of_round / of_processes:.2f}")


def run_sync_process(config_file: Path) -> int:
    """One ``advosync sync`` in a process of its own; its exit code."""
    command = [sys.executable, "-m", "jobs", "--config", str(config_file), "sync"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=config_file.parent, env=environment, capture_output=True, check=False).returncode


def share_line(folder: Path, count: int, rounds: list[Round]) -> BenchLine:
    """Against a process for each firm, as timers would start them."""
    costs = [cost_of("tests.bench.commands:sync_command", firm.path) for firm in list_firms(folder, ())[:SAMPLE]]
    of_processes = median_of(costs, "process_cpu") * count
    share = median(each.cpu for each in rounds) / of_processes
    measured = f"{median(each.cpu for each in rounds):.1f} s ÷ {of_processes:.0f} s = {share:.2f}"
    what = f"… CPU ÷ {count} processes, from a sample of {SAMPLE}"
    return BenchLine(what, measured, f"≤ {MAX_SHARE}", share <= MAX_SHARE)
