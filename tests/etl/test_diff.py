"""From what both sides show to the plan: each variant of rules §3 as a table; the steps frame compared whole.

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

PLANS = {
    "nothing changed": """
now      x Office *        | 88001 0 x'        | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     -
""",
    "another spelling is no change": """
now      x Office *        | 88001 0 +49 511 1234560 | m(x:1)
agreed   88001 1 x Office x'
plan     -
""",
    "Var1: created": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Home            |
agreed   88001 1 x Office x'
plan     var1 A create - 6 | - > y             | - > m(y:6)
""",
    "Var1: one slot for two new entries, the lowest row first, none with own text": """
now      x Office *        | 88001 0 x'        | m(x:1)
         p Mobile          | 88002 0           | slot(3) Mutter
         q Mobile          | 88003 0 null      | slot(3)
agreed   88001 1 x Office x'
plan     var1 A fill 88003 3 |  > q            | slot(3) > m(q:3)
         var1 A create - 3 | - > p             | - > m(p:3)
""",
    "Var2: own text is kept": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 y'        | m(y:2) nur\\nvormittags [privat] 📞
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var2 A empty 88002 2 | y' > | m(y:2) nur\\nvormittags [privat] 📞 > slot(2) nur\\nvormittags [privat] 📞
""",
    "Var3: row gone": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88002 2 | y > -         |
""",
    "Var3: emptied by a person, the row becomes a slot": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 null      | m(y:2) Kanzlei
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88002 2 | y > -         |
         var3 A mark 88002 2 |  >              | m(y:2) Kanzlei > slot(2) Kanzlei
""",
    "Var4: added, then marked": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 z'        | Büro
agreed   88001 1 x Office x'
plan     var4 E add 88002 1 | - > z            |
         var4 A mark 88002 1 | z' > z'         | Büro > m(z:1) Büro
""",
    "Var4: typed into a slot": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 z'        | slot(6) Büro
agreed   88001 1 x Office x'
plan     var4 E add 88002 6 | - > z            |
         var4 A mark 88002 6 | z' > z'         | slot(6) Büro > m(z:6) Büro
""",
    "Var5: the same row": """
now      x2 Office *       | 88001 0 x'        | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) Zentrale > m(x2:1) Zentrale
""",
    "Var6: replaced, then marked": """
now      x Fax *           | 88001 0 x3'       | m(x:2)
agreed   88001 2 x Fax x'
plan     var6 E replace 88001 2 | x > x3       |
         var6 A mark 88001 2 | x3' > x3'       | m(x:2) > m(x3:2)
""",
    "link: marker only, the value byte-identical": """
now      x Office *        | 88001 0  0511 1234560  | Zentrale
plan     link A mark 88001 1 | 0511 1234560 > 0511 1234560 | Zentrale > m(x:1) Zentrale
""",
    "repair: marker missing": """
now      x Office *        | 88001 0 x'        | Zentrale
agreed   88001 1 x Office x'
plan     repair A mark 88001 1 | x' > x'       | Zentrale > m(x:1) Zentrale
""",
    "repair: marker damaged, which is dropped": """
now      x Office *        | 88001 0 x'        | [ESPOCRM:???:1] Zentrale
agreed   88001 1 x Office x'
plan     repair A mark 88001 1 | x' > x'       | [ESPOCRM:???:1] Zentrale > m(x:1) Zentrale
""",
    "repair: marker stale": """
now      x Office *        | 88001 0 x'        | m(y:1)
agreed   88001 1 x Office x'
plan     repair A mark 88001 1 | x' > x'       | m(y:1) > m(x:1)
""",
    "repair: both edited to the same value": """
now      x2 Office *       | 88001 0 x2'       | m(x:1)
agreed   88001 1 x Office x'
plan     repair A mark 88001 1 | x2' > x2'     | m(x:1) > m(x2:1)
""",
    "a remark without marker on purpose is left so": """
now      x Office *        | 88001 0 x'        | Zentrale
agreed   88001 1 x Office x' unmarked | Zentrale
plan     -
""",
    "until somebody touches the remark": """
now      x Office *        | 88001 0 x'        | kurz
agreed   88001 1 x Office x' unmarked | Zentrale
plan     repair A mark 88001 1 | x' > x'       | kurz > m(x:1) kurz
""",
    "forget: gone on both": """
now      y Fax *           | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     -
""",
    "forget: a row that still stands empty becomes a slot": """
now      y Fax *           | 88001 0           | m(x:1) Zentrale
                           | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     forget A mark 88001 1 |  >            | m(x:1) Zentrale > slot(1) Zentrale
""",
    "clash: EspoCRM wins": """
now      x2 Office *       | 88001 0 x3'       | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     clash A update 88001 1 | x3' > x2     | m(x:1) Zentrale > m(x2:1) Zentrale
""",
    "clash: its deletion wins too": """
now      y Fax *           | 88001 0 x3'       | m(x:1) Zentrale
                           | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     clash A empty 88001 1 | x3' >         | m(x:1) Zentrale > slot(1) Zentrale
""",
    "what is not sync-relevant is never written": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 www.muster.de | neu
                           | 88003 0 DE.BRAK_SPT.4711 |
                           | 88004 5 0511 99   |
agreed   88001 1 x Office x'
plan     -
""",
}


@pytest.mark.parametrize("table", PLANS.values(), ids=PLANS)
def test_each_variant_is_planned_as_its_table_says(table: str) -> None:
    assert_plan(table)


VANISHED = {
    "from EspoCRM: waits": """
now      -                 | 88001 0 x'        | m(x:1)
agreed   88001 1 x Office x'
plan     -
waits    espo
""",
    "the next run sees the same": """
person   waiting_side=espo
now      -                 | 88001 0 x'        | m(x:1)
agreed   88001 1 x Office x'
plan     var2 A empty 88001 1 | x' >           | m(x:1) > slot(1)
""",
    "from Advoware: waits, whole": """
now      x Office *        | 88001 0           | m(x:1)
         y Fax             |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     -
waits    advo
""",
    "the next run sees the same in Advoware": """
person   waiting_side=advo
now      x Office *        | 88001 0           | m(x:1)
         y Fax             |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88001 1 | x > -         |
         var3 E remove 88002 2 | y > -         |
         var3 A mark 88001 1 |  >              | m(x:1) > slot(1)
""",
    "from both: Advoware's rows may only not be shown": """
now      -                 |                   |
agreed   88001 1 x Office x'
plan     -
waits    advo
""",
    "the next run finds nothing on either side: forgotten": """
person   waiting_side=advo
now      -                 |                   |
agreed   88001 1 x Office x'
plan     -
""",
    "a new entry beside what vanished is no reason not to wait": """
now      z Fax *           | 88001 0 x'        | m(x:1)
agreed   88001 1 x Office x'
plan     -
waits    espo
""",
    "from both, its row shown empty: nothing to wait for": """
now      -                 | 88001 0           | slot(1)
agreed   88001 1 x Office x'
plan     -
""",
    "a first sync waits for nobody": """
now      x Office *        | -
plan     var1 A create - 1 | - > x             | - > m(x:1)
""",
}


@pytest.mark.parametrize("table", VANISHED.values(), ids=VANISHED)
def test_person_whose_entries_all_vanished_waits_a_run(table: str) -> None:
    assert_plan(table)


def test_a_decision_names_what_happened_and_the_remark_that_stays() -> None:
    plan_of_person = assert_plan(PLANS["Var5: the same row"])
    assert [decision.reason for decision in plan_of_person.decisions] == [
        'changed in EspoCRM; the remark "Zentrale" is kept'
    ]
