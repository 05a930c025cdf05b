"""The custom fields in EspoCRM: which there must be, and whether those that are there can hold what the sync writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.enums import PersonStatus
from etl.rules.values.kommkz import KommKzTable
from jobs.commands.checks.findings import CheckResult, check_failure, check_ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.clients.espocrm import EspoClient
    from jobs.config import Config

REQUIRED_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "betnr":        ("int",),
    "sync_status":  ("enum",),
    "last_sync":    ("datetime", "datetimeOptional"),
    "fingerprint":  ("varchar", "text"),
    "error":        ("text", "varchar"),
    "retry_count":  ("int",),
    "next_retry":   ("datetime", "datetimeOptional"),
    "auto_reset":   ("datetime", "datetimeOptional"),
}
"""The custom fields and the types that can hold what the sync writes (EspoCRM, The entity)."""

MIN_LENGTHS: Final[Mapping[str, int]] = {"fingerprint": 16, "error": 2000}
"""How many characters a text field must hold."""


def check_fields(client: EspoClient, config: Config) -> Iterator[CheckResult]:
    """Each custom field is there with a usable type; the status knows every status; phones know every type."""
    topic, definitions = "EspoCRM fields", client.get_field_defs()
    messages = list(field_advice(definitions, client.fields))
    yield from (check_failure(topic, message) for message in messages)
    if not messages:
        yield check_ok(topic, f"all {len(REQUIRED_FIELDS)} there")
    missing_types = sorted(phone_types_written(config) - set(definitions.get("phoneNumber", {}).get("typeList") or ()))
    if missing_types:
        message = f"phoneNumber lacks the types {', '.join(missing_types)}"
        yield check_failure("EspoCRM phone types", f"{message}; add them in the Entity Manager, or change sync.komm_kz")


def field_advice(definitions: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """What has to be done about the custom fields, a sentence each."""
    for key, types in REQUIRED_FIELDS.items():
        name = names[key]
        definition = definitions.get(name)
        if not isinstance(definition, dict):
            advice = f"`advosync setup-espocrm` creates it ({types[0]}), or name yours in espocrm.fields.{key}"
            yield f"{name} is missing; {advice}"
        elif (problem := field_problem(key, definition)) is not None:
            yield f"{name} {problem}"


def field_problem(key: str, definition: Mapping[str, Any]) -> str | None:
    """Why a field that is there cannot hold what the sync writes; None when it can."""
    kind, types = definition.get("type"), REQUIRED_FIELDS[key]
    if kind not in types:
        return f"is of type {kind}; it must be {' or '.join(types)}"
    missing_options = [status for status in PersonStatus if status not in (definition.get("options") or ())]
    if key == "sync_status" and missing_options:
        return f"lacks the options {', '.join(missing_options)}; add them in the Entity Manager"
    if definition.get("readOnly") is True and key != "betnr":
        return "is read-only: EspoCRM would drop what the sync writes; take that off in the Entity Manager"
    length = definition.get("maxLength")
    if isinstance(length, int) and 0 < length < MIN_LENGTHS.get(key, 0):
        return f"holds {length} characters; it must hold {MIN_LENGTHS[key]}"
    return None


def phone_types_written(config: Config) -> set[str]:
    """The phone types the sync may write."""
    table = KommKzTable.default().with_overrides(config.sync.komm_kz_overrides())
    return {kind.espo_type for kind in table.kinds.values() if kind.relevant and kind.espo_type}
