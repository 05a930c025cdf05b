"""EspoCRM's phone numbers and mail addresses: rows shared by all records, and what it refuses.

One row exists per exact phone string and per lower-cased mail; letter case, optOut, invalid and a phone's type live
there (EspoCRM fact A5). A holder, a CBeteiligte or a Contact, has links to rows, one of them primary; a row
outlives its holders (fact B6).
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
LOOSE_PHONE = re.compile(r"[0-9A-Za-z_@:#+().\- ]+")  # the pattern of an installation without international numbers
LOOSE_PHONE_LENGTH = 36


class InvalidField(Exception):
    """A value EspoCRM refuses with 400. It names the field, never the item."""

    def __init__(self, field_name: str, rule: str) -> None:
        super().__init__(f"field: {field_name}, type: {rule}")
        self.field = field_name
        self.rule = rule


class StoredPart(Flag):
    """How much of an array PUT is stored when EspoCRM dies in it; it unlinks before it links."""

    NOTHING = 0
    UNLINKED = 1
    LINKED = 2
    ALL = UNLINKED | LINKED


@dataclass(slots=True)
class AddressRow:
    """A row that every record with this number or mail shares."""

    value: str
    number: int
    type: str | None = None
    opt_out: bool = False
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class RequestedRow:
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
    rows: dict[str, AddressRow] = field(default_factory=dict)
    links_by_holder: dict[str, dict[str, bool]] = field(default_factory=dict)

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
        links = self.links_by_holder.get(entity_id, {})
        keys = sorted(links, key=lambda key: (not links[key], self.rows[key].number))
        return [self._item(key, primary=links[key]) for key in keys]

    def primary(self, entity_id: str) -> str | None:
        """The key of the record's primary."""
        return next((key for key, primary in self.links_by_holder.get(entity_id, {}).items() if primary), None)

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
        """Whoever holds one of these, primary or not (fact B2)."""
        keys = {self._key(value) for value in values}
        return {holder for holder, links in self.links_by_holder.items() if not keys.isdisjoint(links)}

    def requested_rows(self, items: Sequence[Json]) -> dict[str, RequestedRow]:
        """What an array asks for, by key: left-out keys reset, a second item of a key replacing the first.

        Without a primary the first item becomes it and of two the last; a repeated mail may lose it altogether, since
        the repetition overwrites the item that had it. A blank mail wipes everything.
        """
        values = [str(item.get(self.scalar) or "").strip() for item in items]
        if "" in values:
            return {}
        requested = {
            self._key(value): self._requested_row(value, item, primary=bool(item.get("primary")))
            for value, item in zip(values, self._with_primary(items), strict=True)
        }
        last_primary = [key for key, row in requested.items() if row.primary][-1:]
        return {
            key: RequestedRow(row.value, row.type, [key] == last_primary, row.opt_out, row.invalid)
            for key, row in requested.items()
        }

    def replace(
        self,
        entity_id: str,
        items: list[Json],
        *,
        protectors: Collection[str] = (),
        stored: StoredPart = StoredPart.ALL,
    ) -> list[Json]:
        """Make an array the holder's items; returns it as the answer shows it.

        What it says of a row shows on everybody who holds that row, unless one of ``protectors`` does: then the row
        stays as it is, without a word (fact B7).
        """
        requested = self.requested_rows(items)
        protected_keys = {
            key
            for holder in protectors
            if holder != entity_id
            for key in self.links_by_holder.get(holder, ())
            if key in requested
        }
        links = self.links_by_holder.get(entity_id, {})
        if StoredPart.UNLINKED in stored:
            links = {key: primary for key, primary in links.items() if key in requested}
        if StoredPart.LINKED in stored:
            for key, row in requested.items():
                if key not in protected_keys:
                    self._write_row(key, row)
            links = {**dict.fromkeys(links, False), **{key: row.primary for key, row in requested.items()}}
        self.links_by_holder[entity_id] = links
        return [self._shown_item(item, protected_keys) for item in items] if protected_keys else items

    def _write_row(self, key: str, requested: RequestedRow) -> None:
        row = self.rows.setdefault(key, AddressRow(requested.value, len(self.rows)))
        row.value, row.type, row.opt_out, row.invalid = (
            requested.value,
            requested.type,
            requested.opt_out,
            requested.invalid,
        )

    def differs(self, entity_id: str, items: Sequence[Json]) -> bool:
        """Whether an array would change anything the record shows."""
        return self.requested_rows(items) != self.requested_rows(self.items(entity_id))

    def _key(self, value: str) -> str:
        return value if self.is_phone else value.lower()

    def _with_primary(self, items: Sequence[Json]) -> list[Json]:
        if not items or any(item.get("primary") for item in items):
            return list(items)
        return [{**items[0], "primary": True}, *items[1:]]

    def _requested_row(self, value: str, item: Json, *, primary: bool) -> RequestedRow:
        kind = (item.get("type") or "Mobile") if self.is_phone else None
        return RequestedRow(value, kind, primary, bool(item.get("optOut")), bool(item.get("invalid")))

    def _shown_item(self, item: Json, protected_keys: Collection[str]) -> Json:
        """An item with what was kept, but for a mail written with a capital: it is looked up by its key (fact B8)."""
        key = item[self.scalar]
        if key not in protected_keys:
            return item
        row_item = self._item(key, primary=bool(item.get("primary")))
        return {**item, **{name: row_item[name] for name in ("type", "optOut", "invalid") if name in row_item}}

    def _item(self, key: str, *, primary: bool) -> Json:
        row = self.rows[key]
        kind_keys: Json = {"type": row.type} if self.is_phone else {"lower": key}
        return {self.scalar: row.value, **kind_keys, "primary": primary, "optOut": row.opt_out, "invalid": row.invalid}


