"""Who may talk to EspoCRM: an API key, an administrator's Basic login, and the lock after too many bad ones."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.record import User
from jobs.sandbox.simulator import EarlyResponse, SimResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

SYNC_USER = User("6b0434ad3fef4ae13", "sync_api", is_api=True)
ADMIN = User("6b0434ad00000a001", "Admin", is_admin=True)
PERSON = User("6b0434ad00000b002", "Petra Sommer")

API_KEY = "sandbox-espocrm-key"
ADMIN_NAME = "admin"
ADMIN_PASSWORD = "sandbox-admin-password"  # noqa: S105  a fixed word of the sandbox, protects nothing
BASIC_CREDENTIALS = base64.b64encode(f"{ADMIN_NAME}:{ADMIN_PASSWORD}".encode()).decode()

MAX_BAD_LOGINS = 11
BAD_LOGIN_WINDOW = timedelta(seconds=60)
HTML_HEADERS = {"Content-Type": "text/html; charset=UTF-8"}


@dataclass(slots=True)
class Login:
    """Checks credentials. 11 bad ones within 60 s lock the address for good ones too (EspoCRM fact A12)."""

    api_key: str = API_KEY
    api_user: User = SYNC_USER
    bad_logins: list[datetime] = field(default_factory=list)

    def user(self, headers: Mapping[str, str], now: datetime) -> User:
        """The user these headers belong to; else the request ends with 401, or 403 while locked."""
        self.bad_logins = [at for at in self.bad_logins if now - at < BAD_LOGIN_WINDOW]
        if len(self.bad_logins) >= MAX_BAD_LOGINS:
            raise EarlyResponse(SimResponse(403, dict(HTML_HEADERS), b""))
        if headers.get("x-api-key") == self.api_key:
            return self.api_user
        if headers.get("authorization") == f"Basic {BASIC_CREDENTIALS}":
            return ADMIN
        self.bad_logins.append(now)
        raise EarlyResponse(SimResponse(401, dict(HTML_HEADERS), b""))
