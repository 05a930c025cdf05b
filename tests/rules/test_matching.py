"""Which row, item and agreed pair are one entry: the steps of rules §2, by their number.

How to read a table: `tests.planned`. Letters are numbers (`tests.notation`): x, x2, x3 resemble each other.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.frames import TEXT
from etl.rules.joins.columns import frame_records
from etl.rules.joins.matching import MatchSides, match
from tests.planned import assert_plan, plans_alone_and_together

MATCHING = {
    "1: a value retyped into another row keeps its pair, the old row is new": """
now      x Office *        | 88001 0 z'        | m(x:1) Zentrale
                           | 88002 0 x'        | neu
agreed   88001 1 x Office x'
plan     var4 E add 88001 1 | - > z            |
         var4 A mark 88001 1 | z' > z'         | m(x:1) Zentrale > m(z:1) Zentrale
         repair A mark 88002 1 | x' > x'       | neu > m(x:1) neu
""",
    "1: not when EspoCRM has the value no more": """
now      x2 Office *       | 88001 0 x3'       | m(x:1)
                           | 88002 0 x'        |
agreed   88001 1 x Office x'
plan     clash A update 88001 1 | x3' > x2     | m(x:1) > m(x2:1)
         var4 A empty 88002 1 | x' >           |  > slot(1)
""",
    "1: two rows exchange their values and a third doubles one: EspoCRM's items stay, each with its optOut": """
now      x Office *        | 88001 0 y'        | m(x:1) Zentrale
         y Fax             | 88002 0 x'        | m(y:2)
                           | 88003 0 x         | noch einmal
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     repair A mark 88001 1 | y' > y'       | m(x:1) Zentrale > m(y:1) Zentrale
         repair A mark 88003 1 | x > x         | noch einmal > m(x:1) noch einmal
notes    duplicate advo x'
""",
    "2: two rows exchange their values": """
now      x Office *        | 88001 0 y'        | m(x:1) Zentrale
         y Fax             | 88002 0 x'        | m(y:2)
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var6 E replace 88001 1 | x > y        |
         var6 E replace 88002 2 | y > x        |
         var6 A mark 88001 1 | y' > y'         | m(x:1) Zentrale > m(y:1) Zentrale
         var6 A mark 88002 2 | x' > x'         | m(y:2) > m(x:2)
""",
    "2: of two pairs with one value the one whose row holds it": """
now      x Office *        | 88001 0 y'        | m(x:1)
                           | 88002 0 x'        | m(x:1) Sekretariat
agreed   88001 1 x Office x'
         88002 1 x Office x'
plan     clash A empty 88001 1 | y' >          | m(x:1) > slot(1)
""",
    "4: the same value on both sides, not linked yet": """
now      x Office *        | 88001 0 x'        | m(x:1)
         z Home            | 88002 0 z'        | Büro
agreed   88001 1 x Office x'
plan     link A mark 88002 6 | z' > z'         | Büro > m(z:6) Büro
""",
    "4: of two unlinked rows the lowest, the other is a duplicate": """
now      x Office *        | 88001 0 x'        | m(x:1)
         z Home            | 88002 0 z'        | Büro
                           | 88003 0 z         | noch einmal
agreed   88001 1 x Office x'
plan     link A mark 88002 6 | z' > z'         | Büro > m(z:6) Büro
notes    duplicate advo z
""",
    "5: the row is gone, the item stands": """
now      y Fax *           | 88002 0 y'        | m(y:2)
         x Office          |
agreed   88001 1 x Office x'
         88002 2 y Fax y'
plan     var3 E remove 88001 1 | x > -         |
""",
    "5: emptied and typed anew into another row: the new row is the pair": """
now      x Office *        | 88001 0           | m(x:1) Zentrale
                           | 88002 0 x'        |
agreed   88001 1 x Office x'
plan     forget A mark 88001 1 |  >            | m(x:1) Zentrale > slot(1) Zentrale
         link A mark 88002 1 | x' > x'         |  > m(x:1)
""",
    "6: one is gone and one is new, though they do not resemble each other": """
now      z Office *        | 88001 0 x'        | m(x:1) Zentrale
agreed   88001 1 x Office x'
plan     var5 A update 88001 1 | x' > z        | m(x:1) Zentrale > m(z:1) Zentrale
""",
    "6: of several by similarity, each remark stays with its number": """
