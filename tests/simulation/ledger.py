"""What was lived, one JSON line each: part runs of many hours are summed from it, and none of it counts twice.

A line says what was lived and how it ended, on which machine, from which commit, in how many seconds. The key of a line
is its task; of several lines with one key the last counts (a failing seed lived again after a repair), and the table
says how many failed before.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
class Line:
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


def ended(task: Task, *, done: int, bad: int, told: str, seconds: float) -> Line:
    """A line about a task that was lived here and now."""
    return Line(**task._asdict(), done=done, bad=bad, told=told, seconds=seconds, commit=commit(), machine=machine())


@cache
def commit() -> str:
    """The commit that is lived, with a "+" where the working tree is another."""
    text = ["git", "-C", str(ROOT)]
    name = subprocess.run([*text, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    changed = subprocess.run([*text, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return (name.strip() or "no commit") + ("+" if changed.stdout.strip() else "")


@cache
def machine() -> str:
    """Processor, number of cores, Python."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores {names[0] if names else platform.machine()}, Python {platform.python_version()}"


class Ledger:
    """The file of lines; what is written is on the disk before the next task begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> Iterator[Line]:
        """All lines as written; a line torn by a crash is none."""
        if not self.path.exists():
            return
        for text in self.path.read_text("utf-8").splitlines():
            try:
                yield Line(**json.loads(text))
            except json.JSONDecodeError:
                continue

    def write(self, line: Line) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")

    def lived(self) -> dict[Task, Line]:
        """The line that counts of each task."""
        return {line.task: line for line in self.lines()}

    def mended(self) -> list[Line]:
        """Lines of tasks that failed and hold now."""
        now = self.lived()
        return [line for line in self.lines() if line.bad and not now[line.task].bad]
