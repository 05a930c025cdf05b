"""The schemas of the frames that the store hands to the diff: column to dtype, nullable, also when a frame is empty.

A frame has what the plan reads and nothing else: reading the store is most of the cost of planning many persons.

What one row of each frame is:

* ``PERSONS``     a person, key ``entity_id``; ``ended``: its baseline with this very betnr ended before
* ``ITEMS``       an entry in EspoCRM, key ``entity_id, channel, position``
* ``ROWS``        a Kommunikation of a person, key ``ENTRY``; that of a shared betnr appears once for each person
* ``BASELINE``    an agreed pair, key ``ENTRY``; ``betnr`` is the one of that time, perhaps not the present one
* ``LEFT_ALONE``  an entry nothing is done about, in the order in which it was noted
"""

from __future__ import annotations

from typing import Final

Schema = dict[str, str]

TEXT: Final = "string[pyarrow]"
INTEGER: Final = "Int64"
BOOLEAN: Final = "boolean"

PERSON: Final = ["entity_id", "betnr"]
"""Key of a link: one person in both systems."""

ENTRY: Final = ["entity_id", "betnr", "komm_id"]
"""Key of an agreed pair, and of a row of one person."""

PERSONS: Final = {
    "entity_id": TEXT,
    "betnr": INTEGER,
    "last_sync_at": TEXT,
    "agreed_betnr": INTEGER,
    "ended": BOOLEAN,
    "espo_fingerprint": TEXT,
    "advo_fingerprint": TEXT,
    "edited_by_other": BOOLEAN,
    "waiting_side": TEXT,
}

ITEMS: Final = {
    "entity_id": TEXT,
    "betnr": INTEGER,
    "channel": TEXT,
    "position": INTEGER,
    "value": TEXT,
    "canonical": TEXT,
    "doubt": TEXT,
    "readings": TEXT,
    "type": TEXT,
    "is_primary": BOOLEAN,
    "opt_out": BOOLEAN,
    "invalid": BOOLEAN,
    "raw": TEXT,
}

ROWS: Final = {
    "entity_id": TEXT,
    "betnr": INTEGER,
    "komm_id": INTEGER,
    "row_id": TEXT,
    "value": TEXT,
    "canonical": TEXT,
    "doubt": TEXT,
    "readings": TEXT,
    "remark": TEXT,
    "own_text": TEXT,
    "marker_kind": TEXT,
    "marker_value": TEXT,
    "marker_canonical": TEXT,
    "marker_komm_kz": INTEGER,
    "komm_kz": INTEGER,
    "field_komm_kz": INTEGER,
    "channel": TEXT,
    "online": BOOLEAN,
    "mobile": BOOLEAN,
}

BASELINE: Final = {
    "entity_id": TEXT,
    "betnr": INTEGER,
    "komm_id": INTEGER,
    "channel": TEXT,
    "espo_value": TEXT,
    "espo_canonical": TEXT,
    "espo_type": TEXT,
    "advo_value": TEXT,
    "advo_canonical": TEXT,
    "komm_kz": INTEGER,
    "row_id": TEXT,
    "remark": TEXT,
    "unmarked": BOOLEAN,
    "other_row": INTEGER,
}

LEFT_ALONE: Final = {
    "entity_id": TEXT,
    "side": TEXT,
    "komm_id": INTEGER,
    "channel": TEXT,
    "value": TEXT,
    "reason": TEXT,
    "direction": TEXT,
    "detail": TEXT,
}
