"""The custom fields in EspoCRM: which there must be, and whether those that are there can hold what the sync writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.rules.kommkz import KommKzTable
from jobs.findings import Finding, bad, ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.clients.espocrm import EspoCrm
    from jobs.config import Config

STATUSES = (
    "pending_sync", "dirty", "syncing", "clean", "failed", "permanently_failed", "conflict", "deleted_in_advoware",
)  # fmt: skip

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "betnr":        ("int",),
    "sync_status":  ("enum",),
    "last_sync":    ("datetime", "datetimeOptional"),
    "fingerprint":  ("varchar", "text"),
    "error":        ("text", "varchar"),
    "retry_count":  ("int",),
    "next_retry":   ("datetime", "datetimeOptional"),
    "auto_reset":   ("datetime", "datetimeOptional"),
}
"""The custom fields and the types that can hold what the sync writes (espocrm-api.md, The entity)."""

ROOM: Final[Mapping[str, int]] = {"fingerprint": 16, "error": 2000}
"""How many characters a text field must hold."""


def fields(client: EspoCrm, config: Config) -> Iterator[Finding]:
    """Each custom field is there with a usable type; the status knows every status; phones know every type."""
    about, definitions = "EspoCRM fields", client.field_defs()
    wrong = list(wrong_fields(definitions, client.fields))
    yield from (bad(about, message) for message in wrong)
    if not wrong:
        yield ok(about, f"all {len(NEEDED)} there")
    lacking = sorted(phone_types(config) - set(definitions.get("phoneNumber", {}).get("typeList") or ()))
    if lacking:
        what = f"phoneNumber lacks the types {', '.join(lacking)}"
        yield bad("EspoCRM phone types", f"{what}; add them in the Entity Manager, or change sync.komm_kz")


def wrong_fields(definitions: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """What has to be done about the custom fields, a sentence each."""
    for ours, types in NEEDED.items():
        name = names[ours]
        definition = definitions.get(name)
        if not isinstance(definition, dict):
            todo = f"`advosync setup-espocrm` creates it ({types[0]}), or name yours in espocrm.fields.{ours}"
            yield f"{name} is missing; {todo}"
        elif (flaw := flaw_of(ours, definition)) is not None:
            yield f"{name} {flaw}"


def flaw_of(ours: str, definition: Mapping[str, Any]) -> str | None:
    """Why a field that is there cannot hold what the sync writes; None when it can."""
    kind, types = definition.get("type"), NEEDED[ours]
    if kind not in types:
        return f"is of type {kind}; it must be {' or '.join(types)}"
    lacking = [word for word in STATUSES if word not in (definition.get("options") or ())]
    if ours == "sync_status" and lacking:
        return f"lacks the options {', '.join(lacking)}; add them in the Entity Manager"
    if definition.get("readOnly") is True and ours != "betnr":
        return "is read-only: EspoCRM would drop what the sync writes; take that off in the Entity Manager"
    room = definition.get("maxLength")
    if isinstance(room, int) and 0 < room < ROOM.get(ours, 0):
        return f"holds {room} characters; it must hold {ROOM[ours]}"
    return None


def phone_types(config: Config) -> set[str]:
    """The phone types the sync may write."""
    table = KommKzTable.default().with_overrides(config.sync.komm_kz_overrides())
    return {kind.espo_type for kind in table.kinds.values() if kind.relevant and kind.espo_type}
