"""What is only the typing of a value: rules §0 "cleaned"."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rules.values.cleaning import clean, collapse, is_empty_value

INVISIBLE = ["\u200b", "\u200e", "\u202a", "\u2060", "\u00ad", "\ufeff", "\ufe0f", "\U000e0101", "\u2069"]
DASHES = ["\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\ufe63", "\uff0d", "\u2043"]
BLANKS = ["\t", "\u00a0", "\u2007", "\u2009", "\u202f", "\u2028", "\u2029", "\u3000", "\u1680"]
SLASHES = ["\u2044", "\u2215", "\uff0f", "\u29f8"]
WRAPPED = [
    ("tel:+49 511", "+49 511"),
    ("CALLTO: 0511", "0511"),
    ("mailto:max@example.com", "max@example.com"),
    ("<mailto:max@example.com>;", "max@example.com"),
    ("'0511", "0511"),
    ("\u20190511", "0511"),
    ("0511 ,;.", "0511"),
    ("  0511\n", "0511"),
    ("tel:", "tel:"),
    ("'", "'"),
    (",;.", ",;."),
    ("<>", "<>"),
    ("<a> <b>", "<a> <b>"),
    ("0511\r\n0171", "0511\n\n0171"),
]
KEPT = ["0511 1234\u00b2", "\u2460 0511", "0511\u301c60", "o'neill", "0511 12..60", "Tel. 0511"]

typed_text = st.text(st.characters() | st.sampled_from("0123456789+-/.,;<>'\u0308" + "".join(INVISIBLE)), max_size=30)


@pytest.mark.parametrize("sign", INVISIBLE)
def test_what_nobody_sees_is_dropped(sign: str) -> None:
    assert clean(f"{sign}05{sign}11{sign}") == "0511"


@pytest.mark.parametrize(("signs", "plain"), [(DASHES, "-"), (BLANKS, " "), (SLASHES, "/")])
def test_signs_that_look_alike_are_alike(signs: list[str], plain: str) -> None:
    assert {clean(f"0511{sign}12") for sign in signs} == {f"0511{plain}12"}


@pytest.mark.parametrize(("value", "clean_value"), WRAPPED)
def test_what_is_wrapped_around_a_value_is_dropped_but_never_to_nothing(value: str, clean_value: str) -> None:
    assert clean(value) == clean_value


@pytest.mark.parametrize("value", KEPT)
def test_what_may_mean_something_is_kept(value: str) -> None:
    """A footnote is no digit, a wave means "to", and an apostrophe is dropped only at the beginning."""
    assert clean(value) == value


@pytest.mark.parametrize("value", [None, "", " ", "\t\r\n", "\u00a0\u200b\u2028\ufeff", "\u00ad"])
def test_white_space_and_format_characters_are_empty(value: str | None) -> None:
    assert is_empty_value(value)


@pytest.mark.parametrize("value", [".", "-", " ? ", "\u200b.", "0"])
def test_a_lone_sign_is_not_empty(value: str) -> None:
    assert not is_empty_value(value)


def test_a_line_break_stays_until_values_are_compared() -> None:
    assert collapse(clean("0511 \r\n 1234\t\u00a05")) == "0511 1234 5"


@given(typed_text)
def test_cleaning_twice_is_cleaning_once(value: str) -> None:
    assert clean(clean(value)) == clean(value)


@given(typed_text)
def test_only_what_is_empty_is_cleaned_to_nothing(value: str) -> None:
    assert (clean(value) == "") is is_empty_value(value)


@given(typed_text)
def test_no_digit_is_lost_made_or_moved(value: str) -> None:
    """NFKC alone turns "²" into a digit; cleaning does not."""
    numbers = "".join(char for char in value if unicodedata.category(char) != "No")
    assert decimals(clean(value)) == decimals(unicodedata.normalize("NFKC", numbers))


def decimals(text: str) -> list[int]:
    return [unicodedata.decimal(char) for char in text if char.isdecimal()]
