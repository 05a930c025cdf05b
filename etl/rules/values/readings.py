"""What an unclear value may mean: readings only ever prevent a write, they never cause one (rules §0).

They are kept as one text of words with blanks between them, made once when a value is stored: the value's groups of
digits in their order, then "+…" for what the library makes of it, then the mail addresses in it. A firm has few unclear
values, and only those of the same person are compared: a join on the person and ``is_reading`` are enough. The numbers
themselves are not listed: twenty groups can make a million of them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from etl.rules.values.cleaning import is_other_number
from etl.rules.values.mail_grammar import addresses_in

_DIGITS = re.compile(r"[0-9]+")
_LONGEST_COUNTRY_CODE: Final = 3


def readings_of(cleaned: str, region: str) -> str:
    """Return what ``is_reading`` needs of a cleaned value, as one text."""
    return " ".join([*_groups(cleaned), *_library_number(cleaned, region), *sorted(addresses_in(cleaned))])


def is_reading(address: str | None, readings: str | None) -> bool:
    """Tell whether ``address`` (E.164 with ";ext=", or a mail address in lower case) is a reading of an unclear value.

    ``address`` is that of one ``Value``, ``readings`` those of another; None is a reading of nothing.
    """
    if not address or not readings:
        return False
    words = readings.split()
    if "@" in address:
        return address in words
    number, _, extension = address.partition(";ext=")
    groups = [word for word in words if word.isdecimal()]
    return number in words or any(_is_made_of(digits, groups) for digits in _dialing_forms(number, extension))


def _groups(cleaned: str) -> list[str]:
    """Return the groups of digits; the "²" of a footnote is a group of its own, as it may be a digit or not."""
    return _DIGITS.findall("".join(map(_digit, cleaned)))


def _digit(char: str) -> str:
    if is_other_number(char):
        return f" {unicodedata.normalize('NFKC', char)} "
    return str(unicodedata.decimal(char, char))


def _library_number(cleaned: str, region: str) -> list[str]:
    try:
        parsed = phonenumbers.parse(cleaned, region)
    except NumberParseException:
        return []
    return [phonenumbers.format_number(parsed, PhoneNumberFormat.E164)]


@lru_cache(maxsize=4_096)
def _dialing_forms(number: str, extension: str) -> tuple[str, ...]:
    """Return the digits of a number in every way they may be written: bare, with 0, with the country code."""
    digits = number.removeprefix("+")
    codes = (digits[:length] for length in range(1, _LONGEST_COUNTRY_CODE + 1))
    country = next((code for code in codes if int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), "")
    heads = ("", "0", country, f"{country}0", f"00{country}", f"00{country}0")
    tails = {digits.removeprefix(country), digits.removeprefix(country) + extension}
    return tuple(head + tail for head in heads for tail in tails)


def _is_made_of(digits: str, groups: list[str]) -> bool:
    """Tell whether groups, in their order and with any left out, make up the digits.

    The last of them may also replace as many final digits ("1234567/68"), or a final 0 ("12-0 (-45)").
    """
    if _is_joined(digits, groups, len(digits)):
        return True
    for last, group in enumerate(groups):
        if digits.endswith(group):
            start = digits.removesuffix(group)
            if _is_joined(digits, groups[:last], len(start)) or _is_joined(f"{start}0", groups[:last], len(start) + 1):
                return True
    return False


def _is_joined(digits: str, groups: list[str], fixed: int) -> bool:
    """Tell whether groups make a string as long as ``digits`` and equal to it in the first ``fixed`` places."""
    reached = {0}
    for group in groups:
        reached |= {
            start + len(group)
            for start in reached
            if start + len(group) <= len(digits)
            and digits[start:fixed].startswith(group[: max(0, fixed - start)])
        }
    return len(digits) in reached
