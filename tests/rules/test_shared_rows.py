"""What a PUT says of a value that EspoCRM has already: rules §3, Shared address rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.records import Channel, EspoItem, Side
from etl.rules.espo.shared_rows import (
    LastSeen,
    espo_row_key,
    item_to_send,
    items_not_in,
    items_to_add,
    keys_of_spellings,
    with_stored_items,
)
from etl.rules.marker import encode
from etl.rules.plan import PersonPlan
from tests.planned import assert_plan

PHONE, MAIL = Channel.PHONE, Channel.MAIL
X = "+495111234560"
NEW = EspoItem(PHONE, X, "Office", primary=True)
OPTED_OUT = LastSeen("Home", opt_out=True, invalid=False)
INVALID = LastSeen(None, opt_out=False, invalid=True)
LAST_SEEN = LastSeen("Home", opt_out=True, invalid=True)
FLAGS = st.booleans()
ITEMS = st.builds(EspoItem, st.just(PHONE), st.just(X), st.sampled_from(["Fax", "Home"]), FLAGS, FLAGS, FLAGS)
SEEN = st.builds(LastSeen, st.sampled_from([None, "Fax"]), FLAGS, FLAGS)

VAR4 = """
now      x Office *        | 88001 0 x'        | m(x:1)
                           | 88002 0 a'        | Büro
