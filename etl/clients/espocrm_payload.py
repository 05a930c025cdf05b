"""EspoCRM's JSON as our records: what must be there is there, or the error names the field (rules §1).

EspoCRM's field names are configurable, so this reads by name instead of by model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.clients.paging import Page, incomplete_list_error
from etl.errors import ConfigError, MalformedPayload
from etl.records import Channel, EspoItem, EspoListing, EspoRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from etl.clients.request import ApiResponse

JsonObject: TypeAlias = "dict[str, Any]"

FIRST_WITH_ITEM_LIMIT = 9  # fact A10

DEFAULT_FIELD_NAMES = {
    "betnr":        "betnr",
    "sync_status":  "syncStatus",
    "last_sync":    "advowareLastSync",
    "fingerprint":  "kommunikationHash",
    "error":        "syncErrorMessage",
    "retry_count":  "syncRetryCount",
    "next_retry":   "syncNextRetry",
    "auto_reset":   "syncAutoResetAt",
}
"""Our name of each custom field, and EspoCRM's unless configured otherwise (EspoCRM, The entity)."""

FIRST_WITH_LOCKS = 10
"""The major version of EspoCRM that brought locks and transactional saves (facts B17, B24)."""

OWN_FIELDS = tuple(name for name in DEFAULT_FIELD_NAMES if name != "betnr")
"""Ours alone: people write the betnr."""

ARRAY_FIELDS = {Channel.PHONE: ("phoneNumberData", "phoneNumber"), Channel.MAIL: ("emailAddressData", "emailAddress")}
"""Where a channel's items are, and which of their keys is the value; that is the field's name, too."""


@dataclass(frozen=True, slots=True)
class EspoUser:
    """Who we are in EspoCRM. ``acl`` is its table: scope to what is allowed there.

    ``fields``: what its role says of the entity's fields, by EspoCRM's name; of whom it says nothing, all is allowed.
    ``may_lock``: it may lock and unlock records, which the sync never does (fact B18).
    """

    id: str
    name: str
    acl: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    may_lock: bool = False

    def may(self, action: str, name: str) -> bool:
        """Whether the role lets us ``read`` or ``edit`` this field (EspoCRM fact B12)."""
        rights = self.fields.get(name)
        return not isinstance(rights, dict) or rights.get(action) != "no"

    def forbidden_channels(self, action: str) -> frozenset[Channel]:
        """The channels whose field may not be ``read``, or ``edit``ed: their keys are absent, their writes dropped."""
        return frozenset(channel for channel, (_, name) in ARRAY_FIELDS.items() if not self.may(action, name))


@dataclass(frozen=True, slots=True)
class EspoServer:
    """What EspoCRM says of itself; ``international``: national phone numbers are refused (EspoCRM fact A8).

    ``max_mails``, ``max_phones``: how many a record may have; None without a limit (fact A10).
    """

    version: str
    international: bool
    extensions: bool
    max_mails: int | None
    max_phones: int | None
    maintenance: bool
    answered_at: str


def field_names(configured: Mapping[str, str] | None) -> dict[str, str]:
    """``DEFAULT_FIELD_NAMES`` with the configured names put in; ``ConfigError`` for a name we have no use for."""
    unknown = set(configured or {}) - set(DEFAULT_FIELD_NAMES)
    if unknown:
        raise ConfigError(
            f"espocrm.fields: {', '.join(sorted(unknown))} unknown; known are {', '.join(DEFAULT_FIELD_NAMES)}"
        )
    return DEFAULT_FIELD_NAMES | dict(configured or {})


def listing_attributes(fields: Mapping[str, str]) -> list[str]:
    """The attributes a list is asked for."""
    custom = ("fingerprint", "last_sync", "retry_count", "next_retry", "auto_reset")
    names = ["id", fields["betnr"], "name", fields["sync_status"], "modifiedAt", "modifiedById"]
    return [*names, *(fields[name] for name in custom)]


