"""What two spellings of one entry have in common (rules.md §0 "canonical value").

Values are compared canonical and kept as written. A phone counts as a number only when every character of it says so;
the ``phonenumbers`` library alone would read "0171 2223334 privat" as a number too and dial the letters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from etl.records import Channel
from etl.rules.cleaning import is_empty

# Blanks are those within a line: two lines are two statements, and joining their digits would invent a number.
_BLANK = " \t\u00a0\u202f"
_NUMBER = re.compile(
    rf"(?P<main>[0-9{_BLANK}+().\-/]+)"
    rf"(?:(?:ext\.|x|durchwahl|dw)[{_BLANK}.\-]*(?P<extension>[0-9]+))?",
    re.IGNORECASE | re.ASCII,
)
_TO_SPACE = str.maketrans(dict.fromkeys(_BLANK, " "))
_EXTENSION = ";ext="
NO_REGION = "ZZ"
"""What stands for the region of a value that is a number only if it starts with "+"."""

_SIMILAR_DIGITS = 3


@dataclass(frozen=True, slots=True)
class _Number:
    e164: str
    extension: str
    mobile: bool


@lru_cache(maxsize=65_536)  # parsing is slow, and every run meets the same numbers again
def _number(value: str, region: str) -> _Number | None:
    """Read a phone number strictly: None for everything rules.md §0 calls text."""
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        return None
    try:
        parsed = phonenumbers.parse(match["main"].translate(_TO_SPACE), region)
    except NumberParseException:
        return None
    kind = phonenumbers.number_type(parsed)
    if kind == PhoneNumberType.UNKNOWN:  # what is_valid_number asks, too
        return None
    return _Number(
        e164=phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        extension=match["extension"] or "",
        mobile=kind == PhoneNumberType.MOBILE,
    )


def canonical(channel: Channel, value: str | None, region: str) -> str | None:
    """Return what ``value`` is compared by, or None when it is empty.

    Mail: trimmed and casefolded. Phone: ``+495111234560``, with an extension ``+4951112345;ext=60``; text is trimmed
    with its inner white space collapsed. Text never becomes a number: only a text that spells out the form with
    ``;ext=`` itself compares equal to one, and then it means that number.
    """
    if value is None or is_empty(value):
        return None
    if channel is Channel.MAIL:
        return value.strip().casefold()
    number = _number(value, region)
    if number is None:
        return " ".join(value.split())
    return number.e164 + (f"{_EXTENSION}{number.extension}" if number.extension else "")


def e164(value: str | None, region: str) -> str | None:
    """Return the number as E.164 without its extension, or None when ``value`` is text."""
    number = _number(value or "", region)
    return number.e164 if number else None


def has_extension(value: str | None, region: str) -> bool:
    """Tell whether ``value`` is a number with an extension, which E.164 cannot hold."""
    number = _number(value or "", region)
    return number is not None and bool(number.extension)


def is_mobile(value: str | None, region: str) -> bool:
    """Tell whether ``value`` is certainly a mobile number; where a country does not tell them apart it is not."""
    number = _number(value or "", region)
    return number is not None and number.mobile


def similar(channel: Channel, a: str, b: str) -> bool:
    """Tell whether two canonical values may be one entry before and after a correction (rules.md §2 step 6).

    Mails: same mailbox or same domain. Numbers: the same but for at most 3 digits, wherever one run of digits was
    replaced, added or dropped, or digit by digit. Text is similar to nothing.
    """
    if channel is Channel.MAIL:
        return _same_mailbox_or_domain(a, b)
    digits_a, digits_b = _digits(a), _digits(b)
    if digits_a is None or digits_b is None:
        return False
    return _few_positions_differ(digits_a, digits_b) or _short_run_differs(digits_a, digits_b)


def _same_mailbox_or_domain(a: str, b: str) -> bool:
    mailbox_a, _, domain_a = a.rpartition("@")
    mailbox_b, _, domain_b = b.rpartition("@")
    return (mailbox_a == mailbox_b != "") or ("@" in a and "@" in b and domain_a == domain_b != "")


def _digits(value: str) -> str | None:
    """Return a number's digits, those of the extension last, or None for text, also for text that starts with "+"."""
    main, _, extension = value.partition(_EXTENSION)
    return main + extension if e164(main, NO_REGION) == main else None


def _few_positions_differ(a: str, b: str) -> bool:
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= _SIMILAR_DIGITS


def _short_run_differs(a: str, b: str) -> bool:
    shorter = min(len(a), len(b))
    prefix = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    suffix = next((i for i in range(shorter - prefix) if a[-1 - i] != b[-1 - i]), shorter - prefix)
    return max(len(a), len(b)) - prefix - suffix <= _SIMILAR_DIGITS
