"""What a run asks of the store of a large firm is answered by indexes, whatever the statistics say of its columns."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from etl.store import database
from tests.bench.filling import add_persons
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


PARTIAL_INDEXES = (
    "arrivals_on_the_way", "endings_open", "holds_open", "left_alone_held_back", "persons_by_advo_look",
    "persons_changed", "runs_unfinished",
)  # fmt: skip
"""Indexes of few rows, or of which a run reads only the first."""

ALLOWED_SCANS = ("SCAN baseline USING COVERING INDEX sqlite_autoindex_baseline_1",)
"""A share of all pairs needs their number: a hundredth of a second for a million."""

SMALL_TABLES = ("json_each", "lease", "shared", "chosen")
"""What a statement was given, or holds one row."""


def test_a_run_that_finds_nothing_reads_no_table_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = SyncHarness(tmp_path, 20)
    harness.run()
    add_persons(harness.config.state.path, 3000)
    harness.configure(advoware={"poll_budget": 10})
    statements_run: set[str] = set()
    connect = database.connect

    def connect_traced(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
        connection = connect(path, read_only=read_only, busy_timeout=busy_timeout)
        connection.set_trace_callback(statements_run.add)
        return connection

    monkeypatch.setattr(database, "connect", connect_traced)  # to read along; the statements run as ever
    harness.run()
    monkeypatch.undo()
    statements = [statement for statement in statements_run if re.match(r"\s*(select|with|update|delete)\b", statement)]
    with closing(sqlite3.connect(harness.config.state.path)) as store:
        plan_steps = {
            (step[3], statement)
            for statement in statements
            for step in store.execute(f"explain query plan {statement}")
        }
    scans = {(step, sql) for step, sql in plan_steps if step.startswith("SCAN") and step not in ALLOWED_SCANS}
    assert {index for index in PARTIAL_INDEXES if any(index in step for step, _ in scans)} == set(PARTIAL_INDEXES)
    assert {
        scan for scan in scans if scan[0].split()[1] not in SMALL_TABLES and not scan[0].endswith(PARTIAL_INDEXES)
    } == set()
