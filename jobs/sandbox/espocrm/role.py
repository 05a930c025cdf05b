"""What a user may do: with the entity, its fields, and records that share an address (EspoCRM facts B7, B12-B15)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.arrays import ADDRESSES
from jobs.sandbox.espocrm.record import ENTITY

if TYPE_CHECKING:
    from jobs.sandbox.simulator import Json

ALL_RIGHTS = {"read": "all", "stream": "all", "edit": "all", "delete": "all", "create": "yes"}


@dataclass(slots=True)
class Role:
    """The API user's rights; people and the administrator have them all.

    ``table`` and ``fields`` are `acl.table` and `acl.fieldTable` of `GET App/user`: ``del table["CBeteiligte"]`` is a
    role without the entity, ``fields["phoneNumber"] = {"read": "yes", "edit": "no"}`` one that loses phones silently.
    ``protected_ids``: records, Contacts among them, that the user may not edit. ``may_lock``: `lockPermission`.
    """

    table: dict[str, dict[str, str]] = field(default_factory=lambda: {ENTITY: dict(ALL_RIGHTS)})
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    protected_ids: set[str] = field(default_factory=set)
    may_lock: bool = False

    def allows(self, action: str, entity: str) -> bool:
        """Whether an action of ``table`` is granted on some records of the entity."""
        return self.table.get(entity, {}).get(action, "no") != "no"

    def denied_attributes(self, action: str) -> frozenset[str]:
        """The attributes that may not be read, or edited."""
        if not self.fields:
            return frozenset()
        return frozenset(
            name
            for field_name, rights in self.fields.items()
            if rights[action] == "no"
            for name in attributes_of(field_name)
        )


FULL_ROLE = Role(may_lock=True)


def attributes_of(field_name: str) -> tuple[str, ...]:
    """The attributes that come and go with a field."""
    suffixes = ("Data", "IsOptedOut", "IsInvalid") if field_name in ADDRESSES else ()
    return (field_name, *(f"{field_name}{suffix}" for suffix in suffixes))


def without_attributes(answer: Json, attributes: frozenset[str]) -> Json:
    """A record, or a list of them, without attributes: not null, not empty, absent (fact B14)."""
    if not attributes:
        return answer
    if "list" in answer:
        return {**answer, "list": [without_attributes(record, attributes) for record in answer["list"]]}
    return {name: value for name, value in answer.items() if name not in attributes}
