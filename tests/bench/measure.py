"""Each measurement is a process of its own: nothing is warm, nothing is left over, and its peak of memory is its own.

``python -m tests.bench.measure module:function ARGUMENT…`` calls the function and prints what it cost as one line of
JSON. Imports of the module are not part of the time, those inside the function are.
"""

# ruff: noqa: T201 - a program that prints its result

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024


@dataclass(frozen=True)
class Cost:
    """What one call cost: seconds on the wall and of CPU inside the function, of CPU of the whole process; peak MB."""

    seconds: float
    cpu: float
    process_cpu: float
    peak_mb: float
    answer: Any = None


def cost_of(function: str, *arguments: object) -> Cost:
    """What ``module:function`` costs in a new process; ``answer`` is what it returned, as JSON holds it."""
    command = [sys.executable, "-m", "tests.bench.measure", function, *map(str, arguments)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Cost(**json.loads(output.splitlines()[-1]))


def seconds_of(command: Sequence[str], cwd: Path = ROOT) -> float:
    """How long a command takes from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def rounds(times: int, *kinds: Callable[[], Cost]) -> list[list[Cost]]:
    """The costs of each kind, taken in turns: whatever disturbs the machine disturbs all of them."""
    costs_by_round = [[kind() for kind in kinds] for _ in range(times)]
    return [list(of_kind) for of_kind in zip(*costs_by_round, strict=True)]


def median_of(costs: Sequence[Cost], field: str = "seconds") -> float:
    """The median of one of their numbers."""
    return float(median(getattr(cost, field) for cost in costs))


def median_ratio(our_costs: Sequence[Cost], other_costs: Sequence[Cost], field: str = "seconds") -> float:
    """The median over the rounds of ours ÷ theirs."""
    return float(
        median(
            getattr(our_cost, field) / getattr(other_cost, field)
            for our_cost, other_cost in zip(our_costs, other_costs, strict=True)
        )
    )


def peak_mb() -> float:
    """The most memory this program held; unlike ``ru_maxrss`` it does not remember who started it."""
    status = Path("/proc/self/status")
    if not status.exists():  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / MEGABYTE


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(import_module(module), name)
    started, cpu = time.perf_counter(), time.process_time()
    answer = function(*sys.argv[2:])
    seconds, spent = time.perf_counter() - started, time.process_time()
    print(json.dumps(asdict(Cost(seconds, spent - cpu, spent, peak_mb(), answer))))


if __name__ == "__main__":
    main()
