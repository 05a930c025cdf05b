"""The grammar of one phone number: whoever wrote it meant this number and no other (rules §0 "certain").

The grammar decides what the library gets to see: digits, with or without a "+" before them, never words, signs or a
second number. A sign that can mean *or* does so only after something that is already a number: "0511/12345" is one
number, "0511 12345/12346" may be two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from etl.rules.numbering import is_mobile, is_valid, length_of_area_code, number_of
from etl.rules.values.doubts import Doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.rules.numbering import Number

_MAX_DIALED = 18  # the 15 digits of E.164, with "00" before them and the 0 of the area code
_MIN_AREA_CODE = 3  # with its 0; "02 03/34 23 54" is written in pairs and repeats nothing
_MIN_BESIDE = 5  # "0511 12345 12346" may be two numbers, "030 1234 5678" is a number in fours
_MAX_PREFIX = 6  # a country code and an area code, without the 0

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
_DECIMAL = re.compile(r"\.0[ \n]*\Z")
_DATE = re.compile(rf"0?[1-9][.\-]{_BLANK}(?:0?[1-9]|1[0-2])[.\-]{_BLANK}(?:(?:19|20)[0-9]{{2}}|[0-9]{{2}})")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text that consists of the signs of a number.

    ``text``: without extension; ``full_text``: with the signs before the extension. ``plus``: "+" if it begins so.
    ``groups``: the digits as they were grouped. ``number``: what the library makes of the digits.
    """

    text: str
    region: str
    full_text: str
    extension: str
    plus: str
    groups: tuple[str, ...]
    digits: str
    number: Number | None

    @property
    def is_national(self) -> bool:
        """Whether it has no country code."""
        return not self.plus and not self.digits.startswith("00")

    def is_number_before(self, position: int) -> bool:
        """Tell whether the part before ``position`` is a valid number by itself."""
        return is_valid(self.plus + _NO_DIGIT.sub("", self.text[:position]), self.region)

    def positions(self, sign: str) -> list[int]:
        """The positions of a sign."""
        return [position for position, char in enumerate(self.text) if char == sign] if sign in self.text else []


def read_phone(text: str, region: str) -> tuple[Spelling, Doubt | None] | None:
    """Return the cleaned ``text`` as one number, and the doubt about it; None if it has signs of something else.

    The doubt is ``UNKNOWN`` if the spelling leaves no second reading but the library does not know such a number.
    """
    spelling = _spelling(text, region)
    if spelling is None:
        return None
    return spelling, next((doubt for doubt, holds in _DOUBTS if holds(spelling)), None)


def _spelling(text: str, region: str) -> Spelling | None:
    if _NUMBER.fullmatch(text):
        return _build_spelling(text, region, full_text=text)
    match = _EXTENSION.fullmatch(text)
    if match is None:
        return None
    bracket_signs = (match["open"] or "") + (match["inner"] or "").strip() + "".join(match["close"].split())
    if bracket_signs not in _BRACKETS_OF_EXTENSION:
        return None
    return _build_spelling(match["number"], region, full_text=match["number"] + match["gap"], extension=match["digits"])


def _build_spelling(text: str, region: str, full_text: str, extension: str = "") -> Spelling:
    plus = "+" if text.lstrip(_BEFORE_FIRST).startswith("+") else ""
    groups = tuple(_GROUP.findall(text))
    digits = "".join(groups)
    return Spelling(text, region, full_text, extension, plus, groups, digits, number_of(plus + digits, region))


def _start_is_lost(spelling: Spelling) -> bool:
    return not spelling.text.lstrip(_BEFORE_FIRST).startswith(("+", "0"))


def _may_be_several(spelling: Spelling) -> bool:
    """Tell whether a second number follows with only its own "+" or 0 before it, or an area code occurs twice."""
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
    """Tell whether ``group``, after ``length`` digits, begins another number. The head is no number."""
    before, rest = spelling.digits[:length], spelling.digits[length:]
    area_code = "0" + before[head:].lstrip("0")
    is_code = len(area_code) >= _MIN_AREA_CODE
    if not group.startswith("0"):
        return is_code and group == area_code[1:] and is_valid("0" + rest, spelling.region)
    if is_code and rest.startswith(area_code):
        return True
    return is_valid(rest, spelling.region) and is_valid(spelling.plus + before, spelling.region)


def _may_mean_or(spelling: Spelling) -> bool:
    if "/" in spelling.full_text and (
        spelling.full_text.count("/") > 1 or _SLASH_BESIDE_DASH.search(spelling.full_text)
    ):
        return True
    return any(spelling.is_number_before(position) for position in _or_signs(spelling))


def _or_signs(spelling: Spelling) -> Iterator[int]:
    """Yield the positions of signs that mean *or* after a valid number; of several dashes, all but the last."""
    yield from spelling.positions("/")
    yield from spelling.positions("\n")
    yield from spelling.positions("-")[:-1]
    yield from (match.start() for match in _DOTS.finditer(spelling.text))


