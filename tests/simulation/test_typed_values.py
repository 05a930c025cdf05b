"""Cases by name of typed values (rules §0): what nobody can read stays, and no number is made of it."""

from __future__ import annotations

from tests.simulation.oracle import canon
from tests.simulation.test_hard_cases import FAX, OFFICE, CaseWorld, case


def test_no_number_is_made_of_what_lost_its_beginning() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": "", "495112200012": ""}) as world:
        world.run_to_rest()
        assert (world.espo, world.advo) == ({OFFICE}, {OFFICE, "495112200012"})


def test_a_row_that_becomes_unclear_and_clear_again_goes_on() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": "Zentrale"}) as world:
        world.type_in("05112000001", "0511 2000001 / 0171 2000009")
        world.run_to_rest()
        assert world.espo == {OFFICE}
        world.type_in("0511200000101712000009", "0511 2000002")
        world.run_to_rest()
        assert world.espo == world.advo == {"+495112000002"}


UNREADABLE = "+49163000002"  # EspoCRM takes it, and a digit is missing


def obscure(one: CaseWorld) -> None:
    """The office's number is typed over in EspoCRM with what nobody can read."""
    with one.note_edits():
        one.firm.espo.edit(one.entity_id, phones=[(UNREADABLE, "Office")])
        one.person.hidden[canon(UNREADABLE)] = OFFICE
    one.person.edit_kinds.add("obscure_item")
    one.run_to_rest()
    assert (one.espo, one.advo) == ({canon(UNREADABLE)}, {OFFICE})


def test_an_item_nobody_can_read_reaches_advoware_as_written() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as one:
        one.set_items((OFFICE, "Office"), (UNREADABLE, "Home"))
        one.run_to_rest()
        assert one.espo == one.advo == {OFFICE, canon(UNREADABLE)}


def test_an_item_that_becomes_unclear_and_clear_again_goes_on() -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": "Zentrale"}) as one:
        for value in (OFFICE, FAX):
            obscure(one)
            one.set_items((value, "Office"))
            one.run_to_rest()
            assert one.espo == one.advo == {value}
        assert "Zentrale" in str(one.remarks)


def test_the_row_of_an_item_that_became_unclear_is_edited() -> None:
    """The pair ends: what is new in Advoware comes, and what nobody can read stays and goes as written."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as one:
        obscure(one)
        one.type_in("05112000001", "0511 2000002")
        one.run_to_rest()
        assert one.espo == one.advo == {FAX, canon(UNREADABLE)}


def test_a_number_that_was_typed_back_loses_to_the_edit_of_its_row() -> None:
    """EspoCRM shows what was agreed, as if it had never said anything else; only Advoware changed it."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as one:
        obscure(one)
        one.type_in("05112000001", "0511 2000002")
        one.set_items((OFFICE, "Office"))
        one.person.excused_values.add(OFFICE)  # typed into EspoCRM last, yet nobody's change
        one.run_to_rest()
        assert one.espo == one.advo == {FAX}
