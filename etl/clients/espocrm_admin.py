"""What ``setup-espocrm`` does as an administrator: missing fields, optimistic concurrency (README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import quote

import httpx

from etl.clients.espocrm_payload import field_names, is_older_than
from etl.clients.espocrm_queries import METADATA
from etl.clients.http import CONFLICT, HttpSession
from etl.clients.request import ApiRequest, ClientEnvironment, ClientOptions, ServerQuirks, check_url
from etl.enums import PersonStatus
from etl.errors import ConfigError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from etl.clients.request import ApiResponse

CUSTOM_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "betnr":       {"type": "int"},
    "sync_status": {"type": "enum", "options": [*PersonStatus], "default": PersonStatus.PENDING_SYNC},
    "last_sync":   {"type": "datetime"},
    "fingerprint": {"type": "varchar", "maxLength": 64},
    "error":       {"type": "text"},
    "retry_count": {"type": "int", "default": 0},
    "next_retry":  {"type": "datetime"},
    "auto_reset":  {"type": "datetime"},
}
"""Our name of each custom field and what EspoCRM must make it."""

ADMIN_QUIRKS = ServerQuirks("EspoCRM", "check the administrator's name and password, and that it is one", "espocrm.url")


class EspoAdminClient:
    """One entity as an administrator changes it; every change can be repeated safely."""

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: SecretStr,
        entity: str = "CBeteiligte",
        fields: Mapping[str, str] | None = None,
        timeout_seconds: float = 30,
        **options: Unpack[ClientOptions],
    ) -> None:
        self.entity = entity
        self.fields = field_names(fields)
        self._root = check_url(url, "espocrm.url").removesuffix("/api/v1") + "/api/v1"
        self.session = HttpSession(
            ADMIN_QUIRKS,
            timeout_seconds=timeout_seconds,
            outage_after=1,
            environment=ClientEnvironment(**options),
            auth=httpx.BasicAuth(user, password.get_secret_value()),
            secrets=lambda: (password,),
        )

    def __repr__(self) -> str:
        return f"EspoAdmin({self._root!r}, {self.entity!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def get_field_defs(self) -> dict[str, Any]:
        """The entity's fields by EspoCRM's name; ConfigError when there is no such entity."""
        params = {"key": f"entityDefs.{self.entity}.fields"}
        no_espocrm = ConfigError(f"espocrm.url: no EspoCRM answers at {self._root}")
        definitions = self._send("GET", METADATA, params, on_404=no_espocrm).value
        if not isinstance(definitions, dict):
            raise ConfigError(
                f"espocrm.entity: EspoCRM knows no entity {self.entity}; make it in the Entity Manager (type Person)"
            )
        return definitions

    def create_field(self, field: str) -> bool:
        """Create the custom field of our name ``field``; ``False`` when it is there already. No rebuild is needed."""
        name = self.fields[field]
        return self.create_field_from({"name": name, "label": name, **CUSTOM_FIELDS[field]})

    def set_help(self, field: str, text: str) -> None:
        """Give the custom field of our name ``field`` a help text, in EspoCRM's Markdown.

        Its definition goes with it: what a PUT leaves out is kept by EspoCRM only where it knows the type.
        """
        name = self.fields[field]
        definition = self.get_field_defs()[name]
        self._change_field(name, {**definition, "tooltip": True, "tooltipText": text})

    def create_field_from(self, definition: Mapping[str, object]) -> bool:
        """Create a field from EspoCRM's own ``definition``; ``False`` when one of that name is there already."""
        try:
            self._post(f"Admin/fieldManager/{quote(self.entity, safe='')}", definition)
        except Refused as refusal:
            if refusal.status == CONFLICT:
                return False
            raise
        return True

    def has_switch(self, switch: str) -> bool:
        """Whether a switch of the Entity Manager is on, by EspoCRM's name of it."""
        return self._get_metadata(f"entityDefs.{self.entity}.{switch}") is True

    def switch_on(self, switch: str) -> None:
        """Switch it on for the entity; an EspoCRM that does not know it takes no notice: ask it afterwards."""
        self._post("EntityManager/action/updateEntity", {"name": self.entity, switch: True})

    def has_locks(self) -> bool:
        """Whether staff can lock records of the entity (EspoCRM 10, fact B17)."""
        return self._get_metadata(f"scopes.{self.entity}.lockable") is True

    def is_older_than(self, major: int) -> bool:
        """Whether EspoCRM's version is older than this major one."""
        settings = self._send("GET", "Settings").value
        return is_older_than(major, str(settings.get("version") if isinstance(settings, dict) else ""))

    def free_from_lock(self, name: str) -> None:
        """Let a field be written though its record is locked (fact B23)."""
        self._change_field(name, {"notLockable": True})

    def _change_field(self, name: str, definition: Mapping[str, object]) -> None:
        path = f"Admin/fieldManager/{quote(self.entity, safe='')}/{quote(name, safe='')}"
        self._send("PUT", path, body=definition, on_404=ConfigError(f"espocrm: no field {name}"))

    def _get_metadata(self, key: str) -> object:
        return self._send("GET", METADATA, {"key": key}).value

    def _post(self, path: str, body: Mapping[str, object]) -> None:
        no_answer = ConfigError(f"espocrm: nothing answers at {self._root}/{path}; check url and entity")
        self._send("POST", path, body=body, on_404=no_answer)

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        body: object = None,
        on_404: ConfigError | None = None,
    ) -> ApiResponse:
        """A 403 refuses the login: an administrator may do all of this."""
        url, allow_bare = f"{self._root}/{path}", path == METADATA
        return self.session.send(
            ApiRequest(method, url, params, body=body, on_404=on_404, allow_bare=allow_bare, proves_login=True)
        )
