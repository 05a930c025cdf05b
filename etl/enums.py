"""The closed sets of words that columns of the state store hold; the schema's checks name the same words. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PersonStatus(StrEnum):
    """How a person stands; the words are EspoCRM's field ``syncStatus`` (EspoCRM, The entity)."""

    PENDING_SYNC = "pending_sync"
    DIRTY = "dirty"
    SYNCING = "syncing"
    CLEAN = "clean"
    FAILED = "failed"
    PERMANENTLY_FAILED = "permanently_failed"
    CONFLICT = "conflict"
    DELETED_IN_ADVOWARE = "deleted_in_advoware"


SYNC_REQUESTED: Final = frozenset({PersonStatus.PENDING_SYNC, PersonStatus.DIRTY})
"""What EspoCRM's people and hooks may set whenever they like."""


class ChangeState(StrEnum):
    """How far one write has come."""

    PLANNED = "planned"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"
    DROPPED = "dropped"


class PutOutcome(StrEnum):
    """What became of an array PUT, as a read of the record showed."""

    SEEN = "seen"
    IN_PART = "in_part"
    NOT_STORED = "not_stored"
    EDITED = "edited"
    REFUSED = "refused"


class DecisionState(StrEnum):
    """How far one decided entry has come."""

    PLANNED = "planned"
    DONE = "done"
    SETTLED = "settled"
    SUPERSEDED = "superseded"
    HELD = "held"
    FAILED = "failed"


class RunOutcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    FAILED_PERSONS = "failed_persons"
    HELD = "held"
    OUTAGE = "outage"
    LOCKED = "locked"
    STOPPED = "stopped"
    ABANDONED = "abandoned"
    REFUSED = "refused"
    CRASHED = "crashed"


COMPLETED_OUTCOMES: Final = (RunOutcome.DONE, RunOutcome.FAILED_PERSONS, RunOutcome.HELD)
"""How a run ends that went to its end: single persons may have failed or been held."""


class Action(StrEnum):
    """What one write does to an item of EspoCRM or a row of Advoware."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"
    CREATE = "create"
    FILL = "fill"
    UPDATE = "update"
    REVERT = "revert"
    EMPTY = "empty"
    LEFTOVER = "leftover"
    MARK = "mark"
    PUT_BACK = "put_back"
    UNMARK = "unmark"


class LeftAloneReason(StrEnum):
    """Why nothing is done about an entry."""

    UNSYNCABLE = "unsyncable"
    HELD_BACK = "held_back"
    DUPLICATE = "duplicate"
    UNCLEAR = "unclear"


class NoteCause(StrEnum):
    """Why an entry was left alone, where later runs act on it: how ``detail`` begins, in stores of every age."""

    UNDO = "undone"
    TYPE_CHANGE = "type changed in EspoCRM"
    OWN_LEFTOVER = "our own second row"
    """It waits for its value to be a pair's; any other duplicate is a person's row."""
    SPLIT_PAIR = "an earlier version took two values for one"
    """Noted on both halves of a pair that a newer grammar does not read as one value, until one of them is edited."""

    def is_cause_of(self, detail: str) -> bool:
        """Whether a note with this ``detail`` was left for this cause."""
        return detail.startswith(self)


class Absence(StrEnum):
    """How a person is not there as it was agreed with (rules §1, Endings)."""

    GONE_IN_ADVOWARE = "gone_in_advoware"
    GONE_IN_ESPOCRM = "gone_in_espocrm"
    NO_BETNR = "no_betnr"
    OTHER_BETNR = "other_betnr"
    SHARED_BETNR = "shared_betnr"


ABSENCE_REASONS: Final = {
    Absence.GONE_IN_ADVOWARE: "not found in Advoware",
    Absence.GONE_IN_ESPOCRM: "not found in EspoCRM",
    Absence.NO_BETNR: "its betnr is gone",
    Absence.OTHER_BETNR: "linked to another betnr",
    Absence.SHARED_BETNR: "another record carries its betnr",
}
"""Each in words, also as the reason to be due."""


class HoldKind(StrEnum):
    """Which guard keeps a person back."""

    REMOVALS = "removals"
    CONFIGURATION = "configuration"
    RECOVERY = "recovery"
    SECOND_WRITER = "second_writer"
    ENDINGS = "endings"
