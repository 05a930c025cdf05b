"""What the role of the API user lets it do: with the entity, with single fields, with the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.records import Direction
from jobs.commands.checks.findings import CheckResult, check_failure, check_note, check_ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.clients.espocrm import EspoClient
    from etl.clients.espocrm_payload import EspoUser
    from jobs.config import Config

HIDDEN_FROM_STAFF: Final = "people would not see it in EspoCRM"
FIELD_RIGHTS: Final[Mapping[tuple[str, str], str]] = {
    ("read", "betnr"):            "nothing would tell who is linked, and no run could begin",
    ("read", "sync_status"):      "lists would lack it, and no run could begin",
    ("read", "fingerprint"):      "lists would lack it, and no run could begin",
    ("read", "modifiedAt"):       "nothing would tell who changed, and no run could begin",
    ("read", "modifiedBy"):       "the sync could not tell its own saves from other people's",
    ("read", "phoneNumber"):      "phones are not synced at all",
    ("read", "emailAddress"):     "mails are not synced at all",
    ("edit", "sync_status"):      "nobody sees how a person stands, and dirty or pending_sync is never taken back",
    ("edit", "fingerprint"):      "if the state store is ever lost, nothing tells what was agreed",
    ("edit", "last_sync"):        HIDDEN_FROM_STAFF,
    ("edit", "error"):            HIDDEN_FROM_STAFF,
    ("edit", "retry_count"):      HIDDEN_FROM_STAFF,
    ("edit", "next_retry"):       HIDDEN_FROM_STAFF,
    ("edit", "auto_reset"):       HIDDEN_FROM_STAFF,
}  # fmt: skip
"""What a role must let the API user do with single fields (by our name, where we have one), and what its lack does."""

FIELD_RIGHTS_TO_ESPO: Final[Mapping[tuple[str, str], str]] = {
    ("edit", "phoneNumber"):      "phones that change in Advoware are held back, not brought to EspoCRM",
    ("edit", "emailAddress"):     "mails that change in Advoware are held back, not brought to EspoCRM",
}  # fmt: skip


def check_permissions(user: EspoUser, entity: str) -> CheckResult:
    """Read and edit, of all records: a record the key may not see looks deleted."""
    topic = "EspoCRM permissions"
    acl = user.acl.get(entity)
    levels = acl if isinstance(acl, dict) else {}
    granted_levels = {action: levels.get(action, "no") for action in ("read", "edit")}
    if "no" in granted_levels.values():
        missing_actions = " and ".join(action for action, level in granted_levels.items() if level == "no")
        return check_failure(
            topic, f"{user.name} may not {missing_actions} {entity}; give its role {missing_actions}: all"
        )
    limited_actions = [f"{action}: {level}" for action, level in granted_levels.items() if level not in {"all", "yes"}]
    if limited_actions:
        message = f"{user.name} sees only some of {entity} ({', '.join(limited_actions)})"
        return check_failure(topic, f"{message}; the rest would look deleted: give its role all")
    return check_ok(topic, f"read and edit all {entity}")


def check_field_rights(user: EspoUser, names: Mapping[str, str], direction: Direction) -> Iterator[CheckResult]:
    """A role may forbid single fields: EspoCRM then drops what is written to them, with 200, and leaves them out."""
    topic, missing_count = "EspoCRM field rights", 0
    rights = {**FIELD_RIGHTS, **({} if direction is Direction.TO_ADVOWARE else FIELD_RIGHTS_TO_ESPO)}
    for (action, key), effect in rights.items():
        name = names.get(key, key)
        if not user.may(action, name):
            missing_count += 1
            advice = f"set {action}: yes in its role (Field Level)"
            yield check_failure(topic, f"{user.name} may not {action} {name}: {effect}; {advice}")
    if not missing_count:
        yield check_ok(topic, "all fields of the sync")


def check_note_permission(user: EspoUser, config: Config) -> Iterator[CheckResult]:
    """Posting to the stream is a permission of its own; without it nobody is told that a value lost."""
    levels = user.acl.get(config.espocrm.entity)
    if config.espocrm.note_conflicts and isinstance(levels, dict) and levels.get("stream", "no") == "no":
        message = f"{user.name} may not post to the stream of {config.espocrm.entity}"
        advice = "nobody would be told of values that lost: give its role stream: all, or set note_conflicts: false"
        yield check_note("EspoCRM notes", f"{message}; {advice}")


def check_stream(client: EspoClient, config: Config) -> Iterator[CheckResult]:
    """Without *Stream* EspoCRM takes a note, and shows it to nobody (EspoCRM fact B16)."""
    if not config.espocrm.note_conflicts:
        return
    entity = config.espocrm.entity
    if client.has_stream():
        yield check_ok("EspoCRM notes", f"{entity} has a stream that shows them")
        return
    advice = f"switch it on (Administration → Entity Manager → {entity} → Stream), or set note_conflicts: false"
    yield check_note(
        "EspoCRM notes", f"{entity} has no stream: nobody would see the notes about values that lost; {advice}"
    )


def check_locks(client: EspoClient, config: Config, user: EspoUser) -> Iterator[CheckResult]:
    """Whether staff can lock records and what a lock stops, and how a save is stored (EspoCRM 10, facts B17 to B27)."""
    entity = config.espocrm.entity
    if user.may_lock:
        advice = "set Lock Permission to no in its role"
        yield check_note("EspoCRM locks", f"{user.name} may lock records, which the sync never does; {advice}")
    if client.has_locks():
        covered = [client.fields[name] for name in client.fields_under_lock()]
        waits = f"staff can lock records of {entity}; a locked person waits"
        if covered:
            advice = f"a lock covers {', '.join(covered)}; `advosync setup-espocrm` frees them"
            yield check_note("EspoCRM locks", f"{waits}, and its status cannot say so: {advice}")
        else:
            yield check_ok("EspoCRM locks", f"{waits}, and its status says so")
    if client.has_transactional_save():
        yield check_ok("EspoCRM saves", "stored whole or not at all")
    else:
        advice = "`advosync setup-espocrm` offers to switch transactional save on"
        yield check_ok("EspoCRM saves", f"may be stored in part when one breaks off, and is then mended; {advice}")
