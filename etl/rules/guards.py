"""Whose plan removes too much, and whether somebody else writes the fields that are ours (rules §6, Guards).

To find a second writer, what we left in EspoCRM is compared with what stands there now; no clock is asked. A
fingerprint that is not ours and equals the rows just read was written by somebody who saw these rows: a later run of
ours that a restored store knows nothing of, or a tool of the same kind. Nobody can tell which of them it was, but in
either case the baseline is outdated.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Final

from etl.enums import SYNC_REQUESTED, Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

SHARE_APPLIES_ABOVE_PERSONS: Final = 3
"""Up to this many persons that vanish, the share does not apply."""

REMOVING_ACTIONS: Final = frozenset(
    {Action.REMOVE, Action.REPLACE, Action.EMPTY, Action.UPDATE, Action.REVERT, Action.LEFTOVER}
)
"""The actions that remove or overwrite a value.

In EspoCRM remove and replace; in Advoware empty, update, revert and leftover (a second row of ours becomes a slot).
Creating, filling a slot and writing a marker (add, create, fill, mark) destroy nothing and are not counted.
"""

_SHARE_APPLIES_ABOVE = 10  # up to this many the share does not apply: a firm with 12 entries may change two


def persons_over_limit(
    removals: Mapping[str, int], *, baseline_rows: int, rows_seen: int, max_removals: int, max_removal_share: float
) -> frozenset[str]:
    """Return the entity ids to hold: every person with counted steps when there are too many in all, else nobody.

    ``removals``: by entity id, the number of steps whose action is in ``REMOVING_ACTIONS``. Too many are more than
    ``max_removals``, or more than 10 that also exceed ``max_removal_share`` of the baseline's rows or of the rows seen,
    whichever are more.
    """
    allowed = max_allowed_removals(
        baseline_rows=baseline_rows,
        rows_seen=rows_seen,
        max_removals=max_removals,
        max_removal_share=max_removal_share,
    )
    if sum(removals.values()) <= allowed:
        return frozenset()
    return frozenset(entity_id for entity_id, steps in removals.items() if steps)


def max_allowed_removals(*, baseline_rows: int, rows_seen: int, max_removals: int, max_removal_share: float) -> int:
    """Return how many counted steps a run may carry out without approval (rules §6, Guards)."""
    entries = max(baseline_rows, rows_seen)
    share = floor(max_removal_share * entries)
    while entries and (share + 1) / entries <= max_removal_share:  # 0.29 × 100 is 28.999…: only the division is right
        share += 1
    return min(max_removals, max(share, _SHARE_APPLIES_ABOVE))


def too_many_endings(endings: int, persons_read: int, *, max_removals: int, max_removal_share: float) -> bool:
    """Whether so many persons wait, or ended lately, that somebody must approve it (rules §1, Endings).

    These are more than ``max_removals``, or more than 3 that also exceed ``max_removal_share`` of the persons read.
    """
    over_share = endings > SHARE_APPLIES_ABOVE_PERSONS and (
        persons_read == 0 or endings / persons_read > max_removal_share
    )
    return endings > max_removals or over_share


STRIKES: Final = 2
"""A status that is not ours is a slip the first time, and a second writer the second time running."""


MAX_SECOND_WRITER_PERSONS: Final = 3
"""More persons than this in one run are no accident: then the run holds everybody."""


OTHER_FINGERPRINT: Final = "its fingerprint is not the one we left there"


OTHER_STATUS: Final = "its status is, twice running, not the one we left there"


OWN_RESET: Final = "our own write of its status sets it to be synced again"


LATER_RUN: Final = (
    "EspoCRM shows a later sync than this state store knows of: a backup of the store was put back, or a second "
    "advosync works here. What this store knew as agreed is outdated; it is recovered from the markers"
)


OWN_KEY: Final = "it was our own API user who wrote it: does a second advosync use its key, or was a backup put back?"


@dataclass(frozen=True, slots=True)
class OwnWrites:
    """What our writes may have left in EspoCRM: acknowledged ones, and those whose answer is missing."""

    statuses: frozenset[str]
    fingerprints: frozenset[str]
    foreign_writes: int = 0

    @classmethod
    def from_person(cls, person: Mapping[str, object]) -> OwnWrites:
        """Read it off a row of the table ``persons``."""
        return cls(
            frozenset(str(person[column]) for column in ("status_written", "status_sent") if person[column]),
            frozenset(str(person[column]) for column in ("fingerprint_written", "fingerprint_sent") if person[column]),
            int(str(person["foreign_writes"] or 0)),
        )

    def is_other_fingerprint(self, fingerprint: str | None) -> bool:
        """Whether the fingerprint is neither ours nor empty, once we have written one."""
        return bool(self.fingerprints) and bool(fingerprint) and fingerprint not in self.fingerprints

    def is_outdated(self, fingerprint: str | None, rows_fingerprint: str | None, *, saved_since_restore: bool) -> bool:
        """Whether somebody synced the person after the last run this store knows of.

        ``rows_fingerprint``: the fingerprint of the rows just read. ``saved_since_restore``: the store was restored
        from a backup, has not synced the person since then, and our own user saved the record last.
        """
        return self.is_other_fingerprint(fingerprint) and (fingerprint == rows_fingerprint or saved_since_restore)

    def is_other_status(self, status: str | None) -> bool:
        """Whether the status is neither ours nor a request, once we have written one."""
        return bool(self.statuses) and status not in self.statuses | SYNC_REQUESTED

    def is_own_reset(self, status: str | None, *, saved_by_us: bool) -> bool:
        """Whether the record asks for a sync although our own user, who never asks, saved it last."""
        return bool(self.statuses) and saved_by_us and status in SYNC_REQUESTED


@dataclass(frozen=True, slots=True)
class SecondWriterCheck:
    """``reason``: what shows a second writer, None if nothing does; ``foreign_writes``: the count to remember."""

    reason: str | None
    foreign_writes: int


def find_second_writer(
    own: OwnWrites, status: str | None, fingerprint: str | None, *, saved_by_us: bool, is_entry_changed: bool
) -> SecondWriterCheck:
    """Say whether a record as just read shows a second writer."""
    if own.is_other_fingerprint(fingerprint):
        return SecondWriterCheck(OTHER_FINGERPRINT, STRIKES)
    if own.is_own_reset(status, saved_by_us=saved_by_us) and not is_entry_changed:
        return SecondWriterCheck(OWN_RESET, STRIKES)
    if not own.is_other_status(status):
        return SecondWriterCheck(None, 0)
    if is_entry_changed:
        return SecondWriterCheck(None, own.foreign_writes)
    strikes = own.foreign_writes + 1
    return SecondWriterCheck(OTHER_STATUS if strikes >= STRIKES else None, strikes)


def too_many_second_writer(persons: Sized) -> bool:
    """Whether somebody else writes to so many persons of a run that it holds everybody."""
    return len(persons) > MAX_SECOND_WRITER_PERSONS
