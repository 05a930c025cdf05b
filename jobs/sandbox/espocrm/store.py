"""EspoCRM's database: the records, their shared addresses, and what an update or a creation does to them."""

from __future__ import annotations

import copy
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm.arrays import AddressBook, InvalidField, StoredPart, check_mails, normalize_phones
from jobs.sandbox.espocrm.fields import FIELDS, SETTINGS
from jobs.sandbox.espocrm.record import (
    ENTITY,
    STREAM_ATTRIBUTES,
    UNLISTED_ATTRIBUTES,
    Record,
    User,
    check_value,
    default_values,
    writable_attributes,
)
from jobs.sandbox.espocrm.refusals import espo_refusal, field_refusal
from jobs.sandbox.espocrm.role import FULL_ROLE, Role, without_attributes
from jobs.sandbox.espocrm.stream import make_note
from jobs.sandbox.espocrm.where import (
    BadQuery,
    check_list_query,
    is_in_condition,
    list_page,
    matching_rows,
    parse_list_query,
    resolve_addresses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
    from jobs.sandbox.simulator import Json


@dataclass
class EspoStore:
    """Everything a request or a person can do to CBeteiligte; what EspoCRM refuses ends in a `Reply`.

    ``concurrency`` is EspoCRM's optimisticConcurrencyControl, None while it was never saved; ``stream`` whether people
    can see what is posted to a record; ``torn_reads`` how many GETs after an array PUT, within
    its second, show new scalars with empty arrays (fact A4). ``role`` is the API user's; each of its array PUTs uses up
    one of the ``put_crashes``, and meets the ``hook``.
    """

    clock: Callable[[], datetime]
    ids: Iterator[str]
    settings: Json = field(default_factory=lambda: dict(SETTINGS))
    fields: dict[str, Json] = field(default_factory=lambda: copy.deepcopy(FIELDS))
    concurrency: bool | None = None
    stream: bool = True
    torn_reads: int = 0
    role: Role = field(default_factory=Role)
    put_crashes: list[PutCrash] = field(default_factory=list)
    hook: ResettingHook | None = None
    records: dict[str, Record] = field(default_factory=dict)
    contacts: dict[str, str] = field(default_factory=dict)
    notes: list[Json] = field(default_factory=list)
    phones: AddressBook = field(default_factory=lambda: AddressBook("phoneNumber"))
    mails: AddressBook = field(default_factory=lambda: AddressBook("emailAddress"))

    # Reading

    def listing(self, query: str, role: Role = FULL_ROLE, *, no_total: bool) -> Json:
        """One page of the records that are not deleted (`espocrm_where`)."""
        try:
            list_query = parse_list_query(query)
            check_list_query(list_query, self.attributes(), role.denied_attributes("read"), self.settings["version"])
            by_address = any(book.scalar in query for book in (self.phones, self.mails))
            where = (
                [resolve_addresses(condition, self._holders) for condition in list_query.where]
                if by_address
                else list_query.where
            )
            rows = [
                # scalars only where they are asked for: speed
                self.list_entry(record) if by_address or not list_query.select else record.show({}, {})
                for record in self._candidate_records(where)
                if not record.deleted
            ]
            return list_page(matching_rows(rows, list_query, where), list_query, no_total=no_total)
        except BadQuery as error:
            raise espo_refusal(error.status, error.reason) from None

    def _candidate_records(self, where: Iterable[Json]) -> Iterable[Record]:
        """The records a condition names by id, else all."""
        for condition in where:
            if is_in_condition("id", condition):
                return [
                    self.records[entity_id]
                    for entity_id in dict.fromkeys(condition["value"])
                    if entity_id in self.records
                ]
        return self.records.values()

    def _holders(self, attribute: str, values: Iterable[str]) -> Iterable[str] | None:
        """Who holds one of these, primary or not (fact B2); None for an attribute that is no address."""
        match attribute:
            case "phoneNumber":
                return self.phones.holders(values)
            case "emailAddress":
                return self.mails.holders(values)
            case "phoneNumberNumeric":
                return self.phones.holders(
                    number for number in self.phones.rows if re.sub(r"\D", "", number) in set(values)
                )
        return None

    def list_entry(self, record: Record) -> Json:
        """A record as lists show it: never with its arrays (fact A1)."""
        entry = record.show(self._scalars(record), {})
        return without_attributes(
            entry, UNLISTED_ATTRIBUTES if self.stream else UNLISTED_ATTRIBUTES | STREAM_ATTRIBUTES
        )

    def attributes(self) -> set[str]:
        """What a condition may name."""
        return {*self.list_entry(Record("", default_values(self.fields), "", "", User("", ""))), "phoneNumberNumeric"}

    def read(self, record: Record) -> Json:
        """A record as a single GET answers it, torn where a test asked for that."""
        second, torn_left = record.torn
        if torn_left and second == self._now():
            record.torn = (second, torn_left - 1)
            return {**self.show(record), "phoneNumberData": [], "emailAddressData": []}
        return self.show(record)

    def show(self, record: Record) -> Json:
        """A record with its arrays as they are stored now."""
        arrays = {book.array: book.items(record.id) for book in (self.mails, self.phones)}
        result = record.show(self._scalars(record), arrays)
        result = result if self.stream else without_attributes(result, STREAM_ATTRIBUTES)
        return {**result, "versionNumber": record.version} if self.concurrency else result

    def contact_entry(self, contact_id: str) -> Json:
        """A Contact as an administrator sees it, cut down to what the sandbox knows of it."""
        books = (self.mails, self.phones)
        entry = {"id": contact_id, "name": self.contacts[contact_id], "deleted": False}
        for book in books:
            entry |= {**book.scalars(contact_id), book.array: book.items(contact_id)}
        return entry

    def _scalars(self, record: Record) -> Json:
        return {**self.mails.scalars(record.id), **self.phones.scalars(record.id)}

    def metadata(self, query: str, role: Role = FULL_ROLE) -> Any:  # noqa: ANN401  JSON
        """The part of the metadata that `key=a.b.c` names; None when there is none, or none for this user."""
        control = {} if self.concurrency is None else {"optimisticConcurrencyControl": self.concurrency}
        sections = {"entityDefs": {"fields": self.fields, **control}, "scopes": {"entity": True, "stream": self.stream}}
        value: Any = {part: {ENTITY: section} for part, section in sections.items() if ENTITY in role.table}
        for part in query.removeprefix("key=").split(".") if query else []:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    # Writing

    def update(self, record: Record, data: Json, user: User, version: str | None = None) -> Json:
        """Apply a partial update; the answer echoes the arrays of the request, else shows those stored (fact A11)."""
        data = without_attributes(data, self.role_of(user).denied_attributes("edit"))
        values, arrays = self._validate(data)
        self._check_version(record, values, arrays, version)
        crash = self.put_crashes.pop(0) if arrays and self.put_crashes and user.is_api else None
        books = [book for book in (self.mails, self.phones) if book.array in arrays]
        before = [(book.primary(record.id), book.scalars(record.id)) for book in books]
        record.values |= values
        record.bump(user, self._now())
        if self.concurrency:
            record.version = (record.version or 0) + 1
        echoed = {book.array: self._save(book, record, arrays[book.array], user, crash) for book in books}
        if arrays:
            record.torn = (self._now(), self.torn_reads)
        if crash:
            raise crash.exception()
        nulls = {book.array: None for book in (self.mails, self.phones) if data.get(book.array, echoed) is None}
        return {**self.show(record), **echoed, **nulls, **_stale_scalars(record, books, before)}

    def _save(
        self, book: AddressBook, record: Record, items: list[Json], user: User, crash: PutCrash | None = None
    ) -> list[Json]:
        """Store an array as far as this EspoCRM does; returns it as the answer shows it."""
        protectors = self._protectors(user)
        if not (self.hook and user.is_api):
            stored = crash.stored_part(book) if crash else StoredPart.ALL
            return book.replace(record.id, items, protectors=protectors, stored=stored)
        book.replace(
            record.id, self.hook.surviving_items(items, book.items(record.id), book.scalar), protectors=protectors
        )
        return items if self.hook.echoes else book.items(record.id)

    def _protectors(self, user: User) -> list[str]:
        """The holders this user may not edit: the rows of their addresses stay as they are (fact B7)."""
        return [
            holder
            for holder in self.role_of(user).protected_ids
            if holder not in self.records or not self.records[holder].deleted
        ]

    def _validate(self, data: Json) -> tuple[Json, Json]:
        """What of a body takes effect: plain values and normalised arrays. One bad value refuses it whole."""
        try:
            values = {name: data[name] for name in writable_attributes(self.fields) if name in data}
            for name, value in values.items():
                check_value(name, value, self.fields[name])
            return values, self._validate_arrays(data)
        except InvalidField as error:
            raise field_refusal(error) from None

    def _validate_arrays(self, data: Json) -> Json:
        arrays: Json = {}
        if data.get("phoneNumberData") is not None:
            types = self.fields["phoneNumber"]["typeList"]
            arrays["phoneNumberData"] = normalize_phones(data["phoneNumberData"], self.settings, types)
        if data.get("emailAddressData") is not None:
            arrays["emailAddressData"] = check_mails(data["emailAddressData"], self.settings)
        return arrays

    def _check_version(self, record: Record, values: Json, arrays: Json, version: str | None) -> None:
        """Refuse a stale write with 409, but only when it would really change something (fact A11)."""
        if not self.concurrency or version is None or record.version is None or version == str(record.version):
            return
        stale = {name: record.values[name] for name, value in values.items() if value != record.values[name]}
        for array, items in arrays.items():
            book = self._book(array)
            if book.differs(record.id, items):
                stale |= {**book.scalars(record.id), array: book.items(record.id)}
        if stale:
            raise espo_refusal(409, "modified", {"values": stale, "versionNumber": record.version})

    def post(self, data: Json, user: User, *, skip_check: bool) -> Json:
        """Create a record unless one with its name or mail exists."""
        data = without_attributes(data, self.role_of(user).denied_attributes("edit"))
        values, arrays = self._validate({"lastName": None, **data})
        mails = [str(item.get("emailAddress")).lower() for item in arrays.get("emailAddressData", [])]
        if len(set(mails)) < len(mails):
            raise espo_refusal(500, "")
        duplicates = [] if skip_check else self._duplicates(values, set(mails))
        if duplicates:
            raise espo_refusal(409, "duplicate", duplicates)
        record = self.create(values, user)
        echoed = {array: self._save(self._book(array), record, items, user) for array, items in arrays.items()}
        return {**self.show(record), **echoed}

    def _duplicates(self, values: Json, mails: set[str]) -> list[Json]:
        name = _full_name(values)
        return [
            self.list_entry(record)
            for record in self.records.values()
            if not record.deleted
            and (mails & {*self.mails.links_by_holder[record.id]} or _full_name(record.values) == name)
        ]

    def create(self, values: Json, user: User, entity_id: str | None = None) -> Record:
        """Store a new record without addresses, unchecked."""
        now = self._now()
        record_values = {
            **default_values(self.fields),
            **{name: values[name] for name in writable_attributes(self.fields) if name in values},
        }
        record = Record(
            entity_id or next(self.ids), record_values, now, now, user, version=1 if self.concurrency else None
        )
        self.records[record.id] = record
        self.phones.links_by_holder[record.id], self.mails.links_by_holder[record.id] = {}, {}
        return record

    def post_note(self, data: Json, user: User) -> Json:
        """Put a post into a record's stream."""
        parent = self.records.get(str(data.get("parentId")))
        if parent is None or parent.deleted:
            raise espo_refusal(403, "No create access.")
        parent.stream_updated_at = self._now()
        self.notes.append(make_note(next(self.ids), data, parent, user))
        return self.notes[-1]

    def stream_of(self, record: Record) -> Json:
        """What was posted to a record, newest first, also while nobody can see it."""
        notes = [note for note in reversed(self.notes) if note["parentId"] == record.id]
        return {"total": len(notes), "list": notes}

    def create_field(self, data: Json) -> Json:
        """Add a custom field; it works at once, without a rebuild."""
        name = data["name"]
        if name in self.fields:
            reason = {"label": "fieldAlreadyExists", "scope": "FieldManager"}
            body = {"messageTranslation": {**reason, "data": {"field": name, "entityType": ENTITY}}}
            raise espo_refusal(409, f"Field '{name}' already exists in '{ENTITY}'.", body)
        self.fields[name] = {**{key: data[key] for key in data if key != "name"}, "isCustom": True}
        for record in self.records.values():
            record.values[name] = data.get("default")
        return self.fields[name]

    # Small things

    def role_of(self, user: User) -> Role:
        """What a user may do."""
        return self.role if user.is_api else FULL_ROLE

    def require_record(self, entity_id: str, reason: str = "not found") -> Record:
        """The record, or 404 with EspoCRM's reason: reading and writing word it differently."""
        record = self.records.get(entity_id)
        if record is None or record.deleted:
            raise espo_refusal(404, f"Record {entity_id} {reason}.")
        return record

    def _book(self, array: str) -> AddressBook:
        return self.phones if array == "phoneNumberData" else self.mails

    def _now(self) -> str:
        """The clock in whole seconds: two writes in one second share it (fact A3)."""
        return self.clock().astimezone(UTC).isoformat(" ", "seconds")[:19]


def _stale_scalars(record: Record, books: Iterable[AddressBook], before: Iterable[tuple[str | None, Json]]) -> Json:
    """The scalars in an array PUT's answer: a changed primary by its key, all else as it was before (fact B29)."""
    result: Json = {}
    for book, (old_primary, scalars) in zip(books, before, strict=True):
        new_primary = book.primary(record.id)
        result |= scalars if new_primary in {None, old_primary} else {**scalars, book.scalar: new_primary}
    return result


def _full_name(values: Json) -> tuple[object, object]:
    return values.get("firstName"), values.get("lastName")


def generate_ids(seed: int, clock: Callable[[], datetime]) -> Iterator[str]:
    """Ids of 17 hex digits, the time first, as EspoCRM makes them; the rest follows from the seed."""
    for number in itertools.count():
        digest = hashlib.sha256(f"espocrm {seed} {number}".encode()).hexdigest()
        yield f"{int(clock().timestamp()):08x}{digest[:9]}"
