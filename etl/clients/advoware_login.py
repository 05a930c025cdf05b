"""How the sync logs in to Advoware: finding the two addresses, signing, keeping one token (advoware-api.md §1)."""

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

from etl.clients.answers import read_answer, retry_after
from etl.clients.ask import LOGIN, Fault
from etl.errors import ConfigError, CredentialsRefused, Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from etl.clients.answers import Answer

SYSTEM = "Advoware"
MARGIN = 120.0
"""Seconds before its end a token is renewed; half its life where it lives shorter than twice that."""

USUAL_LIFE = 3300.0
"""Seconds a token is trusted that does not say how long it lives: clients in the field assume 55 minutes (O)."""

OFFLINE = ("ist nicht angemeldet", "ist nicht registriert")
"""The firm's local service is offline: an outage, nobody's fault (O)."""

REFUSED = ("freigeschaltet", "Falscher Name oder falsches Kennwort")
LOGIN_HINT = (
    "check advoware.user, password, database, app_id and api_key, that Advoware has unlocked the AppID,"
    " and this machine's clock"
)
UNAUTHORIZED, FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where Advoware's data and its token service are, without closing slashes; empty: not known yet."""

    base: str = ""
    gateway: str = ""

    @property
    def complete(self) -> bool:
        """Nobody needs to be asked."""
        return bool(self.base and self.gateway)


@dataclass(frozen=True, slots=True)
class Account:
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


def read_discovery(payload: object, kanzlei: str, allowed_hosts: Iterable[str], known: Addresses) -> Addresses:
    """``known`` completed by what discovery names; ``ConfigError`` for what is missing or not to be trusted."""
    if not isinstance(payload, dict):
        raise Outage(SYSTEM, "discovery answered something that is no object")
    base = known.base or payload.get("connectorUrl") or payload.get("relayUrl")
    gateway = known.gateway or payload.get("securityGateway")
    if not base:
        raise ConfigError(f'Advoware\'s discovery names no address for "{kanzlei}"; check advoware.kanzlei')
    if not gateway:  # absent in older answers (D)
        raise ConfigError(
            f'Advoware\'s discovery names no securityGateway for "{kanzlei}"; set advoware.security_gateway'
        )
    return Addresses(known.base or trusted(base, allowed_hosts), known.gateway or trusted(gateway, allowed_hosts))


def trusted(address: object, allowed_hosts: Iterable[str]) -> str:
    """``address`` when the password may go there: TLS and under ``allowed_hosts``, or this very machine."""
    try:
        url = httpx.URL(address) if isinstance(address, str) else httpx.URL("")
    except httpx.InvalidURL:
        url = httpx.URL("")
    host = url.host.casefold().rstrip(".")
    safe = url.scheme == "https" and any(_is_under(host, domain) for domain in allowed_hosts)
    whole = isinstance(address, str) and not {"?", "#", "@"} & set(address)  # what we add behind them would be lost
    if not whole or (not safe and not (url.scheme in {"http", "https"} and _is_loopback(host))):
        raise ConfigError(
            f'Advoware\'s discovery names "{url.scheme}://{host}", which has no TLS, or more than host and'
            " path, or is not under advoware.allowed_hosts; the password is not sent there"
        )
    return str(url).rstrip("/")


def _is_under(host: str, domain: str) -> bool:
    wanted = domain.casefold().strip("*.")
    named = re.fullmatch(r"[a-z0-9.-]+", host) is not None  # nothing two programs could read differently
    return bool(wanted) and named and (host == wanted or host.endswith(f".{wanted}"))


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


# Token -----------------------------------------------------------------------------------------------------------


def signature(api_key: bytes, *, product: int, app_id: str, nonce: str, timestamp: str) -> str:
    """The base64 HMAC-SHA512 the token service wants; ``api_key`` is decoded already."""
    message = f"{product}:{app_id}:{nonce}:{timestamp}".encode()
    return base64.b64encode(hmac.new(api_key, message, hashlib.sha512).digest()).decode()


