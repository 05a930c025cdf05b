"""What an administrator made of CBeteiligte: its fields and its switches, and what the metadata say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm.fields import fields_of
from jobs.sandbox.espocrm.locks import LOCK_FIELD, field_label
from jobs.sandbox.espocrm.record import ENTITY, STREAM_ATTRIBUTES
from jobs.sandbox.espocrm.refusals import espo_refusal

if TYPE_CHECKING:
    from jobs.sandbox.espocrm.role import Role
    from jobs.sandbox.espocrm.versions import EspoVersion
    from jobs.sandbox.simulator import Json


@dataclass
class EntityDefinition:
    """Fields by name, and the switches of the Entity Manager; a switch is None while it was never saved.

    ``concurrency`` is EspoCRM's optimisticConcurrencyControl; ``stream`` whether people can see what is posted to a
    record. Those of EspoCRM 10: ``lockable`` (fact B17), and ``transactional_save`` (fact B24): a PUT is then stored
    whole or not at all, and no GET shows an empty array that is just being saved.
    """

    version: EspoVersion
    fields: dict[str, Json] = field(init=False)
    help_texts: dict[str, str] = field(default_factory=dict)
    concurrency: bool | None = None
    stream: bool = True
    lockable: bool | None = None
    transactional_save: bool | None = None

    def __post_init__(self) -> None:
        self.fields = fields_of(self.version)

    def upgrade(self, version: EspoVersion) -> None:
        """Become another version's definition; the administrator's own fields stay."""
        own = {name: definition for name, definition in self.fields.items() if definition.get("isCustom")}
        self.version, self.fields = version, fields_of(version) | own

    @property
    def missing_attributes(self) -> frozenset[str]:
        """What no record shows, for its version or its switches."""
        return self.version.missing_attributes | (frozenset() if self.stream else STREAM_ATTRIBUTES)

    def metadata(self, query: str, role: Role) -> Any:  # noqa: ANN401  JSON
        """The part of the metadata that `key=a.b.c` names; None when there is none, or none for this user."""
        sections: dict[str, Json] = {
            "entityDefs": {
                "fields": {**self.fields, "isLocked": LOCK_FIELD} if self.lockable else self.fields,
                "optimisticConcurrencyControl": self.concurrency,
                "transactionalSave": self.transactional_save,
            },
            "scopes": {"entity": True, "stream": self.stream, "lockable": self.lockable},
        }
        value: Any = {
            part: {ENTITY: {name: switch for name, switch in section.items() if switch is not None}}
            for part, section in sections.items()
            if ENTITY in role.table
        }
        for part in query.removeprefix("key=").split(".") if query else []:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def save_switches(self, data: Json) -> None:
        """What the Entity Manager saves."""
        self.concurrency = data.get("optimisticConcurrencyControl", self.concurrency)
        self.stream = data.get("stream", self.stream)
        if self.version.has_locks:
            self.lockable = data.get("lockable", self.lockable)
            self.transactional_save = data.get("transactionalSave", self.transactional_save)

    def create_field(self, data: Json) -> Json:
        """Add a custom field; it works at once, without a rebuild."""
        name = data["name"]
        if name in self.fields:
            reason = {"label": "fieldAlreadyExists", "scope": "FieldManager"}
            body = {"messageTranslation": {**reason, "data": {"field": name, "entityType": ENTITY}}}
            raise espo_refusal(409, f"Field '{name}' already exists in '{ENTITY}'.", body)
        self.fields[name] = {"isCustom": True}
        self._save_definition(name, data)
        return self.fields[name]

    def change_field(self, name: str, data: Json) -> Json:
        """Change a definition, `notLockable` while there are locks (fact B23); answered with the label beside it."""
        if name not in self.fields or ("notLockable" in data and not self.lockable):
            raise espo_refusal(404, "")
        self._save_definition(name, data)
        return {**self.fields[name], "label": field_label(name)}

    def _save_definition(self, name: str, data: Json) -> None:
        """A help text is a language's, not the definition's (EspoCRM's FieldManager.php)."""
        self.help_texts |= {name: data["tooltipText"]} if "tooltipText" in data else {}
        self.fields[name] |= {key: data[key] for key in data if key not in {"name", "tooltipText"}}
