"""EspoCRM's JSON as our records: what must be there is there, or the error names the field (rules.md §1).

EspoCRM's field names are configurable, so this reads by name instead of by model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.clients.listing import Page, incomplete
from etl.errors import ConfigError, Malformed
from etl.records import Channel, EspoRecord, Item, Listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from etl.clients.answers import Answer

Payload: TypeAlias = "dict[str, Any]"

FIELDS = {
    "betnr":        "betnr",
    "sync_status":  "syncStatus",
    "last_sync":    "advowareLastSync",
    "fingerprint":  "kommunikationHash",
    "error":        "syncErrorMessage",
    "retry_count":  "syncRetryCount",
    "next_retry":   "syncNextRetry",
    "auto_reset":   "syncAutoResetAt",
}
"""Our name of each custom field, and EspoCRM's unless configured otherwise (espocrm-api.md, The entity)."""

ARRAYS = {Channel.PHONE: ("phoneNumberData", "phoneNumber"), Channel.MAIL: ("emailAddressData", "emailAddress")}
"""Where a channel's items are, and which of their keys is the value; that is the field's name, too."""


@dataclass(frozen=True, slots=True)
class EspoUser:
    """Who we are in EspoCRM. ``acl`` is its table: scope to what is allowed there.

    ``fields``: what its role says of the entity's fields, by EspoCRM's name; of whom it says nothing, all is allowed.
    """

    id: str
    name: str
    acl: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def may(self, action: str, name: str) -> bool:
        """Whether the role lets us ``read`` or ``edit`` this field (espocrm-api.md ² 12)."""
        rights = self.fields.get(name)
        return not isinstance(rights, dict) or rights.get(action) != "no"

    def channels_it_may_not(self, action: str) -> frozenset[Channel]:
        """The channels whose field may not be ``read``, or ``edit``ed: their keys are absent, their writes dropped."""
        return frozenset(channel for channel, (_, name) in ARRAYS.items() if not self.may(action, name))


@dataclass(frozen=True, slots=True)
class EspoServer:
    """What EspoCRM says of itself; ``international``: national phone numbers are refused (espocrm-api.md, fact 8)."""

    version: str
    international: bool
    extensions: bool
    max_mails: int
    max_phones: int
    maintenance: bool
    answered_at: str


def field_names(configured: Mapping[str, str] | None) -> dict[str, str]:
    """``FIELDS`` with the configured names put in; ``ConfigError`` for a name we have no use for."""
    unknown = set(configured or {}) - set(FIELDS)
    if unknown:
        raise ConfigError(f"espocrm.fields: {', '.join(sorted(unknown))} unknown; known are {', '.join(FIELDS)}")
    return FIELDS | dict(configured or {})


def selected(fields: Mapping[str, str]) -> list[str]:
    """What a list is asked to show."""
    custom = ("fingerprint", "last_sync", "retry_count", "next_retry", "auto_reset")
    names = ["id", fields["betnr"], "name", fields["sync_status"], "modifiedAt", "modifiedById"]
    return [*names, *(fields[name] for name in custom)]


def read_user(answer: Answer, entity: str) -> EspoUser:
    """The answer of ``App/user``, with what it says of ``entity``'s fields."""
    user, acl = _object(answer.payload, "App/user").get("user"), _object(answer.payload, "App/user").get("acl")
    if not isinstance(user, dict) or not _text(user, "id", "App/user"):
        raise Malformed("EspoCRM's App/user lacks user.id.")
    rights = acl if isinstance(acl, dict) else {}
    name = user.get("userName") or user.get("name") or user["id"]
    fields = _table(_table(rights, "fieldTable"), entity)
    return EspoUser(user["id"], str(name), _table(rights, "table"), fields)


def _table(rights: Payload, name: str) -> Payload:
    """A part of the rights; PHP writes an empty one as a list."""
    part = rights.get(name)
    return part if isinstance(part, dict) else {}


def read_server(answer: Answer) -> EspoServer:
    """The answer of ``Settings``; what it does not say is read as an EspoCRM of 9.0 or later with old phone rules."""
    told = _object(answer.payload, "Settings")
    return EspoServer(
        version=str(told.get("version") or "unknown"),
        international=told.get("phoneNumberInternational") is True,
        extensions=told.get("phoneNumberExtensions") is True,
        max_mails=_number(told, "emailAddressMaxCount", "Settings") or 10,
        max_phones=_number(told, "phoneNumberMaxCount", "Settings") or 10,
        maintenance=told.get("maintenanceMode") is True,
        answered_at=answer.answered_at,
    )