now      y3 Office *       | 88001 0 x'        | m(x:1) Zentrale
         x2 Office         | 88002 0 y'        | m(y:1) Gegner, nicht anrufen
agreed   88001 1 x Office x'
         88002 1 y Office y'
plan     var5 A update 88001 1 | x' > x2       | m(x:1) Zentrale > m(x2:1) Zentrale
         var5 A update 88002 1 | y' > y3       | m(y:1) Gegner, nicht anrufen > m(y3:1) Gegner, nicht anrufen
""",
    "6: what resembles nothing is a deletion and a creation, which does not use this run's slot": """
now      w Office *        | 88001 0 x'        | m(x:1) Zentrale
         z Office          | 88002 0 y'        | m(y:1) Gegner, nicht anrufen
         a *               | 88003 0 a         | m(a:4)
agreed   88001 1 x Office x'
         88002 1 y Office y'
         88003 4 a - a
plan     var1 A create - 1 | - > w             | - > m(w:1)
         var1 A create - 1 | - > z             | - > m(z:1)
         var2 A empty 88001 1 | x' >           | m(x:1) Zentrale > slot(1) Zentrale
         var2 A empty 88002 1 | y' >           | m(y:1) Gegner, nicht anrufen > slot(1) Gegner, nicht anrufen
""",
    "6: similarity must be unique in both directions": """
now      x3 Office *       | 88001 0 x'        | m(x:1) Zentrale
         a *               | 88002 0 x2'       | m(x2:1) Gegner, nicht anrufen
                           | 88003 0 a         | m(a:4)
agreed   88001 1 x Office x'
         88002 1 x2 Office x2'
         88003 4 a - a
plan     var1 A create - 1 | - > x3            | - > m(x3:1)
         var2 A empty 88001 1 | x' >           | m(x:1) Zentrale > slot(1) Zentrale
         var2 A empty 88002 1 | x2' >          | m(x2:1) Gegner, nicht anrufen > slot(1) Gegner, nicht anrufen
""",
    "6: a value of another kommKz is no change": """
now      y Home *          | 88001 0 x'        | m(x:1) Zentrale
         x2 Mobile         | 88002 0 y'        | m(y:6)
agreed   88001 1 x Office x'
         88002 6 y Home y'
plan     var1 A create - 3 | - > x2            | - > m(x2:3)
         var2 A empty 88001 1 | x' >           | m(x:1) Zentrale > slot(1) Zentrale
""",
    "6: first the row that holds the new value already": """
now      x2 Office *       | 88001 0 y'        | m(x:1) Zentrale
         y Office          | 88002 0 w'        | m(w:1)
agreed   88001 1 x Office x'
         88002 1 w Office w'
plan     repair A mark 88001 1 | y' > y'       | m(x:1) Zentrale > m(y:1) Zentrale
         var5 A update 88002 1 | w' > x2       | m(w:1) > m(x2:1)
""",
    "6: what Advoware did not take is no new value for another row": """
now      y Office *        | 88001 0 x'        | m(x:1) Zentrale
         z Home            | 88002 0 z'        | m(z:6)
agreed   88001 1 x Office x'
         88002 6 z Home z'
left     unsyncable espo - y
plan     var2 A empty 88001 1 | x' >           | m(x:1) Zentrale > slot(1) Zentrale
notes    unsyncable espo y
""",
    "6: for the row in which it was to replace a value it still is, whatever else goes": """
now      y Office *        | 88001 0 x'        | m(x:1) Zentrale
         z Home            | 88002 0 w'        | m(w:1)
                           | 88003 0 z'        | m(z:6)
agreed   88001 1 x Office x'
         88002 1 w Office w'
         88003 6 z Home z'
left     unsyncable espo 88001 y
plan     var2 A empty 88002 1 | w' >           | m(w:1) > slot(1)
notes    unsyncable espo y
""",
    "6: mails of one mailbox or domain": """
now      max@neu.de *      | 88001 0 a         | m(a:4) privat
         eva@b.de          | 88002 0 ev@b.de   | m(ev@b.de:4)
agreed   88001 4 a - a
         88002 4 ev@b.de - ev@b.de
plan     var5 A update 88001 4 | a > max@neu.de | m(a:4) privat > m(max@neu.de:4) privat
         var5 A update 88002 4 | ev@b.de > eva@b.de | m(ev@b.de:4) > m(eva@b.de:4)
