"""What a typed value says: rules §0, the corpus, and strings nobody has typed yet."""

from __future__ import annotations

import re
from itertools import product

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from phonenumbers.geodata import GEOCODE_DATA

from etl.records import Channel
from etl.rules.numbering import is_valid
from etl.rules.values.classify import GRAMMAR, LITERAL, Clarity, Value, classify
from etl.rules.values.cleaning import clean
from tests.typed import CorpusLine, corpus_lines

DE = "DE"
REGIONS = [DE, "AT", "CH", "IT", "FR", "US"]
PHONE, MAIL = Channel.PHONE, Channel.MAIL

groups = st.sampled_from(["0", "00", "49", "0049", "0511", "511", "030", "0171", "1", "41", "43"]) | st.text(
    "0123456789", min_size=1, max_size=7
)
signs = st.sampled_from(
    [" ", " ", " ", "-", "/", ".", " / ", " - ", " (", ") ", "(", ")", "+", " +", "\n", "", ", ", "[", "]"]
)
words = st.sampled_from(
    ["", "", "", " DW 60", " x1", "/DW 60", " privat", "Tel. ", " (Fax)", "tel:", " oder ", "²", "#"]
)
phone_like_texts = st.lists(groups | signs | words, min_size=1, max_size=12).map("".join)
phone_spellings = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["0511", "(0511) ", "+49 511 ", "+49 (0)511/", "0049-511-", "+43 1 ", "030 ", "+41 44 "]),
    st.text("123456789", min_size=2, max_size=4),
    st.sampled_from(["", " ", "-", ".", "/"]),
    st.text("0123456789", min_size=2, max_size=4),
    st.sampled_from(["", "-0", " DW 60", "/46", " 0511 12345", " (60)"]),
)
phones = phone_spellings | phone_like_texts | st.text("0123456789 +()-./xDW", max_size=25)
any_text = phones | st.text(max_size=30) | st.sampled_from([line.value for line in corpus_lines()])


def phone_meaning(value: str, region: str = DE) -> Value:
    """What a phone that is not empty says."""
    return value_meaning(PHONE, value, region)


def value_meaning(channel: Channel, value: str, region: str = DE) -> Value:
    """What a value that is not empty says."""
    meaning = classify(channel, value, region)
    assert meaning is not None
    return meaning


@pytest.mark.parametrize("line", corpus_lines(), ids=lambda line: ascii(line.value))
def test_each_string_of_the_corpus_is_what_its_file_says(line: CorpusLine) -> None:
    meaning = value_meaning(line.channel, line.value)
    assert (meaning.canonical if meaning.clarity is Clarity.CERTAIN else meaning.clarity.upper()) == line.says


@pytest.mark.parametrize("line", corpus_lines(), ids=lambda line: ascii(line.value))
def test_only_what_is_certain_has_a_number_that_may_be_sent(line: CorpusLine) -> None:
    meaning = value_meaning(line.channel, line.value)
    assert meaning.canonical.startswith(LITERAL) is not line.certain
    assert (meaning.address == meaning.canonical) is line.certain
    assert (meaning.doubt is None) is (meaning.readings is None) is (meaning.clarity is not Clarity.UNCLEAR)


@pytest.mark.parametrize("value", [None, "", " \t", "\u200b"])
@pytest.mark.parametrize("channel", Channel)
def test_an_empty_value_says_nothing(channel: Channel, value: str | None) -> None:
    assert classify(channel, value, DE) is None


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("044 668 18 00", "CH", "+41446681800"),
        ("041 210 12 34", "CH", "+41412101234"),  # Lucerne, and no country code that lost a 0
        ("01 5134433", "AT", "+4315134433"),
        ("06 698 12345", "IT", "+390669812345"),
        ("01 23 45 67 89", "FR", "+33123456789"),
        ("0511 1234567", "CH", "UNCLEAR"),
        ("650 253 0000", "US", "UNCLEAR"),  # neither "+" nor 0, wherever it is
        ("+1 650 253 0000", "US", "+16502530000"),
        ("0049 511 1234567", "US", "UNCLEAR"),  # abroad begins with 011 there
        ("0511 1234567", "nowhere", "UNCLEAR"),
        ("+49 511 1234567", "nowhere", "+495111234567"),
        ("491711234567", "AT", "UNCLEAR"),
    ],
)
def test_region_completes_national_numbers_only(text: str, region: str, expected: str) -> None:
    value = phone_meaning(text, region)
    assert (value.address if value.clarity is Clarity.CERTAIN else value.clarity.upper()) == expected


@pytest.mark.parametrize(
    ("text", "mobile"),
    [("0171 2223334", True), ("0171 2223334 DW 1", True), ("0511 1234567", False), ("+1 650 253 0000", False)],
)
def test_mobile_is_said_only_where_it_is_certain(text: str, mobile: bool) -> None:  # noqa: FBT001
    """In the USA a number does not tell."""
    assert phone_meaning(text).mobile is mobile


@pytest.mark.parametrize("text", ["0163 651068", "+49 163 651068"])
def test_a_number_the_library_does_not_know_has_an_address_all_the_same(text: str) -> None:
    """So that EspoCRM's own "+49163651068" is found to be the same."""
    assert phone_meaning(text).address == "+49163651068"


@pytest.mark.parametrize("text", ["0511", "491711234567", "0511 12345/46", "+495111234567890123"])
def test_what_may_be_several_numbers_or_none_has_no_address(text: str) -> None:
    assert phone_meaning(text).address is None


def test_no_german_area_code_is_a_number_by_itself() -> None:
    """So "/" behind an area code is always what separates it from the rest."""
    codes = [prefix.removeprefix("49") for prefix in GEOCODE_DATA if prefix.startswith("49")]
    assert len(codes) > 5_000
    assert not [code for code in codes if is_valid(f"0{code}", DE) or not is_valid(f"0{code}12345", DE)]


