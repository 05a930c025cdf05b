"""What a run asks of the store of a large firm is answered by indexes, whatever the statistics say of its columns."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from etl.store import database
from tests.bench.filling import add
from tests.practice import Practice

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


PARTIAL = (
    "endings_open", "holds_open", "left_alone_held_back", "persons_by_advo_look", "persons_changed", "runs_unfinished",
)  # fmt: skip
"""Indexes of few rows, or of which a run reads only the first."""

COUNTED = ("SCAN baseline USING COVERING INDEX sqlite_autoindex_baseline_1",)
"""A share of all pairs needs their number: a hundredth of a second for a million."""

SMALL = ("json_each", "lease", "shared", "chosen")
"""What a statement was given, or holds one row."""


def test_a_run_that_finds_nothing_reads_no_table_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Practice.of(tmp_path, 20)
    office.run()
    add(office.config.state.path, 3000)
    advoware = office.config.advoware.model_copy(update={"poll_budget": 10})
    office.config = office.config.model_copy(update={"advoware": advoware})
    asked: set[str] = set()
    connect = database.connect

    def traced(path: Path, *, read_only: bool, patience: float) -> sqlite3.Connection:
        opened = connect(path, read_only=read_only, patience=patience)
        opened.set_trace_callback(asked.add)
        return opened

    monkeypatch.setattr(database, "connect", traced)  # to read along; the statements run as ever
    office.run()
    monkeypatch.undo()
    statements = [one for one in asked if re.match(r"\s*(select|with|update|delete)\b", one)]
    with closing(sqlite3.connect(office.config.state.path)) as store:
        found = {(step[3], one) for one in statements for step in store.execute(f"explain query plan {one}")}
    scans = {(step, sql) for step, sql in found if step.startswith("SCAN") and step not in COUNTED}
    assert {index for index in PARTIAL if any(index in step for step, _ in scans)} == set(PARTIAL)
    assert {one for one in scans if one[0].split()[1] not in SMALL and not one[0].endswith(PARTIAL)} == set()
