"""EspoCRM's fixed answers: the fields of CBeteiligte and the settings, as recorded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.sandbox.espocrm.versions import EspoVersion
    from jobs.sandbox.simulator import Json

NO_BAD_CHARACTERS = {"pattern": "$noBadCharacters"}
IN_NAME = {"detailLayoutIncompatibleFieldList": ["name"]}
IN_ADDRESS = {"detailLayoutIncompatibleFieldList": ["address"]}
FLAG_FIELD: Json = {
    "type": "bool",
    "notStorable": True,
    "layoutDetailDisabled": True,
    "layoutDefaultSidePanelDisabled": True,
    "mergeDisabled": True,
    "customizationDefaultDisabled": True,
    "customizationReadOnlyDisabled": True,
    "customizationInlineEditDisabledDisabled": True,
}
PLACE_FIELD = {"customizationOptionsDisabled": True, "customizationOptionsReferenceDisabled": True}
USER_FIELD = {"view": "views/fields/user"}
STATUS_FIELD_OPTIONS = [
    "pending_sync", "dirty", "syncing", "clean", "failed", "permanently_failed", "conflict", "deleted_in_advoware"
]

FIELDS: dict[str, Json] = {
    "name": {"type": "personName", "isPersonalData": True},
    "salutationName": {
        "type": "enum",
        "customizationOptionsReferenceDisabled": True,
        **IN_NAME,
        "options": ["", "Mr.", "Ms.", "Mrs.", "Dr."],
    },
    "firstName": {"type": "varchar", **NO_BAD_CHARACTERS, **IN_NAME, "maxLength": 100},
    "lastName": {"type": "varchar", **NO_BAD_CHARACTERS, **IN_NAME, "maxLength": 100, "required": True},
    "description": {"type": "text"},
    "emailAddress": {"notStorable": True, "type": "email", "isPersonalData": True},
    "phoneNumber": {
        "notStorable": True,
        "type": "phone",
        "typeList": ["Mobile", "Office", "Home", "Fax", "Other"],
        "defaultType": "Mobile",
        "isPersonalData": True,
    },
    "address": {"type": "address", "isPersonalData": True},
    "addressStreet": {"type": "text", "maxLength": 255, "dbType": "varchar", **IN_ADDRESS},
    "addressCity": {
        "type": "varchar",
        "maxLength": 100,
        "view": "views/fields/address-city",
        **PLACE_FIELD,
        **NO_BAD_CHARACTERS,
        **IN_ADDRESS,
    },
    "addressState": {
        "type": "varchar",
        "maxLength": 100,
        "view": "views/fields/address-state",
        **PLACE_FIELD,
        **NO_BAD_CHARACTERS,
        **IN_ADDRESS,
    },
    "addressCountry": {
        "type": "varchar",
        "maxLength": 100,
        "view": "views/fields/address-country",
        **PLACE_FIELD,
        **NO_BAD_CHARACTERS,
        **IN_ADDRESS,
    },
    "addressPostalCode": {"type": "varchar", "maxLength": 40, **NO_BAD_CHARACTERS, **IN_ADDRESS},
    "createdAt": {"type": "datetime", "readOnly": True},
    "modifiedAt": {"type": "datetime", "readOnly": True},
    "createdBy": {"type": "link", "readOnly": True, **USER_FIELD},
    "modifiedBy": {"type": "link", "readOnly": True, **USER_FIELD},
    "assignedUser": {"type": "link", "required": False, "view": "views/fields/assigned-user"},
    "teams": {"type": "linkMultiple", "view": "views/fields/teams"},
    "betnr": {"type": "int", "isCustom": True},
    "syncStatus": {
        "type": "enum",
        "options": STATUS_FIELD_OPTIONS,
        "default": "pending_sync",
        "maxLength": 100,
        "isCustom": True,
    },
    "advowareLastSync": {"notNull": False, "type": "datetime", "isCustom": True},
    "kommunikationHash": {"type": "varchar", "maxLength": 64, "isCustom": True},
    "syncErrorMessage": {"type": "text", "isCustom": True},
    "syncRetryCount": {"type": "int", "default": 0, "isCustom": True},
    "syncNextRetry": {"notNull": False, "type": "datetime", "isCustom": True},
    "syncAutoResetAt": {"notNull": False, "type": "datetime", "isCustom": True},
    "middleName": {"type": "varchar", "maxLength": 100, **NO_BAD_CHARACTERS, **IN_NAME},
    "emailAddressIsOptedOut": {**FLAG_FIELD, "detailLayoutIncompatibleFieldList": ["emailAddress"]},
    "emailAddressIsInvalid": {**FLAG_FIELD, "detailLayoutIncompatibleFieldList": ["emailAddress"]},
    "phoneNumberIsOptedOut": {**FLAG_FIELD, "detailLayoutIncompatibleFieldList": ["phoneNumber"]},
    "phoneNumberIsInvalid": {**FLAG_FIELD, "detailLayoutIncompatibleFieldList": ["phoneNumber"]},
    "addressMap": {
        "type": "map",
        "notStorable": True,
        "orderDisabled": True,
        "readOnly": True,
        "layoutListDisabled": True,
        "provider": "Google",
        "height": 300,
        "exportDisabled": True,
        "importDisabled": True,
        "detailLayoutIncompatibleFieldList": [],
    },
    "streamUpdatedAt": {"type": "datetime", "readOnly": True, "customizationReadOnlyDisabled": True},
}

SETTINGS: Json = {
    "timeZone": "UTC",
    "defaultCurrency": "USD",
    "language": "en_US",
    "recordListMaxSizeLimit": 200,
    "phoneNumberNumericSearch": True,
    "phoneNumberInternational": True,
    "phoneNumberExtensions": False,
}
"""Without `maintenanceMode`, which is absent until it was switched once (fact B33)."""


def fields_of(version: EspoVersion) -> dict[str, Json]:
    """The definitions of the fields as a version shows them."""
    missing = version.missing_definitions
    return {
        name: {
            key: copy.deepcopy(value)
            for key, value in definition.items()
            if missing.isdisjoint({key, f"{name}.{key}"})
        }
        for name, definition in FIELDS.items()
        if name not in missing
    }


def settings_of(version: EspoVersion) -> Json:
    """What `GET Settings` of a version shows on a new installation."""
    limits = {"emailAddressMaxCount": version.max_items, "phoneNumberMaxCount": version.max_items}
    return {"version": version.number, **SETTINGS, **(limits if version.max_items else {})}