def parse_user(response: ApiResponse, entity: str) -> EspoUser:
    """The answer of ``App/user``, with what it says of ``entity``'s fields."""
    user, acl = (
        _require_object(response.payload, "App/user").get("user"),
        _require_object(response.payload, "App/user").get("acl"),
    )
    if not isinstance(user, dict) or not _optional_text(user, "id", "App/user"):
        raise MalformedPayload("EspoCRM's App/user lacks user.id.")
    rights = acl if isinstance(acl, dict) else {}
    name = user.get("userName") or user.get("name") or user["id"]
    fields = _rights_part(_rights_part(rights, "fieldTable"), entity)
    may_lock = rights.get("lockPermission") == "yes"
    return EspoUser(user["id"], str(name), _rights_part(rights, "table"), fields, may_lock)


def _rights_part(rights: JsonObject, name: str) -> JsonObject:
    """A part of the rights; PHP writes an empty one as a list."""
    part = rights.get(name)
    return part if isinstance(part, dict) else {}


def parse_server(response: ApiResponse) -> EspoServer:
    """The answer of ``Settings``; what it does not say is read as an EspoCRM of 9.0 or later with old phone rules."""
    settings = _require_object(response.payload, "Settings")
    version = str(settings.get("version") or "unknown")
    default_limit = None if is_older_than(FIRST_WITH_ITEM_LIMIT, version) else 10
    return EspoServer(
        version=version,
        international=settings.get("phoneNumberInternational") is True,
        extensions=settings.get("phoneNumberExtensions") is True,
        max_mails=_optional_int(settings, "emailAddressMaxCount", "Settings") or default_limit,
        max_phones=_optional_int(settings, "phoneNumberMaxCount", "Settings") or default_limit,
        maintenance=settings.get("maintenanceMode") is True,
        answered_at=response.answered_at,
    )


def is_older_than(major: int, version: str) -> bool:
    """Whether a version such as "9.2.7" is older than a major one; one we cannot read is not."""
    first, _, _ = version.partition(".")
    return first.isdigit() and int(first) < major


def parse_page(response: ApiResponse, fields: Mapping[str, str]) -> Page:
    """A list's answer; ``Outage`` for what is no list, because nothing may be concluded from it."""
    payload = response.payload if isinstance(response.payload, dict) else {}
    records, total = payload.get("list"), payload.get("total")
    if not isinstance(records, list) or isinstance(total, bool) or not isinstance(total, int | None):
        raise incomplete_list_error("the answer has no list or no total")
    try:
        return Page(tuple(parse_listing(record, fields) for record in records), response.answered_at, total)
    except MalformedPayload as error:
        raise incomplete_list_error(str(error)) from error


def parse_ids(response: ApiResponse, size: int) -> list[str]:
    """The ids of a list of at most ``size`` records; ``Outage`` for what is no list, or not all it counts."""
    payload = response.payload if isinstance(response.payload, dict) else {}
    records, total = payload.get("list"), payload.get("total")
    if not isinstance(records, list) or isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise incomplete_list_error("the answer has no list or no total")
    if len(records) < min(total, size):
        raise incomplete_list_error(f"{len(records)} of {total} records came")
    try:
        return [_require_id(_require_object(record, "a record of a list"), "a record of a list") for record in records]
    except MalformedPayload as error:
        raise incomplete_list_error(str(error)) from error


def parse_listing(payload: object, fields: Mapping[str, str]) -> EspoListing:
    """One record of a list. A missing key is refused: read as null it would end a person's link."""
    record = _require_object(payload, "a record of a list")
    label = f"record {record.get('id')}"
    _require_keys(record, ("id", "modifiedAt", fields["betnr"], fields["sync_status"], fields["fingerprint"]), label)
    return EspoListing(
        entity_id=_require_id(record, label),
        betnr=_optional_int(record, fields["betnr"], label),
        name=_optional_text(record, "name", label),
        status=_optional_text(record, fields["sync_status"], label),
        fingerprint=_optional_text(record, fields["fingerprint"], label),
        modified_at=_optional_text(record, "modifiedAt", label),
        modified_by=_optional_text(record, "modifiedById", label),
        next_retry_at=_optional_text(record, fields["next_retry"], label),
        auto_reset_at=_optional_text(record, fields["auto_reset"], label),
        is_locked=record.get("isLocked") is True,
    )


