"""A type changed in EspoCRM: whole, half done, and not acted on (rules.md §3).

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

import pytest

from tests.planned import planned

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
    "a row a person copied is none that a retype made": """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x'        | m(x:1) Zentrale
                           | 88003 0 x         | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     retype A create - 3 | - > x           | - > m(x:3) Zentrale
         retype A empty 88001 1 | x' >         | m(x:1) Zentrale > slot(1)
notes    duplicate advo x
""",
}


@pytest.mark.parametrize("table", RETYPE.values(), ids=RETYPE)
def test_type(table: str) -> None:
    planned(table)
