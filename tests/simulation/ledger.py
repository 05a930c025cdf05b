"""What was lived, one JSON line each: part runs of many hours are summed from it, and none of it counts twice.

A line says what was lived and how it ended, on which machine, from which commit, in how many seconds. The key of a line
is its task; of several lines with one key the last counts (a failing seed lived again after a repair), and the table
says how many failed before.

What earlier machines lived is kept beside this file, in ``lived.json``: lines that differ in their seed alone as one.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Task(NamedTuple):
    """One thing to live. ``kind``: history (a world), trial (of a fault), kills (of a world), mutation."""

    kind: str
    seed: int
    name: str = ""
    later: bool = False
    persons: int = 0
    episodes: int = 0


@dataclass(frozen=True)
class ResultLine:
    """How a task ended. ``done``: persons, trials, kill points or seeds; ``bad``: how many of them; ``told``: what."""

    kind: str
    seed: int
    name: str
    later: bool
    persons: int
    episodes: int
    done: int
    bad: int
    told: str
    seconds: float
    commit: str
    machine: str

    @property
    def task(self) -> Task:
        """What was lived."""
        return Task(self.kind, self.seed, self.name, self.later, self.persons, self.episodes)


def result_line(task: Task, *, done: int, bad: int, detail: str, seconds: float) -> ResultLine:
    """A line about a task that was lived here and now."""
    return ResultLine(
        **task._asdict(),
        done=done,
        bad=bad,
        told=detail,
        seconds=seconds,
        commit=simulation_commit(),
        machine=machine_name(),
    )


@cache
def simulation_commit() -> str:
    """The commit that is lived, with a "+" where the working tree is another."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    status = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return (name.strip() or "no commit") + ("+" if status.stdout.strip() else "")


@cache
def machine_name() -> str:
    """Processor, number of cores, Python."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores {names[0] if names else platform.machine()}, Python {platform.python_version()}"


def pack_lines(lines: Iterable[ResultLine]) -> list[dict[str, Any]]:
    """Lines that differ in nothing but their seed as one, in the order of the first; ``seeds`` like "0-99 102"."""
    groups: dict[tuple[Any, ...], list[ResultLine]] = {}
    for line in lines:
        common = {name: value for name, value in asdict(line).items() if name not in {"seed", "seconds"}}
        groups.setdefault(tuple(common.items()), []).append(line)
    return [
        dict(common)
        | {
            "seeds": seed_ranges(member.seed for member in group),
            "seconds": round(sum(member.seconds for member in group)),
        }
        for common, group in groups.items()
    ]


def unpack_lines(groups: Iterable[dict[str, Any]]) -> Iterator[ResultLine]:
    """The lines again; how long each took is the mean of those alike."""
    for group in groups:
        common = {name: value for name, value in group.items() if name not in {"seeds", "seconds"}}
        seeds = [seed for part in group["seeds"].split() for seed in parse_range(part)]
        yield from (ResultLine(seed=seed, seconds=group["seconds"] / len(seeds), **common) for seed in seeds)


def seed_ranges(seeds: Iterable[int]) -> str:
    """Seeds in their order, neighbours as one range."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1][1:] = [seed]
        else:
            ranges.append([seed])
    return " ".join("-".join(map(str, ends)) for ends in ranges)


def parse_range(text: str) -> range:
    """What a range in words stands for."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


class ResultLog:
    """The file of lines, behind what was kept of earlier ones; what is written is on the disk before the next task."""

    def __init__(self, path: Path, kept_path: Path | None = None) -> None:
        self.path, self.kept_path = path, kept_path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> Iterator[ResultLine]:
        """All lines as written; a line torn by a crash is none."""
        if self.kept_path is not None and self.kept_path.exists():
            yield from unpack_lines(json.loads(self.kept_path.read_text("utf-8")))
        if not self.path.exists():
            return
        for text in self.path.read_text("utf-8").splitlines():
            try:
                yield ResultLine(**json.loads(text))
            except json.JSONDecodeError:
                continue

    def write(self, line: ResultLine) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")

    def latest_lines(self) -> dict[Task, ResultLine]:
        """The line that counts of each task."""
        return {line.task: line for line in self.lines()}

    def keep(self) -> None:
        """Put all lines that count, and those of tasks that failed before, where the next machine finds them."""
        assert self.kept_path is not None
        groups = pack_lines([*self.fixed_failures(), *self.latest_lines().values()])
        rows = ",\n".join(json.dumps(group_record, ensure_ascii=False) for group_record in groups)
        self.kept_path.write_text(f"[\n{rows}\n]\n", "utf-8")
        self.path.unlink(missing_ok=True)

    def fixed_failures(self) -> list[ResultLine]:
        """Lines of tasks that failed and hold now."""
        latest = self.latest_lines()
        return [line for line in self.lines() if line.bad and not latest[line.task].bad]
