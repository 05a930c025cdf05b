"""Advoware's discovery and token service: signed requests, nonces used once, tokens that run out by the clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.sandbox.simulator import Json

APP_ID = "sandbox-app"
API_KEY = base64.b64encode(b"sandbox-advoware-key").decode()
KANZLEI = "SANDBOX"
DATABASE = "sandbox"
USER = "SYNC"
PASSWORD = "sandbox-advoware-password"  # noqa: S105  a fixed word of the sandbox, protects nothing
ROLE = 2
PRODUCT = 64

OLDEST_REQUEST = timedelta(minutes=5)
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)?")


@dataclass(slots=True)
class TokenService:
    """Gives out bearer tokens valid for ``lifetime`` seconds. Names of tokens follow from a counter."""

    lifetime: int = 3600
    tokens: dict[str, datetime] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)
    issued_count: int = 0

    def refusal(self, body: Json, now: datetime) -> str | None:
        """Why a token request is refused; None when it is good. A nonce is used up by asking."""
        nonce = str(body.get("Nonce"))
        replayed = nonce in self.nonces
        self.nonces.add(nonce)
        checks = {
            "Nonce wurde bereits verwendet": not replayed and body.get("Nonce"),
            "RequestTimeStamp ist abgelaufen": is_fresh_stamp(str(body.get("RequestTimeStamp")), now),
            "Signatur ist ungültig": hmac.compare_digest(
                str(body.get("HMAC512Signature")), request_signature(API_KEY, body)
            ),
            "Produkt ist nicht freigeschaltet": (body.get("Role"), body.get("Product")) == (ROLE, PRODUCT),
            "Falscher Name oder falsches Kennwort": account_of(body) == ACCOUNT,
        }
        return next((reason for reason, is_met in checks.items() if not is_met), None)

    def issue(self, now: datetime) -> Json:
        """A new token, counted."""
        self.issued_count += 1
        expires = now + timedelta(seconds=self.lifetime)
        token = f"sandbox-token-{self.issued_count}"
        self.tokens[token] = expires
        return {
            "token_type": "bearer",
            "expires_in": self.lifetime,
            "expiration_utc": dotnet_time(expires) + "Z",
            "access_token": token,
            "refresh_token": f"sandbox-refresh-{self.issued_count}",
        }

    def accepts(self, headers: Mapping[str, str], now: datetime) -> bool:
        """Whether a call carries a token that has not run out."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.get(token, now) > now

    def revoke(self) -> None:
        """Make every token given so far worthless before its time."""
        self.tokens.clear()


def account_of(body: Json) -> tuple[object, ...]:
    """Who a token request says it is."""
    return tuple(body.get(name) for name in ("AppID", "Kanzlei", "Database", "User", "Password"))


ACCOUNT = (APP_ID, KANZLEI, DATABASE, USER, PASSWORD)


def request_signature(api_key: str, body: Json) -> str:
    """What ``HMAC512Signature`` must be for this body (Advoware §1)."""
    message = ":".join(str(body.get(name)) for name in ("Product", "AppID", "Nonce", "RequestTimeStamp"))
    return base64.b64encode(hmac.digest(base64.b64decode(api_key), message.encode(), hashlib.sha512)).decode()


def is_fresh_stamp(stamp: str, now: datetime) -> bool:
    """Whether a request's own time is near enough to now."""
    match = STAMP.fullmatch(stamp)
    if not match:
        return False
    return abs(now - datetime.fromisoformat(match[1]).replace(tzinfo=UTC)) <= OLDEST_REQUEST


def dotnet_time(moment: datetime) -> str:
    """ISO text as .NET writes it, without zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"


def parse_json_object(body: bytes) -> Json | None:
    """A body as a JSON object; None when it is none."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
