"""kommKz, Advoware's kinds of contact entry: the table, and how the channel and kommKz of a row are found.

The table is that of Advoware §3; a firm can change it with ``sync.komm_kz``. Rules §3 "Channel and kommKz of a row"
says which of several sources counts for a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from etl.records import Channel
from etl.rules.marker import MarkerKind
from etl.rules.values.canonical import may_be_number
from etl.rules.values.classify import Clarity, classify
from etl.rules.values.cleaning import clean


@dataclass(frozen=True, slots=True)
class KommKz:
    """One kind of entry. ``espo_type``: the type of a phone in EspoCRM; ``numbers_only``: text in it is not synced."""

    name: str
    channel: Channel | None
    espo_type: str | None
    relevant: bool
    numbers_only: bool = False


_PHONE, _MAIL = Channel.PHONE, Channel.MAIL
_DEFAULT: Final[Mapping[int, KommKz]] = MappingProxyType(
    {
        1: KommKz("TelGesch", _PHONE, "Office", relevant=True),
        2: KommKz("FaxGesch", _PHONE, "Fax", relevant=True),
        3: KommKz("Mobil", _PHONE, "Mobile", relevant=True),
        4: KommKz("MailGesch", _MAIL, None, relevant=True),
        5: KommKz("Internet", None, None, relevant=False),
        6: KommKz("TelPrivat", _PHONE, "Home", relevant=True),
        7: KommKz("FaxPrivat", _PHONE, "Fax", relevant=True),
        8: KommKz("MailPrivat", _MAIL, None, relevant=True),
        9: KommKz("AutoTelefon", _PHONE, "Mobile", relevant=True),
        10: KommKz("Sonstige", _PHONE, "Other", relevant=True, numbers_only=True),
        11: KommKz("EPost", None, None, relevant=False),
        12: KommKz("beA", None, None, relevant=False),
    }
)

MOBILE_KOMM_KZ: Final = 3

# Top-level contact fields of a person, lower-cased. Only "mobil" was seen, the rest is likely (Advoware §2).
_KOMM_KZ_OF_FIELD: Final[Mapping[str, int]] = MappingProxyType(
    {
        "telgesch": 1,
        "faxgesch": 2,
        "mobil": 3,
        "emailgesch": 4,
        "mailgesch": 4,
        "telprivat": 6,
        "faxprivat": 7,
        "emailprivat": 8,
        "mailprivat": 8,
        "autotelefon": 9,
        "sonstige": 10,
    }
)

_OVERRIDABLE = ("name", "channel", "espo_type", "relevant")


@dataclass(frozen=True, slots=True)
class KommKzTable:
    """What each kommKz means to this firm. A kommKz that is not in the table is not sync-relevant."""

    kinds: Mapping[int, KommKz]

    @classmethod
    def default(cls) -> KommKzTable:
        """Return the table of Advoware §3."""
        return cls(_DEFAULT)

    def with_overrides(self, overrides: Mapping[int, Mapping[str, Any]]) -> KommKzTable:
        """Return the table with some of name, channel, espo_type and relevant replaced; ValueError says what is wrong.

        A kind that becomes a mail or no channel loses its phone type.
        """
        changed = {komm_kz: self._with_override(komm_kz, override) for komm_kz, override in overrides.items()}
        table = KommKzTable(MappingProxyType({**self.kinds, **changed}))
        for channel in Channel:
            if not table.komm_kzs(channel):
                msg = f"sync.komm_kz: no kommKz is left for the channel {channel.value}; keep at least one relevant."
                raise ValueError(msg)
        return table

    def channel(self, komm_kz: int | None) -> Channel | None:
        """Return the channel of a kommKz, or None when it is not sync-relevant."""
        kind = self.kinds.get(komm_kz or 0)
        return kind.channel if kind is not None and kind.relevant else None

    def espo_type(self, komm_kz: int | None) -> str | None:
        """Return the type of an entry of this kommKz in EspoCRM; None for mails and for what is not sync-relevant."""
        return self.kinds[komm_kz].espo_type if komm_kz and self.channel(komm_kz) else None

    def numbers_only(self, komm_kz: int | None) -> bool:
        """Tell whether an entry of this kommKz (Sonstige) is sync-relevant only if its value is a phone number."""
        return self.channel(komm_kz) is Channel.PHONE and self.kinds[komm_kz or 0].numbers_only

    def komm_kz_for_type(self, espo_type: str | None, channel: Channel, *, is_number: bool = True) -> int:
        """Return the kommKz of a new entry: the lowest with this type of EspoCRM's, else of the channel (1; mail 4).

        ``is_number=False`` (text such as "skype:max") skips Sonstige, where text would not be sync-relevant.
        """
        of_channel = self.komm_kzs(channel, is_number=is_number)
        of_type = [komm_kz for komm_kz in of_channel if espo_type and self.kinds[komm_kz].espo_type == espo_type]
        return min(of_type or of_channel or self.komm_kzs(channel))

    def komm_kzs(self, channel: Channel, *, is_number: bool = True) -> list[int]:
        """Return every kommKz of a channel; with ``is_number=False`` only those that take text."""
        return [
            komm_kz
            for komm_kz, kind in self.kinds.items()
            if self.channel(komm_kz) is channel and (is_number or not kind.numbers_only)
        ]

    def _with_override(self, komm_kz: int, override: Mapping[str, Any]) -> KommKz:
        kind = self.kinds.get(komm_kz)
        error = (
            f"there is no such kommKz; it is one of 1 to {max(self.kinds)}" if kind is None else _check_keys(override)
        )
        if kind is not None and error is None:
            typeless = {"espo_type": None} if override.get("channel", Channel.PHONE) != Channel.PHONE else {}
            kind = replace(kind, **{**typeless, **override})
            error = _check_kind(kind)
        if kind is None or error is not None:
            msg = f"sync.komm_kz.{komm_kz}: {error}."
            raise ValueError(msg)
        return replace(kind, channel=kind.channel and Channel(kind.channel))


def _check_keys(override: object) -> str | None:
    if not isinstance(override, Mapping):
        return f"{override!r} is not a mapping of {', '.join(_OVERRIDABLE)}"
    unknown = [key for key in override if key not in _OVERRIDABLE]
    return f"unknown key {unknown[0]}; known are {', '.join(_OVERRIDABLE)}" if unknown else None


def _check_kind(kind: KommKz) -> str | None:
    """Return why the columns of a kind contradict each other, or None. The configuration may hold any type."""
    has_type = isinstance(kind.espo_type, str) and bool(kind.espo_type.strip())
    checks = {
        f"the name {kind.name!r} is no text": isinstance(kind.name, str) and bool(kind.name.strip()),
        f"the channel {kind.channel!r} is not phone, mail or null": kind.channel in (*Channel, None),
        f"relevant is {kind.relevant!r}, not true or false": isinstance(kind.relevant, bool),
        "what is relevant needs a channel, phone or mail": kind.channel is not None or not kind.relevant,
        "a phone needs EspoCRM's type, such as Office": has_type or kind.channel != Channel.PHONE,
        "only a phone has a type in EspoCRM": kind.espo_type is None or kind.channel == Channel.PHONE,
    }
    return next((reason for reason, is_met in checks.items() if not is_met), None)


# The shapes of values that are not sync-relevant (rules §3).
_WEB = re.compile(r"(?:[a-z][a-z0-9+.\-]*://|www\.)", re.IGNORECASE)
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w\-]*[^\W_])?\.)+[^\W\d_]{2,}(?::[0-9]+)?(?:[/?#]\S*)?")
_SAFE_ID = re.compile(r"DE\.[A-Z]\w*\.\S+", re.IGNORECASE)  # beA, e.g. DE.BRAK_SPT.… or DE.Justiz.…


def channel_by_shape(value: str) -> Channel | None:
    """Return the channel a value looks like, or None for web addresses, bare domains and beA ids.

    Everything else counts as a phone, even text such as "skype:max": whether it is a number is another question.
    """
    text = clean(value)  # a full-width "@" is one, and "callto://+49 511 1234567" no web address
    if _WEB.match(text):
        return None
    if "@" in text:
        return Channel.MAIL
    return None if _DOMAIN.fullmatch(text) or _SAFE_ID.fullmatch(text) else Channel.PHONE


def row_channel(
    value: str | None, kind: MarkerKind, marker_komm_kz: int | None, komm_kz: int, region: str, table: KommKzTable
) -> Channel | None:
    """Return the channel of a row, or None when it is not sync-relevant (rules §3 "Channel and kommKz of a row").

    ``komm_kz`` is the payload's, which is 0 if Advoware does not tell it. An emptied row has the channel of its marker
    or slot, a marked row that of its kommKz, and any other row that of its value's shape, unless the kommKz we know
    says that the row is not sync-relevant.
    """
    if value is None or not clean(value):
        return table.channel(marker_komm_kz)
    is_marked = kind is MarkerKind.MARKER
    effective_komm_kz = marker_komm_kz if is_marked else komm_kz or marker_komm_kz
    if effective_komm_kz and (
        table.channel(effective_komm_kz) is None
        or (table.numbers_only(effective_komm_kz) and not may_be_number(value, region))
    ):
        return None
    return table.channel(effective_komm_kz) if is_marked else channel_by_shape(value)


def field_komm_kz(
    value: str | None, channel: Channel, fields: Mapping[str, str], region: str, table: KommKzTable
) -> int | None:
    """Return the kommKz of the person's top-level field that holds the same value, the lowest of several, or None."""
    parsed = classify(channel, value, region)
    if parsed is None:
        return None
    is_number = channel is Channel.PHONE and parsed.clarity is Clarity.CERTAIN
    matching = [
        komm_kz
        for name, field_value in fields.items()
        if (komm_kz := _KOMM_KZ_OF_FIELD.get(name.lower())) is not None
        and table.channel(komm_kz) is channel
        and (is_number or not table.numbers_only(komm_kz))
        and (parsed_field := classify(channel, field_value, region)) is not None
        and parsed_field.canonical == parsed.canonical
    ]
    return min(matching, default=None)
