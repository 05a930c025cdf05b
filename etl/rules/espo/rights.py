"""What the API user may not edit, or not read, in EspoCRM (rules §5, end of *Seen before gone*). Pure.

EspoCRM answers a PUT of a field the key may not edit with 200 and stores nothing (EspoCRM fact B13). So changes
towards it are held back like those of a direction.
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
"""What such a note says, and is known by once the right is given."""


def missing_right_note(entry: Entry, policy: Policy) -> LeftAlone | None:
    """Why a change of Advoware is not brought to EspoCRM, ``None`` where it is.

    What is held back is a change of nobody: it neither makes a conflict nor is reverted by one. ``to_advoware`` sends
    EspoCRM no changes, so no right is lacking there.
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
