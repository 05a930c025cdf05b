"""How the sync logs in to Advoware: finding the two addresses, signing, keeping one token (Advoware §1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from etl.clients.request import LOGIN_EXTENSION, TransientError, parse_response, parse_retry_after
from etl.errors import ConfigError, CredentialsRefused, Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from etl.clients.request import ApiResponse

SYSTEM = "Advoware"
RENEW_BEFORE_SECONDS = 120.0
"""Seconds before its end a token is renewed; half its life where it lives shorter than twice that."""

DEFAULT_TOKEN_SECONDS = 3300.0
"""Seconds a token is trusted that does not say how long it lives: clients in the field assume 55 minutes (O)."""

OFFLINE_TEXTS = ("ist nicht angemeldet", "ist nicht registriert")
"""The firm's local service is offline: an outage, nobody's fault (O)."""

LOGIN_REFUSED_TEXTS = ("freigeschaltet", "Falscher Name oder falsches Kennwort")
LOGIN_HINT = (
    "check advoware.user, password, database, app_id and api_key, that Advoware has unlocked the AppID,"
    " and this machine's clock"
)
UNAUTHORIZED, FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Advoware's data and its token service are, without closing slashes; empty: not known yet."""

    base: str = ""
    gateway: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether both addresses are known, so that discovery need not be asked."""
        return bool(self.base and self.gateway)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in, in the words of the token service."""

    kanzlei: str
    database: str
    user: str
    role: int
    product: int
    app_id: str
    api_key: SecretStr
    password: SecretStr


# Discovery -------------------------------------------------------------------------------------------------------


def parse_discovery(payload: object, kanzlei: str, allowed_hosts: Iterable[str], configured: Endpoints) -> Endpoints:
    """``configured`` completed by what discovery names; ``ConfigError`` for what is missing or not to be trusted."""
    if not isinstance(payload, dict):
        raise Outage(SYSTEM, "discovery answered something that is no object")
    base = configured.base or payload.get("connectorUrl") or payload.get("relayUrl")
    gateway = configured.gateway or payload.get("securityGateway")
    if not base:
        raise ConfigError(f'Advoware\'s discovery names no address for "{kanzlei}"; check advoware.kanzlei')
    if not gateway:  # absent in older answers (D)
        raise ConfigError(
            f'Advoware\'s discovery names no securityGateway for "{kanzlei}"; set advoware.security_gateway'
        )
    return Endpoints(
        configured.base or require_trusted_host(base, allowed_hosts),
        configured.gateway or require_trusted_host(gateway, allowed_hosts),
    )


def require_trusted_host(address: object, allowed_hosts: Iterable[str]) -> str:
    """``address`` when the password may go there: TLS and under ``allowed_hosts``, or this very machine."""
    try:
        url = httpx.URL(address) if isinstance(address, str) else httpx.URL("")
    except httpx.InvalidURL:
        url = httpx.URL("")
    host = url.host.casefold().rstrip(".")
    is_safe = url.scheme == "https" and any(_is_under(host, domain) for domain in allowed_hosts)
    has_no_extras = isinstance(address, str) and not {"?", "#", "@"} & set(
        address
    )  # what we add behind them would be lost
    if not has_no_extras or (not is_safe and not (url.scheme in {"http", "https"} and _is_loopback(host))):
        raise ConfigError(
            f'Advoware\'s discovery names "{url.scheme}://{host}", which has no TLS, or more than host and'
            " path, or is not under advoware.allowed_hosts; the password is not sent there"
        )
    return str(url).rstrip("/")


def _is_under(host: str, domain: str) -> bool:
    parent = domain.casefold().strip("*.")
    is_plain_name = re.fullmatch(r"[a-z0-9.-]+", host) is not None  # nothing two programs could read differently
    return bool(parent) and is_plain_name and (host == parent or host.endswith(f".{parent}"))


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


# Token -----------------------------------------------------------------------------------------------------------


def token_signature(api_key: bytes, *, product: int, app_id: str, nonce: str, timestamp: str) -> str:
    """The base64 HMAC-SHA512 the token service wants; ``api_key`` is decoded already."""
    message = f"{product}:{app_id}:{nonce}:{timestamp}".encode()
    return base64.b64encode(hmac.new(api_key, message, hashlib.sha512).digest()).decode()


