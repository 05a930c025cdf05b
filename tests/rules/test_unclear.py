"""Unclear values in the plan (rules §0): what they prevent, and how a pair goes on that was edited into one."""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

UNCLEAR_TABLES = {
    "an unclear row is left alone, with every new item that may be the same": """
now      x Office *        | 88001 0 x'        | m(x:1)
         +491712223334 Mobile | 88002 0 0511 99999 / 0171 2223334 |
         +4951199999 Office |
         w Office          |
agreed   88001 1 x Office x'
plan     var1 A create - 1 | - > w             | - > m(w:1)
notes    unclear espo +491712223334
         unclear espo +4951199999
         unclear advo 0511 99999 / 0171 2223334
""",
    "a pair is never touched by an unclear row": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 0511 1234560 privat |
agreed   88001 1 x Office x'
plan     -
notes    unclear advo 0511 1234560 privat
""",
    "an unclear item that no row is a reading of goes to Advoware as written": """
now      x Office *        | 88001 0 x'        | m(x:1)
         0171-2223334-privat Mobile |
agreed   88001 1 x Office x'
plan     var1 A create - 3 | - > 0171-2223334-privat | - > m(0171-2223334-privat:3)
""",
    "an unclear item is left alone with a row that may be the same": """
now      x Office *        | 88001 0 x'        | m(x:1)
         0171-2223334-privat Mobile | 88002 0 0171 2223334 |
agreed   88001 1 x Office x'
plan     -
notes    unclear espo 0171-2223334-privat
         unclear advo 0171 2223334
""",
    "a row edited into an unclear value waits with its baseline row": """
now      x Office *        | 88001 0 0511 1234560 privat | m(x:1)
agreed   88001 1 x Office x'
plan     -
notes    unclear advo 0511 1234560 privat
""",
    "an item edited into an unclear value waits with its baseline row": """
now      0171-2223334-privat Office * | 88001 0 x' | m(x:1)
agreed   88001 1 x Office x'
plan     -
notes    unclear espo 0171-2223334-privat
""",
    "a pair of one unclear value is deleted like any other while the row stands as agreed": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 0171-2223334-privat | m(0171-2223334-privat:3)
agreed   88001 1 x Office x'
         88002 3 0171-2223334-privat Mobile 0171-2223334-privat
plan     var2 A empty 88002 3 | 0171-2223334-privat > | m(0171-2223334-privat:3) > slot(3)
""",
}


@pytest.mark.parametrize("table", UNCLEAR_TABLES.values(), ids=UNCLEAR_TABLES)
def test_an_unclear_value_prevents_and_never_causes_a_write(table: str) -> None:
    assert_plan(table)