def decoded_key(api_key: SecretStr) -> bytes:
    """The signing key behind its base64; ``ConfigError`` without the value where it is none."""
    try:
        return base64.b64decode(api_key.get_secret_value().strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("advoware.api_key: is not base64") from None


def token_request(account: Account, nonce: str, now: datetime) -> dict[str, object]:
    """The body of ``POST /api/v1/Token``; ``now`` becomes the timestamp, the string signed is the string sent."""
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    signed = signature(
        decoded_key(account.api_key), product=account.product, app_id=account.app_id, nonce=nonce, timestamp=timestamp
    )
    return {
        "AppID": account.app_id,
        "Kanzlei": account.kanzlei,
        "Database": account.database,
        "User": account.user,
        "Role": account.role,
        "Product": account.product,
        "Password": account.password.get_secret_value(),
        "Nonce": nonce,
        "HMAC512Signature": signed,
        "RequestTimeStamp": timestamp,
    }


def read_token(answer: Answer, now: datetime) -> tuple[SecretStr, float]:
    """The access token and for how many seconds to use it; an error of ours for every other answer."""
    payload = answer.payload if answer.ok and isinstance(answer.payload, dict) else {}
    token = payload.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
        raise _no_token(answer)
    life = _life(payload, now)
    return SecretStr(token), life - min(MARGIN, life / 2)


def _no_token(answer: Answer) -> Exception:
    """Why no token came. Its body is never quoted: it may repeat what was sent."""
    offline = answer.says(OFFLINE)
    if not offline and (answer.status in {UNAUTHORIZED, FORBIDDEN} or answer.says(REFUSED)):
        return CredentialsRefused(SYSTEM, f"the token service answered {answer.status}; {LOGIN_HINT}")
    why = f'says "{offline}"' if offline else f"answered {answer.status} without a token"
    return Fault(f"the token service {why}", unsent=True, repeatable=True, patient=retry_after(answer))


def _life(payload: dict[str, object], now: datetime) -> float:
    seconds = payload.get("expires_in")
    if isinstance(seconds, int | float) and seconds > 0:
        return float(seconds)
    until = utc_time(payload.get("expiration_utc"))
    left = (until - now).total_seconds() if until else 0.0
    return left if left > 0 else USUAL_LIFE


def utc_time(written: object) -> datetime | None:
    """An ISO time with any number of decimals, taken as UTC where it names no zone; ``None`` for anything else."""
    if not isinstance(written, str):
        return None
    try:
        told = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", written))
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


class TokenAuth(httpx.Auth):
    """Keeps one token for all threads, renews it before its end and once after a 401; a second 401 is final.

    A generator without I/O: the token request it yields is sent by the client that sends the rest.
    """

    def __init__(
        self,
        account: Account,
        gateway: Callable[[], str],
        *,
        timeout_seconds: float,
        monotonic: Callable[[], float],
        utcnow: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._account = account
        self._gateway = gateway
        self._timeout = httpx.Timeout(timeout_seconds).as_dict()
        self._monotonic = monotonic
        self._utcnow = utcnow
        self._nonce = nonce
        self._lock = threading.Lock()
        self._token: SecretStr | None = None
        self._renew_at = 0.0

    def secrets(self) -> tuple[SecretStr, ...]:
        """Everything of this login that may stand in no message."""
        held = (self._account.api_key, self._account.password, self._token)
        return tuple(secret for secret in held if secret is not None)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with the token, and once more with a fresh one after a 401."""
        token = yield from self.current_token()
        response = yield _bearing(request, token)
        if response.status_code == UNAUTHORIZED:
            token = yield from self.current_token(refused=token)
            yield _bearing(request, token)

    def current_token(
        self, refused: SecretStr | None = None, *, anew: bool = False
    ) -> Generator[httpx.Request, httpx.Response, SecretStr]:
        """The kept token, after fetching a new one where it is used up or is the ``refused`` one, or in any case."""
        with self._lock:  # held while the token is fetched: the other threads want the same one
            if anew or self._token is None or self._token is refused or self._monotonic() >= self._renew_at:
                asked_at = self._monotonic()
                response = yield self._ask()
                response.read()
                now = self._utcnow()
                token, usable = read_token(read_answer(response, now), now)
                self._token, self._renew_at = token, asked_at + usable
            return self._token

    def _ask(self) -> httpx.Request:
        body = token_request(self._account, self._nonce(), self._utcnow())
        extensions = {"timeout": self._timeout, LOGIN: True}
        return httpx.Request("POST", f"{self._gateway()}/api/v1/Token", json=body, extensions=extensions)


class FreshLogin(httpx.Auth):
    """Instead of the request, fetches a new token: whether the account is accepted."""

    def __init__(self, tokens: TokenAuth) -> None:
        self._tokens = tokens

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:  # noqa: ARG002 - httpx's
        """The token request only."""
        yield from self._tokens.current_token(anew=True)


def _bearing(request: httpx.Request, token: SecretStr) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    return request
