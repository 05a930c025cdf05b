"""Records that staff lock, in EspoCRM 10 (facts B17 to B23): nothing of them can be changed but what is notLockable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.record import PERSON_ATTRIBUTES
from jobs.sandbox.espocrm.refusals import espo_refusal
from jobs.sandbox.espocrm.role import attributes_of
from jobs.sandbox.simulator import EarlyResponse, SimResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from jobs.sandbox.espocrm.record import Record
    from jobs.sandbox.simulator import Json

LOCK_FIELD: Json = {"type": "bool", "readOnly": True}
LABELS = {"name": "Name", "emailAddress": "Email", "phoneNumber": "Phone"}
"""How a field is called on the screen; a custom field by its own name."""


def check_lock(record: Record, changed: AbstractSet[str], fields: Mapping[str, Json]) -> None:
    """Refuse a PUT that changes a locked field of a locked record, naming the first such field (fact B19)."""
    if not record.is_locked:
        return
    for name, definition in fields.items():
        attributes = PERSON_ATTRIBUTES if name == "name" else attributes_of(name)
        if not definition.get("notLockable") and not changed.isdisjoint(attributes):
            raise lock_refusal("cannotModifyLockedRecord", {"field": field_label(name)})


def check_removal(record: Record) -> None:
    """Refuse to delete a locked record (fact B19)."""
    if record.is_locked:
        raise lock_refusal("cannotRemoveLockedRecord", {})


def field_label(name: str) -> str:
    """What the screen calls a field."""
    return LABELS.get(name, name)


def lock_refusal(label: str, data: Json) -> EarlyResponse:
    """The end of a request that a lock forbids."""
    return espo_refusal(409, label, {"messageTranslation": {"label": label, "scope": None, "data": data}})


def permission_refusal() -> EarlyResponse:
    """The end of a request to lock or unlock by a user whose role does not let it (fact B18)."""
    headers = {"Content-Type": "text/html; charset=UTF-8", "X-Status-Reason": "Not allowed."}
    return EarlyResponse(SimResponse(403, headers, b""))
