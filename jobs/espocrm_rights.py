"""What the role of the API user lets it do: with the entity, with single fields, with the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.records import Direction
from jobs.findings import Finding, bad, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.clients.espocrm import EspoCrm
    from etl.clients.espocrm_payload import EspoUser
    from jobs.config import Config

SEEN_BY_STAFF: Final = "people would not see it in EspoCRM"
RIGHTS: Final[Mapping[tuple[str, str], str]] = {
    ("read", "betnr"):            "nothing would tell who is linked, and no run could begin",
    ("read", "sync_status"):      "lists would lack it, and no run could begin",
    ("read", "fingerprint"):      "lists would lack it, and no run could begin",
    ("read", "modifiedAt"):       "nothing would tell who changed, and no run could begin",
    ("read", "modifiedBy"):       "the sync could not tell its own saves from other people's",
    ("read", "phoneNumber"):      "phones are not synced at all",
    ("read", "emailAddress"):     "mails are not synced at all",
    ("edit", "sync_status"):      "nobody sees how a person stands, and dirty or pending_sync is never taken back",
    ("edit", "fingerprint"):      "if the state store is ever lost, nothing tells what was agreed",
    ("edit", "last_sync"):        SEEN_BY_STAFF,
    ("edit", "error"):            SEEN_BY_STAFF,
    ("edit", "retry_count"):      SEEN_BY_STAFF,
    ("edit", "next_retry"):       SEEN_BY_STAFF,
    ("edit", "auto_reset"):       SEEN_BY_STAFF,
}  # fmt: skip
"""What a role must let the API user do with single fields (by our name, where we have one), and what its lack does."""

RIGHTS_TOWARDS_ESPO: Final[Mapping[tuple[str, str], str]] = {
    ("edit", "phoneNumber"):      "phones that change in Advoware are held back, not brought to EspoCRM",
    ("edit", "emailAddress"):     "mails that change in Advoware are held back, not brought to EspoCRM",
}  # fmt: skip


def permissions(user: EspoUser, entity: str) -> Finding:
    """Read and edit, of all records: a record the key may not see looks deleted."""
    about = "EspoCRM permissions"
    allowed = user.acl.get(entity)
    levels = allowed if isinstance(allowed, dict) else {}
    given = {action: levels.get(action, "no") for action in ("read", "edit")}
    if "no" in given.values():
        wanted = " and ".join(action for action, level in given.items() if level == "no")
        return bad(about, f"{user.name} may not {wanted} {entity}; give its role {wanted}: all")
    limited = [f"{action}: {level}" for action, level in given.items() if level not in {"all", "yes"}]
    if limited:
        some = f"{user.name} sees only some of {entity} ({', '.join(limited)})"
        return bad(about, f"{some}; the rest would look deleted: give its role all")
    return ok(about, f"read and edit all {entity}")


def field_rights(user: EspoUser, names: Mapping[str, str], direction: Direction) -> Iterator[Finding]:
    """A role may forbid single fields: EspoCRM then drops what is written to them, with 200, and leaves them out."""
    about, lacking = "EspoCRM field rights", 0
    rights = {**RIGHTS, **({} if direction is Direction.TO_ADVOWARE else RIGHTS_TOWARDS_ESPO)}
    for (action, ours), effect in rights.items():
        name = names.get(ours, ours)
        if not user.may(action, name):
            lacking += 1
            todo = f"set {action}: yes in its role (Field Level)"
            yield bad(about, f"{user.name} may not {action} {name}: {effect}; {todo}")
    if not lacking:
        yield ok(about, "all fields of the sync")


def notes_allowed(user: EspoUser, config: Config) -> Iterator[Finding]:
    """Posting to the stream is a permission of its own; without it nobody is told that a value lost."""
    levels = user.acl.get(config.espocrm.entity)
    if config.espocrm.note_conflicts and isinstance(levels, dict) and levels.get("stream", "no") == "no":
        told = f"{user.name} may not post to the stream of {config.espocrm.entity}"
        todo = "nobody would be told of values that lost: give its role stream: all, or set note_conflicts: false"
        yield note("EspoCRM notes", f"{told}; {todo}")


def notes_seen(client: EspoCrm, config: Config) -> Iterator[Finding]:
    """Without *Stream* EspoCRM takes a note, and shows it to nobody (espocrm-api.md ² 16)."""
    if not config.espocrm.note_conflicts:
        return
    entity = config.espocrm.entity
    if client.has_stream():
        yield ok("EspoCRM notes", f"{entity} has a stream that shows them")
        return
    todo = f"switch it on (Administration → Entity Manager → {entity} → Stream), or set note_conflicts: false"
    yield note("EspoCRM notes", f"{entity} has no stream: nobody would see the notes about values that lost; {todo}")