def _stand_side_by_side(spelling: Spelling) -> bool:
    """Tell whether two long groups side by side are each a number with the area code before them."""
    number, length = spelling.number, 0
    if number is None:
        return False
    for before, group in pairwise(spelling.groups):
        dialed = f"+{number.country}{spelling.digits[number.head : length]}"
        numbers = (dialed + before, dialed + group)
        is_long = length > number.head and min(len(before), len(group)) >= _MIN_BESIDE
        if is_long and all(is_valid(each, spelling.region) for each in numbers):
            return True
        length += len(before)
    return False


def _has_two_extensions(spelling: Spelling) -> bool:
    """Tell whether there is an extension after a dash and one after a word: "0511 12345-0 DW 60" is dialed 1234560."""
    return bool(spelling.extension) and any(map(spelling.is_number_before, spelling.positions("-")))


def _is_cut_off(spelling: Spelling) -> bool:
    return spelling.text.rstrip()[-1] in "+-./(["


def _has_optional_digits(spelling: Spelling) -> bool:
    """Tell whether there are brackets other than around the country code, its 0 or the area code."""
    brackets = _BRACKET.findall(spelling.text)
    if not brackets:
        return False
    if "".join(brackets).replace("()", "").replace("[]", "") or spelling.text.endswith((")", "]")):
        return True  # one is missing, they are nested, or the last digits are in brackets
    return any(
        spelling.is_number_before(match.start()) or not _is_in_head(spelling, match)
        for match in _BRACKET.finditer(spelling.text)
    )


def _is_in_head(spelling: Spelling, bracket: re.Match[str]) -> bool:
    """Tell whether a bracket opens before the national digits; one that closes was judged when it was opened."""
    if bracket[0] in ")]" or spelling.number is None:
        return True
    return len(_NO_DIGIT.sub("", spelling.text[: bracket.start()])) <= spelling.number.head


def _has_a_zero_too_many(spelling: Spelling) -> bool:
    """Tell whether "00" may be two zeros: "0-0511 1234567" is not Peru, and "00151 23456789" is not Texas."""
    number = spelling.number
    if number is None or len(spelling.groups) == 1 or not spelling.digits.startswith("00"):
        return False
    stuck_together = len(spelling.groups[0]) > number.head
    return not _TWO_ZEROS.match(spelling.text) or (
        stuck_together and is_mobile(spelling.digits[1:], spelling.region)
    )


def _has_doubtful_country_code(spelling: Spelling) -> bool:
    """Tell whether a country code is written twice ("+49 49 511…") or lost a 0 ("049 511…", "0491711234567")."""
    number, is_one_group = spelling.number, len(spelling.groups) == 1
    if number is None or (is_one_group and not spelling.is_national):
        return False  # E.164 is what we send
    prefix = _first_national_group(spelling, number)
    if not prefix.startswith(number.country):
        return False
    rest = f"+{number.country}{number.national.removeprefix(number.country)}"
    if prefix == number.country or (not is_one_group and _is_no_area_code(prefix, number)):
        return is_valid(rest, spelling.region)
    return len(prefix) > len(number.country) + 1 and is_mobile(rest, spelling.region)


def _is_no_area_code(prefix: str, number: Number) -> bool:
    """Tell whether no sign stands where the area code ends: "049511 1234567"; but "04951 123456" is Weener."""
    return len(prefix) <= _MAX_PREFIX and length_of_area_code(number) not in {0, len(prefix)}


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


def _may_be_a_decimal(spelling: Spelling) -> bool:
    """Tell whether a spreadsheet wrote the ".0": "0" or "+" before 1712223334.0 does not make it an extension 0."""
    match = _DECIMAL.search(spelling.text)
    return match is not None and spelling.is_number_before(match.start())


def _is_unknown(spelling: Spelling) -> bool:
    return spelling.number is None or not spelling.number.valid


_DOUBTS: Final[tuple[tuple[Doubt, Callable[[Spelling], bool]], ...]] = (
    (Doubt.START_LOST, _start_is_lost),
    (Doubt.SEVERAL, _may_be_several),
    (Doubt.OR_SIGN, _may_mean_or),
    (Doubt.SEVERAL, _stand_side_by_side),
    (Doubt.EXTENSIONS, _has_two_extensions),
    (Doubt.CUT_OFF, _is_cut_off),
    (Doubt.BRACKETS, _has_optional_digits),
    (Doubt.PREFIX, _has_a_zero_too_many),
    (Doubt.PREFIX, _has_doubtful_country_code),
    (Doubt.DATE, _may_be_a_date),
    (Doubt.DECIMAL, _may_be_a_decimal),
    (Doubt.UNKNOWN, _is_unknown),
)
"""People are told of the first doubt that applies."""
