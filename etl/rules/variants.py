"""The decision table (rules §3): which variant an entry is follows from seven facts, and from nothing else.

The facts are booleans, columns of the entries frame:

* ``known``      it is in the baseline, or in a marker that a recovery trusts
* ``in_espo``    EspoCRM has an item for it
* ``in_advo``    Advoware has a row with a value for it
* ``espo_edit``  EspoCRM's value is not the agreed one, and the sides differ
* ``advo_edit``  Advoware's value is not the agreed one, and the sides differ
* ``type_edit``  somebody gave the item of this very record a type of another kommKz
* ``marked``     the row's marker says what it should

If both sides were edited to the *same* value, they agree, and neither counts as edited.

Who wins an entry (``resolve``, rules §4) depends on its variant, on whether the person is in conflict, and on the
direction. In a conflict EspoCRM wins. ``APPLY`` (*go* in the rules) carries the variant out, ``REVERT`` puts Advoware
back to what EspoCRM says, and ``LEAVE`` (*hold*) leaves both sides as they are until the direction allows the change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from etl.enums import NoteCause
from etl.records import Direction, Scope


class Variant(StrEnum):
    """What happened to one entry, in the words of the business."""

    VAR1 = "var1"
    VAR2 = "var2"
    VAR3 = "var3"
    VAR4 = "var4"
    VAR5 = "var5"
    VAR6 = "var6"
    RETYPE = "retype"
    LINK = "link"
    REPAIR = "repair"
    CLASH = "clash"
    FORGET = "forget"
    LEFTOVER = "leftover"
    LEAVE = "leave"
    SAME = "same"
    UNDO = "undo"
    RESTORE = "restore"


ESPO_CHANGES = frozenset({Variant.VAR1, Variant.VAR2, Variant.VAR5, Variant.RETYPE, Variant.CLASH})
"""Variants that say: EspoCRM changed (rules §4)."""

ADVO_CHANGES = frozenset({Variant.VAR3, Variant.VAR4, Variant.VAR6, Variant.CLASH})
"""Variants that say: Advoware changed (rules §4)."""

TYPE_CHANGED: Final = NoteCause.TYPE_CHANGE.value
"""The words for a type change that is held back, by which a later run recognizes it."""

VARIANT_WORDS: Final[dict[str, str]] = {
    Variant.VAR1:     "new in EspoCRM",
    Variant.VAR2:     "deleted in EspoCRM",
    Variant.VAR3:     "deleted in Advoware",
    Variant.VAR4:     "new in Advoware",
    Variant.VAR5:     "changed in EspoCRM",
    Variant.VAR6:     "changed in Advoware",
    Variant.RETYPE:   TYPE_CHANGED,
    Variant.LINK:     "same on both sides",
    Variant.REPAIR:   "marker repaired",
    Variant.CLASH:    "changed on both sides",
    Variant.FORGET:   "gone on both sides",
    Variant.LEFTOVER: "our own leftover row, made a slot",
    Variant.LEAVE:    "left alone",
    Variant.SAME:     "nothing to do",
    Variant.UNDO:     "put back by an operator",
    Variant.RESTORE:  "restored by an operator",
}  # fmt: skip
"""What each variant is called on the screen."""

VARIANT_REASONS: Final[dict[str, str]] = VARIANT_WORDS | {
    Variant.LINK:     "the same value on both sides, not linked yet",
    Variant.REPAIR:   "the values agree, the marker did not",
    Variant.CLASH:    "edited on both sides: EspoCRM wins",
    Variant.LEFTOVER: "a row of ours that is nobody's pair",
}  # fmt: skip
"""The reason for each decision, as people read it."""

class EntryFacts(NamedTuple):
    """The facts about one entry; its variant follows from them, and the journal keeps them."""

    known: bool = False
    in_espo: bool = False
    in_advo: bool = False
    espo_edit: bool = False
    advo_edit: bool = False
    type_edit: bool = False
    marked: bool = False


FACTS = [*EntryFacts._fields]


class Rule(NamedTuple):
    """One line of the table; None matches either."""

    known: bool | None
    in_espo: bool | None
    in_advo: bool | None
    espo_edit: bool | None
    advo_edit: bool | None
    type_edit: bool | None
    marked: bool | None
    variant: Variant


Y, N, X = True, False, None

RULES = (
    #    known in_espo in_advo espo_edit advo_edit type_edit marked
    Rule(N,    Y,      N,      X,        X,        X,        X,    Variant.VAR1),  # new in EspoCRM
    Rule(N,    N,      Y,      X,        X,        X,        X,    Variant.VAR4),  # new in Advoware
    Rule(N,    Y,      Y,      X,        X,        X,        X,    Variant.LINK),  # one value, not linked yet
    Rule(N,    N,      N,      X,        X,        X,        X,    Variant.SAME),  # nothing anywhere
    Rule(Y,    N,      Y,      X,        N,        X,        X,    Variant.VAR2),  # deleted in EspoCRM
    Rule(Y,    N,      Y,      X,        Y,        X,        X,    Variant.CLASH),  # deleted here, edited there
    Rule(Y,    Y,      N,      N,        X,        X,        X,    Variant.VAR3),  # deleted in Advoware
    Rule(Y,    Y,      N,      Y,        X,        X,        X,    Variant.VAR1),  # edited here, gone there
    Rule(Y,    N,      N,      X,        X,        X,        X,    Variant.FORGET),  # gone on both
    Rule(Y,    Y,      Y,      Y,        N,        N,        X,    Variant.VAR5),  # edited in EspoCRM
    Rule(Y,    Y,      Y,      N,        Y,        X,        X,    Variant.VAR6),  # edited in Advoware; a type waits
    Rule(Y,    Y,      Y,      Y,        Y,        X,        X,    Variant.CLASH),  # edited to different values
    Rule(Y,    Y,      Y,      X,        N,        Y,        X,    Variant.RETYPE),  # another kommKz, another row
    Rule(Y,    Y,      Y,      N,        N,        N,        N,    Variant.REPAIR),  # the marker does not agree
    Rule(Y,    Y,      Y,      N,        N,        N,        Y,    Variant.SAME),  # nothing to do
)  # fmt: skip


def rule_matches(rule: Rule, facts: tuple[bool, ...]) -> bool:
    """Whether a line of the table covers this combination."""
    return all(expected is None or expected == fact for expected, fact in zip(rule[:-1], facts, strict=True))


class Resolution(StrEnum):
    """What becomes of a decision."""

    APPLY = "go"
    REVERT = "revert"
    LEAVE = "hold"


ALLOWED_TO_ESPOCRM: Final = frozenset(
    {Variant.VAR3, Variant.VAR4, Variant.VAR6, Variant.LINK, Variant.REPAIR, Variant.FORGET, Variant.SAME}
)


def resolve(variant: Variant, direction: Direction, *, person_conflict: bool, unsafe_to_revert: bool) -> Resolution:
    """Say who wins: what becomes of one decision.

    ``person_conflict``: both sides of the person changed and the scope is the person.
    ``unsafe_to_revert``: in a first sync, or an entry that one held back: it must not be emptied or overwritten.
    """
    if direction is Direction.TO_ESPOCRM:
        return Resolution.APPLY if variant in ALLOWED_TO_ESPOCRM else Resolution.LEAVE
    if variant is Variant.CLASH or variant not in ADVO_CHANGES:
        return Resolution.APPLY
    if direction is Direction.TO_ADVOWARE:
        return Resolution.LEAVE if unsafe_to_revert else Resolution.REVERT
    return Resolution.REVERT if person_conflict and not unsafe_to_revert else Resolution.APPLY


def is_person_conflict(variants: set[str], scope: Scope) -> bool:
    """Whether the person with these variants is in conflict as a whole; no clock is asked."""
    return scope is Scope.PERSON and bool(variants & ESPO_CHANGES) and bool(variants & ADVO_CHANGES)
