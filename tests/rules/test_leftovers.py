"""Rows with a marker of ours that are nobody's pair become slots (rules §3, Leftovers).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other; ``blanks``
and ``unseen`` are what people type over a number to delete it.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

EMPTY_ROWS = {
    "an interrupted var3": """
now      y Fax *           | 88001 0           | m(x:1)
                           | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
""",
    "whatever its marker says, also the value of a pair; its text stays": """
now      y Fax *           | 88001 0 null      | m(y:7) nur abends
                           | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     leftover A mark 88001 7 |  >          | m(y:7) nur abends > slot(7) nur abends
""",
    "blanks are no value": """
now      y Fax *           | 88001 0 blanks    | m(x:1)
                           | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
""",
    "nor are format characters": """
now      y Fax *           | 88001 0 unseen    | m(x:1)
                           | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
""",
    "in a first sync too": """
now      y Fax *           | 88001 0           | m(x:1)
                           | 88002 0 y'        |
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
         link A mark 88002 2 | y' > y'         |  > m(y:2)
""",
    "in a recovery too": """
person   espo_fingerprint=1111 advo_fingerprint=1111
now      y Fax *           | 88001 0           | m(x:1)
                           | 88002 0 y'        | m(y:2)
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
""",
    "the value is entered again: it does not get the slot that this run makes": """
now      x Office *        | 88001 0           | m(x:1)
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     leftover A mark 88001 1 |  >          | m(x:1) > slot(1)
         var1 A create - 1 | - > x             | - > m(x:1)
""",
}


@pytest.mark.parametrize("direction", ["both", "to_advoware"])
@pytest.mark.parametrize("table", EMPTY_ROWS.values(), ids=EMPTY_ROWS)
def test_an_empty_row_with_a_marker_that_is_nobodys_pair_becomes_a_slot(table: str, direction: str) -> None:
    assert_plan(table, direction)


def test_an_empty_row_becomes_a_slot_in_to_espocrm_too_because_the_deleted_number_must_not_stay() -> None:
    assert_plan(EMPTY_ROWS["an interrupted var3"], "to_espocrm")


NO_LEFTOVER = {
    "a slot is one already": "slot(1)",
    "a damaged marker is none": "[ESPOCRM:x:1]",
    "a kommKz that is not relevant": "m(x:5)",
    "no marker": "nur abends",
}


@pytest.mark.parametrize("remark", NO_LEFTOVER.values(), ids=NO_LEFTOVER)
def test_an_empty_row_without_a_marker_of_ours_is_left_alone(remark: str) -> None:
    assert_plan(
        f"""
now      y Fax *           | 88001 0 null      | {remark}
                           | 88002 0 y'        | m(y:2)
agreed   88002 2 y Fax y'
plan     -
"""
    )


DELETED_BY_TYPING = {
    "blanks over a number": """
now      x Office *        | 88001 0 {blanks}  | m(x:1) nur abends
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88001 1 | x > -         |
         var3 A mark 88001 1 |  >              | m(x:1) nur abends > slot(1) nur abends
""",
    "while EspoCRM deletes it too": """
now      y Fax             | 88001 0 {blanks}  | m(x:1)
                           | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     forget A mark 88001 1 |  >            | m(x:1) > slot(1)
""",
    "while EspoCRM changes it: the new value is another row's": """
now      x2 Office *       | 88001 0 {blanks}  | m(x:1)
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     forget A mark 88001 1 |  >            | m(x:1) > slot(1)
         var1 A create - 1 | - > x2            | - > m(x2:1)
""",
    "and the number typed into another row": """
now      x Office *        | 88001 0 {blanks}  | m(x:1)
         y Fax             | 88002 0 y'        | m(y:2)
                           | 88003 0 x'        |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     forget A mark 88001 1 |  >            | m(x:1) > slot(1)
         link A mark 88003 1 | x' > x'         |  > m(x:1)
""",
}


@pytest.mark.parametrize("blanks", ["null", "blanks", "unseen"])
@pytest.mark.parametrize("table", DELETED_BY_TYPING.values(), ids=DELETED_BY_TYPING)
def test_a_number_over_which_blanks_were_typed_is_deleted_and_its_row_a_slot(table: str, blanks: str) -> None:
    assert_plan(table.format(blanks=blanks))


def test_a_number_over_which_blanks_were_typed_comes_back_where_espocrm_is_right() -> None:
    assert_plan(
        """
