"""Every protection of the engine is needed: without it the simulation sees harm.

``python -m tests.simulation figures --mutations`` tells after how many worlds; the search here begins near that one.
"""

from __future__ import annotations

import pytest

from etl import apply
from tests.simulation.mutations import MUTATIONS
from tests.simulation.taken_away import Mutation, Worlds, seen, seen_in_case, taken_away

PATIENCE = 25  # worlds: other dice of the simulation move the one that shows it


def test_there_are_enough_of_them_and_each_has_a_name() -> None:
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if not one.case], ids=lambda one: one.name)
def test_the_simulation_sees_that_a_protection_is_missing(mutation: Mutation) -> None:
    """Bad with the mutation, which was called, and well without it."""
    assert seen(mutation, range(mutation.seed, mutation.seed + PATIENCE)) is not None


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.case], ids=lambda one: one.name)
def test_a_case_by_name_shows_that_a_protection_is_missing(mutation: Mutation) -> None:
    """What whole worlds show too, but seldom."""
    assert seen_in_case(mutation) is not None


def test_a_mutation_that_breaks_nothing_is_not_seen() -> None:
    """The search itself can fail."""
    harmless = Mutation("harmless", ("etl.apply:second_look",), lambda real: real, Worlds())
    assert seen(harmless, range(2)) is None


def test_a_mutation_that_only_crashes_is_not_seen() -> None:
    def crashing(_real: object) -> object:
        return lambda: None

    broken = Mutation("crashing", ("etl.apply:second_look",), crashing, Worlds())  # type: ignore[arg-type]
    assert seen(broken, range(2)) is None


def test_a_protection_comes_back_and_its_calls_were_counted() -> None:
    real = apply.second_look
    mutation = Mutation("counted", ("etl.apply:second_look",), lambda real: real, Worlds())
    with taken_away(mutation) as calls:
        assert apply.second_look is not real
        mutation.worlds.lived(0)
    assert apply.second_look is real
    assert calls["etl.apply:second_look"] > 0
