"""The right answer, found without the rules under test: plain sets, own reading of numbers and markers.

Nothing of ``etl`` is imported, so that a wrong rule cannot agree with itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BRACKET = re.compile(r"\s*\[ESPOCRM[^\[\]\r\n]*\] ?")
MARKER = re.compile(r"\[ESPOCRM:([A-Za-z0-9+/=]+):(\d+)\]")
PHONE_PATTERN = re.compile(r"[0-9 +()./-]+(?:(?:DW|ext\.?|x) *(?P<extension>[0-9]+))?")
TOO_SHORT = re.compile(r"\+491630[0-9]{5}")  # a mobile lacks digits, and EspoCRM takes it all the same
MIN_DIGITS = 9  # digits of the shortest number people use here
ASCII_MAIL = re.compile(r"[\x21-\x7e]+@[a-zA-Z0-9.-]+")
IRRELEVANT_PREFIXES = ("www.", "DE.BRAK")  # Internet and beA: none of the sync's business


def canon(value: str) -> str:
    """What two spellings of one entry share."""
    text = value.strip()
    if "@" in text:
        return text.lower()
    match = PHONE_PATTERN.fullmatch(text)
    if not match or not starts_like_number(text) or may_be_two_numbers(text):
        return " ".join(text.split())
    extension = match["extension"]
    main = text[: match.start("extension")] if extension else text
    digits = re.sub(r"\D", "", main)
    if len(digits) < MIN_DIGITS:
        return " ".join(text.split())
    if main.startswith("+"):
        number = digits
    elif digits.startswith("00"):
        number = digits[2:]
    else:
        number = f"49{digits.removeprefix('0')}"
    if TOO_SHORT.fullmatch(f"+{number}"):
        return f"? {' '.join(text.split())}"
    return f"+{number}" + (f";{extension}" if extension else "")


def starts_like_number(text: str) -> bool:
    """Whether the + or the 0 is there; without it, it may be anybody's number."""
    return text.lstrip("([ ").startswith(("+", "0"))


def may_be_two_numbers(text: str) -> bool:
    """Whether a slash stands behind what is a number already."""
    return any(len(re.sub(r"\D", "", text[: slash.start()])) >= MIN_DIGITS for slash in re.finditer("/", text))


def text_in_remark(remark: str | None) -> str:
    """What a person wrote into the remark."""
    return BRACKET.sub("", remark or "", count=1) if BRACKET.match(remark or "") else remark or ""


def decode_base64(text: str) -> str | None:
    """What base64 says, None where it says nothing."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def marker_value(remark: str | None) -> str | None:
    """The canonical value a marker carries, None without one."""
    marker = MARKER.match(remark or "")
    value = decode_base64(marker[1]) if marker else None
    return canon(value) if value else None


def value_before_truncation(row: Mapping[str, Any], limit: int | None) -> str | None:
    """The value of which a row shows the first ``limit`` letters only, as its marker says; None where it is whole."""
    marker = MARKER.match(row["bemerkung"] or "")
    value = decode_base64(marker[1]) if limit and marker else None
    return value if value and len(value) > (limit or 0) and row["tlf"] == value[:limit] else None


def is_relevant(value: str | None) -> bool:
    """Whether a row is an entry the sync has to do with."""
    return bool(value and value.strip()) and not str(value).startswith(IRRELEVANT_PREFIXES)


def espo_can_hold(entry: str) -> bool:
    """Whether this canonical value is sent to EspoCRM and kept there: text is not, nor what is no one number."""
    if "@" in entry:
        return bool(ASCII_MAIL.fullmatch(entry))
    return entry.startswith("+") and ";" not in entry


def entries_of_items(items: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """What EspoCRM holds."""
    return Counter(canon(item.get("phoneNumber") or item["emailAddress"]) for item in items)


def entries_of_rows(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """What Advoware holds, as far as it is the sync's business."""
    return Counter(canon(row["tlf"]) for row in rows if is_relevant(row["tlf"]))


@dataclass(frozen=True)
class SideValues:
    """The values of one person on both sides."""

    espo: frozenset[str]
    advo: frozenset[str]


@dataclass(frozen=True)
class Edits:
    """What people did to one side since both agreed."""

    added: frozenset[str]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def apply_to(self, values: frozenset[str]) -> frozenset[str]:
        """The values with the edits made."""
        return (values - self.removed) | self.added


def edits_between(before: frozenset[str], after: frozenset[str]) -> Edits:
    """The difference people made."""
    return Edits(after - before, before - after)


def sides_at_rest(before: SideValues, espo: Edits, advo: Edits, *, whole_person: bool) -> SideValues | None:
    """What both sides must show at rest, None where the rules leave more than one answer.

    ``whole_person``: EspoCRM wins for the person, else entry by entry. Only changes that do not touch each other's
    values have one right answer.
    """
    if espo and advo and (espo.added & advo.added or espo.removed & advo.removed):
        return None
    if any(";" in entry for entry in advo.added):  # an EspoCRM that takes numbers of any form takes extensions
        return None
    if espo and advo and whole_person:
        advo_only = Edits(  # what EspoCRM cannot hold, or did not, is Advoware's own affair
            frozenset(entry for entry in advo.added if not espo_can_hold(entry)),
            advo.removed - before.espo,
        )
        return SideValues(espo.apply_to(before.espo), espo.apply_to(advo_only.apply_to(before.advo)))
    added_to_espo = frozenset(entry for entry in advo.added if espo_can_hold(entry))
    in_espo = (espo.apply_to(before.espo) - advo.removed) | added_to_espo
    in_advo = espo.apply_to(advo.apply_to(before.advo))
    return SideValues(in_espo, in_advo)