def test_the_version_names_the_library_that_knows_the_numbers() -> None:
    assert phonenumbers.__version__ in GRAMMAR


@given(st.sampled_from(Channel), st.none() | any_text, st.sampled_from(REGIONS))
def test_every_value_says_something_unless_it_is_empty(channel: Channel, value: str | None, region: str) -> None:
    assert (classify(channel, value, region) is None) is (not clean(value or ""))


@given(st.sampled_from(Channel), any_text, st.sampled_from(REGIONS))
def test_two_strings_that_are_equal_once_cleaned_say_the_same(channel: Channel, value: str, region: str) -> None:
    assert classify(channel, value, region) == classify(channel, clean(value), region)


@given(
    phone_spellings,
    st.sampled_from(["", "tel:", "'", "\ufeff", "\u202a", " <"]),
    st.sampled_from(["", ";", ".,", " \n", "\u202c"]),
    st.sampled_from([("-", "\u2013"), (" ", "\u00a0"), (" ", "\u2028"), ("/", "\u2215"), ("", "\u200b")]),
)
def test_what_cannot_be_seen_changes_nothing(value: str, before: str, after: str, replacement: tuple[str, str]) -> None:
    plain, look_alike = replacement
    spelling = f"{before}{value.replace(plain, look_alike)}{after}" + (">" if "<" in before else "")
    assert classify(PHONE, spelling, DE) == classify(PHONE, value, DE)


@given(phones, st.sampled_from(REGIONS))
@example("00511 1234567", DE)
@example("015 1234567", "US")
def test_no_number_has_a_digit_that_was_not_typed_in_that_order(value: str, region: str) -> None:
    """But for the region's country code; and none is left out but zeros before the national number."""
    meaning = classify(PHONE, value, region)
    if meaning is None or meaning.address is None:
        return
    number, _, extension = meaning.address.partition(";ext=")
    digits = re.sub(r"[^0-9]", "", clean(value)).removesuffix(extension)
    national = phonenumbers.national_significant_number(phonenumbers.parse(number))
    country = number.removeprefix("+").removesuffix(national)
    own_country = str(phonenumbers.country_code_for_region(region))
    assert digits.endswith(national)
    assert digits.removesuffix(national).strip("0") in {country.strip("0"), "" if country == own_country else country}


@given(phones, st.sampled_from(REGIONS), st.sampled_from(REGIONS))
def test_what_is_certain_here_is_certain_there(value: str, region: str, other: str) -> None:
    """What a side keeps of a number is its E.164; read again, in whatever region, it is the same number."""
    meaning = classify(PHONE, value, region)
    if meaning is not None and meaning.clarity is Clarity.CERTAIN:
        assert classify(PHONE, meaning.canonical, other) == meaning


@given(st.emails() | any_text)
def test_what_is_certain_of_a_mail_is_certain_again(value: str) -> None:
    meaning = classify(MAIL, value, DE)
    if meaning is not None and meaning.clarity is Clarity.CERTAIN:
        assert classify(MAIL, meaning.canonical, DE) == meaning


@given(any_text, any_text)
def test_what_is_not_certain_never_equals_what_is(a: str, b: str) -> None:
    for channel in Channel:
        first, second = classify(channel, a, DE), classify(channel, b, DE)
        if first is not None and second is not None and first.clarity is not second.clarity:
            assert first.canonical != second.canonical


@given(phones)
def test_a_certain_string_is_not_two_numbers_as_well(value: str) -> None:
    """Wherever it is parted between two groups, not both parts are certain: it has no second reading."""
    meaning = classify(PHONE, value, DE)
    if meaning is None or meaning.clarity is not Clarity.CERTAIN:
        return
    for match in re.finditer(r"(?<=[0-9])[^0-9]+", clean(value)):
        parts = clean(value)[: match.start()], clean(value)[match.end() :]
        assert not all(is_certain(part) or is_certain(f"+{part}") for part in parts)


def is_certain(part: str) -> bool:
    meaning = classify(PHONE, part, DE)
    return meaning is not None and meaning.clarity is Clarity.CERTAIN


@given(phone_spellings, st.from_regex(r"[ ,;]?[A-Za-zäöüß*:]{1,10}", fullmatch=True))
def test_words_beside_a_number_leave_no_number(value: str, word: str) -> None:
    assume(not re.fullmatch(r"[ ,;]?(tel|callto|mailto):*|[:;, ]*", word, re.IGNORECASE))
    for text in (f"{value} {word}", f"{word} {value}"):
        meaning = phone_meaning(text)
        assert meaning.clarity is not Clarity.CERTAIN or meaning.address != phone_meaning(value).address


@pytest.mark.parametrize(
    ("sign", "numbers"),
    list(
        product(
            [" / ", "/", ", ", "; ", "\n", " oder ", " u. ", " + ", " ", " & "],
            [("0511 12345", "0511 12346"), ("030/234560", "030/234561"), ("+49 511 12345", "0171 2223334")],
        )
    ),
)
def test_two_numbers_are_never_one(sign: str, numbers: tuple[str, str]) -> None:
    assert phone_meaning(sign.join(numbers)).clarity is Clarity.UNCLEAR


@given(st.sampled_from(Channel), st.text(max_size=40))
def test_a_number_is_what_the_library_calls_valid(channel: Channel, value: str) -> None:
    meaning = classify(channel, value, DE)
    if meaning is not None and meaning.clarity is Clarity.CERTAIN and channel is PHONE:
        assert phonenumbers.is_valid_number(phonenumbers.parse(meaning.canonical))