agreed   88001 1 x Office x'
plan     var4 E add 88002 4 | - > a'           |
         var4 A mark 88002 4 | a' > a'         | Büro > m(a':4) Büro
"""

VAR6 = """
person   edited_by_other=1
now      x Mobile *        | 88001 0 x3'       | m(x:1)
agreed   88001 1 x Office x'
plan     var6 E replace 88001 1 | x > x3       |
         var6 A mark 88001 1 | x3' > x3'       | m(x:1) > m(x3:1)
again    -
"""


@pytest.mark.parametrize(
    ("was", "elsewhere", "last_seen", "sent"),
    [
        # held by another record: what is stored there, opted out where it or the replaced item is
        (None, EspoItem(PHONE, X, "Fax", opt_out=True, invalid=True), (), ("Fax", True, True)),
        (None, EspoItem(PHONE, X, "Fax"), (LAST_SEEN,), ("Fax", False, False)),
        (EspoItem(PHONE, "1", "Home", invalid=True), EspoItem(PHONE, X, "Fax"), (), ("Fax", False, False)),
        (EspoItem(PHONE, "1", "Home", opt_out=True), EspoItem(PHONE, X, "Fax"), (), ("Fax", True, False)),
        # held by nobody: as it was last seen
        (None, None, (OPTED_OUT,), ("Home", True, False)),
        (None, None, (INVALID,), ("Office", False, True)),
        (EspoItem(PHONE, "1", "Office"), None, (OPTED_OUT,), ("Office", True, False)),
        (None, None, (), ("Office", False, False)),
    ],
)
def test_a_new_item_is_sent_as_its_value_is_stored(
    was: EspoItem | None, elsewhere: EspoItem | None, last_seen: tuple[LastSeen, ...], sent: tuple[str, bool, bool]
) -> None:
    item = item_to_send(NEW, was, elsewhere, last_seen)
    assert (item.type, item.opt_out, item.invalid) == sent
    assert (item.value, item.primary) == (X, True)


def test_a_mail_is_spelled_as_it_is_stored_and_a_number_as_it_was_to_be_sent() -> None:
    assert item_to_send(EspoItem(MAIL, "a@b.de"), None, EspoItem(MAIL, "A@B.de"), ()).value == "A@B.de"
    assert item_to_send(NEW, None, replace(NEW, value="0511 1234560"), ()).value == X


@given(item=ITEMS, was=st.none() | ITEMS, elsewhere=st.none() | ITEMS, seen_before=st.lists(SEEN, max_size=2))
def test_no_opt_out_that_anything_tells_of_is_lifted(
    item: EspoItem, was: EspoItem | None, elsewhere: EspoItem | None, seen_before: list[LastSeen]
) -> None:
    """Where another record shows the row as it is now, older looks at it do not count."""
    items_known = [was, elsewhere] if elsewhere is not None else seen_before
    if any(item is not None and item.opt_out for item in items_known):
        assert item_to_send(item, was, elsewhere, seen_before).opt_out


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (X, {X}),
        ("0511 1234560", {X, "0511 1234560"}),
        ("0511 12345 ext. 60", {"0511 12345 ext. 60"}),
        ("siehe Akte", {"siehe Akte"}),
    ],
)
def test_a_number_may_stand_as_it_is_sent_or_as_e164(value: str, rows: set[str]) -> None:
    assert keys_of_spellings(EspoItem(PHONE, value), "DE") == {(PHONE, row) for row in rows}


def test_what_a_record_holds_in_any_letter_case_is_not_asked_for() -> None:
    items_held = [EspoItem(MAIL, "A@B.de"), EspoItem(PHONE, X)]
    assert items_not_in([EspoItem(MAIL, "a@b.DE"), EspoItem(PHONE, X), EspoItem(PHONE, f"{X}1")], items_held) == [
        EspoItem(PHONE, f"{X}1")
    ]


def plan_stored_elsewhere(table: str, stored: EspoItem) -> PersonPlan:
    """The plan of a table, its one new item stored elsewhere like this."""
    plan = assert_plan(table)
    [(_, item)] = items_to_add(plan)
    return with_stored_items(plan, {espo_row_key(item): stored}, {})


def test_marker_pair_and_array_speak_of_the_stored_spelling() -> None:
    plan = plan_stored_elsewhere(VAR4, EspoItem(MAIL, "MAX@muster.de", opt_out=True))
    add, mark = (next(step for step in plan.steps if step.side is side) for side in Side)
    assert add.new_value == "MAX@muster.de"
    assert mark.new_remark == encode("MAX@muster.de", 4, "Büro")
    assert mark.new_value == "Max@Muster.DE", "what people typed in Advoware stays"
    [pair] = [
        decision.next_baseline
        for decision in plan.decisions
        if decision.next_baseline is not None and decision.next_baseline.channel is MAIL
    ]
    assert (pair.espo_value, pair.advo_value, pair.remark) == ("MAX@muster.de", "Max@Muster.DE", mark.new_remark)
    assert plan.espo_payload[MAIL][0] == {
        "emailAddress": "MAX@muster.de",
        "lower": "max@muster.de",
        "primary": False,
        "optOut": True,
        "invalid": False,
    }


def test_a_type_change_that_waits_is_over_where_another_type_is_found() -> None:
    """The person typed a new number into a row whose type somebody had just changed: the number has a type already."""
    plan_waiting, plan_found = assert_plan(VAR6), plan_stored_elsewhere(VAR6, EspoItem(PHONE, "+495111234562", "Fax"))
    assert [decision.next_baseline.espo_type for decision in plan_waiting.decisions if decision.next_baseline] == [
        "Office"
    ]
    assert [decision.next_baseline.espo_type for decision in plan_found.decisions if decision.next_baseline] == ["Fax"]
    assert [item.type for item in plan_found.expected_items] == ["Fax"]


def test_a_type_change_that_waits_goes_on_waiting_where_nothing_else_is_found() -> None:
    plan_found = plan_stored_elsewhere(VAR6, EspoItem(PHONE, "+495111234562", "Mobile", opt_out=True))
    assert [decision.next_baseline.espo_type for decision in plan_found.decisions if decision.next_baseline] == [
        "Office"
    ]
    assert [item.opt_out for item in plan_found.expected_items] == [True]


def test_a_plan_that_brings_nothing_known_stays_the_very_same() -> None:
    plan = assert_plan(VAR4)
    assert with_stored_items(plan, {}, {}) is plan
