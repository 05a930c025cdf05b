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

from tests.bench.filling import add
from tests.bench.measure import cost_of, middle, seconds_of
from tests.bench.results import Line
from tests.bench.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked
    from tests.bench.measure import Cost

IN_SANDBOX, CHANGED = 1000, 100
LARGE = 250_000
QUARTER = timedelta(minutes=15)
HELP_SECONDS, STATUS_SECONDS, QUIET_SECONDS, QUIET_MB, GROWN = 0.3, 1.0, 1.5, 250, 1.5


def measured(asked: Asked) -> list[Line]:
    """Runs over firms of each size, and how quickly commands start on the largest."""
    lines: list[Line] = []
    changed: dict[int, float] = {}
    for persons in asked.persons:
        with Firm(asked.folder / f"firm{persons}", persons) as firm:
            firm.run()
            of_changed = [firm.run(changed=CHANGED) for _ in range(asked.runs)]
            of_quiet = [firm.run() for _ in range(asked.runs)]
            changed[persons] = middle(of_changed, "process_cpu")
            lines += told(persons, of_changed, of_quiet)
            if persons == max(asked.persons):
                lines += [grown(changed), *firm.size(), *starts(firm.config, persons, asked.runs)]
    return lines


class Firm:
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
        self.first_sync = self.store.stat().st_size
        if self.persons > IN_SANDBOX:
            add(self.store, self.persons - IN_SANDBOX)
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.__exit__()

    def run(self, *, changed: int = 0) -> Cost:
        """One sync after so many persons changed; it must have been about them and nobody else."""
        self.now += QUARTER
        self.runs += 1
        self.sandbox.clock(self.now)
        if changed:
            self.sandbox.add(changed, self.runs)
        cost = cost_of("tests.bench.commands:sync", self.config)
        assert cost.answer["outcome"] == "done", cost.answer
        assert self.runs == 1 or cost.answer["persons"]["changed"] == changed, cost.answer
        return cost

    def size(self) -> list[Line]:
        """Of the store, by person."""
        by_first_sync = self.first_sync / min(self.persons, IN_SANDBOX) / 1024
        return [
            Line("state store, a person after its first sync, journal included", f"{by_first_sync:.1f} KB"),
            Line(
                f"state store of {self.persons:,} persons with 4 entries a side, history pruned",
                f"{self.store.stat().st_size / self.persons / 1024:.1f} KB a person",
            ),
        ]


def told(persons: int, changed: list[Cost], quiet: list[Cost]) -> list[Line]:
    """What the table says of one size."""
    cpu, memory = middle(quiet, "process_cpu"), middle(quiet, "peak_mb")
    return [
        Line(
            f"a run with {CHANGED} changed of {persons:,} persons",
            f"{middle(changed, 'process_cpu'):.1f} s CPU, {middle(changed, 'peak_mb'):.0f} MB",
        ),
        Line(
            f"a run without a change, {persons:,} persons",
            f"{cpu:.2f} s CPU, {memory:.0f} MB",
            f"≤ {QUIET_SECONDS} s, ≤ {QUIET_MB} MB" if persons == LARGE else "",
            persons != LARGE or (cpu <= QUIET_SECONDS and memory <= QUIET_MB),
        ),
    ]


def grown(changed: dict[int, float]) -> Line:
    """The largest firm's run against the smallest's."""
    small, large = min(changed), max(changed)
    growth = changed[large] / changed[small]
    what = f"{CHANGED} changed of {large:,} ÷ {CHANGED} changed of {small:,} (CPU)"
    return Line(what, f"{growth:.2f}", f"≤ {GROWN}", growth <= GROWN)


def starts(config: Path, persons: int, runs: int) -> list[Line]:
    """``--help`` and ``status``, from the shell's point of view."""
    program = [sys.executable, "-m", "jobs"]
    helped = median(seconds_of([*program, "--help"]) for _ in range(runs))
    stands = median(seconds_of([*program, "--config", str(config), "status"]) for _ in range(runs))
    pandas = cost_of("tests.bench.commands:imports_pandas").answer
    return [
        Line(
            "`advosync --help`",
            f"{helped:.2f} s, pandas {'imported' if pandas else 'not imported'}",
            f"≤ {HELP_SECONDS} s, not imported",
            helped <= HELP_SECONDS and not pandas,
        ),
        Line(
            f"`advosync status`, {persons:,} persons",
            f"{stands:.2f} s",
            f"≤ {STATUS_SECONDS:.0f} s",
            stands <= STATUS_SECONDS,
        ),
    ]
