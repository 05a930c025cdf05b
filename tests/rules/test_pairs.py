"""One value, one pair; duplicates and leftovers (rules §3).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

ONE_VALUE = {
    "a person's second row with the value is left alone": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | noch einmal
agreed   88001 1 x Office x'
plan     -
notes    duplicate advo x
""",
    "also when EspoCRM deletes the value": """
now      y Fax *           | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | noch einmal
                           | 88003 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88003 2 y Fax y'
plan     var2 A empty 88001 1 | x' >           | m(x:1) > slot(1)
notes    duplicate advo x
""",
    "and after that, as long as it keeps its value": """
now      y Fax *           | 88001 0           | slot(1)
                           | 88002 0 x         | noch einmal
                           | 88003 0 y'        | m(y:2)
agreed   88003 2 y Fax y'
left     duplicate advo 88002 x
plan     -
notes    duplicate advo x
""",
    "until somebody edits it": """
now      y Fax *           | 88001 0           | slot(1)
                           | 88002 0 x2'       | noch einmal
                           | 88003 0 y'        | m(y:2)
agreed   88003 2 y Fax y'
left     duplicate advo 88002 x
plan     var4 E add 88002 1 | - > x2           |
         var4 A mark 88002 1 | x2' > x2'       | noch einmal > m(x2:1) noch einmal
""",
    "our own leftover becomes a slot": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
agreed   88001 1 x Office x'
plan     leftover A leftover 88002 1 | x >        | m(x:1) > slot(1)
""",
    "not with somebody's text": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1) Sekretariat
agreed   88001 1 x Office x'
plan     -
notes    duplicate advo x
""",
    "of two items the one agreed as written is the pair, the other is left alone": """
now      x Office          | 88001 0 x'        | m(x:1)
         x' Office *       |
agreed   88001 1 x Office x'
plan     -
notes    duplicate espo x'
""",
    "of two new items the primary is the pair, the other is left alone": """
now      x Office          | 88001 0 x'        | m(x:1)
         x' Office *       |
         y Office          | 88002 0 y         | m(y:1)
agreed   88002 1 y Office y
plan     -
notes    duplicate espo x
""",
    "two rows typed to one value: the lowest is the pair, the other is left alone, its item goes": """
now      x Office *        | 88001 0 z'        | m(x:1)
         y Fax             | 88002 0 z         | m(y:2) Kanzlei
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var6 E replace 88001 1 | x > z        |
         var3 E remove 88002 2 | y > -         |
         var6 A mark 88001 1 | z' > z'         | m(x:1) > m(z:1)
notes    duplicate advo z
""",
    "a row typed to the value of another pair": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 x         | m(y:2) Kanzlei
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88002 2 | y > -         |
notes    duplicate advo x
""",
    "three values change places": """
now      x Office *        | 88001 0 y'        | m(x:1)
         y Office          | 88002 0 z'        | m(y:1)
         z Office          | 88003 0 x'        | m(z:1)
agreed   88001 1 x Office x'
         88002 1 y Office y'
         88003 1 z Office z'
plan     var6 E replace 88001 1 | x > y        |
         var6 E replace 88002 1 | y > z        |
         var6 E replace 88003 1 | z > x        |
         var6 A mark 88001 1 | y' > y'         | m(x:1) > m(y:1)
         var6 A mark 88002 1 | z' > z'         | m(y:1) > m(z:1)
         var6 A mark 88003 1 | x' > x'         | m(z:1) > m(x:1)
""",
}


@pytest.mark.parametrize("table", ONE_VALUE.values(), ids=ONE_VALUE)
def test_one_value_has_one_pair(table: str) -> None:
    assert_plan(table)


MOVED_TO_ONE = {
    # EspoCRM: x to z; Advoware: y to z
    "person": """
now      z Office *        | 88001 0 x'        | m(x:1) Zentrale
         y Fax             | 88002 0 z'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var5 A update 88001 1 | x' > z        | m(x:1) Zentrale > m(z:1) Zentrale
         var6 A revert 88002 2 | z' > y        | m(y:2) > m(y:2)
""",
    "entry": """
now      z Office *        | 88001 0 x'        | m(x:1) Zentrale
         y Fax             | 88002 0 z'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove - 2     | y > -         |
         link A mark 88002 2 | z' > z'         | m(y:2) > m(z:2)
         var2 A empty 88001 1 | x' >           | m(x:1) Zentrale > slot(1) Zentrale
""",
}


@pytest.mark.parametrize(("scope", "table"), MOVED_TO_ONE.items(), ids=MOVED_TO_ONE)
def test_both_sides_move_to_one_value(scope: str, table: str) -> None:
    assert_plan(table, scope=scope)


TOOK_ITS_PLACE = """
now      y Office *        | 88001 0 y'        | m(y:1)
         z Office          | 88002 0 z'        | m(z:1)
                           | 88004 0 y'        | m(z:1) privat
agreed   88001 1 y Office y'
         88004 1 z Office z'
plan     -
notes    duplicate advo y'
"""


def test_a_row_that_takes_anothers_place_unmarked_or_not_is_the_only_pair_of_the_item() -> None:
    plan_of_person = assert_plan(TOOK_ITS_PLACE)
    rows_kept = {88001, 88004} - {
        komm_id for decision in plan_of_person.decisions for komm_id in decision.ended_komm_ids
    }
    rows_kept |= {
        decision.next_baseline.komm_id
        for decision in plan_of_person.decisions
        if decision.next_baseline is not None and decision.next_baseline.komm_id is not None
    }
    assert rows_kept == {88001, 88002}
