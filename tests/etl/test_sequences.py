"""Sequences of edits that broke earlier wordings of the second edition of the rules, by name (issue 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.records import Direction, Scope
from tests.harness import SyncHarness
from tests.notation import marker_text, slot_text

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.espocrm.api import EntryInput

X, X2, Y, W = "+495111234560", "+495111234561", "+495112222222", "+495117777777"
FIRST, SECOND, THIRD = 88001, 88002, 88003
OFFICE, FAX, HOME = "Office", "Fax", "Home"
TYPED = {X: "0511 1234560", Y: "0511/2222222", W: "0511 7777777"}


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    """A person with three numbers, agreed on by both sides."""
    harness = SyncHarness(tmp_path, 0)
    harness.espo.add_person("Max Muster", 1, phones=[(X, OFFICE), (Y, OFFICE), (W, OFFICE)], entity_id="e1")
    harness.advo.add_person(1, "Max Muster")
    for value, text in zip(TYPED.values(), ("Zentrale", None, None), strict=True):
        harness.advo.add_row(1, value, text)
    run_to_rest(harness)
    return harness


def run_to_rest(harness: SyncHarness, **options: object) -> None:
    """Runs until one writes nothing, and a sweep finds nothing more."""
    for _ in range(6):
        assert harness.run(**options).outcome == "done"
        if not harness.writes:
            break
    harness.run(sweep=True, **options)
    assert harness.writes == []


def save_phones(harness: SyncHarness, *numbers: EntryInput) -> None:
    """Somebody saves the record in EspoCRM with these."""
    harness.espo.edit("e1", phones=[*numbers])


def espo_types(harness: SyncHarness, entity_id: str = "e1") -> dict[str, str]:
    return {item["phoneNumber"]: item["type"] for item in harness.espo.items(entity_id)}


def rows_with_remarks(harness: SyncHarness, betnr: int = 1) -> dict[int, tuple[str, str]]:
    return {row["id"]: (row["tlf"] or "", row["bemerkung"] or "") for row in harness.advo.rows(betnr)}


# An old number typed into the row of another pair ---------------------------------------------------------------------


def test_a_number_deleted_long_ago_is_typed_into_the_row_of_another_pair(harness: SyncHarness) -> None:
    save_phones(harness, (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    harness.advo.edit_row(1, SECOND, value=TYPED[X])
    run_to_rest(harness)
    assert espo_types(harness) == {X: OFFICE, W: OFFICE}
    assert rows_with_remarks(harness)[FIRST] == ("", slot_text(1, "Zentrale"))
    assert rows_with_remarks(harness)[SECOND] == (TYPED[X], marker_text(X, 1))


@pytest.mark.parametrize("scope", Scope)
def test_a_number_that_espocrm_just_changed_is_typed_into_the_row_of_another_pair(
    harness: SyncHarness, scope: Scope
) -> None:
    save_phones(harness, (X2, OFFICE), (Y, OFFICE), (W, OFFICE))
    harness.advo.edit_row(1, SECOND, value=TYPED[X])
    run_to_rest(harness, scope=scope)
    assert rows_with_remarks(harness)[FIRST] == (X2, marker_text(X2, 1, "Zentrale"))
    if scope is Scope.ENTRY:
        assert espo_types(harness) == {X2: OFFICE, X: OFFICE, W: OFFICE}
        assert rows_with_remarks(harness)[SECOND] == (TYPED[X], marker_text(X, 1))
    else:
        assert espo_types(harness) == {X2: OFFICE, Y: OFFICE, W: OFFICE}
        assert harness.query_store("select advo_value, espo_value from conflicts") == [(TYPED[X], Y)]


@pytest.mark.parametrize(
    "remark", [marker_text(Y, 1), marker_text(X, 1)], ids=["the remark stays", "with its pair's remark"]
)
def test_the_number_of_a_pair_is_typed_into_the_row_of_another_and_stays_there(
    harness: SyncHarness, remark: str
) -> None:
    """Saved with the other row's marker it looks like a leftover of ours; but somebody typed it."""
    harness.advo.edit_row(1, SECOND, value=TYPED[X], remark=remark)
    run_to_rest(harness)
    assert espo_types(harness) == {X: OFFICE, W: OFFICE}
    assert rows_with_remarks(harness)[SECOND][0] == TYPED[X]
    assert harness.query_store("select reason, komm_id from left_alone") == [("duplicate", SECOND)]
    save_phones(harness, (W, OFFICE))
    run_to_rest(harness)
    assert (rows_with_remarks(harness)[FIRST][0], rows_with_remarks(harness)[SECOND][0]) == ("", TYPED[X])
    harness.advo.edit_row(1, SECOND, value="0511 9999999")
    run_to_rest(harness)
    assert espo_types(harness) == {W: OFFICE, "+495119999999": OFFICE}
    assert rows_with_remarks(harness)[SECOND] == ("0511 9999999", marker_text("+495119999999", 1))


