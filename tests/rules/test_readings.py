"""What an unclear value may mean: rules §0 "reading"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.records import Channel
from etl.rules.values.classify import Clarity, classify
from etl.rules.values.readings import is_reading
from tests.typed import corpus_lines

DE = "DE"
READINGS = [
    # unclear                          a number that may be meant
    ("491711234567",                   "+491711234567"),      # the "+" was lost
    ("491711234567",                   "+49491711234567"),    # what the first edition made of it
    ("1711234567",                     "+491711234567"),      # the 0 was lost
    ("0171 2223334 privat",            "+491712223334"),
    ("+49 (0) 171 2223334 privat",     "+491712223334"),
    ("0049 171 2223334 privat",        "+491712223334"),
    ("+490171 2223334 privat",         "+491712223334"),
    ("00490171 2223334 privat",        "+491712223334"),
    ("0511 12345/12346",               "+4951112345"),
    ("0511 12345/12346",               "+4951112346"),
    ("0511 12345/12346",               "+495111234512346"),
    ("0511 1234567/68",                "+495111234568"),
    ("0511 1234567/68/69",             "+495111234568"),
    ("0511/12345-60/61",               "+495111234561"),
    ("0511/12345-0/-61",               "+495111234561"),
    ("0621 12-0 (-45)",                "+496211245"),
    ("0621 120 (-45)",                 "+496211245"),
    ("05 11/12 34 5-0 Fax -99",        "+495111234599"),
    ("040 2345 (6789)",                "+49402345"),
    ("040 2345 (6789)",                "+494023456789"),
    ("0171 1234567 0172 1234567",      "+491721234567"),
    ("+49 511 12345 +49 511 12346",    "+4951112346"),
    ("0511 12345 App. 12",             "+4951112345"),
    ("0511 12345 App. 12",             "+495111234512"),
    ("0511 12345 App. 12",             "+4951112345;ext=12"),
    ("0163 651068",                    "+49163651068"),       # possible, not valid
    ("044 668 18 00 (Zürich)",         "+41446681800"),
    ("0511 1234567¹",                  "+495111234567"),
    ("0511 1234567¹",                  "+4951112345671"),
    ("\N{ARABIC-INDIC DIGIT ZERO}511 1234567", "+495111234567"),
    ("0511 1234567, max@example.com",  "+495111234567"),
    ("0511 1234567, max@example.com",  "max@example.com"),
    ("Max <Max@Example.com>",          "max@example.com"),
    ("max@example.com/m@example.com",  "m@example.com"),
    ("x@y.de?cc=max@example.com",      "max@example.com"),
    ("max@example.com.Bitte nur hier", "max@example.com"),
    ("max@example.com-privat (alt)",   "max@example.com"),
]  # fmt: skip
NO_READINGS = [
    ("0511 12345/12346",               "+4951112347"),
    ("0511 12345/12346",               "+4951212345"),
    ("12346/0511 12345",               "+4951112346"),        # another order
    ("123456",                         "+49511123456"),       # no area code, so it may be anywhere
    ("0511 1234567/68",                "+495111234669"),
    ("0171 2223334 privat",            "+491712223335"),
    ("max.muster@example.com (alt)",   "muster@example.com"),
    ("max@example.com (alt)",          "max@example.org"),
    ("Max <max@example.com>",          "+495111234567"),
]  # fmt: skip
PARTS = ["0511", "511", "12345", "60", "0", "49", "1"]


def readings_of_value(value: str) -> str | None:
    """The readings of a value of a row, whose channel goes by "@"."""
    value_meaning = classify(Channel.MAIL if "@" in value else Channel.PHONE, value, DE)
    assert value_meaning is not None
    return value_meaning.readings


@pytest.mark.parametrize(("unclear", "number"), READINGS)
def test_what_may_be_meant_is_a_reading(unclear: str, number: str) -> None:
    assert is_reading(number, readings_of_value(unclear))


@pytest.mark.parametrize(("unclear", "number"), NO_READINGS)
def test_what_cannot_be_meant_is_none(unclear: str, number: str) -> None:
    assert not is_reading(number, readings_of_value(unclear))


def test_what_is_certain_or_text_has_no_readings() -> None:
    """So nothing else is ever a reading of a string that is certain."""
    meanings = [classify(line.channel, line.value, DE) for line in corpus_lines() if line.says != "UNCLEAR"]
    assert {value.readings for value in meanings if value is not None} == {None}


@pytest.mark.parametrize("address", [None, ""])
def test_nothing_is_a_reading_of_nothing(address: str | None) -> None:
    assert not is_reading(address, readings_of_value("0511 12345/46"))
    assert not is_reading("+4951112345", None)
    assert not is_reading("+4951112345", "")


def test_the_same_number_not_known_to_the_library_is_found_whatever_its_spelling() -> None:
    espo = classify(Channel.PHONE, "+49163651068", DE)
    assert espo is not None
    assert espo.clarity is Clarity.UNCLEAR
    assert is_reading(espo.address, readings_of_value("0163 651068"))


@given(
    st.sampled_from(["0511 12345", "+49 511 12345-60", "(030) 234560", "0049 171 2223334", "+41 44 668 18 00"]),
    st.sampled_from(["0511 12346", "+49 171 2223335", "030/234561", "+43 1 5134433"]),
    st.sampled_from([" / ", ", ", "; ", "\n", " oder ", " ", " + ", " (alt) "]),
    st.sampled_from(["", "Tel. ", "Fax: "]),
    st.sampled_from(["", " privat", " (AB)", "!"]),
)
def test_both_of_two_numbers_are_readings(first: str, second: str, sign: str, before: str, after: str) -> None:
    numbers = [classify(Channel.PHONE, number, DE) for number in (first, second)]
    readings_found = readings_of_value(f"{before}{first}{sign}{second}{after}")
    assert [is_reading(number.address, readings_found) for number in numbers if number is not None] == [True, True]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=8), st.data())
def test_any_groups_in_their_order_are_a_reading(groups: list[str], data: st.DataObject) -> None:
    kept_groups = [group for group in groups if data.draw(st.booleans())]
    assert is_reading(f"+49{''.join(kept_groups)}", " ".join(groups)) or not kept_groups


def test_many_groups_are_no_trouble() -> None:
    """They can be left out in more ways than could ever be tried."""
    assert not is_reading(f"+49{'0' * 12}1", " ".join("0" * 400))
