"""Why a value is unclear, and how to write it, in words for those who typed it (rules §0 "unclear").

In English, like everything in the state store and on the command line. Text in double quotes is an example; a test
reads each with the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Doubt(StrEnum):
    """Why a value may have a second reading."""

    WORDS = "words"
    SIGNS = "signs"
    START_LOST = "start_lost"
    SEVERAL = "several"
    OR_SIGN = "or_sign"
    BRACKETS = "brackets"
    CUT_OFF = "cut_off"
    PREFIX = "prefix"
    DATE = "date"
    DECIMAL = "decimal"
    EXTENSIONS = "extensions"
    UNKNOWN = "unknown"
    MORE_THAN_MAIL = "more_than_mail"


@dataclass(frozen=True, slots=True)
class DoubtAdvice:
    """One doubt: why, and how to write the value instead."""

    reason: str
    correction: str


ADVICE: Final[Mapping[Doubt, DoubtAdvice]] = MappingProxyType(
    {
        Doubt.WORDS: DoubtAdvice(
            "Words stand around the number.",
            'Write the number alone, "0171 2223334", and the words into the remark.',
        ),
        Doubt.SIGNS: DoubtAdvice(
            "A sign stands in it that belongs to no number.",
            'Write digits, blanks and + ( ) - . / only: "0511 1234567".',
        ),
        Doubt.START_LOST: DoubtAdvice(
            "It begins with neither + nor 0, so one of them may be missing.",
            'Write "+49 171 2223334" or "0171 2223334".',
        ),
        Doubt.SEVERAL: DoubtAdvice(
            "It may be two numbers.",
            'Write each into an entry of its own: "0511 1234567" and "0171 2223334".',
        ),
        Doubt.OR_SIGN: DoubtAdvice(
            'A sign in it may mean "or" or "to".',
            'Write each number into an entry of its own, the extension after one dash: "0511 12345-60" and '
            '"0511 12345-61".',
        ),
        Doubt.BRACKETS: DoubtAdvice(
            "Digits in brackets may belong to the number or not.",
            'Put the area code or its 0 into brackets and nothing else: "(0511) 12345-60" or "+49 (0)511 1234567".',
        ),
        Doubt.CUT_OFF: DoubtAdvice(
            "It ends in the middle.",
            'Write the number to its last digit: "0511 12345-0".',
        ),
        Doubt.PREFIX: DoubtAdvice(
            "The country code or a 0 may be missing or stand twice.",
            'Write "+49 511 1234567" or "0511 1234567".',
        ),
        Doubt.DATE: DoubtAdvice(
            "It may be a date.",
            'Write a number without dots: "0203 2020".',
        ),
        Doubt.DECIMAL: DoubtAdvice(
            "It ends in .0, as spreadsheets write what they take for an amount.",
            'Write "0171 2223334", or an extension 0 after a dash: "0511 12345-0".',
        ),
        Doubt.EXTENSIONS: DoubtAdvice(
            "It has more than one extension, or a long one.",
            'Write one extension: "0511 12345-60" or "0511 12345 ext. 60".',
        ),
        Doubt.UNKNOWN: DoubtAdvice(
            "No number like this is known; digits may be missing or wrong.",
            'Look it up and write it whole: "0163 6510681".',
        ),
        Doubt.MORE_THAN_MAIL: DoubtAdvice(
            "There is more in it than one mail address.",
            'Write each address alone into an entry of its own: "max@example.com".',
        ),
    }
)