now      x Office *        | 88001 0 blanks    | m(x:1) nur abends
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 A revert 88001 1 |  > x          | m(x:1) nur abends > m(x:1) nur abends
""",
        "to_advoware",
    )


WITH_A_VALUE = {
    "its value is its marker's and a pair's": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
agreed   88001 1 x Office x'
plan     leftover A leftover 88002 1 | x >     | m(x:1) > slot(1)
""",
    "the pair is linked in this plan": """
now      x Office *        | 88001 0 x'        |
         y Fax             | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
agreed   88003 2 y Fax y'
plan     link A mark 88001 1 | x' > x'         |  > m(x:1)
         leftover A leftover 88002 1 | x >     | m(x:1) > slot(1)
""",
    "EspoCRM deletes the value: both go": """
now      y Fax             | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88003 2 y Fax y'
plan     var2 A empty 88001 1 | x' >           | m(x:1) > slot(1)
         leftover A leftover 88002 1 | x >     | m(x:1) > slot(1)
""",
    "the pair is only brought to EspoCRM now: the next plan": """
now      y Fax *           | 88001 0 x'        |
                           | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
agreed   88003 2 y Fax y'
plan     var4 E add 88001 1 | - > x            |
         var4 A mark 88001 1 | x' > x'         |  > m(x:1)
notes    duplicate advo x
again    -
""",
    "and then": """
now      y Fax *           | 88001 0 x'        | m(x:1)
         x Office          | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
agreed   88003 2 y Fax y'
         88001 1 x Office x'
left     duplicate advo 88002 x | our own second row
plan     leftover A leftover 88002 1 | x >     | m(x:1) > slot(1)
""",
    "somebody's text": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1) Sekretariat
agreed   88001 1 x Office x'
plan     -
notes    duplicate advo x
""",
    "another value than its marker's: a person typed it, as an old number into the row of another pair": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(y:2)
agreed   88001 1 x Office x'
plan     -
notes    duplicate advo x
""",
    "what a first sync left alone stays": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
agreed   88001 1 x Office x'
left     duplicate advo 88002 x | another row of this person holds the same value
plan     -
notes    duplicate advo x
""",
    "also when EspoCRM deletes the value": """
now      y Fax             | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88003 2 y Fax y'
left     duplicate advo 88002 x | another row of this person holds the same value
plan     var2 A empty 88001 1 | x' >           | m(x:1) > slot(1)
notes    duplicate advo x
""",
    "until somebody edits it": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x2'       | m(x:1)
agreed   88001 1 x Office x'
left     duplicate advo 88002 x | another row of this person holds the same value
plan     var4 E add 88002 1 | - > x2           |
         var4 A mark 88002 1 | x2' > x2'       | m(x:1) > m(x2:1)
""",
}


@pytest.mark.parametrize("table", WITH_A_VALUE.values(), ids=WITH_A_VALUE)
def test_a_row_with_a_value_is_a_leftover_only_where_nothing_gets_lost(table: str) -> None:
    assert_plan(table)


LEFT_BY_A_FIRST_SYNC = {
    "a first sync": "",
    "one that was broken off": "agreed   88003 2 y Fax y'\nperson   last_sync_at= agreed_betnr=\n",
    "a recovery": "person   espo_fingerprint=1111 advo_fingerprint=2222\n",
    "a recovery that trusts the markers": "person   espo_fingerprint=1111 advo_fingerprint=1111\n",
}


@pytest.mark.parametrize("before", LEFT_BY_A_FIRST_SYNC.values(), ids=LEFT_BY_A_FIRST_SYNC)
def test_a_first_sync_and_a_recovery_leave_a_row_that_was_copied_with_its_marker(before: str) -> None:
    plan_of_person = assert_plan(
        f"""
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 x         | m(x:1)
                           | 88003 0 y'        | m(y:2)
{before}plan     -
notes    duplicate advo x
"""
    )
    assert [left_alone.detail for left_alone in plan_of_person.left_alone] == [
        "another row of this person holds the same value"
    ]


def test_a_direction_that_brings_advoware_nothing_holds_a_leftover_with_a_value_back() -> None:
    plan_of_person = assert_plan(
        """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
agreed   88001 1 x Office x'
plan     -
notes    held_back advo x
""",
        "to_espocrm",
    )
    assert [left_alone.direction for left_alone in plan_of_person.left_alone] == ["to_espocrm"]


KNOWN_BY_THE_JOURNAL = """
now      x Office *        | 88001 0 x'        |
                           | 88002 0 x         | m(x:1)
left     duplicate advo 88002 x | our own second row
plan     link A mark 88001 1 | x' > x'         |  > m(x:1)
notes    duplicate advo x
again    -
"""


def test_a_row_that_our_own_first_sync_made_beside_one_it_was_not_shown_becomes_a_slot_after_it() -> None:
    """The journal says that it is no copy: the note is of the run that made it."""
    plan_of_person = assert_plan(KNOWN_BY_THE_JOURNAL)
    assert (plan_of_person.first_sync, [left_alone.detail for left_alone in plan_of_person.left_alone]) == (
        True,
        ["our own second row"],
    )
