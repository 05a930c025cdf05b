"""How the cost of a run grows with the firm: real commands, each a process of its own, against the sandbox in another.

A thousand persons stand in the sandbox; the rest of the firm stands in the state store only, as nobody asks for it.
CPU and memory are those of the command, from its start to its end.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Self

from tests.bench.filling import add_persons
from tests.bench.measure import cost_of, median_of, seconds_of
from tests.bench.results import BenchLine
from tests.bench.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.bench.__main__ import BenchOptions
    from tests.bench.measure import Cost

IN_SANDBOX, CHANGED = 1000, 100
LARGE = 250_000
QUARTER = timedelta(minutes=15)
HELP_SECONDS, STATUS_SECONDS, QUIET_SECONDS, QUIET_MB, MAX_GROWTH = 0.3, 1.0, 1.5, 250, 1.5


def measure_growth(options: BenchOptions) -> list[BenchLine]:
    """Runs over firms of each size, and how quickly commands start on the largest."""
    lines: list[BenchLine] = []
    cpu_by_size: dict[int, float] = {}
    for persons in options.persons:
        with BenchFirm(options.folder / f"firm{persons}", persons) as firm:
            firm.run()
            changed_costs = [firm.run(changed_persons=CHANGED) for _ in range(options.runs)]
            quiet_costs = [firm.run() for _ in range(options.runs)]
            cpu_by_size[persons] = median_of(changed_costs, "process_cpu")
            lines += growth_lines(persons, changed_costs, quiet_costs)
            if persons == max(options.persons):
                lines += [growth_line(cpu_by_size), *firm.size(), *start_lines(firm.config, persons, options.runs)]
    return lines


class BenchFirm:
    """A firm of so many persons after its first sync, and a clock that moves a quarter of an hour before each run."""

    def __init__(self, folder: Path, persons: int) -> None:
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        self.persons, self.store = persons, folder / "state.db"
        self.sandbox = Sandbox(min(persons, IN_SANDBOX), 0)
        self.config = self.sandbox.write_config(folder, advoware={"poll_budget": 0})
        self.now, self.runs = datetime.now(UTC), 0

    def __enter__(self) -> Self:
        self.run()
        self.first_sync_bytes = self.store.stat().st_size
        if self.persons > IN_SANDBOX:
            add_persons(self.store, self.persons - IN_SANDBOX)
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.__exit__()

    def run(self, *, changed_persons: int = 0) -> Cost:
        """One sync after so many persons changed; it must have been about them and nobody else."""
        self.now += QUARTER
        self.runs += 1
        self.sandbox.set_clock(self.now)
        if changed_persons:
            self.sandbox.add(changed_persons, self.runs)
        cost = cost_of("tests.bench.commands:sync_command", self.config)
        assert cost.answer["outcome"] == "done", cost.answer
        assert self.runs == 1 or cost.answer["persons"]["changed"] == changed_persons, cost.answer
        return cost

    def size(self) -> list[BenchLine]:
        """Of the store, by person."""
        by_first_sync = self.first_sync_bytes / min(self.persons, IN_SANDBOX) / 1024
        return [
            BenchLine("state store, a person after its first sync, journal included", f"{by_first_sync:.1f} KB"),
            BenchLine(
                f"state store of {self.persons:,} persons with 4 entries a side, history pruned",
                f"{self.store.stat().st_size / self.persons / 1024:.1f} KB a person",
            ),
        ]


def growth_lines(persons: int, changed_costs: list[Cost], quiet_costs: list[Cost]) -> list[BenchLine]:
    """What the table says of one size."""
    cpu, memory = median_of(quiet_costs, "process_cpu"), median_of(quiet_costs, "peak_mb")
    return [
        BenchLine(
            f"a run with {CHANGED} changed of {persons:,} persons",
            f"{median_of(changed_costs, 'process_cpu'):.1f} s CPU, {median_of(changed_costs, 'peak_mb'):.0f} MB",
        ),
        BenchLine(
            f"a run without a change, {persons:,} persons",
            f"{cpu:.2f} s CPU, {memory:.0f} MB",
            f"≤ {QUIET_SECONDS} s, ≤ {QUIET_MB} MB" if persons == LARGE else "",
            persons != LARGE or (cpu <= QUIET_SECONDS and memory <= QUIET_MB),
        ),
    ]


def growth_line(cpu_by_size: dict[int, float]) -> BenchLine:
    """The largest firm's run against the smallest's."""
    small, large = min(cpu_by_size), max(cpu_by_size)
    growth = cpu_by_size[large] / cpu_by_size[small]
    label = f"{CHANGED} changed of {large:,} ÷ {CHANGED} changed of {small:,} (CPU)"
    return BenchLine(label, f"{growth:.2f}", f"≤ {MAX_GROWTH}", growth <= MAX_GROWTH)


def start_lines(config: Path, persons: int, runs: int) -> list[BenchLine]:
    """``--help`` and ``status``, from the shell's point of view."""
    program = [sys.executable, "-m", "jobs"]
    help_seconds = median(seconds_of([*program, "--help"]) for _ in range(runs))
    status_seconds = median(seconds_of([*program, "--config", str(config), "status"]) for _ in range(runs))
    imports_pandas = cost_of("tests.bench.commands:imports_pandas").answer
    return [
        BenchLine(
            "`advosync --help`",
            f"{help_seconds:.2f} s, pandas {'imported' if imports_pandas else 'not imported'}",
            f"≤ {HELP_SECONDS} s, not imported",
            help_seconds <= HELP_SECONDS and not imports_pandas,
        ),
        BenchLine(
            f"`advosync status`, {persons:,} persons",
            f"{status_seconds:.2f} s",
            f"≤ {STATUS_SECONDS:.0f} s",
            status_seconds <= STATUS_SECONDS,
        ),
    ]
