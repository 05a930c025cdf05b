"""What excuses a run, and no further: an excuse that is too wide would make the simulation blind."""

from __future__ import annotations

import pytest

from tests.simulation.chance import SeededChance
from tests.simulation.invariants import Violation, check_agreement, check_one_direction
from tests.simulation.oracle import SideValues
from tests.simulation.worlds import Firm, Person, Traits, build_firm

OLD, RETYPED, OTHER = "+495112000001", "+495112000002", "+495112000003"


def empty_firm(direction: str = "both") -> Firm:
    return build_firm(SeededChance(0), Traits(persons=0, direction=direction))


def advo_person(advo_values: set[str]) -> Person:
    return Person(0, "1", 300_001, expected={"espo": set(), "advo": advo_values})


def side_values(*, espo: set[str], advo: set[str]) -> SideValues:
    return SideValues(frozenset(espo), frozenset(advo))


def test_one_direction_forgives_what_a_write_met_in_its_window_and_nothing_beside_it() -> None:
    """Seed 90002: somebody retyped a row between our last read and the PUT of its marker."""
    firm, person = empty_firm("to_espocrm"), advo_person({RETYPED, OTHER})
    check_one_direction(firm, person, side_values(espo=set(), advo={OLD, OTHER}), window_edits={OLD, RETYPED})
    for advo_values in ({OLD}, {OLD, OTHER, "+495112000004"}):
        with pytest.raises(Violation, match="one direction"):
            check_one_direction(firm, person, side_values(espo=set(), advo=advo_values), window_edits={OLD, RETYPED})
    with pytest.raises(Violation, match="one direction"):
        check_one_direction(firm, person, side_values(espo=set(), advo={OLD, OTHER}), window_edits=())


def test_what_was_refused_before_the_last_rest_stays_away_until_somebody_edits_it() -> None:
    """Seed 20008: Advoware refused a number in the first episode, and the second one asked where it was."""
    firm, person, sides_now = empty_firm(), advo_person(set()), side_values(espo={OLD}, advo=set())
    left_alone = [("espo", "unsyncable", OLD)]
    person.baseline, person.synced = sides_now, True
    check_agreement(firm, person, sides_now, left_alone, refused=False)
    with pytest.raises(Violation, match="only in EspoCRM"):
        check_agreement(firm, person, sides_now, [], refused=False)  # nobody names it
    person.note_added("espo", OLD)
    with pytest.raises(Violation, match="only in EspoCRM"):
        check_agreement(firm, person, sides_now, left_alone, refused=False)  # edited since
    person.sides_by_value.clear()
    person.synced = False
    with pytest.raises(Violation, match="only in EspoCRM"):
        check_agreement(firm, person, sides_now, left_alone, refused=False)  # it never was at rest
