"""Which persons a too destructive plan keeps back (rules §6 "Guards")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.enums import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    total = sum(removals.values())
    entries = max(baseline_rows, rows_seen)
    # Dividing, not multiplying: 29 of 100 must not count as more than 0.29 for a rounding error.
    over_share = total > _SHARE_APPLIES_ABOVE and (entries == 0 or total / entries > max_removal_share)
    if total <= max_removals and not over_share:
        return frozenset()
    return frozenset(entity_id for entity_id, steps in removals.items() if steps)


def too_many_endings(endings: int, persons_read: int, *, max_removals: int, max_removal_share: float) -> bool:
    """Whether more persons wait or ended lately than may without anybody's approval (rules §1, Endings).

    More than ``max_removals``, or more than 3 that are also more than that share of the persons looked at.
    """
    over_share = endings > SHARE_APPLIES_ABOVE_PERSONS and (
        persons_read == 0 or endings / persons_read > max_removal_share
    )
    return endings > max_removals or over_share
