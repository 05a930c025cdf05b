"""What the two systems answered, as frozen values: the only types that clients, stages and store exchange.

Times are UTC text ``YYYY-MM-DD HH:MM:SS`` throughout, as EspoCRM writes them and as the state store keeps them.
Values are kept as written; nothing here is canonical.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

REPLACEMENT_CHARACTER = "\ufffd"
"""Stands where a system cut a character in two: half of a surrogate pair cannot be stored, sent or compared.

.NET and browsers write U+FFFD there themselves, so both read alike. If it were left out, a value of nothing else would
read as empty, which means that a person deleted it.
"""


class Side(StrEnum):
    """Where an entry lives."""

    ESPO = "espo"
    ADVO = "advo"


class Channel(StrEnum):
    """What kind of address an entry is."""

    PHONE = "phone"
    MAIL = "mail"


class Direction(StrEnum):
    """Which side may be written with the other side's changes."""

    BOTH = "both"
    TO_ADVOWARE = "to_advoware"
    TO_ESPOCRM = "to_espocrm"


class Scope(StrEnum):
    """How far a conflict reaches."""

    PERSON = "person"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class EspoItem:
    """An entry in EspoCRM. ``raw`` is the whole item as read, JSON text with sorted keys, to send every key back."""

    channel: Channel
    value: str
    type: str | None = None
    primary: bool = False
    opt_out: bool = False
    invalid: bool = False
    raw: str = "{}"


@dataclass(frozen=True, slots=True)
class EspoListing:
    """A CBeteiligte as a list shows it: without its arrays (EspoCRM fact A1). ``is_locked``: by staff (fact B20)."""

    entity_id: str
    betnr: int | None
    name: str | None
    status: str | None
    fingerprint: str | None
    modified_at: str | None
    modified_by: str | None
    next_retry_at: str | None = None
    auto_reset_at: str | None = None
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class EspoRecord:
    """A CBeteiligte with its items, as a single GET or a PUT answers. ``answered_at`` is the server's own ``Date``."""

    entity_id: str
    betnr: int | None
    name: str | None
    status: str | None
    fingerprint: str | None
    modified_at: str | None
    modified_by: str | None
    answered_at: str
    items: tuple[EspoItem, ...] = ()
    version: int | None = None
    retry_count: int = 0
    next_retry_at: str | None = None
    auto_reset_at: str | None = None
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class AdvoRow:
    """A Kommunikation in Advoware, as read."""

    komm_id: int
    row_id: str
    value: str | None
    remark: str | None
    komm_kz: int = 0
    online: bool = False


@dataclass(frozen=True, slots=True)
class RowDraft:
    """What is written to a Kommunikation: always all writable fields, as nobody knows if a PUT merges or replaces."""

    value: str
    remark: str
    online: bool = False
    komm_kz: int | None = None  # creation only; read-only afterwards


@dataclass(frozen=True, slots=True)
class AdvoRecord:
    """A Beteiligter with all its Kommunikationen. ``fields`` are its top-level contact fields, name to value."""

    betnr: int
    rows: tuple[AdvoRow, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
