"""EspoCRM's database: the records, their shared addresses, and what an update or a creation does to them."""

from __future__ import annotations

import copy
import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm_arrays import AddressBook, InvalidField, checked_mails, checked_phones
from jobs.sandbox.espocrm_fields import FIELDS, SETTINGS
from jobs.sandbox.espocrm_record import ENTITY, UNLISTED, Record, User, check_value, defaults, writable
from jobs.sandbox.espocrm_where import BadQuery, matching, page, read_query
from jobs.sandbox.simulator import Answer, Json, Reply, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime


@dataclass
class EspoStore:
    """Everything a request or a person can do to CBeteiligte; what EspoCRM refuses ends in a `Reply`.

    ``concurrency`` is EspoCRM's optimisticConcurrencyControl; ``torn_reads`` how many GETs after an array PUT, within
    its second, show new scalars with empty arrays (fact 4).
    """

    clock: Callable[[], datetime]
    ids: Iterator[str]
    settings: Json = field(default_factory=lambda: dict(SETTINGS))
    fields: dict[str, Json] = field(default_factory=lambda: copy.deepcopy(FIELDS))
    concurrency: bool = False
    torn_reads: int = 0
    records: dict[str, Record] = field(default_factory=dict)
    notes: list[Json] = field(default_factory=list)
    phones: AddressBook = field(default_factory=lambda: AddressBook("phoneNumber"))
    mails: AddressBook = field(default_factory=lambda: AddressBook("emailAddress"))

    # Reading

    def listing(self, query: str, *, no_total: bool) -> Json:
        """One page of the records that are not deleted (`espocrm_where`)."""
        try:
            asked = read_query(query)
            named = not asked.select or any(book.scalar in query for book in (self.phones, self.mails))
            rows = [
                self.listed(record) if named else record.show({}, {})  # scalars only where they are asked for: speed
                for record in self.records.values()
                if not record.deleted
            ]
            return page(matching(rows, asked, self.attributes()), asked, no_total=no_total)
        except BadQuery as bad:
            raise refused(bad.status, bad.reason) from None

    def listed(self, record: Record) -> Json:
        """A record as lists show it: never with its arrays (fact 1)."""
        shown = record.show(self._scalars(record), {})
        return {name: value for name, value in shown.items() if name not in UNLISTED}

    def attributes(self) -> set[str]:
        """What a condition may name."""
        return set(self.listed(Record("", defaults(self.fields), "", "", User("", ""))))

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
        return {**shown, "versionNumber": record.version} if self.concurrency else shown

    def _scalars(self, record: Record) -> Json:
        return {**self.mails.scalars(record.id), **self.phones.scalars(record.id)}

    def metadata(self, query: str) -> Any:  # noqa: ANN401  JSON
        """The part of the metadata that `key=a.b.c` names; null when there is none."""
        control = {"optimisticConcurrencyControl": self.concurrency}
        found: Any = {"entityDefs": {ENTITY: {"fields": self.fields, **control}}}
        for part in query.removeprefix("key=").split(".") if query else []:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    # Writing

    def update(self, record: Record, data: Json, user: User, version: str | None = None) -> Json:
        """Apply a partial update; the answer echoes the arrays of the request, else shows those stored (fact 11)."""
        values, arrays = self._checked(data)
        self._check_version(record, values, arrays, version)
        before = self._scalars(record)
        record.values |= values
        record.bump(user, self._now())
        if self.concurrency:
            record.version = (record.version or 0) + 1
        for array, items in arrays.items():
            self._book(array).replace(record.id, items)
        if arrays:
            record.torn = (self._now(), self.torn_reads)
        return {**self.show(record), **arrays, **self._stale(record, arrays, before)}

    def _stale(self, record: Record, arrays: Mapping[str, Any], before: Json) -> Json:
        """The scalars of an array that left no primary: the answer still shows what stood there before."""
        now = {array: self._book(array).scalars(record.id) for array in arrays}
        return {
            name: before[name]
            for array, scalars in now.items()
            if scalars[self._book(array).scalar] is None
            for name in scalars
        }

    def _checked(self, data: Json) -> tuple[Json, Json]:
        """What of a body takes effect: plain values and normalised arrays. One bad value refuses it whole."""
        try:
            values = {name: data[name] for name in writable(self.fields) if name in data}
            for name, value in values.items():
                check_value(name, value, self.fields[name])
            return values, self._checked_arrays(data)
        except InvalidField as bad:
            raise _invalid(bad) from None

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
        values, arrays = self._checked({"lastName": None, **data})
        mails = [str(item.get("emailAddress")).lower() for item in arrays.get("emailAddressData", [])]
        if len(set(mails)) < len(mails):
            raise Reply(Answer(500, {"Content-Type": "application/json"}, b""))
        twins = [] if skip_check else self._twins(values, set(mails))
        if twins:
            raise refused(409, "duplicate", twins)
        record = self.create(values, user)
        for array, items in arrays.items():
            self._book(array).replace(record.id, items)
        return {**self.show(record), **arrays}

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
        parent = self.existing(str(data.get("parentId")), "does not exist")
        now = self._now()
        parent.stream_updated_at = now
        told = {name: data.get(name) for name in ("post", "type", "parentId", "parentType")}
        note: Json = {
            "id": next(self.ids),
            "deleted": False,
            "data": {},
            **told,
            "isInternal": False,
            "reactionCounts": None,
            "myReactions": [],
            "createdAt": now,
            "modifiedAt": now,
            "parentName": parent.name,
            "relatedName": None,
            "attachmentsIds": [],
            "attachmentsNames": {},
            "attachmentsTypes": {},
            "createdById": user.id,
            "createdByName": user.name,
            "modifiedByName": None,
        }
        self.notes.append(note)
        return note

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


def _full_name(values: Json) -> tuple[object, object]:
    return values.get("firstName"), values.get("lastName")


def new_ids(seed: int, clock: Callable[[], datetime]) -> Iterator[str]:
    """Ids of 17 hex digits, the time first, as EspoCRM makes them; the rest follows from the seed."""
    for number in itertools.count():
        drawn = hashlib.sha256(f"espocrm {seed} {number}".encode()).hexdigest()
        yield f"{int(clock().timestamp()):08x}{drawn[:9]}"


def refused(status: int, reason: str, body: object = None) -> Reply:
    """The end of a request that EspoCRM refuses: often without a body, the reason in a header."""
    headers = {"X-Status-Reason": reason} if reason else {}
    if body is None:
        return Reply(Answer(status, {"Content-Type": "application/json", **headers}, b""))
    return Reply(json_answer(status, body, headers))


def _invalid(bad: InvalidField) -> Reply:
    reason = f"Field validation failure; entityType: {ENTITY}, field: {bad.field}, type: {bad.rule}."
    data = {"field": bad.field, "type": bad.rule}
    return refused(400, reason, {"messageTranslation": {"label": "validationFailure", "scope": None, "data": data}})
