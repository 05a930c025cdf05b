"""The words that columns of the state store may hold; the checks of the schema list the same words. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PersonStatus(StrEnum):
    """The status of a person; the words are those of EspoCRM's field ``syncStatus`` (EspoCRM, The entity)."""

    PENDING_SYNC = "pending_sync"
    DIRTY = "dirty"
    SYNCING = "syncing"
    CLEAN = "clean"
    FAILED = "failed"
    PERMANENTLY_FAILED = "permanently_failed"
    CONFLICT = "conflict"
    DELETED_IN_ADVOWARE = "deleted_in_advoware"


SYNC_REQUESTED: Final = frozenset({PersonStatus.PENDING_SYNC, PersonStatus.DIRTY})
"""What people and hooks in EspoCRM may set at any time to ask for a sync."""


class ChangeState(StrEnum):
    """How far one write has got."""

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
    """How far the decision about one entry has got."""

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
"""The outcomes of a run that was completed: single persons may have failed or been held."""


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
    """Causes of a note that later runs act upon: ``detail`` begins with these words, in stores of every age."""

    UNDO = "undone"
    TYPE_CHANGE = "type changed in EspoCRM"
    OWN_LEFTOVER = "our own second row"
    """It waits until its value belongs to a pair; any other duplicate is a row that a person made."""
    SPLIT_PAIR = "an earlier version took two values for one"
    """Noted on both halves of a pair that a newer grammar no longer reads as one value, until one half is edited."""

    def is_cause_of(self, detail: str) -> bool:
        """Whether a note with this ``detail`` was left for this cause."""
        return detail.startswith(self)


class Absence(StrEnum):
    """How a person is gone, or no longer linked as before (rules §1, Endings)."""

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
"""Each in words, also as the reason why the person is due."""


class HoldKind(StrEnum):
    """Which guard keeps a person back."""

    REMOVALS = "removals"
    CONFIGURATION = "configuration"
    RECOVERY = "recovery"
    SECOND_WRITER = "second_writer"
    ENDINGS = "endings"
