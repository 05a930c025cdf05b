"""How EspoCRM is asked: with a person in mind or not, and what a 403 then means (rules.md §6)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from etl.clients.ask import Ask, Habits
from etl.errors import FORBIDDEN, RIGHTS, ConfigError, Forbidden, Outage, PersonError, Refused

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from pydantic import SecretStr

    from etl.clients.answers import Answer
    from etl.clients.http import Border

SYSTEM = "EspoCRM"
APP_USER = "App/user"
METADATA = "Metadata"
"""Where EspoCRM tells its definitions; what is not set is answered with an empty body (espocrm-api.md ² 15)."""

HABITS = Habits(
    SYSTEM,
    "check espocrm.api_key, that its API user is active and has a role; after failed logins wait a minute",
    "espocrm.url",
)


class ApiKey(httpx.Auth):
    """Puts the key on each request, so that no client object carries it in a header that could be printed."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """One request, with the key."""
        request.headers["X-Api-Key"] = self._key.get_secret_value()
        yield request


class Asking:
    """Requests below one address. What is refused is a person's, the login's, or a matter of the settings."""

    def __init__(self, root: str, border: Border) -> None:
        self.root = root
        self._border = border

    def url(self, *path: str) -> str:
        """An address below the root, each part quoted."""
        return "/".join([self.root, *(quote(part, safe="") for part in path)])

    def of_person(self, ask: Ask) -> Answer:
        """A person's read or write; after a 403 our own user decides whether the person is to blame."""
        try:
            return self._border.send(ask)
        except Forbidden:
            self._demand_login()
            raise

    def of_nobody(self, ask: Ask, what: str) -> Answer:
        """A list, or what EspoCRM says of itself: nobody fails where it is refused, the settings are wrong."""
        try:
            return self._border.send(ask)
        except Refused as refusal:
            why = f"({refusal.status}: {refusal.reason})"
            if refusal.status == FORBIDDEN:
                self._demand_login()
                if not refusal.explained:
                    raise Outage(SYSTEM, f"it refuses {what} {why} {RIGHTS}") from refusal
            raise ConfigError(f"EspoCRM refuses {what} {why}; run `advosync check`") from refusal

    def look(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """What EspoCRM says of itself, of us, or of its entities."""
        nothing_there = ConfigError(f"espocrm.url: no EspoCRM answers at {self.root}")
        ask = Ask(
            "GET",
            f"{self.root}/{path}",
            params,
            missing=nothing_there,
            bare_ok=path == METADATA,
            proves_login=path == APP_USER,
        )
        return self.of_nobody(ask, path)

    def metadata(self, key: str) -> object:
        """One value of the metadata; ``None`` where it is not set, or where our role may not know (² 15)."""
        return self.look(METADATA, {"key": key}).value

    def knows(self, entity: str) -> bool:
        """Whether there is such an entity, also where our role has no rights on it: the metadata shows neither."""
        unknown = ConfigError(f"EspoCRM knows no entity {entity}")
        try:
            self._border.send(Ask("GET", self.url(entity), {"maxSize": "0"}, missing=unknown))
        except ConfigError:
            return False
        except Refused as refusal:
            if refusal.status != FORBIDDEN:
                raise
            self._demand_login()
        return True

    def _demand_login(self) -> None:
        """``CredentialsRefused`` where EspoCRM refuses our own user, too; ``Outage`` where it does not answer."""
        with suppress(PersonError):
            self._border.send(Ask("GET", f"{self.root}/{APP_USER}", proves_login=True))