def read_page(answer: Answer, fields: Mapping[str, str]) -> Page:
    """A list's answer; ``Outage`` for what is no list, because nothing may be concluded from it."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    records, total = payload.get("list"), payload.get("total")
    if not isinstance(records, list) or isinstance(total, bool) or not isinstance(total, int | None):
        raise incomplete("the answer has no list or no total")
    try:
        return Page(tuple(read_listing(record, fields) for record in records), answer.answered_at, total)
    except Malformed as error:
        raise incomplete(str(error)) from error


def read_ids(answer: Answer, size: int) -> list[str]:
    """The ids of a list of at most ``size`` records; ``Outage`` for what is no list, or not all it counts."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    records, total = payload.get("list"), payload.get("total")
    if not isinstance(records, list) or isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise incomplete("the answer has no list or no total")
    if len(records) < min(total, size):
        raise incomplete(f"{len(records)} of {total} records came")
    try:
        return [_identity(_object(record, "a record of a list"), "a record of a list") for record in records]
    except Malformed as error:
        raise incomplete(str(error)) from error


def read_listing(payload: object, fields: Mapping[str, str]) -> Listing:
    """One record of a list. A missing key is refused: read as null it would end a person's link."""
    record = _object(payload, "a record of a list")
    of = f"record {record.get('id')}"
    _demand(record, ("id", "modifiedAt", fields["betnr"], fields["sync_status"], fields["fingerprint"]), of)
    return Listing(
        entity_id=_identity(record, of),
        betnr=_number(record, fields["betnr"], of),
        name=_text(record, "name", of),
        status=_text(record, fields["sync_status"], of),
        fingerprint=_text(record, fields["fingerprint"], of),
        modified_at=_text(record, "modifiedAt", of),
        modified_by=_text(record, "modifiedById", of),
        next_retry_at=_text(record, fields["next_retry"], of),
        auto_reset_at=_text(record, fields["auto_reset"], of),
    )


def read_record(
    answer: Answer, fields: Mapping[str, str], entity_id: str, unread: Collection[Channel] = ()
) -> EspoRecord:
    """One record with its items, but those of channels ``unread``. The arrays must be lists: absent is not empty."""
    record = _object(answer.payload, f"record {entity_id}")
    listing = read_listing(record, fields)
    if listing.entity_id != entity_id:
        raise Malformed(f"EspoCRM answered record {listing.entity_id} where {entity_id} was asked for.")
    return EspoRecord(
        entity_id=entity_id,
        betnr=listing.betnr,
        name=listing.name,
        status=listing.status,
        fingerprint=listing.fingerprint,
        modified_at=listing.modified_at,
        modified_by=listing.modified_by,
        answered_at=answer.answered_at,
        items=tuple(
            item for channel in ARRAYS if channel not in unread for item in _items(record, channel, entity_id)
        ),
        version=_number(record, "versionNumber", f"record {entity_id}"),
        retry_count=_number(record, fields["retry_count"], f"record {entity_id}") or 0,
        next_retry_at=listing.next_retry_at,
        auto_reset_at=listing.auto_reset_at,
    )


def has_arrays(payload: object, unread: Collection[Channel] = ()) -> bool:
    """All channels but those ``unread`` are there as lists."""
    wanted = [array for channel, (array, _) in ARRAYS.items() if channel not in unread]
    return isinstance(payload, dict) and all(isinstance(payload.get(array), list) for array in wanted)


def _items(record: Payload, channel: Channel, entity_id: str) -> Iterator[Item]:
    array, key = ARRAYS[channel]
    items = record.get(array)
    if not isinstance(items, list):
        raise Malformed(f"EspoCRM's record {entity_id} lacks the list {array}.")
    for item in items:
        whole = _object(item, f"{array} of record {entity_id}")
        value = _text(whole, key, f"{array} of record {entity_id}")
        if value and value.strip():
            yield Item(
                channel=channel,
                value=value,
                type=_text(whole, "type", f"{array} of record {entity_id}"),
                primary=whole.get("primary") is True,
                opt_out=whole.get("optOut") is True,
                invalid=whole.get("invalid") is True,
                raw=json.dumps(whole, ensure_ascii=False, sort_keys=True),
            )


def _object(payload: object, of: str) -> Payload:
    if not isinstance(payload, dict):
        raise Malformed(f"EspoCRM's answer for {of} is no object.")
    return payload


def _demand(record: Payload, names: tuple[str, ...], of: str) -> None:
    missing = [name for name in names if name not in record]
    if missing:
        raise Malformed(f"EspoCRM's {of} lacks {', '.join(missing)}; run `advosync check` for fields and permissions.")


def _identity(record: Payload, of: str) -> str:
    entity_id = _text(record, "id", of)
    if not entity_id:
        raise Malformed(f"EspoCRM's {of} has an empty id.")
    return entity_id


def _text(record: Payload, name: str, of: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"EspoCRM's {of} has {name} as {type(value).__name__} instead of text.")
    return value


def _number(record: Payload, name: str, of: str) -> int | None:
    """A whole number, also where the firm made its field as text."""
    value = record.get(name)
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() else value.strip() or None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Malformed(f"EspoCRM's {of} has {name} as {type(value).__name__} instead of a whole number.")
