"""The marker and the slot at the start of a remark (rules §0).

Their form is::

    [ESPOCRM:<standard padded base64 of EspoCRM's value>:<kommKz 1 to 12>] own text
    [ESPOCRM-SLOT:<kommKz>] own text

A marker keeps what Advoware does not show: the value as EspoCRM has it, and the kommKz, which GET returns as 0
(Advoware §2). People edit remarks, so decoding never fails, and the own text survives byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_KOMM_KZ = r"(?P<komm_kz>[1-9]|1[0-2])"
_MARKER = re.compile(rf"\[ESPOCRM:(?P<base64>[A-Za-z0-9+/]+={{0,2}}):{_KOMM_KZ}\]")
_SLOT = re.compile(rf"\[ESPOCRM-SLOT:{_KOMM_KZ}\]")
# We never write a bracket across a line end or around another bracket: as own text it does no harm.
_BRACKET = re.compile(r"\[ESPOCRM[^\[\]\r\n]*\]")
_HIGHEST_KOMM_KZ = 12


class MarkerKind(StrEnum):
    """What stands at the start of a remark."""

    NONE = "none"
    MARKER = "marker"
    SLOT = "slot"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark in its parts; a marker has ``value`` and ``komm_kz``, a slot ``komm_kz``; people wrote the own text."""

    kind: MarkerKind
    value: str | None
    komm_kz: int | None
    own_text: str


@lru_cache(maxsize=65_536)  # every read meets the same remarks again
def decode(remark: str | None) -> Remark:
    """Split a remark into its parts; never fails. Without a bracket of ours the whole remark is own text, unchanged.

    White space before the bracket and a missing blank after it are forgiven; exactly one blank after it is ours.
    """
    text = remark or ""
    start = len(text) - len(text.lstrip())
    bracket = _BRACKET.match(text, start)
    if bracket is None:
        return Remark(MarkerKind.NONE, None, None, text)
    own_text = text[bracket.end() :].removeprefix(" ")
    damaged = Remark(MarkerKind.DAMAGED, None, None, own_text)
    return _decode_slot(bracket[0], own_text) or _decode_marker(bracket[0], own_text) or damaged


def comparable_text(text: str | None) -> str:
    """A text without what Advoware may change in it: blanks at its ends and the kind of its line ends.

    Neither is an edit by a person (Advoware §2).
    """
    return "\n".join((text or "").splitlines()).strip()


def is_same_text(first: str | None, second: str | None) -> bool:
    """Tell whether two texts are the same, but for what an Advoware may trim or change in their line ends."""
    return comparable_text(first) == comparable_text(second)


def encode(value: str, komm_kz: int, own_text: str) -> str:
    """Return the remark of a row whose value EspoCRM holds as ``value``; ValueError if it would not decode again."""
    if not value:
        msg = "A marker needs a value; an emptied row gets a slot."
        raise ValueError(msg)
    encoded = base64.b64encode(value.encode()).decode("ascii")
    return _with_own_text(f"[ESPOCRM:{encoded}:{_require_komm_kz(komm_kz)}]", own_text)


def encode_slot(komm_kz: int, own_text: str) -> str:
    """Return the remark of an emptied row, which waits for the next new entry of this kommKz."""
    return _with_own_text(f"[ESPOCRM-SLOT:{_require_komm_kz(komm_kz)}]", own_text)


def _decode_slot(bracket: str, own_text: str) -> Remark | None:
    match = _SLOT.fullmatch(bracket)
    return Remark(MarkerKind.SLOT, None, int(match["komm_kz"]), own_text) if match else None


def _decode_marker(bracket: str, own_text: str) -> Remark | None:
    match = _MARKER.fullmatch(bracket)
    value = _decode_base64(match["base64"]) if match else None
    return Remark(MarkerKind.MARKER, value, int(match["komm_kz"]), own_text) if match and value else None


def _decode_base64(encoded: str) -> str | None:
    """Accept base64 only as we write it, so that each value has one marker and a typing error counts as damage."""
    try:
        value = base64.b64decode(encoded, validate=True)
        return value.decode() if base64.b64encode(value).decode("ascii") == encoded else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _require_komm_kz(komm_kz: int) -> int:
    if not 1 <= komm_kz <= _HIGHEST_KOMM_KZ:
        msg = f"kommKz {komm_kz} does not exist; a marker or slot names one of 1 to {_HIGHEST_KOMM_KZ}."
        raise ValueError(msg)
    return komm_kz


def _with_own_text(bracket: str, own_text: str) -> str:
    return f"{bracket} {own_text}" if own_text else bracket
