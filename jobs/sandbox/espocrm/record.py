"""One CBeteiligte as EspoCRM keeps and shows it, and what it refuses in a plain field."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.arrays import InvalidField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from jobs.sandbox.simulator import Json

ENTITY = "CBeteiligte"
PERSON_ATTRIBUTES = ("salutationName", "firstName", "lastName", "middleName", "description")
ADDRESS_ATTRIBUTES = ("addressStreet", "addressCity", "addressState", "addressCountry", "addressPostalCode")
MESSAGE_LENGTH = 2000
DATETIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
STREAM_ATTRIBUTES = frozenset({"streamUpdatedAt", "isFollowed", "followersIds", "followersNames"})
UNLISTED_ATTRIBUTES = frozenset({"teamsIds", "teamsNames", "isFollowed", "followersIds", "followersNames"})


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in. What the API user may do is its role's affair."""

    id: str
    name: str
    is_admin: bool = False
    is_api: bool = False


@dataclass(slots=True)
class Record:
    """A stored person without its addresses. ``torn`` is the second of the last array PUT and the torn GETs left."""

    id: str
    values: Json
    created_at: str
    modified_at: str
    created_by: User
    modified_by: User | None = None
    deleted: bool = False
    is_locked: bool = False
    version: int | None = None
    torn: tuple[str, int] = ("", 0)
    stream_updated_at: str = field(default="")

    @property
    def name(self) -> str:
        """First and last name."""
        return " ".join(part for part in (self.values["firstName"], self.values["lastName"]) if part)

    def bump(self, user: User, now: str) -> None:
        """Every update does this, also one that changes nothing (EspoCRM fact A2)."""
        self.modified_at, self.modified_by = now, user

    def show(self, scalars: Json, arrays: Json) -> Json:
        """The whole record as a single GET answers it."""
        user = self.modified_by
        return {
            "id": self.id,
            "name": self.name,
            "deleted": self.deleted,
            **self.values,
            **scalars,
            "createdAt": self.created_at,
            "modifiedAt": self.modified_at,
            "streamUpdatedAt": self.stream_updated_at or self.created_at,
            **arrays,
            "createdById": self.created_by.id,
            "createdByName": self.created_by.name,
            "modifiedById": user.id if user else None,
            "modifiedByName": user.name if user else None,
            "assignedUserId": None,
            "assignedUserName": None,
            "teamsIds": [],
            "teamsNames": {},
            "isFollowed": False,
            "followersIds": [],
            "followersNames": {},
        }


def writable_attributes(fields: Mapping[str, Json]) -> list[str]:
    """The plain attributes a PUT may set; all others it silently ignores (EspoCRM, Writing)."""
    return [
        *PERSON_ATTRIBUTES,
        *ADDRESS_ATTRIBUTES,
        *(name for name, definition in fields.items() if definition.get("isCustom")),
    ]


def default_values(fields: Mapping[str, Json]) -> Json:
    """The values of a record nobody has filled in."""
    return {name: fields[name].get("default") for name in writable_attributes(fields)}


def check_value(name: str, value: object, definition: Json) -> None:
    """Raise InvalidField when EspoCRM would refuse the value of a plain field."""
    if value is None or value == "":
        if definition.get("required"):
            raise InvalidField(name, "required")
        return
    if not _is_valid(value, definition):
        raise InvalidField(name, "valid")
    limit = definition.get("maxLength", MESSAGE_LENGTH if name == "syncErrorMessage" else None)
    if limit and len(str(value)) > limit:
        raise InvalidField(name, "maxLength")


def _is_valid(value: object, definition: Json) -> bool:
    match definition["type"]:
        case "enum":
            return value in definition["options"]
        case "datetime":
            return isinstance(value, str) and bool(DATETIME.fullmatch(value))
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)


def generate_ids(seed: int, clock: Callable[[], datetime]) -> Iterator[str]:
    """Ids of 17 hex digits, the time first, as EspoCRM makes them; the rest follows from the seed."""
    for number in itertools.count():
        digest = hashlib.sha256(f"espocrm {seed} {number}".encode()).hexdigest()
        yield f"{int(clock().timestamp()):08x}{digest[:9]}"
