"""Which persons a too destructive plan keeps back, and whether somebody else writes what is ours (rules §6).

A second writer: only what we left in EspoCRM is compared with what stands there, and no clock. A fingerprint that is
not ours and equals the rows just read was written by somebody who saw these rows: a later run of ours, of which a store
that was put back knows nothing, or a tool of the same kind. Which of them it was nobody can tell from it; that the
baseline is outdated, anybody can.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Final

from etl.enums import SYNC_REQUESTED, Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

SHARE_APPLIES_ABOVE_PERSONS: Final = 3
"""Up to here the share does not bite, of persons that vanish."""

REMOVING_ACTIONS: Final = frozenset(
    {Action.REMOVE, Action.REPLACE, Action.EMPTY, Action.UPDATE, Action.REVERT, Action.LEFTOVER}
)
"""The actions that take or overwrite a value.

In EspoCRM remove and replace; in Advoware empty, update, revert and leftover (a second row of ours becomes a slot).
Creating, filling a slot and writing a marker (add, create, fill, mark) destroy nothing and are not counted.
"""

_SHARE_APPLIES_ABOVE = 10  # up to here the share does not bite: a firm of 12 entries may change two


def persons_over_limit(
    removals: Mapping[str, int], *, baseline_rows: int, rows_seen: int, max_removals: int, max_removal_share: float
) -> frozenset[str]:
    """Return the entity ids to hold: every person with counted steps when there are too many in all, else nobody.

    ``removals`` gives the number of steps whose action is in ``REMOVING_ACTIONS``, by entity id. Too many are more than
    ``max_removals``, or more than 10 that are also more than that share of the baseline's rows or the rows seen,
    whichever is more.
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
    """Return how many counted steps a run may take without approval (rules §6, Guards)."""
    entries = max(baseline_rows, rows_seen)
    share = floor(max_removal_share * entries)
    while entries and (share + 1) / entries <= max_removal_share:  # 0.29 of 100 is 28.999…: dividing says it right
        share += 1
    return min(max_removals, max(share, _SHARE_APPLIES_ABOVE))


def too_many_endings(endings: int, persons_read: int, *, max_removals: int, max_removal_share: float) -> bool:
    """Whether more persons wait or ended lately than may without anybody's approval (rules §1, Endings).

    More than ``max_removals``, or more than 3 that are also more than that share of the persons looked at.
    """
    over_share = endings > SHARE_APPLIES_ABOVE_PERSONS and (
        persons_read == 0 or endings / persons_read > max_removal_share
    )
    return endings > max_removals or over_share


STRIKES: Final = 2
"""A status that is not ours is somebody's slip once, and a second writer the second time running."""


MAX_SECOND_WRITER_PERSONS: Final = 3
"""More persons than this in one run are no accident: the run holds everybody."""


OTHER_FINGERPRINT: Final = "its fingerprint is not the one we left there"


OTHER_STATUS: Final = "its status is, twice running, not the one we left there"


OWN_RESET: Final = "our own write of its status sets it to be synced again"


LATER_RUN: Final = (
    "EspoCRM shows a later sync than this state store knows of: a backup of the store was put back, or a second "
    "advosync works here. What this store knew as agreed is outdated; the markers tell it anew"
)


OWN_KEY: Final = "it was our own API user who wrote it: does a second advosync use its key, or was a backup put back?"


@dataclass(frozen=True, slots=True)
class OwnWrites:
    """What our writes may have left in EspoCRM: as acknowledged, and as sent by a write whose answer is missing."""

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

        ``rows_fingerprint``: the fingerprint of the rows just read. ``saved_since_restore``: the store was put back
        from a copy, it did not sync the person since then, and our own user saved the record last.
        """
        return self.is_other_fingerprint(fingerprint) and (fingerprint == rows_fingerprint or saved_since_restore)

    def is_other_status(self, status: str | None) -> bool:
        """Whether the status is neither ours nor a request, once we have written one."""
        return bool(self.statuses) and status not in self.statuses | SYNC_REQUESTED

    def is_own_reset(self, status: str | None, *, saved_by_us: bool) -> bool:
        """Whether the record asks for a sync though nobody saved it after our own write, which never asks."""
        return bool(self.statuses) and saved_by_us and status in SYNC_REQUESTED


@dataclass(frozen=True, slots=True)
class SecondWriterCheck:
    """``reason`` names the second writer, None while there is none; ``foreign_writes`` is what to remember."""

    reason: str | None
    foreign_writes: int


def find_second_writer(
    own: OwnWrites, status: str | None, fingerprint: str | None, *, saved_by_us: bool, is_entry_changed: bool
) -> SecondWriterCheck:
    """Say whether a second writer shows in a record as it was just read."""
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
    """Whether so many persons of a run are written by somebody else that it holds everybody."""
    return len(persons) > MAX_SECOND_WRITER_PERSONS