def test_numbers_wander_through_the_rows_of_each_others_pairs(harness: SyncHarness) -> None:
    values = [TYPED[Y], TYPED[W], TYPED[X]]
    for komm_id, value in zip((FIRST, SECOND, THIRD), values, strict=True):
        harness.advo.edit_row(1, komm_id, value=value)
    run_to_rest(harness)
    assert espo_types(harness) == dict.fromkeys((X, Y, W), OFFICE)
    assert [rows_with_remarks(harness)[komm_id] for komm_id in (FIRST, SECOND, THIRD)] == [
        (TYPED[Y], marker_text(Y, 1, "Zentrale")), (TYPED[W], marker_text(W, 1)), (TYPED[X], marker_text(X, 1)),
    ]  # fmt: skip


# A row copied with its marker in a first sync -------------------------------------------------------------------------


@pytest.mark.parametrize("direction", Direction)
def test_a_row_copied_with_its_marker_outlives_a_first_sync_and_every_run_after_it(
    harness: SyncHarness, direction: Direction
) -> None:
    """A person was copied in Advoware, remarks included, and a row of the copy was doubled there."""
    harness.advo.copy_person(1, 2)
    double_row = harness.advo.add_row(2, TYPED[Y], marker_text(Y, 1))
    empty_row = harness.advo.add_row(2, "", marker_text(X2, 1, "alt"))
    harness.espo.add_person("Moritz Muster", 2, phones=[(X, OFFICE), (Y, OFFICE), (W, OFFICE)], entity_id="e2")
    rows_before = {komm_id: row for komm_id, row in rows_with_remarks(harness, 2).items() if komm_id != empty_row}
    run_to_rest(harness, direction=direction)
    run_to_rest(harness)
    assert rows_with_remarks(harness, 2) == {**rows_before, empty_row: ("", slot_text(1, "alt"))}
    harness.espo.edit("e2", phones=[(X, OFFICE), (W, OFFICE)])
    run_to_rest(harness)
    assert rows_with_remarks(harness, 2)[double_row] == (TYPED[Y], marker_text(Y, 1))
    assert espo_types(harness, "e2") == {X: OFFICE, W: OFFICE}


def test_a_row_copied_with_its_marker_after_the_first_sync_is_ours_to_make_a_slot_of(harness: SyncHarness) -> None:
    copied_row = harness.advo.add_row(1, TYPED[Y], marker_text(Y, 1))
    harness.run(sweep=True)
    assert rows_with_remarks(harness)[copied_row] == ("", slot_text(1))
    assert espo_types(harness) == dict.fromkeys((X, Y, W), OFFICE)


