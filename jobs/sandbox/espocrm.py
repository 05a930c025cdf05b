"""A simulated EspoCRM 9.2.7, as strict and as odd as the measured one (espocrm-api.md and the recordings).

It imports nothing of the sync, so that a wrong rule cannot agree with itself. Not simulated: HMAC logins, the record's
scalar ``phoneNumber`` and ``emailAddress`` in a PUT (ignored here), entities other than CBeteiligte and Note; a Contact
has a name and addresses.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.sandbox.espocrm_login import ADMIN, API_KEY, PERSON, Login
from jobs.sandbox.espocrm_record import ENTITY
from jobs.sandbox.espocrm_refusals import html_page, refused
from jobs.sandbox.espocrm_role import without
from jobs.sandbox.espocrm_store import EspoStore, new_ids
from jobs.sandbox.simulator import Answer, Reply, Simulator, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from jobs.sandbox.espocrm_arrays import AddressBook
    from jobs.sandbox.espocrm_record import User
    from jobs.sandbox.espocrm_role import Role
    from jobs.sandbox.simulator import Json

    Entry = str | tuple[str, str] | Json
    """A phone or mail as people give it: the value, or (value, type), or a whole item."""

API = "/api/v1/"
LONGEST_TARGET = 8190
ACTIONS = {"GET": "read", "POST": "create", "PUT": "edit", "PATCH": "edit", "DELETE": "delete"}
CLOSED = frozenset({"Contact", "Lead", "Account", "PhoneNumber", "EmailAddress"})  # 403 to the API user (² 1, 5)
ADMINISTERED = frozenset({"Settings", "EntityManager", "Admin"})


class Request(NamedTuple):
    """A request whose sender is known."""

    method: str
    parts: list[str]
    query: str
    headers: Mapping[str, str]
    data: Json
    user: User


class EspoSim(Simulator):
    """EspoCRM with one entity. Its switches are plain attributes of ``store``; people's edits are methods.

    ``store.role`` is what the API user may do, ``store.deaths`` how far its next array PUTs get, ``store.hook`` what
    undoes them.

    ``store.settings`` is what `GET Settings` shows and the rules obey (`phoneNumberInternational`, `maintenanceMode`);
    ``store.notes`` are the stream posts received. Without ``custom_fields`` the sync's fields are still to be created.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        seed: int = 0,
        api_key: str = API_KEY,
        custom_fields: bool = True,
    ) -> None:
        super().__init__(clock)
        self.store = EspoStore(self.clock, new_ids(seed, self.clock))
        self.login = Login(api_key)
        self.app_timestamp = "1795437657"  # of EspoCRM's cache; a recording has its own
        if not custom_fields:
            own = {name for name, one in self.store.fields.items() if one.get("isCustom") and name != "betnr"}
            self.store.fields = {name: one for name, one in self.store.fields.items() if name not in own}

    # What people do

    def add_person(
        self,
        name: str,
        betnr: int | None = None,
        *,
        phones: Sequence[Entry] = (),
        mails: Sequence[Entry] = (),
        entity_id: str | None = None,
        user: User = PERSON,
        **fields: object,
    ) -> str:
        """Store a person and return its id. Nothing is validated: an import or an older version may have left it so."""
        with self._lock:
            first, _, last = name.rpartition(" ")
            named = {"firstName": first or None, "lastName": last, "betnr": betnr}
            record = self.store.create({**named, **fields}, user, entity_id)
            self.store.phones.replace(record.id, _items(phones, self.store.phones))
            self.store.mails.replace(record.id, _items(mails, self.store.mails))
            return record.id

    def edit(
        self,
        entity_id: str,
        *,
        phones: Sequence[Entry] | None = None,
        mails: Sequence[Entry] | None = None,
        **fields: object,
    ) -> None:
        """Let a person change a record in EspoCRM's window; raises ValueError when EspoCRM refuses it."""
        given = ((self.store.phones, phones), (self.store.mails, mails))
        with self._lock:
            arrays = {
                book.array: _items(entries, book, book.items(entity_id))
                for book, entries in given
                if entries is not None
            }
            try:
                self.store.update(self.store.existing(entity_id), {**fields, **arrays}, PERSON)
            except Reply as reply:
                raise ValueError(reply.answer.headers.get("X-Status-Reason", "refused")) from None

    def items(self, entity_id: str) -> list[Json]:
        """The record's phones, then its mails, as a whole GET shows them."""
        with self._lock:
            return [*self.store.phones.items(entity_id), *self.store.mails.items(entity_id)]

    def record(self, entity_id: str) -> Json:
        """The record as a whole GET shows it, without a call in the journal; deleted ones too."""
        with self._lock:
            return self.store.show(self.store.records[entity_id])

    def add_contact(self, name: str, *, phones: Sequence[Entry] = (), mails: Sequence[Entry] = ()) -> str:
        """Store a Contact, which the API user may neither see nor edit: its addresses' rows are protected (² 7)."""
        with self._lock:
            contact_id = next(self.store.ids)
            self.store.contacts[contact_id] = name
            self.store.role.protected.add(contact_id)
            self.edit_contact(contact_id, phones=phones, mails=mails)
            return contact_id

    def edit_contact(
        self, contact_id: str, *, phones: Sequence[Entry] | None = None, mails: Sequence[Entry] | None = None
    ) -> None:
        """Let a person change a Contact's addresses; nothing is validated."""
        with self._lock:
            for book, entries in ((self.store.phones, phones), (self.store.mails, mails)):
                if entries is not None:
                    book.replace(contact_id, _items(entries, book, book.items(contact_id)))

    def delete(self, entity_id: str) -> None:
        """Delete as EspoCRM does: the record stays, invisible. Of a Contact nothing stays but the addresses' rows."""
        with self._lock:
            if self.store.contacts.pop(entity_id, None) is None:
                self.store.records[entity_id].deleted = True
                return
            self.store.role.protected.discard(entity_id)
            del self.store.phones.held[entity_id], self.store.mails.held[entity_id]

    def restore(self, entity_id: str) -> None:
        """Bring a deleted record back; its `modifiedAt` does not tell (fact 13)."""
        with self._lock:
            self.store.records[entity_id].deleted = False

    # What callers ask

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request to the API."""
        if len(target) > LONGEST_TARGET:
            raise html_page(414, "Request-URI Too Long")
        user = self.login.user(headers, self.clock())
        if self.store.settings["maintenanceMode"] and not user.is_admin:
            return Answer(503, {"Content-Type": "text/html; charset=UTF-8"}, b"")
        path, _, query = target.partition("?")
        if not path.startswith(API):
            raise refused(404, "")
        data = _parsed(body) if method in {"POST", "PUT", "PATCH"} else {}
        request = Request(method, path.removeprefix(API).split("/"), query, headers, data, user)
        result = self._entity(request) if request.parts[0] == ENTITY else self._other(request)
        now = self.clock().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        stamps = {"X-App-Timestamp": self.app_timestamp, "Last-Modified": now}
        if result is None or isinstance(result, str):  # Metadata: nothing, or a bare word, is no JSON (² 15)
            return Answer(200, {"Content-Type": "application/json", **stamps}, (result or "").encode())
        return json_answer(200, result, stamps)

    def _entity(self, request: Request) -> Any:  # noqa: ANN401  JSON
        headers, data, user = request.headers, request.data, request.user
        role = self.store.role_of(user)
        action = ACTIONS.get(request.method, "")
        if not role.allows(action, ENTITY) or (action == "edit" and not role.protected.isdisjoint(request.parts)):
            raise refused(403, f"No {action} access.")
        match request.method, request.parts[1:]:
            case "GET", []:
                shown = self.store.listing(request.query, role, no_total=headers.get("x-no-total") == "true")
            case "GET", [entity_id]:
                shown = self.store.read(self.store.existing(entity_id, "does not exist"))
            case "GET", [entity_id, "stream"]:
                return self.store.stream_of(self.store.existing(entity_id, "does not exist"))
            case "GET", [_, "phoneNumbers" | "emailAddresses"]:
                raise refused(403, "")
            case "PUT" | "PATCH", [entity_id]:
                shown = self.store.update(self.store.existing(entity_id), data, user, headers.get("x-version-number"))
            case "POST", []:
                shown = self.store.post(data, user, skip_check=headers.get("x-skip-duplicate-check") == "true")
            case "DELETE", [entity_id]:
                self.store.existing(entity_id).deleted = True
                return True
            case _:
                raise refused(404, "")
        return without(shown, role.denied("read"))

    def _other(self, request: Request) -> Any:  # noqa: ANN401  JSON
        method, parts, user = request.method, request.parts, request.user
        match method, parts:
            case "GET", ["App", "user"]:
                return _app_user(user, self.store.role_of(user))
            case "GET", ["Settings"]:
                return self.store.settings
            case "GET", ["Metadata"]:
                return self.store.metadata(request.query, self.store.role_of(user))
            case "GET", ["User"]:
                return {"total": 0, "list": []}
            case "POST", ["Note"]:
                return self.store.post_note(request.data, user)
            case "POST", ["Notification"]:
                raise refused(403, "No create access.")
        if parts[0] not in CLOSED | ADMINISTERED:
            raise refused(404, f"Controller '{parts[0]}' does not exist.")
        if not user.is_admin:
            raise refused(403, f"No {ACTIONS[method]} access." if parts[0] in CLOSED else "")
        return self._administer(request)

    def _administer(self, request: Request) -> Any:  # noqa: ANN401  JSON
        match request.method, request.parts:
            case "GET", ["Contact", contact_id] if contact_id in self.store.contacts:
                return self.store.contact(contact_id)
            case "PUT" | "PATCH", ["Settings"]:
                self.store.settings |= request.data
                return self.store.settings
            case "POST", ["EntityManager", "action", "updateEntity"]:
                self.store.concurrency = request.data.get("optimisticConcurrencyControl", self.store.concurrency)
                self.store.stream = request.data.get("stream", self.store.stream)
                return True
            case "POST", ["Admin", "fieldManager", entity] if entity == ENTITY:
                return self.store.create_field(request.data)
        raise refused(404, "")


def _items(entries: Iterable[Entry], book: AddressBook, held: Iterable[Json] = ()) -> list[Json]:
    """Entries as whole items; a value the record already holds keeps its keys, as in EspoCRM's window."""
    known = {item[book.scalar]: item for item in held}
    return [_item(entry, book.scalar, known) for entry in entries]


def _item(entry: Entry, scalar: str, known: Mapping[str, Json]) -> Json:
    if isinstance(entry, dict):
        return entry
    value, own = (entry, {}) if isinstance(entry, str) else (entry[0], {"type": entry[1]})
    return {**known.get(value, {scalar: value}), **own}


def _parsed(body: bytes) -> Json:
    """A body as an object; EspoCRM answers bad JSON with 500 and nothing else."""
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise refused(500, "")
    return data


def _app_user(user: User, role: Role) -> Json:
    kind = "admin" if user == ADMIN else "api"
    name = user.name if user.is_api else user.name.lower()
    shown = {"id": user.id, "name": user.name, "userName": name, "type": kind, "isActive": True}
    return {"user": shown, "acl": {"table": role.table, "fieldTable": {ENTITY: role.fields}}}
