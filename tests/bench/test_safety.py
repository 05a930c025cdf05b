"""The comparison with vdirsyncer in small: its faults strike, its best case holds, harm is seen where it is done."""

from __future__ import annotations

import pytest

pytest.importorskip("vdirsyncer", reason="the extra `bench` is not installed")
from tests.bench.safety import SIMULATION_FAULTS, harm_kind, vdirsyncer_cell, vdirsyncer_trial
from tests.simulation.faults import FAULTS
from tests.simulation.ledger import Task, result_line

pytestmark = pytest.mark.benchmark


def test_each_fault_is_one_of_the_simulation() -> None:
    assert {fault for faults in SIMULATION_FAULTS.values() for fault in faults} <= set(FAULTS)


@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
def test_without_a_fault_nothing_is_wrong(later: bool) -> None:  # noqa: FBT001
    assert vdirsyncer_cell("control", later=later, trials=5) == "0 of 5"


@pytest.mark.parametrize("kind", ["killed", "answer lost", "500", "truncated listing", "empty listing"])
def test_every_fault_comes(kind: str) -> None:
    assert any(vdirsyncer_trial(kind, later=True, seed=seed) is not None for seed in range(5))


def test_a_deletion_nobody_asked_for_is_seen() -> None:
    """What a truncated listing does: the values stand again later, and were deleted all the same."""
    trials = [vdirsyncer_trial("truncated listing", later=True, seed=seed) for seed in range(5)]
    assert any(trial and "wrongly deleted" in trial for trial in trials)


def test_harm_is_told_by_the_promise_that_broke() -> None:
    task = Task("trial", 1, "killed", later=True, persons=3)
    detail = "Violation: nothing is made twice: person0: +495112000001 is in row 88001"
    assert harm_kind(result_line(task, done=1, bad=1, detail=detail, seconds=1.0)) == "doubled"
