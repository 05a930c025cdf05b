"""Who wins an entry (rules.md §4): one table, from the variant, whether the person is in conflict, and the direction.

EspoCRM wins. ``GO`` carries the variant out, ``REVERT`` puts Advoware back to what EspoCRM says,
``HOLD`` leaves both sides as they are until a run whose direction allows it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from etl.records import Direction, Scope
from etl.rules.variants import ADVO_CHANGES, ESPO_CHANGES, Variant


class Verdict(StrEnum):
    """What becomes of a decision."""

    GO = "go"
    REVERT = "revert"
    HOLD = "hold"


TO_ESPOCRM_ALLOWS: Final = frozenset(
    {Variant.VAR3, Variant.VAR4, Variant.VAR6, Variant.LINK, Variant.REPAIR, Variant.FORGET, Variant.SAME}
)


def verdict(variant: Variant, direction: Direction, *, person_conflict: bool, unsafe_to_revert: bool) -> Verdict:
    """Say what becomes of one decision.

    ``person_conflict``: both sides of the person changed and the scope is the person.
    ``unsafe_to_revert``: a first sync, or an entry a first sync held back: nothing of it may be emptied or overwritten.
    """
    if direction is Direction.TO_ESPOCRM:
        return Verdict.GO if variant in TO_ESPOCRM_ALLOWS else Verdict.HOLD
    if variant is Variant.CLASH or variant not in ADVO_CHANGES:
        return Verdict.GO
    if direction is Direction.TO_ADVOWARE:
        return Verdict.HOLD if unsafe_to_revert else Verdict.REVERT
    return Verdict.REVERT if person_conflict and not unsafe_to_revert else Verdict.GO


def in_conflict(variants: set[str], scope: Scope) -> bool:
    """Whether a person with these variants is in conflict as a whole (the seed's rule); no clock is asked."""
    return scope is Scope.PERSON and bool(variants & ESPO_CHANGES) and bool(variants & ADVO_CHANGES)
