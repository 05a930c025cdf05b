"""Sequences of edits that broke earlier wordings of the second edition of the rules, by name (issue 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.records import Direction, Scope
from tests.notation import marker, slot
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.espocrm import Entry

X, X2, Y, W = "+495111234560", "+495111234561", "+495112222222", "+495117777777"
FIRST, SECOND, THIRD = 88001, 88002, 88003
OFFICE, FAX, HOME = "Office", "Fax", "Home"
TYPED = {X: "0511 1234560", Y: "0511/2222222", W: "0511 7777777"}


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    """A person with three numbers, agreed on by both sides."""
    practice = Practice.of(tmp_path, 0)
    practice.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, OFFICE), (W, OFFICE)], entity_id="e1")
    practice.advo.add_person(1, "Max Muster")
    for value, text in zip(TYPED.values(), ("Zentrale", None, None), strict=True):
        practice.advo.add_row(1, value, text)
    comes_to_rest(practice)
    return practice


def comes_to_rest(practice: Practice, **options: object) -> None:
    """Runs until one writes nothing, and a sweep finds nothing more."""
    for _ in range(6):
        assert practice.run(**options).outcome == "done"
        if not practice.writes:
            break
    practice.run(sweep=True, **options)
    assert practice.writes == []


def phones(practice: Practice, *numbers: Entry) -> None:
    """Somebody saves the record in EspoCRM with these."""
    practice.espo.edit("e1", phones=[*numbers])


def items(practice: Practice, entity_id: str = "e1") -> dict[str, str]:
    return {one["phoneNumber"]: one["type"] for one in practice.espo.items(entity_id)}


def rows(practice: Practice, betnr: int = 1) -> dict[int, tuple[str, str]]:
    return {row["id"]: (row["tlf"] or "", row["bemerkung"] or "") for row in practice.advo.rows(betnr)}


# An old number typed into the row of another pair ---------------------------------------------------------------------


def test_a_number_deleted_long_ago_is_typed_into_the_row_of_another_pair(practice: Practice) -> None:
    phones(practice, (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    practice.advo.edit_row(1, SECOND, value=TYPED[X])
    comes_to_rest(practice)
    assert items(practice) == {X: OFFICE, W: OFFICE}
    assert rows(practice)[FIRST] == ("", slot(1, "Zentrale"))
    assert rows(practice)[SECOND] == (TYPED[X], marker(X, 1))


@pytest.mark.parametrize("scope", Scope)
def test_a_number_that_espocrm_just_changed_is_typed_into_the_row_of_another_pair(
    practice: Practice, scope: Scope
) -> None:
    phones(practice, (X2, OFFICE), (Y, OFFICE), (W, OFFICE))
    practice.advo.edit_row(1, SECOND, value=TYPED[X])
    comes_to_rest(practice, scope=scope)
    assert rows(practice)[FIRST] == (X2, marker(X2, 1, "Zentrale"))
    if scope is Scope.ENTRY:
        assert items(practice) == {X2: OFFICE, X: OFFICE, W: OFFICE}
        assert rows(practice)[SECOND] == (TYPED[X], marker(X, 1))
    else:
        assert items(practice) == {X2: OFFICE, Y: OFFICE, W: OFFICE}
        assert remembered(practice, "select advo_value, espo_value from conflicts") == [(TYPED[X], Y)]


@pytest.mark.parametrize("remark", [marker(Y, 1), marker(X, 1)], ids=["the remark stays", "with its pair's remark"])
def test_the_number_of_a_pair_is_typed_into_the_row_of_another_and_stays_there(
    practice: Practice, remark: str
) -> None:
    """Saved with the other row's marker it looks like a leftover of ours; but somebody typed it."""
    practice.advo.edit_row(1, SECOND, value=TYPED[X], remark=remark)
    comes_to_rest(practice)
    assert items(practice) == {X: OFFICE, W: OFFICE}
    assert rows(practice)[SECOND][0] == TYPED[X]
    assert remembered(practice, "select reason, komm_id from left_alone") == [("duplicate", SECOND)]
    phones(practice, (W, OFFICE))
    comes_to_rest(practice)
    assert (rows(practice)[FIRST][0], rows(practice)[SECOND][0]) == ("", TYPED[X])
    practice.advo.edit_row(1, SECOND, value="0511 9999999")
    comes_to_rest(practice)
    assert items(practice) == {W: OFFICE, "+495119999999": OFFICE}
    assert rows(practice)[SECOND] == ("0511 9999999", marker("+495119999999", 1))


def test_numbers_wander_through_the_rows_of_each_others_pairs(practice: Practice) -> None:
    values = [TYPED[Y], TYPED[W], TYPED[X]]
    for komm_id, value in zip((FIRST, SECOND, THIRD), values, strict=True):
        practice.advo.edit_row(1, komm_id, value=value)
    comes_to_rest(practice)
    assert items(practice) == dict.fromkeys((X, Y, W), OFFICE)
    assert [rows(practice)[one] for one in (FIRST, SECOND, THIRD)] == [
        (TYPED[Y], marker(Y, 1, "Zentrale")), (TYPED[W], marker(W, 1)), (TYPED[X], marker(X, 1)),
    ]  # fmt: skip


