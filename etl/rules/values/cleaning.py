"""Clean a typed value of what does not change its meaning (rules §0 "cleaned"): for comparing, never for writing.

There are two exceptions to NFKC and "every line separator as a blank", so that no number is invented:

* The "¹" of a footnote is no 1: signs for numbers that are no decimal digits (², ①, ½) stay as they are.
* A line break stays a line break, as two lines may be two numbers; for comparing it becomes a blank (``collapse``).
  U+2028 and U+2029, which word processors put inside a line, are blanks.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Final

LINE_BREAK: Final = "\n"

_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85")
_SLASHES = frozenset("/\u2044\u2215\u2571\u29f8")
# Category Pd is every dash; these are dashes of another category, and two of Pd that mean "from … to".
_MORE_DASHES = frozenset("\u02d7\u2043\u2212\u2796")
_WAVES = frozenset("\u301c\u3030")
_VARIATION_SELECTORS = frozenset("\u034f\u180b\u180c\u180d\u180f") | {chr(code) for code in range(0xFE00, 0xFE10)}
_MORE_VARIATION_SELECTORS = range(0xE0100, 0xE01F0)

_LEAD = re.compile(r"(?:tel:|callto:|mailto:|['\u2018\u2019\u201b\u02bc])[ \n]*", re.IGNORECASE)
_TAIL = re.compile(r"[ \n,;.]+\Z")
_ENCLOSED = re.compile(r"<([^<>]*)>")


def is_empty_value(value: str | None) -> bool:
    """Tell whether a value is null, "" or nothing but white space and format characters; a lone "." is text."""
    return not clean(value or "")


@lru_cache(maxsize=65_536)  # a value is cleaned for its channel, for its meaning, and again at every read
def clean(value: str) -> str:
    """Return ``value`` for comparing: with plain signs, and without anything wrapped around it.

    The order of digits is kept, cleaning twice changes nothing more, and only an empty value becomes "".
    """
    text = _plain_text(value)
    while (shorter := _unwrap(text)) != text:
        text = shorter
    return text


def collapse(cleaned: str) -> str:
    """Return a cleaned string with each run of blanks and line breaks as one blank."""
    return " ".join(cleaned.split())


def is_other_number(char: str) -> bool:
    """Tell whether a character is a number without being a decimal digit: ², ①, ½."""
    return unicodedata.category(char) == "No"


def _plain_text(value: str) -> str:
    text = value if value.isascii() else _nfkc("".join(char for char in value if not _is_ignorable(char)))
    return "".join(map(_plain_sign, text)).strip(" \n")


def _nfkc(text: str) -> str:
    """Return ``text`` in NFKC, except for signs of numbers that are no decimal digits."""
    return "".join(
        "".join(run) if is_number_sign else unicodedata.normalize("NFKC", "".join(run))
        for is_number_sign, run in groupby(text, key=is_other_number)
    )


def _unwrap(text: str) -> str:
    """Drop the first wrapping, if there is one, unless nothing would be left."""
    lead = _LEAD.match(text)
    enclosed = _ENCLOSED.fullmatch(text)
    unwrapped = (
        text[lead.end() :] if lead else "",
        enclosed[1].strip(" \n") if enclosed else "",
        _TAIL.sub("", text),
    )
    return next((candidate for candidate in unwrapped if candidate and candidate != text), text)


@lru_cache(maxsize=4_096)
def _is_ignorable(char: str) -> bool:
    return (
        unicodedata.category(char) == "Cf" or char in _VARIATION_SELECTORS or ord(char) in _MORE_VARIATION_SELECTORS
    )


@lru_cache(maxsize=4_096)
def _plain_sign(char: str) -> str:
    """Return the plain sign a character stands for."""
    if char.isalnum():
        return char
    if char in _LINE_BREAKS:
        return LINE_BREAK
    if char.isspace():
        return " "
    if char in _SLASHES:
        return "/"
    is_dash = char in _MORE_DASHES or (unicodedata.category(char) == "Pd" and char not in _WAVES)
    return "-" if is_dash else char