def test_a_row_copied_with_its_marker_outlives_the_loss_of_the_state_store(harness: SyncHarness) -> None:
    copied_row = harness.advo.add_row(1, TYPED[Y], marker_text(Y, 1))
    harness.config.state.path.unlink()
    run_to_rest(harness)
    assert rows_with_remarks(harness)[copied_row] == (TYPED[Y], marker_text(Y, 1))
    assert espo_types(harness) == dict.fromkeys((X, Y, W), OFFICE)


# A type set and set back ----------------------------------------------------------------------------------------------


def test_a_type_set_and_set_back_before_a_run_is_nobodys_change(harness: SyncHarness) -> None:
    rows_before = rows_with_remarks(harness)
    save_phones(harness, (X, FAX), (Y, OFFICE), (W, OFFICE))
    save_phones(harness, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    harness.run()
    assert (harness.writes, rows_with_remarks(harness)) == ([], rows_before)


def test_a_type_set_and_set_back_by_two_runs_brings_the_number_and_its_text_home(harness: SyncHarness) -> None:
    save_phones(harness, (X, FAX), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    retyped_row = next(komm_id for komm_id, (value, _) in rows_with_remarks(harness).items() if value == X)
    assert rows_with_remarks(harness)[retyped_row] == (X, marker_text(X, 2, "Zentrale"))
    save_phones(harness, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    assert rows_with_remarks(harness)[FIRST] == (X, marker_text(X, 1, "Zentrale"))
    assert rows_with_remarks(harness)[retyped_row] == ("", slot_text(2))
    assert espo_types(harness) == dict.fromkeys((X, Y, W), OFFICE)


def test_a_type_set_while_a_direction_held_it_back_and_set_back_is_forgotten(harness: SyncHarness) -> None:
    rows_before = rows_with_remarks(harness)
    save_phones(harness, (X, FAX), (Y, OFFICE), (W, OFFICE))
    harness.run(direction=Direction.TO_ESPOCRM)
    save_phones(harness, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    assert rows_with_remarks(harness) == rows_before
    assert harness.query_store("select * from left_alone") == []


@pytest.mark.parametrize("with_sweep", [False, True], ids=["", "a sweep saw it in between"])
def test_a_type_set_on_another_record_and_set_back_on_this_one_is_nobodys_change(
    harness: SyncHarness, with_sweep: bool  # noqa: FBT001
) -> None:
    """The type lives on the address row; this record shows the other one's, and was not saved."""
    rows_before = rows_with_remarks(harness)
    harness.espo.add_person("Moritz Muster", None, phones=[(X, FAX)], entity_id="e2")
    assert espo_types(harness)[X] == FAX
    if with_sweep:
        harness.run(sweep=True)
        assert harness.writes == []
    save_phones(harness, (X, OFFICE), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    assert rows_with_remarks(harness) == rows_before
    assert espo_types(harness)[X] == OFFICE


# A retype that meets a row which stands -------------------------------------------------------------------------------


def test_a_retype_set_back_gives_a_row_that_stood_back_to_nobody(harness: SyncHarness) -> None:
    """The row a person typed is the pair while the number is a fax; afterwards its slot keeps that person's text."""
    harness.advo.behaviour.real_komm_kz = True
    fax_row = harness.advo.add_row(1, TYPED[X], "nur Fax", komm_kz=2)
    run_to_rest(harness)
    save_phones(harness, (X, FAX), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    assert rows_with_remarks(harness)[fax_row] == (TYPED[X], marker_text(X, 2, "nur Fax"))
    assert rows_with_remarks(harness)[FIRST] == ("", slot_text(1, "Zentrale"))
    save_phones(harness, (X, HOME), (Y, OFFICE), (W, OFFICE))
    run_to_rest(harness)
    texts = {
        text for _, remark in rows_with_remarks(harness).values() for text in ("Zentrale", "nur Fax") if text in remark
    }
    assert texts == {"Zentrale", "nur Fax"}
    assert [value for value, _ in rows_with_remarks(harness).values() if value] == [TYPED[Y], TYPED[W], X]
