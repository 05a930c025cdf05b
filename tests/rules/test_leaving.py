"""Entries nothing is done about: unsyncable, held back, the 11th (rules §3).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import assert_plan

UNSYNCABLE = {
    "a text is no number": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 nur abends |
agreed   88001 1 x Office x'
plan     -
notes    unsyncable advo nur abends
""",
    "an extension would be dropped": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 0511 12345 DW 60 |
agreed   88001 1 x Office x'
plan     -
notes    unsyncable advo 0511 12345 DW 60
""",
    "an umlaut in a mail": """
now      a *               | 88001 0 a         | m(a:4)
                           | 88002 0 käthe@müller.de |
agreed   88001 4 a - a
plan     -
notes    unsyncable advo käthe@müller.de
""",
    "what EspoCRM refused before is not tried again": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 z'        |
agreed   88001 1 x Office x'
left     unsyncable advo 88002 z'
plan     -
notes    unsyncable advo z'
""",
    "until it is edited": """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 z         |
agreed   88001 1 x Office x'
left     unsyncable advo 88002 z'
plan     var4 E add 88002 1 | - > z            |
         var4 A mark 88002 1 | z > z           |  > m(z:1)
""",
    "what Advoware did not take": """
now      x Office *        | 88001 0 x'        | m(x:1)
         y Home            |
agreed   88001 1 x Office x'
left     unsyncable espo - y
plan     -
notes    unsyncable espo y
""",
    "an item of signs that nobody sees": """
now      x Office *        | 88001 0 x'        | m(x:1)
         unseen Home       |
agreed   88001 1 x Office x'
plan     -
notes    unsyncable espo unseen
""",
    "a pair whose row now holds a text keeps its pair": """
now      x Office *        | 88001 0 siehe Akte | m(x:1)
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     -
notes    unsyncable advo siehe Akte
""",
    "a pair whose row was retyped to a mail keeps its pair": """
now      x Office *        | 88001 0 a@b.de    |
         y Fax             | 88002 0 y'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     -
notes    unsyncable advo a@b.de
""",
    "what is left alone is a change of nobody: no conflict": """
now      x2 Office *       | 88001 0 x'        | m(x:1)
                           | 88002 0 abc       | Büro
agreed   88001 1 x Office x'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) > m(x2:1)
notes    unsyncable advo abc
""",
}


@pytest.mark.parametrize("table", UNSYNCABLE.values(), ids=UNSYNCABLE)
def test_unsyncable_entry_is_left_alone_and_named(table: str) -> None:
    assert_plan(table)


ELEVENTH = """
now      x Office *        | 88001 0 x'        | m(x:1)
{pairs}
                           | 88002 0 y'        |
                           | 88003 0 z'        | Büro
agreed   88001 1 x Office x'
{agreed}
plan     {plan}
notes    {notes}
"""


def full_record_table(count: int, plan: str, notes: str) -> str:
    """A person with so many phones agreed on, and two new ones in Advoware."""
    numbers = [(88010 + n, f"+4940123450{n:02}") for n in range(count - 1)]
    return ELEVENTH.format(
        pairs="\n".join(f"         {value} Home | {row} 0 {value} | m({value}:6)" for row, value in numbers),
        agreed="\n".join(f"         {row} 6 {value} Home {value}" for row, value in numbers),
        plan=plan,
        notes=notes,
    )


def test_eleventh_item_stays_in_advoware() -> None:
    """Of two new ones the lower row gets the last place."""
    steps = """var4 E add 88002 1 | - > y            |
         var4 A mark 88002 1 | y' > y'         |  > m(y:1)"""
    assert_plan(full_record_table(9, steps, "unsyncable advo z'"))


def test_full_record_takes_nothing_more() -> None:
    assert_plan(full_record_table(10, "-", "unsyncable advo y'\n         unsyncable advo z'"))
