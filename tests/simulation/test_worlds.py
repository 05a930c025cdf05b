"""Thousands of lives in small: nothing is lost, doubled or blurred, whatever people do and whatever goes wrong."""

from __future__ import annotations

import os

import pytest

from tests.simulation.chance import SeededChance
from tests.simulation.history import open_simulation
from tests.simulation.invariants import Violation
from tests.simulation.kills import kill_results
from tests.simulation.seeds import SEEDS, TRIALS, Seed, TrialSeed
from tests.simulation.trials import trial_failure
from tests.simulation.worlds import Traits

WORLDS = int(os.environ.get("SIMULATION_WORLDS", "200"))
BATCH = 10  # worlds a test: few items are few words of the test runner
PERSONS = 2
SMALL_WORLDS = range(1, int(os.environ.get("SIMULATION_KILLED_WORLDS", "10")) + 1)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds_come_to_rest_with_everything_in_them(first: int) -> None:
    """``python -m tests.simulation --seed N --persons 2 --episodes 2 --shrink`` repeats and shrinks a failure."""
    violations = {}
    for seed in range(first, min(first + BATCH, WORLDS)):
        with open_simulation(seed, persons=PERSONS) as sim:
            try:
                sim.run_episodes(episodes=2)
            except Violation as violation:
                violations[seed] = str(violation)
    assert violations == {}


@pytest.mark.parametrize("seed_case", SEEDS, ids=lambda known: str(known.seed))
def test_a_seed_that_once_failed_holds(seed_case: Seed) -> None:
    traits = Traits.draw(SeededChance(seed_case.seed).rng("nature"), seed_case.persons, seed_case.edition)
    with open_simulation(seed_case.seed, persons=seed_case.persons, traits=traits) as sim:
        sim.run_episodes(seed_case.episodes)


@pytest.mark.parametrize("trial_case", TRIALS, ids=lambda known: f"{known.fault} {known.seed}")
def test_a_trial_that_once_failed_holds(trial_case: TrialSeed) -> None:
    later = trial_case.run == "later"
    failure = trial_failure(
        trial_case.fault, later=later, seed=trial_case.seed, persons=trial_case.persons, edition=trial_case.edition
    )
    assert failure is None


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
@pytest.mark.parametrize("seed", SMALL_WORLDS)
def test_a_process_may_die_at_any_moment(seed: int, later: bool) -> None:  # noqa: FBT001
    results = list(kill_results(seed, later=later, persons=1))
    assert results
    assert [(result.point, result.failure) for result in results if result.failure] == []


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
@pytest.mark.parametrize("seed", SMALL_WORLDS)
def test_the_power_may_go_at_any_moment(seed: int, later: bool) -> None:  # noqa: FBT001
    """What was committed since the last synced commit is gone, and both systems keep what was written to them."""
    results = list(kill_results(seed, later=later, persons=1, power=True))
    assert results
    assert [(result.point, result.failure) for result in results if result.failure] == []


def test_the_same_seed_lives_the_same_life() -> None:
    traces = []
    for _ in range(2):
        with open_simulation(7, persons=4) as sim:
            sim.run_episodes(episodes=2)
            traces.append(sim.trace)
    assert traces[0] == traces[1]
