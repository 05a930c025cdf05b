"""The grammar of one phone number: who wrote it meant this number and no other (rules.md §0 "certain").

The grammar decides what the library gets to see: digits, with a "+" before them or without, never words, signs or a
second number. A sign that can mean *or* does so only after what is a number already: "0511/12345" is one,
"0511 12345/12346" may be two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from etl.rules.doubts import Doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_DIGITS = 15  # of E.164, country code included; the library lets German numbers be longer
_MAX_DIALED = 18  # of those, with "00" before and the area code's 0 between
_MIN_DIGITS = 5  # no shorter string is a number, so that most prefixes need not be parsed
_MIN_AREA_CODE = 3  # with its 0; "02 03/34 23 54" is written in pairs and repeats nothing

_SIGNS = r"[0-9 \n+()\[\].\-/]*"
_NUMBER = re.compile(rf"[ \n+()\[\].\-/]*[0-9]{_SIGNS}")
_AFTER_WORD = r"[ \n.,:\-]*"
_EXTENSION = re.compile(
    rf"(?P<number>{_SIGNS}[0-9])(?P<gap>[ \n.,:/\-]*)"
    rf"(?:(?P<open>[(\[])[ \n]*)?(?P<word>ext|x|\#|durchwahl|dw|;ext=){_AFTER_WORD}"
    rf"(?P<inner>[(\[][ \n]*)?(?P<digits>[0-9]{{1,6}})(?P<close>[ \n)\]]*)",
    re.IGNORECASE | re.ASCII,
)
_BRACKETS_OF_EXTENSION = frozenset({"", "()", "[]"})
_TWO_ZEROS = re.compile(r"[^0-9]*00")
_GROUP = re.compile(r"[0-9]+")
_BRACKET = re.compile(r"[()\[\]]")
_BEFORE_FIRST = " \n()[]"
_NO_DIGIT = re.compile(r"[^0-9]+")
_BLANK = r"[ \n]*"
_SLASH_BESIDE_DASH = re.compile(rf"/{_BLANK}-|-{_BLANK}/")
_DOTS = re.compile(rf"\.{_BLANK}\.")
_DATE = re.compile(rf"0?[1-9][.\-]{_BLANK}(?:0?[1-9]|1[0-2])[.\-]{_BLANK}(?:(?:19|20)[0-9]{{2}}|[0-9]{{2}})")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as E.164, valid or at least possible or neither, as the library says.

    ``head`` counts the digits written before its national ones: "0", "49", "00490".
    """

    e164: str
    mobile: bool
    valid: bool
    possible: bool
    country: str
    national: str
    head: int


@dataclass(frozen=True, slots=True)
class Spelling:
    """One string of the signs of a number.

    ``whole``: with what joins the extension, which ``text`` lacks. ``plus``: "+" where that comes first. ``groups``:
    the digits as they were grouped. ``number``: what the library makes of the digits.
    """

    text: str
    region: str
    whole: str
    extension: str
    plus: str
    groups: tuple[str, ...]
    digits: str
    number: Number | None

    def is_number_before(self, position: int) -> bool:
        """Tell whether what stands before ``position`` is a valid number by itself."""
        return is_valid(self.plus + _NO_DIGIT.sub("", self.text[:position]), self.region)

    def positions(self, sign: str) -> list[int]:
        """Where a sign stands."""
        return [position for position, char in enumerate(self.text) if char == sign] if sign in self.text else []


def read_phone(text: str, region: str) -> tuple[Spelling, Doubt | None] | None:
    """Return the cleaned ``text`` as one number and what speaks against it; None where it is not of a number's signs.

    The doubt is ``UNKNOWN`` where the spelling leaves no second reading and the library does not know such a number.
    """
    spelling = _spelling(text, region)
    if spelling is None:
        return None
    return spelling, next((doubt for doubt, holds in _DOUBTS if holds(spelling)), None)


@lru_cache(maxsize=65_536)  # parsing is slow, and the same prefixes come again and again
def number_of(dialed: str, region: str) -> Number | None:
    """Return what the library makes of digits with or without "+"; None if it is no number, or of other digits."""
    try:
        parsed = phonenumbers.parse(dialed, region)
    except NumberParseException:
        return None
    country, national = str(parsed.country_code), phonenumbers.national_significant_number(parsed)
    # For some countries the library adds digits, or takes away others than a 0: those are no numbers here.
    digits = dialed.removeprefix("+")
    head = digits[: len(digits) - len(national)]
    abroad = dialed.startswith(("+", "00"))
    heads = {country, f"{country}0"} if abroad else {""}
    if head + national != digits or head.lstrip("0") not in heads:
        return None
    kind = phonenumbers.number_type(parsed)
    valid = kind != PhoneNumberType.UNKNOWN and len(country) + len(national) <= _MAX_DIGITS
    return Number(
        e164=f"+{country}{national}",
        mobile=kind == PhoneNumberType.MOBILE,
        valid=valid,
        # "0511" alone: the library leaves the 0, for without it there is no number
        possible=valid or (phonenumbers.is_possible_number(parsed) and not national.startswith("0")),
        country=country,
        national=national,
        head=len(head),
    )


def is_valid(dialed: str, region: str) -> bool:
    """Tell whether digits with or without "+" are a valid number by themselves."""
    if len(dialed) < _MIN_DIGITS or dialed[0] not in "+0":
        return False
    number = number_of(dialed, region)
    return number is not None and number.valid