def decode_api_key(api_key: SecretStr) -> bytes:
    """The signing key behind its base64; ``ConfigError`` without the value where it is none."""
    try:
        return base64.b64decode(api_key.get_secret_value().strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("advoware.api_key: is not base64") from None


def token_body(credentials: Credentials, nonce: str, now: datetime) -> dict[str, object]:
    """The body of ``POST /api/v1/Token``; ``now`` becomes the timestamp, the string signed is the string sent."""
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    request_signature = token_signature(
        decode_api_key(credentials.api_key),
        product=credentials.product,
        app_id=credentials.app_id,
        nonce=nonce,
        timestamp=timestamp,
    )
    return {
        "AppID": credentials.app_id,
        "Kanzlei": credentials.kanzlei,
        "Database": credentials.database,
        "User": credentials.user,
        "Role": credentials.role,
        "Product": credentials.product,
        "Password": credentials.password.get_secret_value(),
        "Nonce": nonce,
        "HMAC512Signature": request_signature,
        "RequestTimeStamp": timestamp,
    }


def parse_token(response: ApiResponse, now: datetime) -> tuple[SecretStr, float]:
    """The access token and for how many seconds to use it; an error of ours for every other answer."""
    payload = response.payload if response.is_success and isinstance(response.payload, dict) else {}
    token = payload.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
        raise _token_error(response)
    lifetime = _lifetime(payload, now)
    return SecretStr(token), lifetime - min(RENEW_BEFORE_SECONDS, lifetime / 2)


def _token_error(response: ApiResponse) -> Exception:
    """Why no token came. Its body is never quoted: it may repeat what was sent."""
    offline_text = response.find_text(OFFLINE_TEXTS)
    if not offline_text and (response.status in {UNAUTHORIZED, FORBIDDEN} or response.find_text(LOGIN_REFUSED_TEXTS)):
        return CredentialsRefused(SYSTEM, f"the token service answered {response.status}; {LOGIN_HINT}")
    why = f'says "{offline_text}"' if offline_text else f"answered {response.status} without a token"
    return TransientError(
        f"the token service {why}", not_applied=True, repeatable=True, retry_after=parse_retry_after(response)
    )


def _lifetime(payload: dict[str, object], now: datetime) -> float:
    seconds = payload.get("expires_in")
    if isinstance(seconds, int | float) and seconds > 0:
        return float(seconds)
    until = parse_iso_time(payload.get("expiration_utc"))
    seconds_left = (until - now).total_seconds() if until else 0.0
    return seconds_left if seconds_left > 0 else DEFAULT_TOKEN_SECONDS


def parse_iso_time(text: object) -> datetime | None:
    """An ISO time with any number of decimals, taken as UTC where it names no zone; ``None`` for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class TokenAuth(httpx.Auth):
    """Keeps one token for all threads, renews it before its end and once after a 401; a second 401 is final.

    A generator without I/O: the token request it yields is sent by the client that sends the rest.
    """

    def __init__(
        self,
        credentials: Credentials,
        gateway: Callable[[], str],
        *,
        timeout_seconds: float,
        monotonic: Callable[[], float],
        utcnow: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._credentials = credentials
        self._gateway = gateway
        self._timeout = httpx.Timeout(timeout_seconds).as_dict()
        self._monotonic = monotonic
        self._utcnow = utcnow
        self._nonce = nonce
        self._lock = threading.Lock()
        self._token: SecretStr | None = None
        self._renew_at = 0.0

    def secrets(self) -> tuple[SecretStr, ...]:
        """Every secret of this login, none of which may appear in a message."""
        secrets = (self._credentials.api_key, self._credentials.password, self._token)
        return tuple(secret for secret in secrets if secret is not None)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with the token, and once more with a fresh one after a 401."""
        token = yield from self.current_token()
        response = yield _with_bearer(request, token)
        if response.status_code == UNAUTHORIZED:
            token = yield from self.current_token(refused=token)
            yield _with_bearer(request, token)

    def current_token(
        self, refused: SecretStr | None = None, *, force: bool = False
    ) -> Generator[httpx.Request, httpx.Response, SecretStr]:
        """The kept token, after fetching a new one where it is used up or is the ``refused`` one, or in any case."""
        with self._lock:  # held while the token is fetched: the other threads want the same one
            if force or self._token is None or self._token is refused or self._monotonic() >= self._renew_at:
                requested_at = self._monotonic()
                response = yield self._token_request()
                response.read()
                now = self._utcnow()
                token, usable_seconds = parse_token(parse_response(response, now), now)
                self._token, self._renew_at = token, requested_at + usable_seconds
            return self._token

    def _token_request(self) -> httpx.Request:
        body = token_body(self._credentials, self._nonce(), self._utcnow())
        extensions = {"timeout": self._timeout, LOGIN_EXTENSION: True}
        return httpx.Request("POST", f"{self._gateway()}/api/v1/Token", json=body, extensions=extensions)


class LoginOnly(httpx.Auth):
    """Instead of the request, fetches a new token: whether the account is accepted."""

    def __init__(self, token_auth: TokenAuth) -> None:
        self._token_auth = token_auth

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:  # noqa: ARG002 - httpx's
        """The token request only."""
        yield from self._token_auth.current_token(force=True)


def _with_bearer(request: httpx.Request, token: SecretStr) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    return request
