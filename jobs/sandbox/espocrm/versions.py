"""What tells one EspoCRM from another, as data: the newest version, and in what each older one differs from the next.

The simulator asks these values and never for a version. The numbers are those of etl/clients/README.md; all that is not
listed here is alike in the four versions that were measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class EspoVersion:
    """One version of EspoCRM: its ``name`` for people, the ``number`` that `GET Settings` shows, and how it behaves.

    ``max_items``: mails, and phones, that a record may hold; None without a limit. ``forbidden_status`` and
    ``reason_count``: how a condition on an attribute that may not be read is refused, and how often the sentence stands
    in the reason. ``mail_list_crashes``: `in` on mails is a 500. ``shows_old_primary``: the scalars in an array PUT's
    answer are always those before it. ``conflict_shows_scalars``: 409 `modified` names them beside the array.
    ``echoes_null``: an array sent as null is answered as null. ``has_locks``: staff can lock records, and a save can be
    one transaction. ``missing_attributes`` are shown of no record and no note, ``missing_definitions`` by no metadata
    (a field, a field's key, or a key of every field).
    """

    name: str
    number: str
    max_items: int | None = 10
    forbidden_status: int = 400
    reason_count: int = 1
    mail_list_crashes: bool = False
    shows_old_primary: bool = False
    conflict_shows_scalars: bool = True
    echoes_null: bool = False
    has_locks: bool = True
    missing_attributes: frozenset[str] = frozenset()
    missing_definitions: frozenset[str] = frozenset()


ESPOCRM_10 = EspoVersion("10", "10.0.0")

ESPOCRM_9_3 = replace(
    ESPOCRM_10,
    name="9.3",
    number="9.3.10",
    reason_count=2,     # fact B31
    echoes_null=True,   # fact B28
    has_locks=False,    # facts B17 to B27
    missing_definitions=frozenset(  # recorded (settings_and_fields): here the two fields do not say it
        {"emailAddress.notStorable", "phoneNumber.notStorable"}
    ),
)  # fmt: skip

ESPOCRM_9_2 = replace(ESPOCRM_9_3, name="9.2", number="9.2.7")

ESPOCRM_8_4 = replace(
    ESPOCRM_9_2,
    name="8.4",
    number="8.4.2",
    max_items=None,                 # fact A10
    forbidden_status=403,           # facts B14, B31
    reason_count=1,                 # fact B31
    mail_list_crashes=True,         # fact B3
    shows_old_primary=True,         # fact B29
    conflict_shows_scalars=False,   # fact B30
    missing_attributes=frozenset({"streamUpdatedAt", "reactionCounts", "myReactions"}),  # fact B16; recorded
    missing_definitions=frozenset(  # fact B16; recorded (settings_and_fields)
        {*ESPOCRM_9_2.missing_definitions, "streamUpdatedAt", "detailLayoutIncompatibleFieldList"}
    ),
)  # fmt: skip

VERSIONS = {version.name: version for version in (ESPOCRM_8_4, ESPOCRM_9_2, ESPOCRM_9_3, ESPOCRM_10)}
"""By name, the oldest first."""

NEWEST = ESPOCRM_10
