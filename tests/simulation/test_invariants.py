"""What excuses a run, and no further: an excuse that is too wide would make the simulation blind."""

from __future__ import annotations

import pytest

from tests.simulation.chance import Fate
from tests.simulation.invariants import Violation, agreement, one_way
from tests.simulation.oracle import Sides
from tests.simulation.worlds import Firm, Nature, Person, build

OLD, TYPED, OTHER = "+495112000001", "+495112000002", "+495112000003"


def a_firm(direction: str = "both") -> Firm:
    return build(Fate(0), Nature(persons=0, direction=direction))


def a_person(shown: set[str]) -> Person:
    return Person(0, "1", 300_001, model={"espo": set(), "advo": shown})


def sides(*, espo: set[str], advo: set[str]) -> Sides:
    return Sides(frozenset(espo), frozenset(advo))


def test_one_direction_forgives_what_a_write_met_in_its_window_and_nothing_beside_it() -> None:
    """Seed 90002: somebody retyped a row between our last read and the PUT of its marker."""
    firm, person = a_firm("to_espocrm"), a_person({TYPED, OTHER})
    one_way(firm, person, sides(espo=set(), advo={OLD, OTHER}), windowed={OLD, TYPED})
    for shown in ({OLD}, {OLD, OTHER, "+495112000004"}):
        with pytest.raises(Violation, match="one direction"):
            one_way(firm, person, sides(espo=set(), advo=shown), windowed={OLD, TYPED})
    with pytest.raises(Violation, match="one direction"):
        one_way(firm, person, sides(espo=set(), advo={OLD, OTHER}), windowed=())


def test_what_was_refused_before_the_last_rest_stays_away_until_somebody_edits_it() -> None:
    """Seed 20008: Advoware refused a number in the first episode, and the second one asked where it was."""
    firm, person, now = a_firm(), a_person(set()), sides(espo={OLD}, advo=set())
    noted = [("espo", "unsyncable", OLD)]
    person.agreed, person.synced = now, True
    agreement(firm, person, now, noted, refused=False)
    with pytest.raises(Violation, match="only in EspoCRM"):
        agreement(firm, person, now, [], refused=False)  # nobody names it
    person.added("espo", OLD)
    with pytest.raises(Violation, match="only in EspoCRM"):
        agreement(firm, person, now, noted, refused=False)  # edited since
    person.touched.clear()
    person.synced = False
    with pytest.raises(Violation, match="only in EspoCRM"):
        agreement(firm, person, now, noted, refused=False)  # it never was at rest
