"""Thousands of lives in small: nothing is lost, doubled or blurred, whatever people do and whatever goes wrong."""

from __future__ import annotations

import os

import pytest

from tests.simulation.chance import Fate
from tests.simulation.history import a_life
from tests.simulation.invariants import Violation
from tests.simulation.kills import kills
from tests.simulation.seeds import SEEDS, TRIALS, Seed, TrialSeed
from tests.simulation.trials import trial
from tests.simulation.worlds import Nature

WORLDS = int(os.environ.get("SIMULATION_WORLDS", "300"))
BATCH = 10  # worlds a test: few items are few words of the test runner
PERSONS = 2
SMALL_WORLDS = range(1, int(os.environ.get("SIMULATION_KILLED_WORLDS", "10")) + 1)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds_come_to_rest_with_everything_in_them(first: int) -> None:
    """``python -m tests.simulation --seed N --persons 2 --episodes 2 --shrink`` repeats and shrinks a failure."""
    wrong = {}
    for seed in range(first, min(first + BATCH, WORLDS)):
        with a_life(seed, persons=PERSONS) as life:
            try:
                life.live(episodes=2)
            except Violation as violation:
                wrong[seed] = str(violation)
    assert wrong == {}


@pytest.mark.parametrize("known", SEEDS, ids=lambda known: str(known.seed))
def test_a_seed_that_once_failed_holds(known: Seed) -> None:
    nature = Nature.drawn(Fate(known.seed).dice("nature"), known.persons, known.edition)
    with a_life(known.seed, persons=known.persons, nature=nature) as life:
        life.live(known.episodes)


@pytest.mark.parametrize("known", TRIALS, ids=lambda known: f"{known.fault} {known.seed}")
def test_a_trial_that_once_failed_holds(known: TrialSeed) -> None:
    later = known.run == "later"
    wrong = trial(known.fault, later=later, seed=known.seed, persons=known.persons, edition=known.edition)
    assert wrong is None


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
@pytest.mark.parametrize("seed", SMALL_WORLDS)
def test_a_process_may_die_at_any_moment(seed: int, later: bool) -> None:  # noqa: FBT001
    died = list(kills(seed, later=later, persons=1))
    assert died
    assert [(kill.point, kill.wrong) for kill in died if kill.wrong] == []


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
@pytest.mark.parametrize("seed", SMALL_WORLDS)
def test_the_power_may_go_at_any_moment(seed: int, later: bool) -> None:  # noqa: FBT001
    """What was committed since the last synced commit is gone, and both systems keep what was written to them."""
    died = list(kills(seed, later=later, persons=1, power=True))
    assert died
    assert [(kill.point, kill.wrong) for kill in died if kill.wrong] == []


def test_the_same_seed_lives_the_same_life() -> None:
    lives = []
    for _ in range(2):
        with a_life(7, persons=4) as life:
            life.live(episodes=2)
            lives.append(life.trace)
    assert lives[0] == lives[1]
