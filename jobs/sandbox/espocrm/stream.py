"""EspoCRM's stream: what is posted to a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.sandbox.espocrm.record import Record, User
    from jobs.sandbox.simulator import Json


def make_note(note_id: str, data: Json, parent: Record, user: User) -> Json:
    """A post as EspoCRM answers and lists it; its time is that of its record's stream."""
    note_fields = {name: data.get(name) for name in ("post", "type", "parentId", "parentType")}
    return {
        "id": note_id,
        "deleted": False,
        "data": {},
        **note_fields,
        "isInternal": False,
        "reactionCounts": None,
        "myReactions": [],
        "createdAt": parent.stream_updated_at,
        "modifiedAt": parent.stream_updated_at,
        "parentName": parent.name,
        "relatedName": None,
        "attachmentsIds": [],
        "attachmentsNames": {},
        "attachmentsTypes": {},
        "createdById": user.id,
        "createdByName": user.name,
        "modifiedByName": None,
    }
