"""What a read shows of an array PUT, value by value."""

from __future__ import annotations

import pytest

from etl.records import Channel, Item
from etl.rules.array_read import ArrayRead, Stored

PHONE, MAIL = Channel.PHONE, Channel.MAIL
X, Y, NEW = "+495111234560", "+495112222222", "+495119999999"


def phones(*values: str) -> list[Item]:
    return [Item(PHONE, value, "Office") for value in values]


def put(before: list[str], sent: list[str]) -> dict[str, object]:
    return {
        "items_before": [{"channel": "phone", "value": value} for value in before],
        "items_sent": {"phone": [{"phoneNumber": value} for value in sent]},
    }


@pytest.mark.parametrize(
    ("old", "new", "shown", "stored"),
    [
        (X, NEW, [NEW, Y], Stored.WHOLE),
        (X, NEW, [X, Y], Stored.NOTHING),
        (X, NEW, [Y], Stored.TAKEN_ONLY),
        (X, NEW, [X, NEW, Y], Stored.BROUGHT_ONLY),
        (None, NEW, [X, Y, NEW], Stored.WHOLE),
        (None, NEW, [X, Y], Stored.NOTHING),
        (X, None, [Y], Stored.WHOLE),
        (X, None, [X, Y], Stored.NOTHING),
        (X, NEW, ["+49 511 9999999", Y], Stored.WHOLE),
    ],
)
def test_a_change_is_judged_by_what_came_and_what_went(
    old: str | None, new: str | None, shown: list[str], stored: Stored
) -> None:
    sent = [value for value in (X, Y) if value != old] + ([new] if new else [])
    read = ArrayRead.of([put([X, Y], sent)], phones(*shown), "DE")
    assert read.of_change(PHONE, old, new) is stored
    assert read.lacking() == frozenset()


def test_values_that_change_places_between_pairs_are_gone_from_neither() -> None:
    read = ArrayRead.of([put([X, Y], [Y, X])], phones(X, Y), "DE")
    assert {read.of_change(PHONE, X, Y), read.of_change(PHONE, Y, X)} == {Stored.WHOLE}


def test_a_value_carried_along_that_is_not_there_lacks_and_one_nobody_sent_is_named() -> None:
    read = ArrayRead.of([put([X, Y], [X, Y, NEW])], phones(X, NEW, "+49511000000"), "DE")
    assert read.lacking() == {(PHONE, Y)}
    assert read.unsent() == {(PHONE, "+49511000000")}


def test_a_channel_that_was_not_sent_says_nothing() -> None:
    read = ArrayRead.of([put([X], [X, NEW])], [*phones(X, NEW), Item(MAIL, "a@example.com")], "DE")
    assert (read.lacking(), read.unsent()) == (frozenset(), frozenset())


def test_several_puts_of_one_plan_are_judged_from_the_first_to_the_last() -> None:
    read = ArrayRead.of([put([X, Y], [X, Y, NEW]), put([X, Y], [X, NEW])], phones(X, NEW), "DE")
    assert read.of_change(PHONE, Y, None) is Stored.WHOLE
    assert read.lacking() == frozenset()
