"""EspoCRM's phone numbers and mail addresses: rows shared by all records, and what it refuses.

One row exists per exact phone string and per lower-cased mail; letter case, optOut, invalid and a phone's type live
there (espocrm-api.md, fact 5). A holder, a CBeteiligte or a Contact, has links to rows, one of them primary; a row
outlives its holders (² 6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Flag
from typing import TYPE_CHECKING, Any

import phonenumbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from jobs.sandbox.simulator import Json

ADDRESSES = ("emailAddress", "phoneNumber")  # in the order EspoCRM saves them
MAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
INTERNATIONAL = re.compile(r"\+[\d\s().\-/]+((ext\.?|x)\s*\d+)?", re.IGNORECASE)
LOOSE = re.compile(r"[0-9A-Za-z_@:#+().\- ]+")  # the pattern of an installation without international numbers
LOOSE_LENGTH = 36


class InvalidField(Exception):
    """A value EspoCRM refuses with 400. It names the field, never the item."""

    def __init__(self, field_name: str, rule: str) -> None:
        super().__init__(f"field: {field_name}, type: {rule}")
        self.field = field_name
        self.rule = rule


class Stored(Flag):
    """How much of an array PUT is stored when EspoCRM dies in it; it unlinks before it links."""

    NOTHING = 0
    UNLINKED = 1
    LINKED = 2
    ALL = UNLINKED | LINKED


@dataclass(slots=True)
class Address:
    """A row that every record with this number or mail shares."""

    value: str
    number: int
    type: str | None = None
    opt_out: bool = False
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an array asks of one key."""

    value: str
    type: str | None
    primary: bool
    opt_out: bool
    invalid: bool


@dataclass(slots=True)
class AddressBook:
    """All rows of one kind (``scalar`` is phoneNumber or emailAddress) and which record holds which."""

    scalar: str
    rows: dict[str, Address] = field(default_factory=dict)
    held: dict[str, dict[str, bool]] = field(default_factory=dict)

    @property
    def array(self) -> str:
        """The attribute holding the items."""
        return f"{self.scalar}Data"

    @property
    def is_phone(self) -> bool:
        """Whether the items carry a type."""
        return self.scalar == "phoneNumber"

    def items(self, entity_id: str) -> list[Json]:
        """The record's items with all keys, the primary first, the rest by the age of their rows."""
        links = self.held.get(entity_id, {})
        keys = sorted(links, key=lambda key: (not links[key], self.rows[key].number))
        return [self._item(key, primary=links[key]) for key in keys]

    def primary(self, entity_id: str) -> str | None:
        """The key of the record's primary."""
        return next((key for key, primary in self.held.get(entity_id, {}).items() if primary), None)

    def scalars(self, entity_id: str) -> Json:
        """The primary's value and flags; null without a primary."""
        key = self.primary(entity_id)
        row = None if key is None else self.rows[key]
        return {
            self.scalar: row.value if row else None,
            f"{self.scalar}IsOptedOut": row.opt_out if row else None,
            f"{self.scalar}IsInvalid": row.invalid if row else None,
        }

    def holders(self, values: Iterable[str]) -> set[str]:
        """Whoever holds one of these, primary or not (² 2)."""
        keys = {self._key(value) for value in values}
        return {holder for holder, links in self.held.items() if not keys.isdisjoint(links)}

    def wanted(self, items: Sequence[Json]) -> dict[str, Wanted]:
        """What an array asks for, by key: left-out keys reset, a second item of a key replacing the first.

        Without a primary the first item becomes it and of two the last; a repeated mail may lose it altogether, since
        the repetition overwrites the item that had it. A blank mail wipes everything.
        """
        values = [str(item.get(self.scalar) or "").strip() for item in items]
        if "" in values:
            return {}
        asked = {
            self._key(value): self._wanted(value, item, primary=bool(item.get("primary")))
            for value, item in zip(values, self._with_primary(items), strict=True)
        }
        last = [key for key, one in asked.items() if one.primary][-1:]
        return {
            key: Wanted(one.value, one.type, [key] == last, one.opt_out, one.invalid) for key, one in asked.items()
        }

    def replace(
        self,
        entity_id: str,
        items: list[Json],
        *,
        protectors: Collection[str] = (),
        stored: Stored = Stored.ALL,
    ) -> list[Json]:
        """Make an array the holder's items; returns it as the answer shows it.

        What it says of a row shows on everybody who holds that row, unless one of ``protectors`` does: then the row
        stays as it is, without a word (² 7).
        """
        wanted = self.wanted(items)
        kept = {key for one in protectors if one != entity_id for key in self.held.get(one, ()) if key in wanted}
        links = self.held.get(entity_id, {})
        if Stored.UNLINKED in stored:
            links = {key: primary for key, primary in links.items() if key in wanted}
        if Stored.LINKED in stored:
            for key, one in wanted.items():
                if key not in kept:
                    self._stamp(key, one)
            links = {**dict.fromkeys(links, False), **{key: one.primary for key, one in wanted.items()}}
        self.held[entity_id] = links
        return [self._told(item, kept) for item in items] if kept else items

    def _stamp(self, key: str, one: Wanted) -> None:
        row = self.rows.setdefault(key, Address(one.value, len(self.rows)))
        row.value, row.type, row.opt_out, row.invalid = one.value, one.type, one.opt_out, one.invalid

    def differs(self, entity_id: str, items: Sequence[Json]) -> bool:
        """Whether an array would change anything the record shows."""
        return self.wanted(items) != self.wanted(self.items(entity_id))

    def _key(self, value: str) -> str:
        return value if self.is_phone else value.lower()

    def _with_primary(self, items: Sequence[Json]) -> list[Json]:
        if not items or any(item.get("primary") for item in items):
            return list(items)
        return [{**items[0], "primary": True}, *items[1:]]

    def _wanted(self, value: str, item: Json, *, primary: bool) -> Wanted:
        kind = (item.get("type") or "Mobile") if self.is_phone else None
        return Wanted(value, kind, primary, bool(item.get("optOut")), bool(item.get("invalid")))

    def _told(self, item: Json, kept: Collection[str]) -> Json:
        """An item with what was kept, but for a mail written with a capital: EspoCRM looks it up by its key (² 8)."""
        key = item[self.scalar]
        if key not in kept:
            return item
        shown = self._item(key, primary=bool(item.get("primary")))
        return {**item, **{name: shown[name] for name in ("type", "optOut", "invalid") if name in shown}}

    def _item(self, key: str, *, primary: bool) -> Json:
        row = self.rows[key]
        own: Json = {"type": row.type} if self.is_phone else {"lower": key}
        return {self.scalar: row.value, **own, "primary": primary, "optOut": row.opt_out, "invalid": row.invalid}


