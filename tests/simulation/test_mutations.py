"""Every protection of the engine is needed: without it the simulation sees harm.

``python -m tests.simulation figures --mutations`` tells after how many worlds; the search here begins near that one.
"""

from __future__ import annotations

import pytest

from etl import apply
from tests.simulation.mutations import MUTATIONS
from tests.simulation.taken_away import Mutation, WorldSpec, apply_mutation, case_violation, first_detection

MAX_WORLDS_TRIED = 25  # worlds: other dice of the simulation move the one that shows it


def test_there_are_enough_of_them_and_each_has_a_name() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) > 15


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutation", [mutation for mutation in MUTATIONS if not mutation.case], ids=lambda mutation: mutation.name
)
def test_the_simulation_sees_that_a_protection_is_missing(mutation: Mutation) -> None:
    """Bad with the mutation, which was called, and well without it."""
    assert first_detection(mutation, range(mutation.seed, mutation.seed + MAX_WORLDS_TRIED)) is not None


@pytest.mark.parametrize(
    "mutation", [mutation for mutation in MUTATIONS if mutation.case], ids=lambda mutation: mutation.name
)
def test_a_case_by_name_shows_that_a_protection_is_missing(mutation: Mutation) -> None:
    """What whole worlds show too, but seldom."""
    assert case_violation(mutation) is not None


def test_a_mutation_that_breaks_nothing_is_not_seen() -> None:
    """The search itself can fail."""
    harmless = Mutation("harmless", ("etl.apply:revalidate",), lambda real: real, WorldSpec())
    assert first_detection(harmless, range(2)) is None


def test_a_mutation_that_only_crashes_is_not_seen() -> None:
    def break_call(_real: object) -> object:
        return lambda: None

    crashing_mutation = Mutation("crashing", ("etl.apply:revalidate",), break_call, WorldSpec())  # type: ignore[arg-type]
    assert first_detection(crashing_mutation, range(2)) is None


def test_a_protection_comes_back_and_its_calls_were_counted() -> None:
    real = apply.revalidate
    mutation = Mutation("counted", ("etl.apply:revalidate",), lambda real: real, WorldSpec())
    with apply_mutation(mutation) as calls:
        assert apply.revalidate is not real
        mutation.worlds.failure_of(0)
    assert apply.revalidate is real
    assert calls["etl.apply:revalidate"] > 0
