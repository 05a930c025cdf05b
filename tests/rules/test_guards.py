"""Which persons a guard holds: rules §6."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rules.guards import REMOVING_ACTIONS, persons_over_limit

guard_of_defaults = partial(persons_over_limit, max_removals=50, max_removal_share=0.10)
plans = st.dictionaries(st.text("abc", min_size=1), st.integers(0, 40), max_size=6)


@pytest.mark.parametrize(
    ("steps", "baseline_rows", "rows_seen", "holds"),
    [
        (0, 0, 0, False),
        (50, 10_000, 0, False),
        (51, 10_000, 0, True),  # more than max_removals
        (10, 12, 12, False),  # a firm of 12 entries: the share does not bite
        (11, 12, 12, True),
        (11, 110, 0, False),  # exactly the share
        (12, 110, 0, True),
        (12, 110, 120, False),  # whichever is more
        (12, 120, 110, False),
        (11, 0, 0, True),
    ],
)
def test_too_many_counted_steps_hold_the_person(steps: int, baseline_rows: int, rows_seen: int, holds: bool) -> None:  # noqa: FBT001
    """More than 50, or more than 10 that are also more than 10 %."""
    held_persons = guard_of_defaults({"p": steps}, baseline_rows=baseline_rows, rows_seen=rows_seen)
    assert held_persons == ({"p"} if holds else set())


def test_share_is_exact() -> None:
    """29 of 100 is not more than 29 %."""
    assert not persons_over_limit({"p": 29}, baseline_rows=100, rows_seen=0, max_removals=50, max_removal_share=0.29)


def test_persons_without_counted_steps_go_on() -> None:
    """Only those whose plan destroys something are kept back, all of them."""
    assert guard_of_defaults({"a": 30, "b": 1, "c": 0, "d": 20}, baseline_rows=0, rows_seen=10_000) == {"a", "b", "d"}


def test_markers_and_creations_are_not_counted() -> None:
    """Counted is what takes or overwrites a value."""
    assert {"remove", "replace", "empty", "update", "revert", "leftover"} == REMOVING_ACTIONS


@given(plans, st.integers(0, 500), st.integers(0, 500), st.integers(0, 60))
def test_everybody_with_counted_steps_is_held_or_nobody(
    steps_by_person: dict[str, int], baseline_rows: int, rows_seen: int, max_removals: int
) -> None:
    """A guard does not choose between persons."""
    result = persons_over_limit(
        steps_by_person,
        baseline_rows=baseline_rows,
        rows_seen=rows_seen,
        max_removals=max_removals,
        max_removal_share=0.1,
    )
    assert result in (frozenset(), {entity_id for entity_id, steps in steps_by_person.items() if steps})


@given(plans, st.integers(0, 500), st.sampled_from("abc"))
def test_more_steps_never_release_anybody(steps_by_person: dict[str, int], baseline_rows: int, person: str) -> None:
    """A more destructive plan holds at least the same persons."""
    more = {**steps_by_person, person: steps_by_person.get(person, 0) + 1}
    before, after = (
        guard_of_defaults(steps, baseline_rows=baseline_rows, rows_seen=0) for steps in (steps_by_person, more)
    )
    assert before <= after
