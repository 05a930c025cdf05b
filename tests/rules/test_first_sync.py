"""First sync and recovery (rules §3): nothing is emptied, removed or overwritten on suspicion.

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

FIRST_SYNC = {
    "markers of a copied person overwrite nothing": """
now      x Office *        | 88001 0 x3'       | m(x:1) Zentrale
plan     var4 E add 88001 1 | - > x3           |
         var4 A mark 88001 1 | x3' > x3'       | m(x:1) Zentrale > m(x3:1) Zentrale
         var1 A create - 1 | - > x             | - > m(x:1)
""",
    "slots of a copied person may be filled": """
now      x Office *        | 88001 0           | slot(1)
plan     var1 A fill 88001 1 |  > x            | slot(1) > m(x:1)
""",
    "two rows of one value with our marker: one may be a copy, and stays": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 x         | m(x:1)
plan     -
notes    duplicate advo x
""",
}


@pytest.mark.parametrize("table", FIRST_SYNC.values(), ids=FIRST_SYNC)
def test_first_sync_empties_removes_and_overwrites_nothing(table: str) -> None:
    plan_of_person = assert_plan(table)
    assert plan_of_person.first_sync


INTERRUPTED = {
    "what it did not reach is nobody's edit": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 z'        | Büro
agreed   88001 1 x Office x'
person   last_sync_at= agreed_betnr=
plan     var4 E add 88002 1 | - > z            |
         var4 A mark 88002 1 | z' > z'         | Büro > m(z:1) Büro
         var1 A create - 2 | - > y             | - > m(y:2)
""",
    "a record that was in sync with another betnr before begins anew": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 z'        | Büro
agreed   88001 1 x Office x'
person   agreed_betnr=7
plan     var4 E add 88002 1 | - > z            |
         var4 A mark 88002 1 | z' > z'         | Büro > m(z:1) Büro
         var1 A create - 2 | - > y             | - > m(y:2)
""",
    "what it settled may be edited": """
now      w Home *          | 88001 0 x'        | m(x:1)
         y Fax             | 88002 0 w'        | m(w:6)
agreed   88001 1 x Office x'
         88002 6 w Home w'
person   last_sync_at= agreed_betnr=
plan     var1 A create - 2 | - > y             | - > m(y:2)
         var2 A empty 88001 1 | x' >           | m(x:1) > slot(1)
""",
}


@pytest.mark.parametrize("table", INTERRUPTED.values(), ids=INTERRUPTED)
def test_a_first_sync_that_was_broken_off_goes_on_as_one(table: str) -> None:
    assert_plan(table)


FIRST_SYNC_TO_ADVOWARE = """
now      x Office *        | 88001 0 x'        | Zentrale
         y Fax             | 88002 0 z'        | Büro
plan     link A mark 88001 1 | x' > x'         | Zentrale > m(x:1) Zentrale
         var1 A create - 2 | - > y             | - > m(y:2)
notes    held_back advo z'
again
"""

HELD_BACK_TABLE = """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 z'        | Büro
agreed   88001 1 x Office x'
left     held_back advo 88002 z' to_advoware
plan     {plan}
{notes}
"""


def test_first_sync_holds_back_what_its_direction_forbids() -> None:
    assert_plan(FIRST_SYNC_TO_ADVOWARE, "to_advoware")


def test_what_a_first_sync_held_back_is_not_emptied_by_later_runs_of_that_direction() -> None:
    assert_plan(HELD_BACK_TABLE.format(plan="-", notes="notes    held_back advo z'"), "to_advoware")


@pytest.mark.parametrize("direction", ["both", "to_espocrm"])
def test_what_was_held_back_is_carried_out_by_a_run_that_may(direction: str) -> None:
    steps = """var4 E add 88002 1 | - > z            |
         var4 A mark 88002 1 | z' > z'         | Büro > m(z:1) Büro"""
    assert_plan(HELD_BACK_TABLE.format(plan=steps, notes=""), direction)


RECOVERY = {
    "not trusted: what EspoCRM lacks may be new in Advoware": """
person   espo_fingerprint=1111 advo_fingerprint=2222
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 y'        | m(y:2) Kanzlei
plan     var4 E add 88002 2 | - > y            |
""",
    "not trusted: a value that differs was changed in Advoware": """
person   espo_fingerprint=1111 advo_fingerprint=2222
now      x Office *        | 88001 0 x3'       | m(x:1) Zentrale
plan     var6 E replace 88001 1 | x > x3       |
         var6 A mark 88001 1 | x3' > x3'       | m(x:1) Zentrale > m(x3:1) Zentrale
""",
    "not trusted: a marker whose value another row holds says nothing": """
person   espo_fingerprint=1111 advo_fingerprint=2222
now      x Office *        | 88001 0 z'        | m(x:1) Zentrale
                           | 88002 0 x'        | m(x:1)
plan     var4 E add 88001 1 | - > z            |
         var4 A mark 88001 1 | z' > z'         | m(x:1) Zentrale > m(z:1) Zentrale
""",
    "trusted: what EspoCRM lacks was deleted there": """
person   espo_fingerprint=1111 advo_fingerprint=1111
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 y'        | m(y:2) Kanzlei
plan     var2 A empty 88002 2 | y' >           | m(y:2) Kanzlei > slot(2) Kanzlei
""",
    "trusted: what EspoCRM has instead was changed there": """
person   espo_fingerprint=1111 advo_fingerprint=1111
now      x2 Office *       | 88001 0 x'        | m(x:1) Zentrale
plan     var5 A update 88001 1 | x' > x2       | m(x:1) Zentrale > m(x2:1) Zentrale
""",
    "nothing to do when all is as the markers say": """
person   espo_fingerprint=1111 advo_fingerprint=1111
now      x Office *        | 88001 0 x'        | m(x:1)
         a                 | 88002 0 a'        | m(a:4) privat
plan     -
""",
    "letter for letter as the markers say, the pairs still enter the baseline": """
person   espo_fingerprint=1111 advo_fingerprint=1111
now      x Office *        | 88001 0 x         | m(x:1)
plan     -
""",
}


@pytest.mark.parametrize("table", RECOVERY.values(), ids=RECOVERY)
def test_a_recovery_is_planned_as_its_table_says(table: str) -> None:
    plan_of_person = assert_plan(table)
    assert plan_of_person.recovery


@pytest.mark.parametrize("table", RECOVERY.values(), ids=RECOVERY)
def test_who_returns_after_its_baseline_ended_is_a_recovery_too(table: str) -> None:
    plan_of_person = assert_plan(table.replace("person   ", "person   last_sync_at=2026-08-01 ended=1 "))
    assert plan_of_person.recovery


def test_person_that_was_synced_before_is_no_recovery() -> None:
    plan_of_person = assert_plan(
        """
person   espo_fingerprint=1111 advo_fingerprint=1111 last_sync_at=2026-08-01
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 y'        | m(y:2) Kanzlei
plan     var4 E add 88002 2 | - > y            |
"""
    )
    assert not plan_of_person.recovery
