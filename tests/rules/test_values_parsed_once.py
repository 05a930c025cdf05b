"""Values are cleaned and parsed when they are stored; planning works with what the store says of them (issue 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl import diff
from etl.rules import numbering
from etl.rules.values import classify as values
from etl.store.database import Store
from etl.store.tables.snapshots import load_frames
from tests.bench.filling import NOW, fill_store
from tests.bench.planning import POLICY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("edited_every", [0, 1])
def test_planning_parses_nothing(tmp_path: Path, edited_every: int) -> None:
    """In a process that never saw the values: nobody edited, and everybody with an entry edited, added or removed."""
    fill_store(tmp_path / "state.db", 60, edited_every=edited_every)
    with Store.open(tmp_path / "state.db", now=NOW, durable=False) as store:
        entity_ids = [row["entity_id"] for row in store.rows("select entity_id from persons")]
        frames = load_frames(store, entity_ids)
    values.classify.cache_clear()
    numbering.number_of.cache_clear()
    plans = diff.plan_from_frames(frames, POLICY)
    assert sum(len(plan.steps) for plan in plans.values()) >= 60 * edited_every
    assert values.classify.cache_info().misses == 0
    assert numbering.number_of.cache_info().misses == 0
