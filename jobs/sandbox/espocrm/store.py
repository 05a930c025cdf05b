"""EspoCRM's database: the records, their shared addresses, and what an update or a creation does to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.arrays import AddressBook, StoredPart
from jobs.sandbox.espocrm.entity import EntityDefinition
from jobs.sandbox.espocrm.fields import settings_of
from jobs.sandbox.espocrm.locks import check_lock, check_removal
from jobs.sandbox.espocrm.record import UNLISTED_ATTRIBUTES, Record, User, default_values, writable_attributes
from jobs.sandbox.espocrm.refusals import espo_refusal
from jobs.sandbox.espocrm.role import FULL_ROLE, Role, without_attributes
from jobs.sandbox.espocrm.saving import stale_scalars, validate_body
from jobs.sandbox.espocrm.stream import make_note
from jobs.sandbox.espocrm.versions import NEWEST, EspoVersion
from jobs.sandbox.espocrm.where import (
    BadQuery,
    candidate_records,
    check_list_query,
    list_page,
    matching_rows,
    parse_list_query,
    resolve_addresses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
    from jobs.sandbox.simulator import Json


@dataclass
class EspoStore:
    """Everything a request or a person can do to CBeteiligte; what EspoCRM refuses ends in a `Reply`.

    ``settings`` and ``entity`` are what the administrator set; ``torn_reads`` how many GETs after an array PUT, within
    its second, show new scalars with empty arrays (fact A4). ``role`` is the API user's; each of its array PUTs uses up
    one of the ``put_crashes``, and meets the ``hook``.
    """

    clock: Callable[[], datetime]
    ids: Iterator[str]
    version: EspoVersion = NEWEST
    settings: Json = field(init=False)
    entity: EntityDefinition = field(init=False)
    torn_reads: int = 0
    role: Role = field(default_factory=Role)
    put_crashes: list[PutCrash] = field(default_factory=list)
    hook: ResettingHook | None = None
    records: dict[str, Record] = field(default_factory=dict)
    contacts: dict[str, str] = field(default_factory=dict)
    notes: list[Json] = field(default_factory=list)
    phones: AddressBook = field(default_factory=lambda: AddressBook("phoneNumber"))
    mails: AddressBook = field(default_factory=lambda: AddressBook("emailAddress"))

    def __post_init__(self) -> None:
        self.settings, self.entity = settings_of(self.version), EntityDefinition(self.version)

    def upgrade(self, version: EspoVersion) -> None:
        """Become another version: records, the administrator's settings, fields and switches stay."""
        new, old, current = settings_of(version), settings_of(self.version), self.settings
        chosen = {name: value for name, value in current.items() if name not in old or value != old[name]}
        self.version, self.settings = version, new | chosen
        self.entity.upgrade(version)

    # Reading

    def listing(self, query: str, role: Role = FULL_ROLE, *, no_total: bool) -> Json:
        """One page of the records that are not deleted (`espocrm_where`)."""
        try:
            list_query = parse_list_query(query)
            check_list_query(list_query, self.attributes(), role.denied_attributes("read"), self.version)
            by_address = any(book.scalar in query for book in (self.phones, self.mails))
            where = (
                [resolve_addresses(condition, self.phones, self.mails) for condition in list_query.where]
                if by_address
                else list_query.where
            )
            rows = [
                # scalars only where they are asked for: speed
                self.list_entry(record) if by_address or not list_query.select else self._show(record, {}, {})
                for record in candidate_records(where, self.records)
                if not record.deleted
            ]
            return list_page(matching_rows(rows, list_query, where), list_query, no_total=no_total)
        except BadQuery as error:
            raise espo_refusal(error.status, error.reason) from None

    def list_entry(self, record: Record) -> Json:
        """A record as lists show it: never with its arrays (fact A1)."""
        return without_attributes(self._show(record, self._scalars(record), {}), UNLISTED_ATTRIBUTES)

    def attributes(self) -> set[str]:
        """What a condition may name."""
        record = Record("", default_values(self.entity.fields), "", "", User("", ""))
        return {*self.list_entry(record), "phoneNumberNumeric"}

    def read(self, record: Record) -> Json:
        """A record as a single GET answers it, torn where a test asked for that."""
        second, torn_left = record.torn
        if torn_left and second == self._now() and not self.entity.transactional_save:
            record.torn = (second, torn_left - 1)
            return {**self.show(record), "phoneNumberData": [], "emailAddressData": []}
        return self.show(record)

    def show(self, record: Record) -> Json:
        """A record with its arrays as they are stored now."""
        arrays = {book.array: book.items(record.id) for book in (self.mails, self.phones)}
        result = self._show(record, self._scalars(record), arrays)
        return {**result, "versionNumber": record.version} if self.entity.concurrency else result

    def _show(self, record: Record, scalars: Json, arrays: Json) -> Json:
        """A record with what this version, and this entity, show of it."""
        lock = {"isLocked": record.is_locked} if self.entity.lockable else {}
        return without_attributes({**record.show(scalars, arrays), **lock}, self.entity.missing_attributes)

    def contact_entry(self, contact_id: str) -> Json:
        """A Contact as an administrator sees it, cut down to what the sandbox knows of it."""
        books = (self.mails, self.phones)
        entry = {"id": contact_id, "name": self.contacts[contact_id], "deleted": False}
        for book in books:
            entry |= {**book.scalars(contact_id), book.array: book.items(contact_id)}
        return entry

    def _scalars(self, record: Record) -> Json:
        return {**self.mails.scalars(record.id), **self.phones.scalars(record.id)}

    # Writing

    def update(self, record: Record, data: Json, user: User, version: str | None = None) -> Json:
        """Apply a partial update; the answer echoes the arrays of the request, else shows those stored (fact A11)."""
        data = without_attributes(data, self.role_of(user).denied_attributes("edit"))
        values, arrays = validate_body(data, self.entity.fields, self.settings)
        self._check_version(record, values, arrays, version)
        if self.entity.lockable:
            changed = self._stored_where_changed(record, values, arrays).keys() & (values.keys() | arrays.keys())
            check_lock(record, changed, self.entity.fields)
        crash = self.put_crashes.pop(0) if arrays and self.put_crashes and user.is_api else None
        if crash and self.entity.transactional_save:
            raise crash.exception()
        books = [book for book in (self.mails, self.phones) if book.array in arrays]
        before = [(book.primary(record.id), book.scalars(record.id)) for book in books]
        record.values |= values
        self._bump(record, user)
        echoed = {book.array: self._save(book, record, arrays[book.array], user, crash) for book in books}
        if arrays:
            record.torn = (self._now(), self.torn_reads)
        if crash:
            raise crash.exception()
        nulls = {book.array: None for book in (self.mails, self.phones) if data.get(book.array, echoed) is None}
        nulls = nulls if self.version.echoes_null else {}
        stale = stale_scalars(record, books, before, always=self.version.shows_old_primary)
        return {**self.show(record), **echoed, **nulls, **stale}

    def lock(self, record: Record, user: User, *, is_locked: bool) -> Json:
        """Lock or unlock a record, which moves its time and version as an edit does (facts B18, B21)."""
        if record.is_locked is is_locked:
            raise espo_refusal(400, f"Already {'locked' if is_locked else 'unlocked'}.")
        record.is_locked = is_locked
        self._bump(record, user)
        record.stream_updated_at = record.modified_at
        return self.show(record)

    def _bump(self, record: Record, user: User) -> None:
        record.bump(user, self._now())
        if self.entity.concurrency:
            record.version = (record.version or 0) + 1

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

    def _check_version(self, record: Record, values: Json, arrays: Json, version: str | None) -> None:
        """Refuse a stale write with 409, but only when it would really change something (fact A11)."""
        if not self.entity.concurrency or version is None or record.version is None or version == str(record.version):
            return
        if stale := self._stored_where_changed(record, values, arrays):
            raise espo_refusal(409, "modified", {"values": stale, "versionNumber": record.version})

    def _stored_where_changed(self, record: Record, values: Json, arrays: Json) -> Json:
        """What stands where a PUT would really change something, by attribute."""
        stored = {name: record.values[name] for name, value in values.items() if value != record.values[name]}
        for array, items in arrays.items():
            book = self._book(array)
            if book.differs(record.id, items):
                scalars = book.scalars(record.id) if self.version.conflict_shows_scalars else {}
                stored |= {**scalars, array: book.items(record.id)}
        return stored

    def post(self, data: Json, user: User, *, skip_check: bool) -> Json:
        """Create a record unless one with its name or mail exists."""
        data = without_attributes(data, self.role_of(user).denied_attributes("edit"))
        values, arrays = validate_body({"lastName": None, **data}, self.entity.fields, self.settings)
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
            **default_values(self.entity.fields),
            **{name: values[name] for name in writable_attributes(self.entity.fields) if name in values},
        }
        record = Record(
            entity_id or next(self.ids), record_values, now, now, user, version=1 if self.entity.concurrency else None
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
        note = make_note(next(self.ids), data, parent, user)
        self.notes.append(without_attributes(note, self.version.missing_attributes))
        return self.notes[-1]

    def stream_of(self, record: Record) -> Json:
        """What was posted to a record, newest first, also while nobody can see it."""
        notes = [note for note in reversed(self.notes) if note["parentId"] == record.id]
        return {"total": len(notes), "list": notes}

    def delete(self, record: Record) -> None:
        """Make a record invisible, unless it is locked."""
        if self.entity.lockable:
            check_removal(record)
        record.deleted = True

    def create_field(self, data: Json) -> Json:
        """Add a custom field, which all records have at once."""
        definition = self.entity.create_field(data)
        for record in self.records.values():
            record.values[data["name"]] = data.get("default")
        return definition

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


def _full_name(values: Json) -> tuple[object, object]:
    return values.get("firstName"), values.get("lastName")