def normalize_phones(items: Any, settings: Json, types: Sequence[str]) -> list[Json]:  # noqa: ANN401  a caller's JSON
    """An array of phones as EspoCRM stores it; raises InvalidField for the whole array as soon as one is refused."""
    phone_items = _require_items(items, "phoneNumber", settings.get("phoneNumberMaxCount"))
    if any(item.get("type") and item["type"] not in types for item in phone_items):
        raise InvalidField("phoneNumber", "valid")
    return [{**item, "phoneNumber": normalize_phone(item.get("phoneNumber"), settings)} for item in phone_items]


def normalize_phone(value: object, settings: Json) -> str:
    """A number as EspoCRM stores it: E.164 when it insists on international numbers, else as written."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidField("phoneNumber", "valid")
    if not settings["phoneNumberInternational"]:
        if not LOOSE_PHONE.fullmatch(value):
            raise InvalidField("phoneNumber", "valid")
        if len(value) > LOOSE_PHONE_LENGTH:
            raise InvalidField("phoneNumber", "maxLength")
        return value
    return _to_e164(value, extensions=settings["phoneNumberExtensions"])


def check_mails(items: Any, settings: Json) -> list[Json]:  # noqa: ANN401  a caller's JSON
    """An array of mails as sent; raises InvalidField for an umlaut or what is no address. Blanks pass."""
    mail_items = _require_items(items, "emailAddress", settings.get("emailAddressMaxCount"))
    for item in mail_items:
        value = str(item.get("emailAddress") or "").strip()
        if value and not MAIL.fullmatch(value):
            raise InvalidField("emailAddress", "emailAddress")
    return mail_items


def _require_items(items: Any, scalar: str, max_count: int | None) -> list[Json]:  # noqa: ANN401  a caller's JSON
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidField(scalar, "valid")
    if max_count and len(items) > max_count:
        raise InvalidField(scalar, "maxCount")
    return items


def _to_e164(value: str, *, extensions: bool) -> str:
    """E.164 of a "+" form. Possible is enough, valid is not asked: the recordings hold +49171700000, which is not."""
    if not INTERNATIONAL.fullmatch(value):
        raise InvalidField("phoneNumber", "valid")
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise InvalidField("phoneNumber", "valid") from None
    if not phonenumbers.is_possible_number(number):
        raise InvalidField("phoneNumber", "valid")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164} ext. {number.extension}" if extensions and number.extension else e164