""",
}


@pytest.mark.parametrize("table", MATCHING.values(), ids=MATCHING)
def test_rows_and_items_are_matched_as_the_table_says(table: str) -> None:
    assert_plan(table)


@pytest.mark.parametrize("table", MATCHING.values(), ids=MATCHING)
def test_no_pair_drops_the_baseline_row_that_another_ends_with(table: str) -> None:
    """Rows change places between pairs; whichever is committed last must not end what the other has just set."""
    decisions = assert_plan(table).decisions
    for decision in decisions:
        others = {
            other.next_baseline.komm_id
            for other in decisions
            if other is not decision and other.next_baseline is not None
        }
        assert not others & set(decision.ended_komm_ids)


def test_persons_planned_together_are_planned_as_each_alone() -> None:
    """The joins are made in bulk: no person may see another's values, whatever the order of the frames."""
    alone, together = plans_alone_and_together(list(MATCHING.values()))
    assert together == alone


# The joins themselves -----------------------------------------------------------------------------------------------

KINDS = dict.fromkeys(
    ("pair", "row", "item", "komm_id", "key", "espo_key", "advo_key", "group_komm_kz", "put_off_in", "text"), "Int64"
)
KINDS |= dict.fromkeys(("free", "is_first", "refused"), "bool")
PERSON, ROW, VALUE = st.integers(0, 1), st.integers(1, 5), st.none() | st.integers(0, 3)
BASE = st.lists(st.tuples(PERSON, ROW, VALUE, VALUE), unique_by=lambda record: record[:2], max_size=6)
ROWS = st.lists(st.tuples(PERSON, ROW, VALUE, st.booleans()), unique_by=lambda record: record[:2], max_size=8)
ITEMS = st.lists(st.tuples(PERSON, VALUE, st.booleans(), st.none() | ROW), max_size=8)


def key_of_person(person: int, value: int | None) -> int | None:
    """Equal keys are the same person and value."""
    return None if value is None else person * 10 + value


def make_frame(columns: str, records: list[tuple[Any, ...]]) -> pd.DataFrame:
    """One of the three frames; text where it is neither a number nor a fact."""
    names = columns.split()
    records = [(number, *record) for number, record in enumerate(records)]
    return pd.DataFrame(records, columns=names, dtype="object").astype({name: KINDS.get(name, TEXT) for name in names})


def are_neighbours(was: str, now: str) -> bool:
    """What resembles each other here."""
    return bool(was and now) and abs(int(was) - int(now)) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BASE, ROWS, ITEMS)
def test_each_thing_is_in_one_entry_and_nothing_is_lost(
    base: list[tuple[int, int, int, int]],
    rows: list[tuple[int, int, int, bool]],
    items: list[tuple[int, int, bool, int]],
) -> None:
    """Agreed pairs, first items of a value and rows of a channel with a value: each once, with things of its person."""
    keys = [key_of_person(who, value) for who, value, *_ in items]
    first = [key is not None and key not in keys[:at] for at, key in enumerate(keys)]
    entries = match(
        MatchSides(
            base=make_frame(
                "pair entity_id channel komm_id text espo_canonical espo_key advo_key group_komm_kz",
                [
                    (who, "phone", row, None, a, key_of_person(who, a), key_of_person(who, b), 1)
                    for who, row, a, b in base
                ],
            ),
            rows=make_frame(
                "row entity_id komm_id key free",
                [(who, row, key_of_person(who, value), value is not None and free) for who, row, value, free in rows],
            ),
            items=make_frame(
                "item entity_id channel text canonical readings key group_komm_kz is_first refused put_off_in",
                [
                    (who, "phone", None, value, None, key, 1, is_first, *facts)
                    for (who, value, *facts), key, is_first in zip(items, keys, first, strict=True)
                ],
            ),
        ),
        are_neighbours,
    )
    numbers = {name: sorted(entries[name].dropna()) for name in entries.columns}
    free_rows = {at for at, (_, _, value, free) in enumerate(rows) if value is not None and free}
    assert (numbers["pair"], numbers["item"]) == (
        [*range(len(base))],
        [at for at, is_first in enumerate(first) if is_first],
    )
    assert set(numbers["row"]) >= free_rows
    assert len(numbers["row"]) == len(set(numbers["row"]))
    people: dict[str, list[Any]] = {"pair": base, "row": rows, "item": items}
    for entry in frame_records(entries):
        assert len({people[name][at][0] for name, at in entry.items() if at is not None}) == 1
