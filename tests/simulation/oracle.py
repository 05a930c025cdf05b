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
DIALLED = re.compile(r"[0-9 +()./-]+(?:(?:DW|ext\.?|x) *(?P<extension>[0-9]+))?")
TOO_SHORT = re.compile(r"\+491630[0-9]{5}")  # a mobile lacks digits, and EspoCRM takes it all the same
SHORTEST = 9  # digits of the shortest number people use here
ASCII_MAIL = re.compile(r"[\x21-\x7e]+@[a-zA-Z0-9.-]+")
FOREIGN = ("www.", "DE.BRAK")  # Internet and beA: none of the sync's business


def canon(value: str) -> str:
    """What two spellings of one entry share."""
    text = value.strip()
    if "@" in text:
        return text.lower()
    dialled = DIALLED.fullmatch(text)
    if not dialled or not begins_as_a_number(text) or may_be_two(text):
        return " ".join(text.split())
    extension = dialled["extension"]
    main = text[: dialled.start("extension")] if extension else text
    digits = re.sub(r"\D", "", main)
    if len(digits) < SHORTEST:
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


def begins_as_a_number(text: str) -> bool:
    """Whether the + or the 0 is there; without it, it may be anybody's number."""
    return text.lstrip("([ ").startswith(("+", "0"))


def may_be_two(text: str) -> bool:
    """Whether a slash stands behind what is a number already."""
    return any(len(re.sub(r"\D", "", text[: slash.start()])) >= SHORTEST for slash in re.finditer("/", text))


def own_text(remark: str | None) -> str:
    """What a person wrote into the remark."""
    return BRACKET.sub("", remark or "", count=1) if BRACKET.match(remark or "") else remark or ""


def decoded(text: str) -> str | None:
    """What base64 says, None where it says nothing."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def marked_value(remark: str | None) -> str | None:
    """The canonical value a marker carries, None without one."""
    told = MARKER.match(remark or "")
    value = decoded(told[1]) if told else None
    return canon(value) if value else None


def shortened(row: Mapping[str, Any], most: int | None) -> str | None:
    """The value of which a row shows the first ``most`` letters only, as its marker says; None where it is whole."""
    told = MARKER.match(row["bemerkung"] or "")
    value = decoded(told[1]) if most and told else None
    return value if value and len(value) > (most or 0) and row["tlf"] == value[:most] else None


def is_relevant(value: str | None) -> bool:
    """Whether a row is an entry the sync has to do with."""
    return bool(value and value.strip()) and not str(value).startswith(FOREIGN)


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
class Sides:
    """The values of one person on both sides."""

    espo: frozenset[str]
    advo: frozenset[str]


@dataclass(frozen=True)
class Edited:
    """What people did to one side since both agreed."""

    added: frozenset[str]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def on(self, values: frozenset[str]) -> frozenset[str]:
        """The values with the edits made."""
        return (values - self.removed) | self.added


def edited(before: frozenset[str], after: frozenset[str]) -> Edited:
    """The difference people made."""
    return Edited(after - before, before - after)


def expected(before: Sides, espo: Edited, advo: Edited, *, whole_person: bool) -> Sides | None:
    """What both sides must show at rest, None where the rules leave more than one answer.

    ``whole_person``: EspoCRM wins for the person, else entry by entry. Only changes that do not touch each other's
    values have one right answer.
    """
    if espo and advo and (espo.added & advo.added or espo.removed & advo.removed):
        return None
    if any(";" in entry for entry in advo.added):  # an EspoCRM that takes numbers of any form takes extensions
        return None
    if espo and advo and whole_person:
        alone = Edited(  # what EspoCRM cannot hold, or did not, is Advoware's own affair
            frozenset(entry for entry in advo.added if not espo_can_hold(entry)),
            advo.removed - before.espo,
        )
        return Sides(espo.on(before.espo), espo.on(alone.on(before.advo)))
    wanted = frozenset(entry for entry in advo.added if espo_can_hold(entry))
    in_espo = (espo.on(before.espo) - advo.removed) | wanted
    in_advo = espo.on(advo.on(before.advo))
    return Sides(in_espo, in_advo)