def parse_record(
    response: ApiResponse, fields: Mapping[str, str], entity_id: str, unreadable_channels: Collection[Channel] = ()
) -> EspoRecord:
    """One record with its items, but those of channels ``unreadable_channels``.

    The arrays must be lists: absent is not empty.
    """
    record = _require_object(response.payload, f"record {entity_id}")
    listing = parse_listing(record, fields)
    if listing.entity_id != entity_id:
        raise MalformedPayload(f"EspoCRM answered record {listing.entity_id} where {entity_id} was asked for.")
    return EspoRecord(
        entity_id=entity_id,
        betnr=listing.betnr,
        name=listing.name,
        status=listing.status,
        fingerprint=listing.fingerprint,
        modified_at=listing.modified_at,
        modified_by=listing.modified_by,
        answered_at=response.answered_at,
        items=tuple(
            item
            for channel in ARRAY_FIELDS
            if channel not in unreadable_channels
            for item in _parse_items(record, channel, entity_id)
        ),
        version=_optional_int(record, "versionNumber", f"record {entity_id}"),
        retry_count=_optional_int(record, fields["retry_count"], f"record {entity_id}") or 0,
        next_retry_at=listing.next_retry_at,
        auto_reset_at=listing.auto_reset_at,
        is_locked=listing.is_locked,
    )


def has_item_arrays(payload: object, unreadable_channels: Collection[Channel] = ()) -> bool:
    """All channels but those ``unreadable_channels`` are there as lists."""
    arrays = [array for channel, (array, _) in ARRAY_FIELDS.items() if channel not in unreadable_channels]
    return isinstance(payload, dict) and all(isinstance(payload.get(array), list) for array in arrays)


def _parse_items(record: JsonObject, channel: Channel, entity_id: str) -> Iterator[EspoItem]:
    array, key = ARRAY_FIELDS[channel]
    items = record.get(array)
    if not isinstance(items, list):
        raise MalformedPayload(f"EspoCRM's record {entity_id} lacks the list {array}.")
    for item in items:
        item_payload = _require_object(item, f"{array} of record {entity_id}")
        value = _optional_text(item_payload, key, f"{array} of record {entity_id}")
        if value and value.strip():
            yield EspoItem(
                channel=channel,
                value=value,
                type=_optional_text(item_payload, "type", f"{array} of record {entity_id}"),
                primary=item_payload.get("primary") is True,
                opt_out=item_payload.get("optOut") is True,
                invalid=item_payload.get("invalid") is True,
                raw=json.dumps(item_payload, ensure_ascii=False, sort_keys=True),
            )


def _require_object(payload: object, label: str) -> JsonObject:
    if not isinstance(payload, dict):
        raise MalformedPayload(f"EspoCRM's answer for {label} is no object.")
    return payload


def _require_keys(record: JsonObject, names: tuple[str, ...], label: str) -> None:
    missing = [name for name in names if name not in record]
    if missing:
        raise MalformedPayload(
            f"EspoCRM's {label} lacks {', '.join(missing)}; run `advosync check` for fields and permissions."
        )


def _require_id(record: JsonObject, label: str) -> str:
    entity_id = _optional_text(record, "id", label)
    if not entity_id:
        raise MalformedPayload(f"EspoCRM's {label} has an empty id.")
    return entity_id


def _optional_text(record: JsonObject, name: str, label: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedPayload(f"EspoCRM's {label} has {name} as {type(value).__name__} instead of text.")
    return value


def _optional_int(record: JsonObject, name: str, label: str) -> int | None:
    """A whole number, also where the firm made its field as text."""
    value = record.get(name)
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() else value.strip() or None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise MalformedPayload(f"EspoCRM's {label} has {name} as {type(value).__name__} instead of a whole number.")
