"""A simulated EspoCRM, as strict and as odd as the measured ones (etl/clients/README.md and the recordings).

It imports nothing of the sync, so that a wrong rule cannot agree with itself. Not simulated: HMAC logins, the record's
scalar ``phoneNumber`` and ``emailAddress`` in a PUT (ignored here), entities other than CBeteiligte and Note; a Contact
has a name and addresses.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.sandbox.espocrm.locks import permission_refusal
from jobs.sandbox.espocrm.login import ADMIN, API_KEY, PERSON, Login
from jobs.sandbox.espocrm.record import ENTITY, generate_ids
from jobs.sandbox.espocrm.refusals import blank_refusal, espo_refusal, html_page
from jobs.sandbox.espocrm.role import without_attributes
from jobs.sandbox.espocrm.store import EspoStore
from jobs.sandbox.espocrm.versions import NEWEST, VERSIONS
from jobs.sandbox.simulator import EarlyResponse, SimResponse, Simulator, make_json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from jobs.sandbox.espocrm.arrays import AddressBook
    from jobs.sandbox.espocrm.record import User
    from jobs.sandbox.espocrm.role import Role
    from jobs.sandbox.simulator import Json

    EntryInput = str | tuple[str, str] | Json
    """A phone or mail as people give it: the value, or (value, type), or a whole item."""

API = "/api/v1/"
MAX_TARGET_LENGTH = 8190
ACTIONS = {"GET": "read", "POST": "create", "PUT": "edit", "PATCH": "edit", "DELETE": "delete"}
CLOSED_ENTITIES = frozenset(
    {"Contact", "Lead", "Account", "PhoneNumber", "EmailAddress"}
)  # 403 to the API user (facts B1, B5)
ADMIN_CONTROLLERS = frozenset({"Settings", "EntityManager", "Admin"})


class UserRequest(NamedTuple):
    """A request whose sender is known."""

    method: str
    parts: list[str]
    query: str
    headers: Mapping[str, str]
    data: Json
    user: User


class EspoSim(Simulator):
    """EspoCRM with one entity, of one of the ``VERSIONS``: the newest, unless ``espocrm`` names another.

    Its switches are plain attributes of ``store``; people's edits are methods.

    ``store.role`` is what the API user may do, ``store.put_crashes`` how far its next array PUTs get, ``store.hook``
    what undoes them.

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
        espocrm: str = NEWEST.name,
    ) -> None:
        super().__init__(clock)
        self.store = EspoStore(self.clock, generate_ids(seed, self.clock), VERSIONS[espocrm])
        self.login = Login(api_key)
        self.app_timestamp = "1795437657"  # of EspoCRM's cache; a recording has its own
        if not custom_fields:
            self.store.entity.fields = {
                name: definition
                for name, definition in self.store.entity.fields.items()
                if name == "betnr" or not definition.get("isCustom")
            }

    # What people do

    def add_person(
        self,
        name: str,
        betnr: int | None = None,
        *,
        phones: Sequence[EntryInput] = (),
        mails: Sequence[EntryInput] = (),
        entity_id: str | None = None,
        user: User = PERSON,
        **fields: object,
    ) -> str:
        """Store a person and return its id. Nothing is validated: an import or an older version may have left it so."""
        with self._lock:
            first, _, last = name.rpartition(" ")
            name_fields = {"firstName": first or None, "lastName": last, "betnr": betnr}
            record = self.store.create({**name_fields, **fields}, user, entity_id)
            self.store.phones.replace(record.id, _whole_items(phones, self.store.phones))
            self.store.mails.replace(record.id, _whole_items(mails, self.store.mails))
            return record.id

    def edit(
        self,
        entity_id: str,
        *,
        phones: Sequence[EntryInput] | None = None,
        mails: Sequence[EntryInput] | None = None,
        **fields: object,
    ) -> None:
        """Let a person change a record in EspoCRM's window; raises ValueError when EspoCRM refuses it."""
        entries_by_book = ((self.store.phones, phones), (self.store.mails, mails))
        with self._lock:
            arrays = {
                book.array: _whole_items(entries, book, book.items(entity_id))
                for book, entries in entries_by_book
                if entries is not None
            }
            try:
                self.store.update(self.store.require_record(entity_id), {**fields, **arrays}, PERSON)
            except EarlyResponse as early:
                raise ValueError(early.response.headers.get("X-Status-Reason", "refused")) from None

    def items(self, entity_id: str) -> list[Json]:
        """The record's phones, then its mails, as a whole GET shows them."""
        with self._lock:
            return [*self.store.phones.items(entity_id), *self.store.mails.items(entity_id)]

    def record(self, entity_id: str) -> Json:
        """The record as a whole GET shows it, without a call in the journal; deleted ones too."""
        with self._lock:
            return self.store.show(self.store.records[entity_id])

    def add_contact(self, name: str, *, phones: Sequence[EntryInput] = (), mails: Sequence[EntryInput] = ()) -> str:
        """Store a Contact, which the API user may neither see nor edit: its addresses' rows are protected (fact B7)."""
        with self._lock:
            contact_id = next(self.store.ids)
            self.store.contacts[contact_id] = name
            self.store.role.protected_ids.add(contact_id)
            self.edit_contact(contact_id, phones=phones, mails=mails)
            return contact_id

    def edit_contact(
        self, contact_id: str, *, phones: Sequence[EntryInput] | None = None, mails: Sequence[EntryInput] | None = None
    ) -> None:
        """Let a person change a Contact's addresses; nothing is validated."""
        with self._lock:
            for book, entries in ((self.store.phones, phones), (self.store.mails, mails)):
                if entries is not None:
                    book.replace(contact_id, _whole_items(entries, book, book.items(contact_id)))

    def delete(self, entity_id: str) -> None:
        """Delete as EspoCRM does: the record stays, invisible. Of a Contact nothing stays but the addresses' rows."""
        with self._lock:
            if self.store.contacts.pop(entity_id, None) is None:
                self.store.delete(self.store.records[entity_id])
                return
            self.store.role.protected_ids.discard(entity_id)
            del self.store.phones.links_by_holder[entity_id], self.store.mails.links_by_holder[entity_id]

    def lock(self, entity_id: str, user: User = PERSON, *, is_locked: bool = True) -> None:
        """Let staff lock a record, or unlock it: what only EspoCRM 10 can do, where ``store.entity.lockable`` is on."""
        with self._lock:
            self.store.lock(self.store.require_record(entity_id), user, is_locked=is_locked)

    def restore(self, entity_id: str) -> None:
        """Bring a deleted record back; its `modifiedAt` does not tell (fact A13)."""
        with self._lock:
            self.store.records[entity_id].deleted = False

    # What callers ask

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> SimResponse:
        """Answer a request to the API."""
        if len(target) > MAX_TARGET_LENGTH:
            raise html_page(414, "Request-URI Too Long")
        user = self.login.user(headers, self.clock())
        if self.store.settings.get("maintenanceMode") and not user.is_admin:
            return SimResponse(503, {"Content-Type": "text/html; charset=UTF-8"}, b"")
        path, _, query = target.partition("?")
        if not path.startswith(API):
            raise espo_refusal(404, "")
        data = _parse_body(body) if method in {"POST", "PUT", "PATCH"} else {}
        request = UserRequest(method, path.removeprefix(API).split("/"), query, headers, data, user)
        result = self._entity(request) if request.parts[0] == ENTITY else self._other(request)
        now = self.clock().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        stamps = {"X-App-Timestamp": self.app_timestamp, "Last-Modified": now}
        if result is None or isinstance(result, str):  # Metadata: nothing, or a bare word, is no JSON (fact B15)
            return SimResponse(200, {"Content-Type": "application/json", **stamps}, (result or "").encode())
        return make_json_response(200, result, stamps)

    def _entity(self, request: UserRequest) -> Any:  # noqa: ANN401  JSON
        headers, data, user = request.headers, request.data, request.user
        role = self.store.role_of(user)
        action = ACTIONS.get(request.method, "")
        if not role.allows(action, ENTITY) or (action == "edit" and not role.protected_ids.isdisjoint(request.parts)):
            raise espo_refusal(403, f"No {action} access.")
        match request.method, request.parts[1:]:
            case "GET", []:
                result = self.store.listing(request.query, role, no_total=headers.get("x-no-total") == "true")
            case "GET", [entity_id]:
                result = self.store.read(self.store.require_record(entity_id, "does not exist"))
            case "GET", [entity_id, "stream"]:
                return self.store.stream_of(self.store.require_record(entity_id, "does not exist"))
            case "GET", [_, "phoneNumbers" | "emailAddresses"]:
                raise espo_refusal(403, "")
            case "PUT" | "PATCH", [entity_id]:
                result = self.store.update(
                    self.store.require_record(entity_id), data, user, headers.get("x-version-number")
                )
            case "POST", []:
                result = self.store.post(data, user, skip_check=headers.get("x-skip-duplicate-check") == "true")
            case "DELETE", [entity_id]:
                self.store.delete(self.store.require_record(entity_id))
                return True
            case _:
                raise espo_refusal(404, "")
        return without_attributes(result, role.denied_attributes("read"))

    def _other(self, request: UserRequest) -> Any:  # noqa: ANN401, PLR0911  JSON; a return for each controller
        method, parts, user = request.method, request.parts, request.user
        match method, parts:
            case "GET", ["App", "user"]:
                return _app_user(user, self.store.role_of(user), has_locks=self.store.version.has_locks)
            case "GET", ["Settings"]:
                return self.store.settings
            case "GET", ["Metadata"]:
                return self.store.entity.metadata(request.query, self.store.role_of(user))
            case "GET", ["User"]:
                return {"total": 0, "list": []}
            case "POST", ["Note"]:
                return self.store.post_note(request.data, user)
            case "POST", ["Action"] if self.store.version.has_locks:
                return self._lock_or_unlock(request)
            case "POST", ["Notification"]:
                raise espo_refusal(403, "No create access.")
        if parts[0] not in CLOSED_ENTITIES | ADMIN_CONTROLLERS:
            raise espo_refusal(404, f"Controller '{parts[0]}' does not exist.")
        if not user.is_admin:
            raise espo_refusal(403, f"No {ACTIONS[method]} access.") if parts[0] in CLOSED_ENTITIES else blank_refusal()
        return self._administer(request)

    def _lock_or_unlock(self, request: UserRequest) -> Json:
        """Lock a record or unlock it, where the role permits it (fact B18)."""
        if not self.store.role_of(request.user).may_lock:
            raise permission_refusal()
        record = self.store.require_record(str(request.data.get("id")))
        return self.store.lock(record, request.user, is_locked=request.data.get("action") == "lock")

    def _administer(self, request: UserRequest) -> Any:  # noqa: ANN401  JSON
        match request.method, request.parts:
            case "GET", ["Contact", contact_id] if contact_id in self.store.contacts:
                return self.store.contact_entry(contact_id)
            case "PUT" | "PATCH", ["Settings"]:
                self.store.settings |= request.data
                return self.store.settings
            case "POST", ["EntityManager", "action", "updateEntity"]:
                self.store.entity.save_switches(request.data)
                return True
            case "POST", ["Admin", "fieldManager", entity] if entity == ENTITY:
                return self.store.create_field(request.data)
            case "PUT", ["Admin", "fieldManager", entity, name] if entity == ENTITY:
                return self.store.entity.change_field(name, request.data)
        raise espo_refusal(404, "")


