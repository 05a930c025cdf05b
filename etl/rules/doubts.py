"""Why a value is unclear, and how to write it, in the words of those who typed it (rules.md §0 "unclear").

What stands in double quotes is an example; a test reads each with the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Doubt(StrEnum):
    """What leaves a value a second reading."""

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
class Advice:
    """One doubt in one language: why, and how to write the value instead."""

    why: str
    how: str


_ENGLISH: Final[Mapping[Doubt, Advice]] = MappingProxyType(
    {
        Doubt.WORDS: Advice(
            "Words stand around the number.",
            'Write the number alone, "0171 2223334", and the words into the remark.',
        ),
        Doubt.SIGNS: Advice(
            "A sign stands in it that belongs to no number.",
            'Write digits, blanks and + ( ) - . / only: "0511 1234567".',
        ),
        Doubt.START_LOST: Advice(
            "It begins with neither + nor 0, so one of them may be missing.",
            'Write "+49 171 2223334" or "0171 2223334".',
        ),
        Doubt.SEVERAL: Advice(
            "It may be two numbers.",
            'Write each into an entry of its own: "0511 1234567" and "0171 2223334".',
        ),
        Doubt.OR_SIGN: Advice(
            'A sign in it may mean "or" or "to".',
            'Write each number into an entry of its own, the extension after one dash: "0511 12345-60" and '
            '"0511 12345-61".',
        ),
        Doubt.BRACKETS: Advice(
            "Digits in brackets may belong to the number or not.",
            'Put the area code or its 0 into brackets and nothing else: "(0511) 12345-60" or "+49 (0)511 1234567".',
        ),
        Doubt.CUT_OFF: Advice(
            "It ends in the middle.",
            'Write the number to its last digit: "0511 12345-0".',
        ),
        Doubt.PREFIX: Advice(
            "The country code or a 0 may be missing or stand twice.",
            'Write "+49 511 1234567" or "0511 1234567".',
        ),
        Doubt.DATE: Advice(
            "It may be a date.",
            'Write a number without dots: "0203 2020".',
        ),
        Doubt.DECIMAL: Advice(
            "It ends in .0, as spreadsheets write what they take for an amount.",
            'Write "0171 2223334", or an extension 0 after a dash: "0511 12345-0".',
        ),
        Doubt.EXTENSIONS: Advice(
            "It has more than one extension, or a long one.",
            'Write one extension: "0511 12345-60" or "0511 12345 ext. 60".',
        ),
        Doubt.UNKNOWN: Advice(
            "No number like this is known; digits may be missing or wrong.",
            'Look it up and write it whole: "0163 6510681".',
        ),
        Doubt.MORE_THAN_MAIL: Advice(
            "There is more in it than one mail address.",
            'Write each address alone into an entry of its own: "max@example.com".',
        ),
    }
)

_GERMAN: Final[Mapping[Doubt, Advice]] = MappingProxyType(
    {
        Doubt.WORDS: Advice(
            "Bei der Nummer stehen Wörter.",
            'Bitte die Nummer allein eintragen, "0171 2223334", und die Wörter in die Bemerkung.',
        ),
        Doubt.SIGNS: Advice(
            "Darin steht ein Zeichen, das zu keiner Nummer gehört.",
            'Bitte nur Ziffern, Leerzeichen und + ( ) - . / verwenden: "0511 1234567".',
        ),
        Doubt.START_LOST: Advice(
            "Am Anfang steht weder + noch 0; eines davon fehlt vielleicht.",
            'Bitte "+49 171 2223334" oder "0171 2223334" schreiben.',
        ),
        Doubt.SEVERAL: Advice(
            "Das können zwei Nummern sein.",
            'Bitte jede in einen eigenen Eintrag schreiben: "0511 1234567" und "0171 2223334".',
        ),
        Doubt.OR_SIGN: Advice(
            'Ein Zeichen darin kann "oder" oder "bis" heißen.',
            'Bitte jede Nummer in einen eigenen Eintrag schreiben, die Durchwahl nach einem Strich: "0511 12345-60" '
            'und "0511 12345-61".',
        ),
        Doubt.BRACKETS: Advice(
            "Ziffern in Klammern können zur Nummer gehören oder nicht.",
            'Bitte nur die Vorwahl oder ihre 0 in Klammern setzen: "(0511) 12345-60" oder "+49 (0)511 1234567".',
        ),
        Doubt.CUT_OFF: Advice(
            "Am Ende fehlt etwas.",
            'Bitte die Nummer bis zur letzten Ziffer schreiben: "0511 12345-0".',
        ),
        Doubt.PREFIX: Advice(
            "Die Landesvorwahl oder eine 0 fehlt vielleicht oder steht doppelt.",
            'Bitte "+49 511 1234567" oder "0511 1234567" schreiben.',
        ),
        Doubt.DATE: Advice(
            "Das kann ein Datum sein.",
            'Bitte eine Nummer ohne Punkte schreiben: "0203 2020".',
        ),
        Doubt.DECIMAL: Advice(
            "Am Ende steht .0, wie es Tabellenprogramme bei Beträgen schreiben.",
            'Bitte "0171 2223334" schreiben, die Durchwahl 0 nach einem Strich: "0511 12345-0".',
        ),
        Doubt.EXTENSIONS: Advice(
            "Darin steht mehr als eine Durchwahl oder eine sehr lange.",
            'Bitte eine Durchwahl schreiben: "0511 12345-60" oder "0511 12345 DW 60".',
        ),
        Doubt.UNKNOWN: Advice(
            "Eine solche Nummer ist nicht bekannt; vielleicht fehlen Ziffern oder sind falsch.",
            'Bitte nachsehen und vollständig schreiben: "0163 6510681".',
        ),
        Doubt.MORE_THAN_MAIL: Advice(
            "Darin steht mehr als eine Mailadresse.",
            'Bitte jede Adresse allein in einen eigenen Eintrag schreiben: "max@example.com".',
        ),
    }
)

ADVICE: Final[Mapping[str, Mapping[Doubt, Advice]]] = MappingProxyType({"en": _ENGLISH, "de": _GERMAN})
"""By the language of ``report.language``."""
