"""What ``setup-espocrm`` does as an administrator: missing fields, optimistic concurrency (README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import quote

import httpx

from etl.clients.espocrm_payload import field_names
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
    """An administrator's hands on one entity; everything it does can be done twice."""

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

    def create_field_from(self, definition: Mapping[str, object]) -> bool:
        """Create a field from EspoCRM's own ``definition``; ``False`` when one of that name is there already."""
        try:
            self._post(f"Admin/fieldManager/{quote(self.entity, safe='')}", definition)
        except Refused as refusal:
            if refusal.status == CONFLICT:
                return False
            raise
        return True

    def has_concurrency_control(self) -> bool:
        """Whether EspoCRM refuses stale writes to the entity (409 ``modified``)."""
        params = {"key": f"entityDefs.{self.entity}.optimisticConcurrencyControl"}
        return self._send("GET", METADATA, params).value is True

    def enable_concurrency_control(self) -> None:
        """Make EspoCRM refuse stale writes to the entity. Read in EspoCRM's source, not measured: ask it afterwards."""
        self._post("EntityManager/action/updateEntity", {"name": self.entity, "optimisticConcurrencyControl": True})

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