# A row copied with its marker in a first sync -------------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
def test_a_row_copied_with_its_marker_outlives_a_first_sync_and_every_run_after_it(
    practice: Practice, direction: Direction
) -> None:
    """A person was copied in Advoware, remarks included, and a row of the copy was doubled there."""
    practice.advo.copy_person(1, 2)
    doubled = practice.advo.add_row(2, TYPED[Y], marker(Y, 1))
    emptied = practice.advo.add_row(2, "", marker(X2, 1, "alt"))
    practice.espo.add_person("Moritz Muster", 2, phones=[(X, OFFICE), (Y, OFFICE), (W, OFFICE)], entity_id="e2")
    stood = {komm_id: shown for komm_id, shown in rows(practice, 2).items() if komm_id != emptied}
    comes_to_rest(practice, direction=direction)
    comes_to_rest(practice)
    assert rows(practice, 2) == {**stood, emptied: ("", slot(1, "alt"))}
    practice.espo.edit("e2", phones=[(X, OFFICE), (W, OFFICE)])
    comes_to_rest(practice)
    assert rows(practice, 2)[doubled] == (TYPED[Y], marker(Y, 1))
    assert items(practice, "e2") == {X: OFFICE, W: OFFICE}


def test_a_row_copied_with_its_marker_after_the_first_sync_is_ours_to_make_a_slot_of(practice: Practice) -> None:
    copied = practice.advo.add_row(1, TYPED[Y], marker(Y, 1))
    practice.run(sweep=True)
    assert rows(practice)[copied] == ("", slot(1))
    assert items(practice) == dict.fromkeys((X, Y, W), OFFICE)


def test_a_row_copied_with_its_marker_outlives_the_loss_of_the_state_store(practice: Practice) -> None:
    copied = practice.advo.add_row(1, TYPED[Y], marker(Y, 1))
    practice.config.state.path.unlink()
    comes_to_rest(practice)
    assert rows(practice)[copied] == (TYPED[Y], marker(Y, 1))
    assert items(practice) == dict.fromkeys((X, Y, W), OFFICE)


# A type set and set back ----------------------------------------------------------------------------------------------


def test_a_type_set_and_set_back_before_a_run_is_nobodys_change(practice: Practice) -> None:
    stood = rows(practice)
    phones(practice, (X, FAX), (Y, OFFICE), (W, OFFICE))
    phones(practice, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    practice.run()
    assert (practice.writes, rows(practice)) == ([], stood)


def test_a_type_set_and_set_back_by_two_runs_brings_the_number_and_its_text_home(practice: Practice) -> None:
    phones(practice, (X, FAX), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    moved = next(komm_id for komm_id, (value, _) in rows(practice).items() if value == X)
    assert rows(practice)[moved] == (X, marker(X, 2, "Zentrale"))
    phones(practice, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    assert rows(practice)[FIRST] == (X, marker(X, 1, "Zentrale"))
    assert rows(practice)[moved] == ("", slot(2))
    assert items(practice) == dict.fromkeys((X, Y, W), OFFICE)


def test_a_type_set_while_a_direction_held_it_back_and_set_back_is_forgotten(practice: Practice) -> None:
    stood = rows(practice)
    phones(practice, (X, FAX), (Y, OFFICE), (W, OFFICE))
    practice.run(direction=Direction.TO_ESPOCRM)
    phones(practice, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    assert rows(practice) == stood
    assert remembered(practice, "select * from left_alone") == []


@pytest.mark.parametrize("swept", [False, True], ids=["", "a sweep saw it in between"])
def test_a_type_set_on_another_record_and_set_back_on_this_one_is_nobodys_change(
    practice: Practice, swept: bool  # noqa: FBT001
) -> None:
    """The type lives on the address row; this record shows the other one's, and was not saved."""
    stood = rows(practice)
    practice.espo.add_person("Moritz Muster", None, phones=[(X, FAX)], entity_id="e2")
    assert items(practice)[X] == FAX
    if swept:
        practice.run(sweep=True)
        assert practice.writes == []
    phones(practice, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    assert rows(practice) == stood
    assert items(practice)[X] == OFFICE


# A retype that meets a row which stands -------------------------------------------------------------------------------


def test_a_retype_set_back_gives_a_row_that_stood_back_to_nobody(practice: Practice) -> None:
    """The row a person typed is the pair while the number is a fax; afterwards its slot keeps that person's text."""
    practice.advo.switches.real_komm_kz = True
    stands = practice.advo.add_row(1, TYPED[X], "nur Fax", komm_kz=2)
    comes_to_rest(practice)
    phones(practice, (X, FAX), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    assert rows(practice)[stands] == (TYPED[X], marker(X, 2, "nur Fax"))
    assert rows(practice)[FIRST] == ("", slot(1, "Zentrale"))
    phones(practice, (X, HOME), (Y, OFFICE), (W, OFFICE))
    comes_to_rest(practice)
    texts = {text for _, remark in rows(practice).values() for text in ("Zentrale", "nur Fax") if text in remark}
    assert texts == {"Zentrale", "nur Fax"}
    assert [value for value, _ in rows(practice).values() if value] == [TYPED[Y], TYPED[W], X]
