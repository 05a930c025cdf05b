"""EspoCRM's database: the records, their shared addresses, and what an update or a creation does to them."""

from __future__ import annotations

import copy
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm_arrays import AddressBook, InvalidField, Stored, checked_mails, checked_phones
from jobs.sandbox.espocrm_fields import FIELDS, SETTINGS
from jobs.sandbox.espocrm_record import ENTITY, OF_STREAM, UNLISTED, Record, User, check_value, defaults, writable
from jobs.sandbox.espocrm_refusals import of_field, refused
from jobs.sandbox.espocrm_role import EVERYTHING, Role, without
from jobs.sandbox.espocrm_stream import new_note
from jobs.sandbox.espocrm_where import BadQuery, check, is_in, looked_up, matching, page, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from jobs.sandbox.espocrm_saving import Death, Hook
    from jobs.sandbox.simulator import Json


@dataclass
class EspoStore:
    """Everything a request or a person can do to CBeteiligte; what EspoCRM refuses ends in a `Reply`.

    ``concurrency`` is EspoCRM's optimisticConcurrencyControl, None while it was never saved; ``stream`` whether people
    can see what is posted to a record; ``torn_reads`` how many GETs after an array PUT, within
    its second, show new scalars with empty arrays (fact 4). ``role`` is the API user's; each of its array PUTs uses up
    one of the ``deaths``, and meets the ``hook``.
    """

    clock: Callable[[], datetime]
    ids: Iterator[str]
    settings: Json = field(default_factory=lambda: dict(SETTINGS))
    fields: dict[str, Json] = field(default_factory=lambda: copy.deepcopy(FIELDS))
    concurrency: bool | None = None
    stream: bool = True
    torn_reads: int = 0
    role: Role = field(default_factory=Role)
    deaths: list[Death] = field(default_factory=list)
    hook: Hook | None = None
    records: dict[str, Record] = field(default_factory=dict)
    contacts: dict[str, str] = field(default_factory=dict)
    notes: list[Json] = field(default_factory=list)
    phones: AddressBook = field(default_factory=lambda: AddressBook("phoneNumber"))
    mails: AddressBook = field(default_factory=lambda: AddressBook("emailAddress"))

    # Reading

    def listing(self, query: str, role: Role = EVERYTHING, *, no_total: bool) -> Json:
        """One page of the records that are not deleted (`espocrm_where`)."""
        try:
            asked = read_query(query)
            check(asked, self.attributes(), role.denied("read"), self.settings["version"])
            by_address = any(book.scalar in query for book in (self.phones, self.mails))
            where = [looked_up(one, self._holders) for one in asked.where] if by_address else asked.where
            rows = [
                # scalars only where they are asked for: speed
                self.listed(record) if by_address or not asked.select else record.show({}, {})
                for record in self._named(where)
                if not record.deleted
            ]
            return page(matching(rows, asked, where), asked, no_total=no_total)
        except BadQuery as bad:
            raise refused(bad.status, bad.reason) from None

    def _named(self, where: Iterable[Json]) -> Iterable[Record]:
        """The records a condition names by id, else all."""
        for condition in where:
            if is_in("id", condition):
                return [self.records[one] for one in dict.fromkeys(condition["value"]) if one in self.records]
        return self.records.values()

    def _holders(self, attribute: str, values: Iterable[str]) -> Iterable[str] | None:
        """Who holds one of these, primary or not (² 2); None for an attribute that is no address."""
        match attribute:
            case "phoneNumber":
                return self.phones.holders(values)
            case "emailAddress":
                return self.mails.holders(values)
            case "phoneNumberNumeric":
                return self.phones.holders(one for one in self.phones.rows if re.sub(r"\D", "", one) in set(values))
        return None

    def listed(self, record: Record) -> Json:
        """A record as lists show it: never with its arrays (fact 1)."""
        shown = record.show(self._scalars(record), {})
        return without(shown, UNLISTED if self.stream else UNLISTED | OF_STREAM)

    def attributes(self) -> set[str]:
        """What a condition may name."""
        return {*self.listed(Record("", defaults(self.fields), "", "", User("", ""))), "phoneNumberNumeric"}

    def read(self, record: Record) -> Json:
        """A record as a single GET answers it, torn where a test asked for that."""
        second, left = record.torn
        if left and second == self._now():
            record.torn = (second, left - 1)
            return {**self.show(record), "phoneNumberData": [], "emailAddressData": []}
        return self.show(record)

    def show(self, record: Record) -> Json:
        """A record with its arrays as they are stored now."""
        arrays = {book.array: book.items(record.id) for book in (self.mails, self.phones)}
        shown = record.show(self._scalars(record), arrays)
        shown = shown if self.stream else without(shown, OF_STREAM)
        return {**shown, "versionNumber": record.version} if self.concurrency else shown

    def contact(self, contact_id: str) -> Json:
        """A Contact as an administrator sees it, cut down to what the sandbox knows of it."""
        books = (self.mails, self.phones)
        shown = {"id": contact_id, "name": self.contacts[contact_id], "deleted": False}
        for book in books:
            shown |= {**book.scalars(contact_id), book.array: book.items(contact_id)}
        return shown

    def _scalars(self, record: Record) -> Json:
        return {**self.mails.scalars(record.id), **self.phones.scalars(record.id)}

    def metadata(self, query: str, role: Role = EVERYTHING) -> Any:  # noqa: ANN401  JSON
        """The part of the metadata that `key=a.b.c` names; None when there is none, or none for this user."""
        control = {} if self.concurrency is None else {"optimisticConcurrencyControl": self.concurrency}
        ours = {"entityDefs": {"fields": self.fields, **control}, "scopes": {"entity": True, "stream": self.stream}}
        found: Any = {part: {ENTITY: known} for part, known in ours.items() if ENTITY in role.table}
        for part in query.removeprefix("key=").split(".") if query else []:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    # Writing

    def update(self, record: Record, data: Json, user: User, version: str | None = None) -> Json:
        """Apply a partial update; the answer echoes the arrays of the request, else shows those stored (fact 11)."""
        data = without(data, self.role_of(user).denied("edit"))
        values, arrays = self._checked(data)
        self._check_version(record, values, arrays, version)
        death = self.deaths.pop(0) if arrays and self.deaths and user.is_api else None
        books = [book for book in (self.mails, self.phones) if book.array in arrays]
        before = [(book.primary(record.id), book.scalars(record.id)) for book in books]
        record.values |= values
        record.bump(user, self._now())
        if self.concurrency:
            record.version = (record.version or 0) + 1
        told = {book.array: self._save(book, record, arrays[book.array], user, death) for book in books}
        if arrays:
            record.torn = (self._now(), self.torn_reads)
        if death:
            raise death.end()
        nulls = {book.array: None for book in (self.mails, self.phones) if data.get(book.array, told) is None}
        return {**self.show(record), **told, **nulls, **_behind(record, books, before)}

    def _save(
        self, book: AddressBook, record: Record, items: list[Json], user: User, death: Death | None = None
    ) -> list[Json]:
        """Store an array as far as this EspoCRM does; returns it as the answer shows it."""
        protectors = self._protectors(user)
        if not (self.hook and user.is_api):
            stored = death.stored(book) if death else Stored.ALL
            return book.replace(record.id, items, protectors=protectors, stored=stored)
        book.replace(record.id, self.hook.left(items, book.items(record.id), book.scalar), protectors=protectors)
        return items if self.hook.echoes else book.items(record.id)

    def _protectors(self, user: User) -> list[str]:
        """The holders this user may not edit: the rows of their addresses stay as they are (² 7)."""
        return [one for one in self.role_of(user).protected if one not in self.records or not self.records[one].deleted]

    def _checked(self, data: Json) -> tuple[Json, Json]:
        """What of a body takes effect: plain values and normalised arrays. One bad value refuses it whole."""
        try:
            values = {name: data[name] for name in writable(self.fields) if name in data}
            for name, value in values.items():
                check_value(name, value, self.fields[name])
            return values, self._checked_arrays(data)
        except InvalidField as bad:
            raise of_field(bad) from None

    def _checked_arrays(self, data: Json) -> Json:
        arrays: Json = {}
        if data.get("phoneNumberData") is not None:
            types = self.fields["phoneNumber"]["typeList"]
            arrays["phoneNumberData"] = checked_phones(data["phoneNumberData"], self.settings, types)
        if data.get("emailAddressData") is not None:
            arrays["emailAddressData"] = checked_mails(data["emailAddressData"], self.settings)
        return arrays

    def _check_version(self, record: Record, values: Json, arrays: Json, version: str | None) -> None:
        """Refuse a stale write with 409, but only when it would really change something (fact 11)."""
        if not self.concurrency or version is None or record.version is None or version == str(record.version):
            return
        stale = {name: record.values[name] for name, value in values.items() if value != record.values[name]}
        for array, items in arrays.items():
            book = self._book(array)
            if book.differs(record.id, items):
                stale |= {**book.scalars(record.id), array: book.items(record.id)}
        if stale:
            raise refused(409, "modified", {"values": stale, "versionNumber": record.version})

    def post(self, data: Json, user: User, *, skip_check: bool) -> Json:
        """Create a record unless one with its name or mail exists."""
        data = without(data, self.role_of(user).denied("edit"))
        values, arrays = self._checked({"lastName": None, **data})
        mails = [str(item.get("emailAddress")).lower() for item in arrays.get("emailAddressData", [])]
        if len(set(mails)) < len(mails):
            raise refused(500, "")
        twins = [] if skip_check else self._twins(values, set(mails))
        if twins:
            raise refused(409, "duplicate", twins)
        record = self.create(values, user)
        told = {array: self._save(self._book(array), record, items, user) for array, items in arrays.items()}
        return {**self.show(record), **told}

    def _twins(self, values: Json, mails: set[str]) -> list[Json]:
        name = _full_name(values)
        return [
            self.listed(record)
            for record in self.records.values()
            if not record.deleted
            and (mails & {*self.mails.held[record.id]} or _full_name(record.values) == name)
        ]

    def create(self, values: Json, user: User, entity_id: str | None = None) -> Record:
        """Store a new record without addresses, unchecked."""
        now = self._now()
        filled = {**defaults(self.fields), **{name: values[name] for name in writable(self.fields) if name in values}}
        record = Record(entity_id or next(self.ids), filled, now, now, user, version=1 if self.concurrency else None)
        self.records[record.id] = record
        self.phones.held[record.id], self.mails.held[record.id] = {}, {}
        return record

    def post_note(self, data: Json, user: User) -> Json:
        """Put a post into a record's stream."""
        parent = self.records.get(str(data.get("parentId")))
        if parent is None or parent.deleted:
            raise refused(403, "No create access.")
        parent.stream_updated_at = self._now()
        self.notes.append(new_note(next(self.ids), data, parent, user))
        return self.notes[-1]

    def stream_of(self, record: Record) -> Json:
        """What was posted to a record, newest first, also while nobody can see it."""
        posted = [note for note in reversed(self.notes) if note["parentId"] == record.id]
        return {"total": len(posted), "list": posted}

    def create_field(self, data: Json) -> Json:
        """Add a custom field; it works at once, without a rebuild."""
        name = data["name"]
        if name in self.fields:
            reason = {"label": "fieldAlreadyExists", "scope": "FieldManager"}
            body = {"messageTranslation": {**reason, "data": {"field": name, "entityType": ENTITY}}}
            raise refused(409, f"Field '{name}' already exists in '{ENTITY}'.", body)
        self.fields[name] = {**{key: data[key] for key in data if key != "name"}, "isCustom": True}
        for record in self.records.values():
            record.values[name] = data.get("default")
        return self.fields[name]

    # Small things

    def role_of(self, user: User) -> Role:
        """What a user may do."""
        return self.role if user.is_api else EVERYTHING

    def existing(self, entity_id: str, otherwise: str = "not found") -> Record:
        """The record, or 404 with EspoCRM's reason: reading and writing word it differently."""
        record = self.records.get(entity_id)
        if record is None or record.deleted:
            raise refused(404, f"Record {entity_id} {otherwise}.")
        return record

    def _book(self, array: str) -> AddressBook:
        return self.phones if array == "phoneNumberData" else self.mails

    def _now(self) -> str:
        """The clock in whole seconds: two writes in one second share it (fact 3)."""
        return self.clock().astimezone(UTC).isoformat(" ", "seconds")[:19]


def _behind(record: Record, books: Iterable[AddressBook], before: Iterable[tuple[str | None, Json]]) -> Json:
    """The scalars in an array PUT's answer: a changed primary by its key, all else as it was before (² 29)."""
    shown: Json = {}
    for book, (was, scalars) in zip(books, before, strict=True):
        now = book.primary(record.id)
        shown |= scalars if now in {None, was} else {**scalars, book.scalar: now}
    return shown


def _full_name(values: Json) -> tuple[object, object]:
    return values.get("firstName"), values.get("lastName")


def new_ids(seed: int, clock: Callable[[], datetime]) -> Iterator[str]:
    """Ids of 17 hex digits, the time first, as EspoCRM makes them; the rest follows from the seed."""
    for number in itertools.count():
        drawn = hashlib.sha256(f"espocrm {seed} {number}".encode()).hexdigest()
        yield f"{int(clock().timestamp()):08x}{drawn[:9]}"
