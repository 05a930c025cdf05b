"""What the API user may not edit, or not read, in EspoCRM (rules §5, end of *Seen before gone*). Pure.

EspoCRM answers a PUT of a field that the API user may not edit with 200 and stores nothing (EspoCRM fact B13). So
changes to such a field are held back, as by a direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.enums import LeftAloneReason
from etl.records import Channel, Direction, Side
from etl.rules.entry import LeftAlone
from etl.rules.variants import ADVO_CHANGES, VARIANT_WORDS, Variant

if TYPE_CHECKING:
    from etl.rules.entry import Entry, Policy

ESPO_FIELD: Final = {Channel.PHONE: "phoneNumber", Channel.MAIL: "emailAddress"}
MISSING_RIGHT: Final = "the API user may not"
"""The words in such a note by which it is found again once the right is granted."""


def missing_right_note(entry: Entry, policy: Policy) -> LeftAlone | None:
    """The note about a change in Advoware that EspoCRM would not store; None if it may be written.

    What is held back counts as unchanged: it neither causes a conflict nor is reverted by one. ``to_advoware`` sends no
    changes to EspoCRM, so no right is missing there.
    """
    is_forbidden = entry.channel in policy.readonly_channels and entry.variant in ADVO_CHANGES - {Variant.CLASH}
    if not is_forbidden or policy.direction is Direction.TO_ADVOWARE:
        return None
    detail = f"{VARIANT_WORDS[entry.variant]}; {MISSING_RIGHT} edit {ESPO_FIELD[entry.channel]} in EspoCRM"
    if entry.variant is Variant.VAR3 and entry.item is not None:
        return LeftAlone(Side.ESPO, LeftAloneReason.HELD_BACK, detail, entry.item.item.value)
    if entry.row is None:
        return None
    return LeftAlone(Side.ADVO, LeftAloneReason.HELD_BACK, detail, entry.row.value, entry.row.komm_id)
