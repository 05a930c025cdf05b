"""What a first sync asks of its store and of the processor, a person: SQL statements, transactions, CPU.

The statements are counted in process, as SQLite runs them; a ``savepoint`` counts as a transaction too. The CPU is that
of a process of its own, logins, imports and all, while both systems work in another one.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from etl.store import database
from tests.bench.measure import cost_of
from tests.bench.results import BenchLine
from tests.bench.sandbox import Sandbox
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.__main__ import BenchOptions

COUNTED_PERSONS, TIMED_PERSONS = 200, 1000
MAX_STATEMENTS, MAX_TRANSACTIONS, MAX_CPU_MS = 45, 12, 12
BEGINS = ("begin", "savepoint")
LITERALS = re.compile(r"'(?:[^']|'')*'|\b\d+\b")


@dataclass
class StatementCount:
    """What a run of so many changed persons asked of SQLite; ``by_statement`` without the values."""

    persons: int = 0
    by_statement: Counter[str] = field(default_factory=Counter)

    def add(self, sql: str) -> None:
        """Count one statement that SQLite runs."""
        self.by_statement[" ".join(LITERALS.sub("?", sql).split())] += 1

    @property
    def statements(self) -> float:
        """Statements a person."""
        return self.by_statement.total() / self.persons

    @property
    def transactions(self) -> float:
        """Transactions a person, one inside another counted as well."""
        return sum(count for sql, count in self.by_statement.items() if sql.startswith(BEGINS)) / self.persons

    def table(self) -> str:
        """How often each statement runs, a person, the most frequent first."""
        return "\n".join(f"{count / self.persons:8.2f}  {sql[:140]}" for sql, count in self.by_statement.most_common())


def count_statements(folder: Path, persons: int) -> StatementCount:
    """What a first sync of a firm asks of its store."""
    harness, counted = SyncHarness(folder, persons), StatementCount()
    connect = database.connect

    def connect_and_count(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
        connection = connect(path, read_only=read_only, busy_timeout=busy_timeout)
        connection.set_trace_callback(counted.add)
        return connection

    database.connect = connect_and_count
    try:
        counted.persons = harness.run().persons.changed
    finally:
        database.connect = connect
    return counted


def cpu_ms_of_first_sync(folder: Path, persons: int) -> float:
    """CPU milliseconds a person of a first sync, the systems in another process, 0 ms away."""
    for file in folder.glob("state.db*"):
        file.unlink()
    with Sandbox(persons, 0) as sandbox:
        cost = cost_of("tests.bench.commands:sync_command", sandbox.write_config(folder))
    return 1000 * cost.cpu / float(cost.answer["persons"]["changed"])


def measure_statements(options: BenchOptions) -> list[BenchLine]:
    """The counts, and the CPU."""
    folders = [options.folder / name for name in ("statements", "statements-cpu")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    counted = count_statements(folders[0], COUNTED_PERSONS)
    persons = min(TIMED_PERSONS, *options.persons)
    cpu = median(cpu_ms_of_first_sync(folders[1], persons) for _ in range(options.runs))
    print(counted.table())  # noqa: T201 - what a change of the figure is looked up in
    return [
        BenchLine(
            "SQL statements a person, first sync",
            f"{counted.statements:.0f}",
            f"≤ {MAX_STATEMENTS}",
            counted.statements <= MAX_STATEMENTS,
        ),
        BenchLine(
            "transactions a person, first sync",
            f"{counted.transactions:.1f}",
            f"≤ {MAX_TRANSACTIONS}",
            counted.transactions <= MAX_TRANSACTIONS,
        ),
        BenchLine(
            f"CPU a person, first sync, {persons:,} persons, 0 ms away",
            f"{cpu:.1f} ms",
            f"≤ {MAX_CPU_MS} ms",
            cpu <= MAX_CPU_MS,
        ),
    ]