def _spelling(text: str, region: str) -> Spelling | None:
    if _NUMBER.fullmatch(text):
        return _spelled(text, region, whole=text)
    match = _EXTENSION.fullmatch(text)
    if match is None:
        return None
    brackets = (match["open"] or "") + (match["inner"] or "").strip() + "".join(match["close"].split())
    if brackets not in _BRACKETS_OF_EXTENSION:
        return None
    return _spelled(match["number"], region, whole=match["number"] + match["gap"], extension=match["digits"])


def _spelled(text: str, region: str, whole: str, extension: str = "") -> Spelling:
    plus = "+" if text.lstrip(_BEFORE_FIRST).startswith("+") else ""
    groups = tuple(_GROUP.findall(text))
    digits = "".join(groups)
    return Spelling(text, region, whole, extension, plus, groups, digits, number_of(plus + digits, region))


def _start_is_lost(spelling: Spelling) -> bool:
    return not spelling.text.lstrip(_BEFORE_FIRST).startswith(("+", "0"))


def _may_be_several(spelling: Spelling) -> bool:
    """Tell of a second number without a sign before it but its own "+" or 0, and of an area code written twice."""
    if len(spelling.digits) > _MAX_DIALED or spelling.text.count("+") > len(spelling.plus):
        return True
    head = spelling.number.head if spelling.number is not None else 0
    length = 0
    for group in spelling.groups:
        if head < length and _begins_again(spelling, group, length, head):
            return True
        length += len(group)
    return False


def _begins_again(spelling: Spelling, group: str, length: int, head: int) -> bool:
    """Tell whether ``group``, behind as many digits as ``length``, begins another number. The head is no number."""
    before, rest = spelling.digits[:length], spelling.digits[length:]
    area_code = "0" + before[head:].lstrip("0")
    is_code = len(area_code) >= _MIN_AREA_CODE
    if not group.startswith("0"):
        return is_code and group == area_code[1:] and is_valid("0" + rest, spelling.region)
    if is_code and rest.startswith(area_code):
        return True
    return is_valid(rest, spelling.region) and is_valid(spelling.plus + before, spelling.region)


def _may_mean_or(spelling: Spelling) -> bool:
    if "/" in spelling.whole and (spelling.whole.count("/") > 1 or _SLASH_BESIDE_DASH.search(spelling.whole)):
        return True
    return any(spelling.is_number_before(position) for position in _or_signs(spelling))


def _or_signs(spelling: Spelling) -> Iterator[int]:
    """Yield where a sign stands that means *or* after a valid number: of dashes the first of two or more."""
    yield from spelling.positions("/")
    yield from spelling.positions("\n")
    yield from spelling.positions("-")[:-1]
    yield from (match.start() for match in _DOTS.finditer(spelling.text))


def _has_two_extensions(spelling: Spelling) -> bool:
    """Tell of an extension after a dash and one after a word: who dials "0511 12345-0 DW 60" dials 1234560."""
    return bool(spelling.extension) and any(map(spelling.is_number_before, spelling.positions("-")))


def _is_cut_off(spelling: Spelling) -> bool:
    return spelling.text.rstrip()[-1] in "+-./(["


def _has_optional_digits(spelling: Spelling) -> bool:
    """Tell of brackets elsewhere than around the country code, its 0 or the area code."""
    brackets = _BRACKET.findall(spelling.text)
    if not brackets:
        return False
    if "".join(brackets).replace("()", "").replace("[]", "") or spelling.text.endswith((")", "]")):
        return True  # one is missing, they stand in each other, or digits in brackets are the last
    return any(
        spelling.is_number_before(match.start()) or not _is_in_head(spelling, match)
        for match in _BRACKET.finditer(spelling.text)
    )


def _is_in_head(spelling: Spelling, bracket: re.Match[str]) -> bool:
    """Tell whether a bracket opens before the national digits do; what it closes was opened."""
    if bracket[0] in ")]" or spelling.number is None:
        return True
    return len(_NO_DIGIT.sub("", spelling.text[: bracket.start()])) <= spelling.number.head


def _has_doubtful_prefix(spelling: Spelling) -> bool:
    """Tell of a country code written twice ("+49 49 511…"), one that lost a 0 ("049 511…"), and a 0 for a line out."""
    number = spelling.number
    if number is None or len(spelling.groups) == 1:
        return False
    if spelling.digits.startswith("00") and not _TWO_ZEROS.match(spelling.text):
        return True  # "0-0511 1234567" is not Peru
    area_code = _first_national_group(spelling, number)
    rest = number.national.removeprefix(area_code)
    return area_code == number.country and is_valid(f"+{number.country}{rest}", spelling.region)


def _first_national_group(spelling: Spelling, number: Number) -> str:
    """Return the national digits up to the first sign between them."""
    length = 0
    for group in spelling.groups:
        length += len(group)
        if length > number.head:
            return number.national[: length - number.head]
    return number.national


def _may_be_a_date(spelling: Spelling) -> bool:
    return _DATE.fullmatch(spelling.text) is not None


def _is_unknown(spelling: Spelling) -> bool:
    return spelling.number is None or not spelling.number.valid


_DOUBTS: Final[tuple[tuple[Doubt, Callable[[Spelling], bool]], ...]] = (
    (Doubt.START_LOST, _start_is_lost),
    (Doubt.SEVERAL, _may_be_several),
    (Doubt.OR_SIGN, _may_mean_or),
    (Doubt.EXTENSIONS, _has_two_extensions),
    (Doubt.CUT_OFF, _is_cut_off),
    (Doubt.BRACKETS, _has_optional_digits),
    (Doubt.PREFIX, _has_doubtful_prefix),
    (Doubt.DATE, _may_be_a_date),
    (Doubt.UNKNOWN, _is_unknown),
)
"""The first that holds is the one people are told of."""
