"""Cases by name of typed values (rules.md §0): what nobody can read stays, and no number is made of it."""

from __future__ import annotations

from tests.simulation.test_hard_cases import OFFICE, case


def test_no_number_is_made_of_what_lost_its_beginning() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": "", "495112200012": ""}) as one:
        one.rest()
        assert (one.espo, one.advo) == ({OFFICE}, {OFFICE, "495112200012"})


def test_a_row_that_becomes_unclear_and_clear_again_goes_on() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": "Zentrale"}) as one:
        one.type_in("05112000001", "0511 2000001 / 0171 2000009")
        one.rest()
        assert one.espo == {OFFICE}
        one.type_in("0511200000101712000009", "0511 2000002")
        one.rest()
        assert one.espo == one.advo == {"+495112000002"}
