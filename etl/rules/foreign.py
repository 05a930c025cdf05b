"""Whether somebody else writes the fields that are ours to write (rules.md §6, A second writer).

Only what we left in EspoCRM is compared with what stands there, and no clock. A fingerprint that is not ours and equals
the rows just read was written by somebody who saw these rows: a later run of ours, of which a store that was put back
knows nothing, or a tool of the same kind. Which of them it was nobody can tell from it; that the baseline is outdated,
anybody can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

ASKING: Final = frozenset({"pending_sync", "dirty"})
"""What EspoCRM's people and hooks may set whenever they like."""

ENOUGH: Final = 2
"""A status that is not ours is somebody's slip once, and a second writer the second time running."""

TOLERATED: Final = 3
"""More persons than this in one run are no accident: the run holds everybody."""

FOREIGN_HASH: Final = "its fingerprint is not the one we left there"
FOREIGN_STATUS: Final = "its status is, twice running, not the one we left there"
RESET_BY_US: Final = "our own write of its status sets it to be synced again"


LATER_RUN: Final = (
    "EspoCRM shows a later sync than this state store knows of: a backup of the store was put back, or a second "
    "advosync works here. What this store knew as agreed is outdated; the markers tell it anew"
)
OUR_KEY: Final = "it was our own API user who wrote it: does a second advosync use its key, or was a backup put back?"


@dataclass(frozen=True, slots=True)
class Ours:
    """What our writes may have left in EspoCRM: as acknowledged, and as sent by a write whose answer is missing."""

    statuses: frozenset[str]
    fingerprints: frozenset[str]
    foreign_writes: int = 0

    @classmethod
    def of(cls, person: Mapping[str, object]) -> Ours:
        """Read it off a row of the table ``persons``."""
        return cls(
            frozenset(str(person[one]) for one in ("status_written", "status_sent") if person[one]),
            frozenset(str(person[one]) for one in ("fingerprint_written", "fingerprint_sent") if person[one]),
            int(str(person["foreign_writes"] or 0)),
        )

    def has_foreign_hash(self, fingerprint: str | None) -> bool:
        """Whether the fingerprint is neither ours nor empty, once we have written one."""
        return bool(self.fingerprints) and bool(fingerprint) and fingerprint not in self.fingerprints

    def is_outdated(self, fingerprint: str | None, of_rows: str | None, *, ours_since: bool) -> bool:
        """Whether somebody synced the person after the last run this store knows of.

        ``of_rows``: the fingerprint of the rows just read. ``ours_since``: the store was put back from a copy, it did
        not sync the person since then, and our own user saved the record last.
        """
        return self.has_foreign_hash(fingerprint) and (fingerprint == of_rows or ours_since)

    def has_foreign_status(self, status: str | None) -> bool:
        """Whether the status is neither ours nor a request, once we have written one."""
        return bool(self.statuses) and status not in self.statuses | ASKING

    def was_reset(self, status: str | None, *, saved_by_us: bool) -> bool:
        """Whether the record asks for a sync though nobody saved it after our own write, which never asks."""
        return bool(self.statuses) and saved_by_us and status in ASKING


@dataclass(frozen=True, slots=True)
class Judgement:
    """``reason`` names the second writer, None while there is none; ``foreign_writes`` is what to remember."""

    reason: str | None
    foreign_writes: int


def judged(
    ours: Ours, status: str | None, fingerprint: str | None, *, saved_by_us: bool, entry_changed: bool
) -> Judgement:
    """Say whether a second writer shows in a record as it was just read."""
    if ours.has_foreign_hash(fingerprint):
        return Judgement(FOREIGN_HASH, ENOUGH)
    if ours.was_reset(status, saved_by_us=saved_by_us) and not entry_changed:
        return Judgement(RESET_BY_US, ENOUGH)
    if not ours.has_foreign_status(status):
        return Judgement(None, 0)
    if entry_changed:
        return Judgement(None, ours.foreign_writes)
    times = ours.foreign_writes + 1
    return Judgement(FOREIGN_STATUS if times >= ENOUGH else None, times)


def too_many(foreign: Sized) -> bool:
    """Whether so many persons of a run are written by somebody else that it holds everybody."""
    return len(foreign) > TOLERATED