def checked_phones(items: Any, settings: Json, types: Sequence[str]) -> list[Json]:  # noqa: ANN401  a caller's JSON
    """An array of phones as EspoCRM stores it; raises InvalidField for the whole array as soon as one is refused."""
    listed = _items(items, "phoneNumber", settings["phoneNumberMaxCount"])
    if any(item.get("type") and item["type"] not in types for item in listed):
        raise InvalidField("phoneNumber", "valid")
    return [{**item, "phoneNumber": checked_phone(item.get("phoneNumber"), settings)} for item in listed]


def checked_phone(value: object, settings: Json) -> str:
    """A number as EspoCRM stores it: E.164 when it insists on international numbers, else as written."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidField("phoneNumber", "valid")
    if not settings["phoneNumberInternational"]:
        if not LOOSE.fullmatch(value):
            raise InvalidField("phoneNumber", "valid")
        if len(value) > LOOSE_LENGTH:
            raise InvalidField("phoneNumber", "maxLength")
        return value
    return _international(value, extensions=settings["phoneNumberExtensions"])


def checked_mails(items: Any, settings: Json) -> list[Json]:  # noqa: ANN401  a caller's JSON
    """An array of mails as sent; raises InvalidField for an umlaut or what is no address. Blanks pass."""
    listed = _items(items, "emailAddress", settings["emailAddressMaxCount"])
    for item in listed:
        value = str(item.get("emailAddress") or "").strip()
        if value and not MAIL.fullmatch(value):
            raise InvalidField("emailAddress", "emailAddress")
    return listed


def _items(items: Any, scalar: str, most: int) -> list[Json]:  # noqa: ANN401  a caller's JSON
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidField(scalar, "valid")
    if len(items) > most:
        raise InvalidField(scalar, "maxCount")
    return items


def _international(value: str, *, extensions: bool) -> str:
    """E.164 of a "+" form. Possible is enough, valid is not asked: the recordings hold +49171700000, which is not."""
    if not INTERNATIONAL.fullmatch(value):
        raise InvalidField("phoneNumber", "valid")
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise InvalidField("phoneNumber", "valid") from None
    if not phonenumbers.is_possible_number(number):
        raise InvalidField("phoneNumber", "valid")
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain} ext. {number.extension}" if extensions and number.extension else plain
