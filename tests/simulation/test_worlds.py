"""Thousands of lives in small: nothing is lost, doubled or blurred, whatever people do and whatever goes wrong."""

from __future__ import annotations

import os

import pytest

from tests.simulation.history import a_life
from tests.simulation.kills import kills
from tests.simulation.seeds import SEEDS, Seed

WORLDS = int(os.environ.get("SIMULATION_WORLDS", "2"))
PERSONS = 5
SMALL_WORLDS = range(1, int(os.environ.get("SIMULATION_KILLED_WORLDS", "0")) + 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(WORLDS))
def test_a_world_comes_to_rest_with_everything_in_it(seed: int) -> None:
    """``python -m tests.simulation --seed N --persons 5 --episodes 2 --shrink`` repeats and shrinks a failure."""
    with a_life(seed, persons=PERSONS) as life:
        life.live(episodes=2)


@pytest.mark.parametrize("known", SEEDS, ids=lambda known: str(known.seed))
def test_a_seed_that_once_failed_holds(known: Seed) -> None:
    if known.open:
        pytest.xfail(known.open)
    with a_life(known.seed, persons=known.persons) as life:
        life.live()


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True], ids=["first sync", "later run"])
@pytest.mark.parametrize("seed", SMALL_WORLDS)
def test_a_process_may_die_at_any_moment(seed: int, later: bool) -> None:  # noqa: FBT001
    died = list(kills(seed, later=later, persons=1))
    assert died
    assert [kill for kill in died if kill.wrong] == []


def test_the_same_seed_lives_the_same_life() -> None:
    lives = []
    for _ in range(2):
        with a_life(7, persons=4) as life:
            life.live(episodes=2)
            lives.append(life.trace)
    assert lives[0] == lives[1]
