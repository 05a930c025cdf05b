"""What a read shows of an array PUT, value by value."""

from __future__ import annotations

import pytest

from etl.records import Channel, EspoItem
from etl.rules.espo.array_read import ArrayRead, ChangeOutcome

PHONE, MAIL = Channel.PHONE, Channel.MAIL
X, Y, NEW = "+495111234560", "+495112222222", "+495119999999"


def phone_items_of(*values: str) -> list[EspoItem]:
    return [EspoItem(PHONE, value, "Office") for value in values]


def array_put_fields(before: list[str], sent: list[str]) -> dict[str, object]:
    return {
        "items_before": [{"channel": "phone", "value": value} for value in before],
        "items_sent": {"phone": [{"phoneNumber": value} for value in sent]},
    }


@pytest.mark.parametrize(
    ("old", "new", "values_read", "stored"),
    [
        (X, NEW, [NEW, Y], ChangeOutcome.COMPLETE),
        (X, NEW, [X, Y], ChangeOutcome.NOTHING),
        (X, NEW, [Y], ChangeOutcome.REMOVED_ONLY),
        (X, NEW, [X, NEW, Y], ChangeOutcome.ADDED_ONLY),
        (None, NEW, [X, Y, NEW], ChangeOutcome.COMPLETE),
        (None, NEW, [X, Y], ChangeOutcome.NOTHING),
        (X, None, [Y], ChangeOutcome.COMPLETE),
        (X, None, [X, Y], ChangeOutcome.NOTHING),
        (X, NEW, ["+49 511 9999999", Y], ChangeOutcome.COMPLETE),
    ],
)
def test_a_change_is_judged_by_what_came_and_what_went(
    old: str | None, new: str | None, values_read: list[str], stored: ChangeOutcome
) -> None:
    sent = [value for value in (X, Y) if value != old] + ([new] if new else [])
    read = ArrayRead.from_puts([array_put_fields([X, Y], sent)], phone_items_of(*values_read), "DE")
    assert read.change_outcome(PHONE, old, new) is stored
    assert read.missing_values() == frozenset()


def test_values_that_change_places_between_pairs_are_gone_from_neither() -> None:
    read = ArrayRead.from_puts([array_put_fields([X, Y], [Y, X])], phone_items_of(X, Y), "DE")
    assert {read.change_outcome(PHONE, X, Y), read.change_outcome(PHONE, Y, X)} == {ChangeOutcome.COMPLETE}


def test_a_value_carried_along_that_is_not_there_lacks_and_one_nobody_sent_is_named() -> None:
    read = ArrayRead.from_puts([array_put_fields([X, Y], [X, Y, NEW])], phone_items_of(X, NEW, "+49511000000"), "DE")
    assert read.missing_values() == {(PHONE, Y)}
    assert read.unexpected_values() == {(PHONE, "+49511000000")}


def test_a_channel_that_was_not_sent_says_nothing() -> None:
    read = ArrayRead.from_puts(
        [array_put_fields([X], [X, NEW])], [*phone_items_of(X, NEW), EspoItem(MAIL, "a@example.com")], "DE"
    )
    assert (read.missing_values(), read.unexpected_values()) == (frozenset(), frozenset())


def test_several_puts_of_one_plan_are_judged_from_the_first_to_the_last() -> None:
    read = ArrayRead.from_puts(
        [array_put_fields([X, Y], [X, Y, NEW]), array_put_fields([X, Y], [X, NEW])], phone_items_of(X, NEW), "DE"
    )
    assert read.change_outcome(PHONE, Y, None) is ChangeOutcome.COMPLETE
    assert read.missing_values() == frozenset()
