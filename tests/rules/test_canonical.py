"""The canonical value: rules §0 and the phone table at the end of tests/scenarios.md."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.records import Channel
from etl.rules.values.canonical import canonical, certain_number, e164, has_extension, is_similar
from etl.rules.values.classify import LITERAL
from etl.rules.values.cleaning import is_empty_value

DE = "DE"
SAME_NUMBER = ["0511/12345-60", "(0511) 12345 60", "+49 511 1234560", "0049 511 1234560"]
WITH_EXTENSION = [
    "0511 12345 DW 60",
    "+49 511 12345 ext. 60",
    "0511 12345 x60",
    "0511/12345 Durchwahl 60",
    "0511 12345dw-60",
]
NO_NUMBER = ["0171 2223334 privat", "123456", "abc", "0511/12345-60/61"]

national_numbers = st.sampled_from(["0511 1234560", "0171 2223334", "030 901820", "089/55 999-0", "(0800) 1234567"])
texts = st.text(max_size=40)
phone_like = st.text(string.digits + " +()-./xDW", max_size=25)


@pytest.mark.parametrize("text", SAME_NUMBER)
def test_spellings_of_the_scenarios_table_are_one_number(text: str) -> None:
    """Four spellings, one canonical value."""
    assert canonical(Channel.PHONE, text, DE) == "+495111234560"


@pytest.mark.parametrize("text", WITH_EXTENSION)
def test_extension_is_kept_beside_the_number(text: str) -> None:
    """An extension is neither dropped nor appended to the number."""
    assert canonical(Channel.PHONE, text, DE) == "+4951112345;ext=60"
    assert e164(text, DE) == "+4951112345"
    assert has_extension(text, DE)


@pytest.mark.parametrize("text", NO_NUMBER)
def test_what_is_unclear_or_text_is_no_number(text: str) -> None:
    """Whatever it is compared by, it never equals a number, nor is it one."""
    assert canonical(Channel.PHONE, text, DE) == f"{LITERAL}{text}"
    assert e164(text, DE) is None
    assert not has_extension(text, DE)
    assert certain_number(text, DE) is None


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n", "\u00a0"])
@pytest.mark.parametrize("channel", Channel)
def test_blank_has_no_canonical_value(channel: Channel, blank: str | None) -> None:
    """Null and blank are the same: nothing."""
    assert canonical(channel, blank, DE) is None
    assert e164(blank, DE) is None


@pytest.mark.parametrize(
    ("a", "b"), [(" 0511 1234560\n", "0511\u00a01234560"), ("skype:max  muster", " skype:max\tmuster"), ("abc", "abc ")]
)
def test_white_space_is_no_difference(a: str, b: str) -> None:
    """Trimmed, and inner spaces collapsed."""
    assert canonical(Channel.PHONE, a, DE) == canonical(Channel.PHONE, b, DE)


def test_letter_case_is_a_difference_in_text_but_not_in_mails() -> None:
    """Only mails are lower-cased, and never casefolded."""
    assert canonical(Channel.PHONE, "Mutter", DE) != canonical(Channel.PHONE, "mutter", DE)
    assert canonical(Channel.MAIL, " Max@Example.COM ", DE) == "max@example.com"
    assert canonical(Channel.MAIL, "info@weiß.de", DE) != canonical(Channel.MAIL, "info@weiss.de", DE)


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("044 668 18 00", "CH", "+41446681800"),
        ("+33 (0)1 23 45 67 89", DE, "+33123456789"),
        ("+43 1 5134433", DE, "+4315134433"),
        ("06 698 12345", "IT", "+390669812345"),
        ("0511 1234560", "nowhere", None),
    ],
)
def test_region_completes_national_numbers_only(text: str, region: str, expected: str | None) -> None:
    """A number with a country code is the same in every region."""
    assert e164(text, region) == expected


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("0171 2223334", DE, True),
        ("0511 1234560", DE, False),
        ("+1 650 253 0000", DE, False),
        ("0171 2223334 DW 1", DE, True),
    ],
)
def test_mobile_is_said_only_where_it_is_certain(text: str, region: str, expected: bool) -> None:  # noqa: FBT001
    """FIXED_LINE_OR_MOBILE (USA) is not mobile."""
    number = certain_number(text, region)
    assert number is not None
    assert number.mobile is expected


@given(st.sampled_from(Channel), st.none() | texts | phone_like)
def test_canonical_never_fails_and_is_none_for_blanks_only(channel: Channel, value: str | None) -> None:
    """Any string a person may type has a canonical value."""
    assert (canonical(channel, value, DE) is None) is is_empty_value(value)


@settings(deadline=None)  # the first number of a country loads its metadata
@given(st.text(string.digits, min_size=5, max_size=14), st.sampled_from([DE, "AT", "CH", "US"]))
def test_e164_is_the_same_number_in_every_region(digits: str, region: str) -> None:
    """What EspoCRM stores as E.164 reads back as the same number."""
    number = e164(digits, region)
    if number is not None:
        assert e164(number, DE) == e164(number, region) == number


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("+495111234560", "+495111234560", True),
        ("+495111234560", "+495111234561", True),
        ("+495111234560", "+495119994560", True),  # three digits
        ("+495111234560", "+495119999560", False),  # four digits
        ("+4951112345", "+495111234560", True),  # two digits more
        ("+495111234560", "+4951112345", True),
        ("+4951112345", "+4951112345;ext=60", True),
        ("+4951112345;ext=60", "+4951112345;ext=61", True),
        ("+495111234560", "+491712223334", False),
        ("+495111234560", "? skype:max", False),
        ("? skype:max", "? skype:may", False),
        ("? +49 privat", "? +49 privat", False),
        ("? +49123456", "? +49123457", False),  # no valid numbers, so unclear
    ],
)
def test_numbers_are_similar_but_for_three_digits(a: str, b: str, expected: bool) -> None:  # noqa: FBT001
    """Similar is what a typing error or a new extension makes of a number; text never is."""
    assert is_similar(Channel.PHONE, a, b) is expected
    assert is_similar(Channel.PHONE, b, a) is expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("max@a.de", "max@b.de", True),
        ("max@a.de", "moritz@a.de", True),
        ("max@a.de", "moritz@b.de", False),
        ("max", "max@a.de", False),
        ("max", "moritz", False),
        ("@a.de", "@b.de", False),
        ("max@", "moritz@", False),
    ],
)
def test_mails_are_similar_by_mailbox_or_domain(a: str, b: str, expected: bool) -> None:  # noqa: FBT001
    """Half a mail address must stay the same."""
    assert is_similar(Channel.MAIL, a, b) is expected
    assert is_similar(Channel.MAIL, b, a) is expected


@given(st.sampled_from(Channel), texts | national_numbers, texts | national_numbers)
def test_similarity_never_fails_and_does_not_know_an_order(channel: Channel, a: str, b: str) -> None:
    """Which of two values is the older one makes no difference."""
    left, right = canonical(channel, a, DE) or "", canonical(channel, b, DE) or ""
    assert is_similar(channel, left, right) is is_similar(channel, right, left)


