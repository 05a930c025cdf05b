"""What a typed value means: certainly one number or address, something unclear, or text (rules §0).

This is computed once, when a value is stored. Values are compared by their canonical value and kept as written. Only
what is certain is ever sent as a number; an unclear value only ever prevents a write.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import Final

import phonenumbers

from etl.records import Channel
from etl.rules.numbering import is_valid
from etl.rules.values.cleaning import clean, collapse
from etl.rules.values.doubts import Doubt
from etl.rules.values.mail_grammar import addresses_in, is_mail
from etl.rules.values.phone_grammar import read_phone
from etl.rules.values.readings import readings_of

GRAMMAR: Final = f"3 phonenumbers {phonenumbers.__version__}"
"""The version of this grammar and of the library's metadata: if it changes, canonical values are computed anew."""

LITERAL: Final = "? "
"""The canonical value of an unclear value or text begins with this, so that it never equals a certain one."""

_MIN_AMONG_WORDS: Final = 5  # "nur 9-12" and "Zimmer 110" are no numbers, "Mutter: 12345" may be one
_MIN_NATIONAL_AMONG_WORDS: Final = 6  # "0800 KANZLEI" is none


class Clarity(StrEnum):
    """How certain it is what a value means."""

    CERTAIN = "certain"
    UNCLEAR = "unclear"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Value:
    """A value as read.

    ``canonical``: what it is compared by. ``address``: E.164 with ";ext=" or a mail address in lower case, if it is
    certain, or unclear only because the library does not know such a number. ``readings`` and ``doubt``: for unclear
    values only (``etl.rules.values.readings``, ``etl.rules.values.doubts``).
    """

    clarity: Clarity
    canonical: str
    address: str | None = None
    mobile: bool = False
    readings: str | None = None
    doubt: Doubt | None = None


@lru_cache(maxsize=65_536)  # every run meets the same values again
def classify(channel: Channel, value: str | None, region: str) -> Value | None:
    """Return what ``value`` means in ``region``; None if it is empty."""
    text = clean(value or "")
    if not text:
        return None
    return _mail_value(text, region) if channel is Channel.MAIL else _phone_value(text, region)


def _mail_value(text: str, region: str) -> Value:
    address = text.lower()
    if is_mail(address):
        return Value(Clarity.CERTAIN, address, address)
    if addresses_in(text):
        return _unclear_value(text, region, Doubt.MORE_THAN_MAIL)
    # "@" alone makes it a mail's row (rules §3): "Threema @max 0171 2223334"
    return (
        _unclear_value(text, region, Doubt.WORDS)
        if "@" in text and _may_hold_number(text, region)
        else _text_value(text)
    )


def _phone_value(text: str, region: str) -> Value:
    reading = read_phone(text, region)
    if reading is None:
        return (
            _unclear_value(text, region, _doubt_of_other_signs(text))
            if _may_hold_number(text, region)
            else _text_value(text)
        )
    spelling, doubt = reading
    number = spelling.number
    if number is None or doubt not in {None, Doubt.UNKNOWN}:
        return _unclear_value(text, region, doubt or Doubt.UNKNOWN)
    address = number.e164 + (f";ext={spelling.extension}" if spelling.extension else "")
    if doubt is None:
        return Value(Clarity.CERTAIN, address, address, mobile=number.mobile)
    return _unclear_value(text, region, doubt, address if number.possible else None)


def _doubt_of_other_signs(text: str) -> Doubt:
    """Return the doubt about a value with signs that do not belong to a number."""
    if any(map(str.isalpha, text)):
        return Doubt.WORDS
    return Doubt.OR_SIGN if "," in text or ";" in text else Doubt.SIGNS


def _unclear_value(text: str, region: str, doubt: Doubt, address: str | None = None) -> Value:
    return Value(Clarity.UNCLEAR, LITERAL + collapse(text), address, readings=readings_of(text, region), doubt=doubt)


def _text_value(text: str) -> Value:
    return Value(Clarity.TEXT, LITERAL + collapse(text))


def _may_hold_number(text: str, region: str) -> bool:
    """Tell whether digits in ``text`` may be a number, or several; among words, short ones may not."""
    runs = [(is_word, "".join(chars)) for is_word, chars in groupby(text, key=str.isalpha)]
    if len(runs) == 1:
        return any(map(str.isdecimal, text))
    return any(
        _may_be_number(run, region, after_word=position > 0)
        for position, (is_word, run) in enumerate(runs)
        if not is_word
    )


def _may_be_number(part: str, region: str, *, after_word: bool) -> bool:
    """Tell whether the part between two words may be a number."""
    digits = "".join(filter(str.isdecimal, part))
    if "+" in part or digits.startswith("0"):
        country = str(phonenumbers.country_code_for_region(region))
        national = digits.lstrip("0").removeprefix(country if "+" in part or digits.startswith("00") else "")
        return len(national) >= _MIN_NATIONAL_AMONG_WORDS or is_valid(f"0{national}", region)
    if after_word and part.startswith(digits) and digits:  # "skype:max123456": only if it is one with a 0 or "+"
        return is_valid(f"0{digits}", region) or is_valid(f"+{digits}", region)
    return len(digits) >= _MIN_AMONG_WORDS
