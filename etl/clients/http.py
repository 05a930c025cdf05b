"""The one border to the network: one request in, one answer or one of our errors out (rules §6).

What goes wrong is named here and nowhere else::

    answer or accident                               on GET                  on POST, PUT
    ───────────────────────────────────────────────  ──────────────────────  ─────────────────────────────
    no connection, nothing sent                      repeated, then Outage   Outage
    connection lost, timeout, 3xx, 408, 5xx          repeated, then Outage   UnknownOutcome
    2xx but not JSON                                 repeated, then Outage   UnknownOutcome
    a text that says the firm's service is offline   repeated, then Outage   UnknownOutcome
    429 (not applied)                                waited for, repeated, then Outage
    503 with Retry-After                             waited for, repeated    UnknownOutcome
    401; 403 where only a login can be refused       CredentialsRefused
    403 to a person's read or write                  Forbidden; the client asks whether the login still stands
    404 with an HTML page: none of its words         repeated, then Outage   UnknownOutcome
    404                                              what the caller says it means: NotFound, ConcurrentEdit, …
    409 modified                                     ConcurrentEdit
    409 cannotModifyLockedRecord                     RecordLocked
    every other 4xx                                  Refused, with EspoCRM's field and rule

A ``Stopped``, ``Outage`` or ``Refused`` out of a write means that nothing was written.

A ceiling of requests a second over all threads.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from etl.clients.request import (
    LOGIN_EXTENSION,
    ApiRequest,
    ApiResponse,
    ClientEnvironment,
    ServerQuirks,
    TransientError,
    excerpt,
    parse_response,
    parse_retry_after,
    refusal_details,
)
from etl.environment import network_variables, proxy_secrets, require_usable_environment
from etl.errors import (
    FORBIDDEN,
    AdvosyncError,
    ConcurrentEdit,
    ConfigError,
    CredentialsRefused,
    Forbidden,
    Outage,
    PersonError,
    RecordLocked,
    Refused,
    UnknownOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import SecretStr

MAX_RETRY_AFTER = 60.0
"""Longest single ``Retry-After`` we wait for, in seconds."""

MAX_TOTAL_RETRY_AFTER = 120.0
"""Longest all ``Retry-After`` of one request together; then the system counts as out."""

FIRST_BACKOFF, MAX_BACKOFF = 0.5, 8.0
"""Seconds before a GET is repeated: doubled each time, without jitter, so that runs can be replayed."""

LOOPBACK_MOUNTS: dict[str, httpx.BaseTransport | None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}
"""A firm's proxy cannot know this machine's own loopback, where the sandbox lives."""

CONNECT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
LOCKED_REASON = "cannotModifyLockedRecord"  # EspoCRM fact B19
CONFLICT, NOT_FOUND, REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS = 409, 404, 408, 425, 429
UNAUTHORIZED, FIRST_CLIENT_ERROR, FIRST_SERVER_ERROR = 401, 400, 500


class HttpSession:
    """Sends requests to one system, repeats what may be repeated, and translates every foreign error once.

    ``calls`` counts the requests by method, repetitions included; logins are in ``login_calls``. Safe to use from
    several threads.
    """

    def __init__(  # noqa: PLR0913 - the border is where all of a client's circumstances meet
        self,
        quirks: ServerQuirks,
        *,
        timeout_seconds: float,
        outage_after: int,
        environment: ClientEnvironment,
        auth: httpx.Auth | None = None,
        rate_limiter: RateLimiter | None = None,
        secrets: Callable[[], Iterable[SecretStr]] = tuple,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.login_calls: Counter[str] = Counter()
        self._quirks = quirks
        self._outage_after = outage_after
        self._environment = environment
        self._rate_limiter = rate_limiter
        self._secrets = secrets
        self._counter_lock = threading.Lock()
        self._http = self._open_client(auth, timeout_seconds, environment.transport)

    def send(self, request: ApiRequest) -> ApiResponse:
        """The successful answer to ``request``, or one of our errors as the table above says.

        Only a GET repeats by itself, up to ``outage_after`` failures in a row; a 429 and a login repeat for writes
        too, because nothing was written.
        """
        failures, waited = 0, 0.0
        while True:
            self._environment.checkpoint()
            try:
                return self._send_once(request)
            except TransientError as error:
                failures += error.retry_after is None or not error.repeatable
                wait = self._retry_delay(request, error, failures, waited)
                if wait is None:
                    raise self._give_up(request, error) from error.__cause__
                waited += wait if error.retry_after is not None else 0.0
            self._environment.sleep(wait)

    def _open_client(
        self, auth: httpx.Auth | None, timeout_seconds: float, transport: httpx.BaseTransport | None
    ) -> httpx.Client:
        """The connections; ``ConfigError`` where proxy or certificates of the environment allow none.

        What httpx says of a proxy may quote its address, and that may hold a password: it is not passed on.
        """
        if transport is None:
            require_usable_environment()
        try:
            return httpx.Client(  # proxies and own CA by the usual environment variables; TLS is always verified
                auth=auth,
                timeout=timeout_seconds,
                transport=transport,
                mounts=LOOPBACK_MOUNTS,
                headers={"User-Agent": "advosync", "Accept": "application/json"},
                event_hooks={"request": [self._on_request]},
            )
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
            variable_names = ", ".join(network_variables(os.environ)) or "this machine's proxy settings or certificates"
            reason = f"no connection can be made with them ({type(error).__name__})"
            raise ConfigError(f"The environment variable(s) {variable_names}: {reason}.") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def mask_secrets(self, text: str) -> str:
        """``text`` on one line, shortened, with every secret of this client blotted out."""
        secrets = (secret.get_secret_value() for secret in self._secrets())
        for value in filter(None, (*secrets, *proxy_secrets())):
            text = text.replace(value, "***")
        return excerpt(text)

    def _on_request(self, request: httpx.Request) -> None:
        if self._rate_limiter:
            self._rate_limiter.wait()
        counter = self.login_calls if LOGIN_EXTENSION in request.extensions else self.calls
        with self._counter_lock:
            counter[request.method] += 1

    def _send_once(self, request: ApiRequest) -> ApiResponse:
        http_request = self._http.build_request(
            request.method, request.url, params=request.params, json=request.body, headers=request.headers
        )
        http_request.extensions |= {LOGIN_EXTENSION: True} if request.is_login else {}
        try:
            http_response = self._http.send(http_request, auth=request.auth or httpx.USE_CLIENT_DEFAULT)
        except httpx.RequestError as error:
            raise self._transport_error(error, http_request) from error
        return self._check_response(request, parse_response(http_response, self._environment.utcnow()))

    def _transport_error(self, error: httpx.RequestError, http_request: httpx.Request) -> TransientError:
        """What an exception of httpx means; its own text only where it can hold nothing of the request."""
        try:
            failed_request = error.request
        except RuntimeError:  # httpx attached none
            failed_request = http_request
        is_login = LOGIN_EXTENSION in failed_request.extensions
        not_applied = is_login or isinstance(error, CONNECT_ERRORS)
        return TransientError(
            f"{self._describe(error)} ({failed_request.url.host})", not_applied=not_applied, repeatable=is_login
        )

    def _describe(self, error: httpx.RequestError) -> str:
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            return f"no connection: {self.mask_secrets(str(error))}"
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return "no connection in time"
        return "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection was lost"

    def _check_response(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        offline_text = response.find_text(self._quirks.offline_texts)
        if offline_text and not (response.is_success and response.is_json):
            raise TransientError(f'the answer says "{offline_text}"')
        if not response.is_success:
            raise self._response_error(request, response)
        if response.is_json or (request.allow_empty and response.is_empty) or (request.allow_bare and response.is_bare):
            return response
        raise TransientError(f"the answer ({response.status}) is not JSON")

    def _response_error(self, request: ApiRequest, response: ApiResponse) -> Exception:
        return self._transient_error(response) or self._permanent_error(request, response)

    def _transient_error(self, response: ApiResponse) -> TransientError | None:
        """The failures that may be gone in a moment, or are none of the application's own words."""
        status = response.status
        if status == TOO_MANY_REQUESTS:
            return TransientError(
                "too many requests (429)", not_applied=True, repeatable=True, retry_after=parse_retry_after(response)
            )
        if status < FIRST_CLIENT_ERROR:
            return TransientError(f"the answer redirects elsewhere ({status}); check the configured address")
        if status >= FIRST_SERVER_ERROR or status in {REQUEST_TIMEOUT, TOO_EARLY}:
            reason = self.mask_secrets(refusal_details(response)[0])
            return TransientError(f"it answered {status} ({reason})", retry_after=parse_retry_after(response))
        if status == NOT_FOUND and response.is_html:  # it says nothing about the person (rules §1, Endings)
            return TransientError(f"an HTML page says 404, not the application; check {self._quirks.address_keys}")
        return None

    def _permanent_error(self, request: ApiRequest, response: ApiResponse) -> AdvosyncError:
        """What asking again would not change."""
        status, system = response.status, self._quirks.system
        if self._is_login_refused(request, response):
            return CredentialsRefused(system, f"it answered {status}; {self._quirks.login_hint}")
        if status == NOT_FOUND and request.on_404:
            return request.on_404
        if status == CONFLICT and response.status_reason == "modified":
            return ConcurrentEdit(
                f"{system}'s record changed meanwhile (409 modified); nothing was written, plan it again."
            )
        if status == CONFLICT and response.status_reason == LOCKED_REASON:
            return RecordLocked(request.url.rpartition("/")[2])
        reason, name, rule = refusal_details(response)
        is_explained = bool(response.status_reason)
        if status == FORBIDDEN and isinstance(request.on_404, PersonError):
            return Forbidden(system, self.mask_secrets(reason), explained=is_explained)
        return Refused(system, status, self.mask_secrets(reason), field=name, type=rule, explained=is_explained)

    def _is_login_refused(self, request: ApiRequest, response: ApiResponse) -> bool:
        says_refused = response.find_text(self._quirks.login_refused_texts) is not None
        return (
            response.status == UNAUTHORIZED or (response.status == FORBIDDEN and request.proves_login) or says_refused
        )

    def _retry_delay(self, request: ApiRequest, error: TransientError, failures: int, waited: float) -> float | None:
        """Seconds until the next try, ``None`` for giving up."""
        if request.is_write and not error.repeatable:
            return None
        if failures >= self._outage_after:
            return None
        if error.retry_after is None:
            return min(FIRST_BACKOFF * 2.0 ** (failures - 1), MAX_BACKOFF)
        wait = max(1.0, error.retry_after)
        return wait if wait <= MAX_RETRY_AFTER and waited + wait <= MAX_TOTAL_RETRY_AFTER else None

    def _give_up(self, request: ApiRequest, error: TransientError) -> Outage | UnknownOutcome:
        error_type = UnknownOutcome if request.is_write and not error.not_applied else Outage
        return error_type(self._quirks.system, error.reason)


class RateLimiter:
    """Lets callers through at most ``per_second`` times a second, evenly spaced; 0 lets everybody through at once."""

    def __init__(self, per_second: float, *, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._spacing = 1 / per_second if per_second > 0 else 0.0
        self._sleep = sleep
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_turn = float("-inf")

    def wait(self) -> None:
        """Return when the caller's turn has come; turns are given in the order of asking."""
        if not self._spacing:
            return
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next_turn)
            self._next_turn = turn + self._spacing
        if turn > now:
            self._sleep(turn - now)
