"""Who wins an entry, by conflict, scope and direction (rules §4).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

CONFLICT = {
    "deleted in Advoware: created again": """
now      x2 Office *       | 88001 0 x'        | m(x:1)
         y Fax             |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) > m(x2:1)
         var3 A create - 2 | - > y             | - > m(y:2)
""",
    "emptied in Advoware: filled again": """
now      x2 Office *       | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0           | m(y:2) Kanzlei
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) > m(x2:1)
         var3 A revert 88002 2 |  > y          | m(y:2) Kanzlei > m(y:2) Kanzlei
""",
    "both sides agree elsewhere: that is not touched": """
now      x2 Office *       | 88001 0 x'        | m(x:1)
         y3 Fax            | 88002 0 y3'       | m(y:2)
                           | 88003 0 z'        | Büro
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) > m(x2:1)
         repair A mark 88002 2 | y3' > y3'     | m(y:2) > m(y3:2)
         var4 A empty 88003 1 | z' >           | Büro > slot(1) Büro
""",
}


@pytest.mark.parametrize("table", CONFLICT.values(), ids=CONFLICT)
def test_person_in_conflict_is_as_espocrm_says(table: str) -> None:
    assert_plan(table)


SWAPPED = """
now      x Office *        | 88001 0 y'        | m(x:1) Gegner
         y Fax             | 88002 0 x'        | m(y:2)
         z Mobile          |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var6 A revert 88001 1 | y' > x        | m(x:1) Gegner > m(x:1) Gegner
         var6 A revert 88002 2 | x' > y        | m(y:2) > m(y:2)
         var1 A create - 3 | - > z             | - > m(z:3)
"""


def test_a_remark_beside_which_a_value_is_put_back_is_named() -> None:
    plan_of_person = assert_plan(SWAPPED)
    assert [decision.reason for decision in plan_of_person.decisions if decision.entry.row is not None] == [
        'changed in Advoware; EspoCRM wins; the remark "Gegner" is kept',
        "changed in Advoware; EspoCRM wins",
    ]


TO_ADVOWARE = """
now      x Office *        | 88001 0 x3'       | m(x:1)
         y Fax             |
                           | 88003 0 z'        | Büro
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var6 A revert 88001 1 | x3' > x       | m(x:1) > m(x:1)
         var3 A create - 2 | - > y             | - > m(y:2)
         var4 A empty 88003 1 | z' >           | Büro > slot(1) Büro
"""

TO_ESPOCRM = """
now      x2 Office *       | 88001 0 x3'       | m(x:1)
         y Fax             |
                           | 88004 0 w'        | m(w:6)
         p Mobile          | 88003 0 z'        | Büro
agreed   88001 1 x Office x'
         88002 2 y Fax y'
         88004 6 w Home w'
plan     var4 E add 88003 1 | - > z            |
         var3 E remove 88002 2 | y > -         |
         var4 A mark 88003 1 | z' > z'         | Büro > m(z:1) Büro
notes    held_back espo p
         held_back espo x2
         held_back advo w'
again    -
"""


def test_to_advoware_makes_advoware_what_espocrm_says() -> None:
    assert_plan(TO_ADVOWARE, "to_advoware")


def test_to_espocrm_carries_out_what_is_advowares_and_overwrites_nothing_of_espocrms() -> None:
    assert_plan(TO_ESPOCRM, "to_espocrm")
