"""What ``phonenumbers`` makes of digits, with or without a "+": it never sees words, signs or a second number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

_MAX_DIGITS = 15  # of E.164, country code included; the library lets German numbers be longer
_MIN_DIGITS = 5  # a shorter string is no number, so most prefixes need not be parsed


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


@lru_cache(maxsize=65_536)  # parsing is slow, and the same prefixes recur
def number_of(dialed: str, region: str) -> Number | None:
    """Return what the library makes of digits with or without "+"; None if it is no number, or of other digits."""
    try:
        parsed = phonenumbers.parse(dialed, region)
    except NumberParseException:
        return None
    country, national = str(parsed.country_code), phonenumbers.national_significant_number(parsed)
    # For some countries the library adds digits, or removes others than a 0: such strings are no numbers here.
    digits = dialed.removeprefix("+")
    head = digits[: len(digits) - len(national)]
    abroad = dialed.startswith(("+", "00"))
    heads = {country, f"{country}0"} if abroad else {""}
    if head + national != digits or head.lstrip("0") not in heads:
        return None
    kind = _kind_of(country, national)
    valid = kind != PhoneNumberType.UNKNOWN and len(country) + len(national) <= _MAX_DIGITS
    return Number(
        e164=f"+{country}{national}",
        mobile=kind == PhoneNumberType.MOBILE,
        valid=valid,
        # "0511" alone: the library leaves the 0, as without it there is no number
        possible=valid or (phonenumbers.is_possible_number(parsed) and not national.startswith("0")),
        country=country,
        national=national,
        head=len(head),
    )


@lru_cache(maxsize=65_536)  # both sides hold the same number, in two spellings
def _kind_of(country: str, national: str) -> int:
    """Return the type of a number according to the library."""
    zeros = len(national) - len(national.lstrip("0"))
    return int(
        phonenumbers.number_type(
            phonenumbers.PhoneNumber(
                country_code=int(country),
                national_number=int(national),
                italian_leading_zero=bool(zeros),
                number_of_leading_zeros=zeros or None,
            )
        )
    )


def is_valid(dialed: str, region: str) -> bool:
    """Tell whether digits with or without "+" are a valid number by themselves."""
    if len(dialed) < _MIN_DIGITS or dialed[0] not in "+0":
        return False
    number = number_of(dialed, region)
    return number is not None and number.valid


def is_mobile(dialed: str, region: str) -> bool:
    """Tell whether digits with or without "+" are a valid mobile number by themselves."""
    number = number_of(dialed, region) if is_valid(dialed, region) else None
    return number is not None and number.mobile


def length_of_area_code(number: Number) -> int:
    """Return how many of a number's national digits are its area code; 0 where it has none."""
    return phonenumbers.length_of_geographical_area_code(phonenumbers.parse(number.e164))