def _whole_items(entries: Iterable[EntryInput], book: AddressBook, present_items: Iterable[Json] = ()) -> list[Json]:
    """Entries as whole items; a value the record already holds keeps its keys, as in EspoCRM's window."""
    items_by_value = {item[book.scalar]: item for item in present_items}
    return [_whole_item(entry, book.scalar, items_by_value) for entry in entries]


def _whole_item(entry: EntryInput, scalar: str, items_by_value: Mapping[str, Json]) -> Json:
    if isinstance(entry, dict):
        return entry
    value, type_item = (entry, {}) if isinstance(entry, str) else (entry[0], {"type": entry[1]})
    return {**items_by_value.get(value, {scalar: value}), **type_item}


def _parse_body(body: bytes) -> Json:
    """A body as an object; EspoCRM answers bad JSON with 500 and nothing else."""
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise espo_refusal(500, "")
    return data


def _app_user(user: User, role: Role, *, has_locks: bool) -> Json:
    kind = "admin" if user == ADMIN else "api"
    name = user.name if user.is_api else user.name.lower()
    user_json = {"id": user.id, "name": user.name, "userName": name, "type": kind, "isActive": True}
    lock = {"lockPermission": "yes" if role.may_lock else "no"} if has_locks else {}
    return {"user": user_json, "acl": {"table": role.table, "fieldTable": {ENTITY: role.fields}, **lock}}
