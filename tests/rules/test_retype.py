"""A type changed in EspoCRM: whole, half done, and not acted on (rules §3).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

RETYPE = {
    "another kommKz is another row, which takes the own text along": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     retype A create - 3 | - > x           | - > m(x:3) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
""",
    "a slot of the new kommKz is filled": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88002 0           | slot(3)
agreed   88001 1 x Office x'
plan     retype A fill 88002 3 |  > x          | slot(3) > m(x:3) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
""",
    "the type of a shared address row is nobody's edit of this record": """
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     -
""",
    "another type of the same kommKz needs no other row": """
person   edited_by_other=1
now      x Fax *           | 88001 0 x'        | m(x:7) privat
agreed   88001 7 x Office x'
plan     -
""",
    "a value changed in Advoware goes first, the type waits for the next plan": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x3'       | m(x:1)
agreed   88001 1 x Office x'
plan     var6 E replace 88001 1 | x > x3       |
         var6 A mark 88001 1 | x3' > x3'       | m(x:1) > m(x3:1)
again    -
""",
    "half done: the old row becomes a slot without own text": """
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:3) Zentrale
agreed   88003 3 x Mobile x other=88001
plan     leftover A leftover 88001 1 | x' >       | m(x:1) Zentrale > slot(1)
""",
    "half done, the old row got another text: that is kept": """
now      x Mobile *        | 88001 0 x'        | m(x:1) Gegner
                           | 88003 0 x         | m(x:3) Zentrale
agreed   88003 3 x Mobile x other=88001
plan     leftover A leftover 88001 1 | x' >       | m(x:1) Gegner > slot(1) Gegner
""",
    "half done, the old row got another value: it stays the pair, the new one becomes the slot": """
now      x Mobile *        | 88001 0 z'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:3) Zentrale
agreed   88001 1 x Office x' other=88003
plan     var6 E replace 88001 1 | x > z        |
         var6 A mark 88001 1 | z' > z'         | m(x:1) Zentrale > m(z:1) Zentrale
         leftover A leftover 88003 3 | x >        | m(x:3) Zentrale > slot(3)
""",
    "half done, the new row was edited: it is an unlinked row": """
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 z'        | m(x:3) Zentrale
agreed   88001 1 x Office x' other=88003
plan     var4 E add 88003 3 | - > z            |
         var4 A mark 88003 3 | z' > z'         | m(x:3) Zentrale > m(z:3) Zentrale
""",
    "half done, and the state store an old backup that knows nothing of it: nothing is made twice": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:3) Zentrale
agreed   88001 1 x Office x'
plan     retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
""",
    "a row of the old kommKz is none that a retype can take": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     retype A create - 3 | - > x           | - > m(x:3) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
notes    duplicate advo x
""",
}


ONTO_A_ROW = {
    "its kommKz is known by the payload; the text moves, the spelling stays": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1) Zentrale
                           | 88003 2 x'        |
agreed   88001 1 x Office x'
plan     retype A mark 88003 2 | x' > x'       |  > m(x:2) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
""",
    "its kommKz is known by its marker, whatever value that speaks of": """
person   edited_by_other=1
now      x Fax *           | 88001 0 x'        | m(x:1)
                           | 88003 0 x         | m(y:2)
agreed   88001 1 x Office x'
plan     retype A mark 88003 2 | x > x         | m(y:2) > m(x:2)
         retype A empty 88001 1 | x' >         | m(x:1) > slot(1)
""",
    "the marker tells, not the payload": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1)
                           | 88003 2 x         | m(x:6) privat
agreed   88001 1 x Office x'
plan     retype A create - 2 | - > x           | - > m(x:2)
         retype A empty 88001 1 | x' >         | m(x:1) > slot(1)
notes    duplicate advo x
""",
    "it has a text: the old row keeps its own in its slot": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1) Zentrale
                           | 88003 2 x         | nur Fax
agreed   88001 1 x Office x'
plan     retype A mark 88003 2 | x > x         | nur Fax > m(x:2) nur Fax
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1) Zentrale
""",
    "both have the same text: nobody knows that it was copied": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1) Zentrale
                           | 88003 2 x         | Zentrale
agreed   88001 1 x Office x'
plan     retype A mark 88003 2 | x > x         | Zentrale > m(x:2) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1) Zentrale
""",
    "it is marked already, with a text of its own": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:2) nur Fax
agreed   88001 1 x Office x'
plan     retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1) Zentrale
""",
    "it was left alone as a duplicate before": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1)
                           | 88003 2 x         | nur Fax
agreed   88001 1 x Office x'
left     duplicate advo 88003 x | another row of this person holds the same value
plan     retype A mark 88003 2 | x > x         | nur Fax > m(x:2) nur Fax
         retype A empty 88001 1 | x' >         | m(x:1) > slot(1)
""",
    "of several the one an earlier try made, else the lowest": """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1)
                           | 88003 2 x         | nur Fax
                           | 88004 0 x         | m(x:2)
agreed   88001 1 x Office x'
plan     retype A empty 88001 1 | x' >         | m(x:1) > slot(1)
notes    duplicate advo x
""",
    "a row whose kommKz nobody knows is left alone": """
person   edited_by_other=1
now      x Fax *           | 88001 0 x'        | m(x:1)
                           | 88003 0 x         |
agreed   88001 1 x Office x'
plan     retype A create - 2 | - > x           | - > m(x:2)
         retype A empty 88001 1 | x' >         | m(x:1) > slot(1)
notes    duplicate advo x
""",
    "half done: the old row becomes a slot, its text stays beside another one": """
now      x Fax *           | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:2) nur Fax
agreed   88003 2 x Fax x other=88001
plan     leftover A leftover 88001 1 | x' >       | m(x:1) Zentrale > slot(1) Zentrale
""",
}


@pytest.mark.parametrize("table", ONTO_A_ROW.values(), ids=ONTO_A_ROW)
def test_a_retype_takes_a_row_that_holds_the_value_already(table: str) -> None:
    assert_plan(table)


HELD_BACK_RETYPE = """
person   edited_by_other=1
now      x Fax *           | 88001 1 x'        | m(x:1)
                           | 88003 2 x         | nur Fax
agreed   88001 1 x Office x'
plan     -
notes    duplicate advo x
         held_back espo x
"""


def test_a_retype_that_is_held_back_takes_no_row_from_the_list_of_duplicates() -> None:
    assert_plan(HELD_BACK_RETYPE, "to_espocrm")


@pytest.mark.parametrize("table", RETYPE.values(), ids=RETYPE)
def test_a_type_change_is_planned_as_its_table_says(table: str) -> None:
    assert_plan(table)
