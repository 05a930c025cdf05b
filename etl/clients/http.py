"""The one border to the network: one request in, one answer or one of our errors out (rules.md §6).

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
    404                                              what the caller says it means: Gone, Moved, …
    409 modified                                     Moved
    every other 4xx                                  Refused, with EspoCRM's field and rule

A ``Stopped``, ``Outage`` or ``Refused`` out of a write means that nothing was written.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from etl.clients.answers import Answer, excerpt, read_answer, refusal_of, retry_after
from etl.clients.ask import LOGIN, Ask, Fault, Habits, Surroundings
from etl.environment import demand_usable, proxy_secrets, variables
from etl.errors import (
    FORBIDDEN,
    AdvosyncError,
    ConfigError,
    CredentialsRefused,
    Forbidden,
    Moved,
    Outage,
    PersonError,
    Refused,
    UnknownOutcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import SecretStr

    from etl.clients.pace import Pace

RETRY_AFTER_CAP = 60.0
"""Longest single ``Retry-After`` we wait for, in seconds."""

WAITING_CAP = 120.0
"""Longest all ``Retry-After`` of one request together; then the system counts as out."""

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 8.0
"""Seconds before a GET is repeated: doubled each time, without jitter, so that runs can be replayed."""

NO_PROXY_WITHIN: dict[str, httpx.BaseTransport | None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}
"""A firm's proxy cannot know this machine's own loopback, where the sandbox lives."""

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
CONFLICT, NOT_FOUND, REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY = 409, 404, 408, 425, 429
UNAUTHORIZED, FIRST_REFUSAL, FIRST_SERVER_ERROR = 401, 400, 500


class Border:
    """Sends requests to one system, repeats what may be repeated, and translates every foreign error once.

    ``calls`` counts the requests by method, repetitions included; logins are in ``login_calls``. Safe to use from
    several threads.
    """

    def __init__(  # noqa: PLR0913 - the border is where all of a client's circumstances meet
        self,
        habits: Habits,
        *,
        timeout_seconds: float,
        outage_after: int,
        world: Surroundings,
        auth: httpx.Auth | None = None,
        pace: Pace | None = None,
        secrets: Callable[[], Iterable[SecretStr]] = tuple,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.login_calls: Counter[str] = Counter()
        self._habits = habits
        self._outage_after = outage_after
        self._world = world
        self._pace = pace
        self._secrets = secrets
        self._counting = threading.Lock()
        self._http = self._opened(auth, timeout_seconds, world.transport)

    def send(self, ask: Ask) -> Answer:
        """The successful answer to ``ask``, or one of our errors as the table above says.

        Only a GET repeats by itself, up to ``outage_after`` failures in a row; a 429 and a login repeat for writes
        too, because nothing was written.
        """
        failures, waited = 0, 0.0
        while True:
            self._world.checkpoint()
            try:
                return self._exchange(ask)
            except Fault as fault:
                failures += fault.patient is None or not fault.repeatable
                wait = self._wait(ask, fault, failures, waited)
                if wait is None:
                    raise self._given_up(ask, fault) from fault.__cause__
                waited += wait if fault.patient is not None else 0.0
            self._world.sleep(wait)

    def _opened(
        self, auth: httpx.Auth | None, timeout_seconds: float, transport: httpx.BaseTransport | None
    ) -> httpx.Client:
        """The connections; ``ConfigError`` where proxy or certificates of the environment allow none.

        What httpx says of a proxy may quote its address, and that may hold a password: it is not passed on.
        """
        if transport is None:
            demand_usable()
        try:
            return httpx.Client(  # proxies and own CA by the usual environment variables; TLS is always verified
                auth=auth,
                timeout=timeout_seconds,
                transport=transport,
                mounts=NO_PROXY_WITHIN,
                headers={"User-Agent": "advosync", "Accept": "application/json"},
                event_hooks={"request": [self._about_to_send]},
            )
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
            named = ", ".join(variables(os.environ)) or "this machine's proxy settings or certificates"
            why = f"no connection can be made with them ({type(error).__name__})"
            raise ConfigError(f"The environment variable(s) {named}: {why}.") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def masked(self, text: str) -> str:
        """``text`` on one line, shortened, with every secret of this client blotted out."""
        secrets = (secret.get_secret_value() for secret in self._secrets())
        for value in filter(None, (*secrets, *proxy_secrets())):
            text = text.replace(value, "***")
        return excerpt(text)

    def _about_to_send(self, request: httpx.Request) -> None:
        if self._pace:
            self._pace.wait()
        counter = self.login_calls if LOGIN in request.extensions else self.calls
        with self._counting:
            counter[request.method] += 1

    def _exchange(self, ask: Ask) -> Answer:
        request = self._http.build_request(
            ask.method, ask.url, params=ask.params, json=ask.body, headers=ask.headers
        )
        request.extensions |= {LOGIN: True} if ask.login else {}
        try:
            response = self._http.send(request, auth=ask.auth or httpx.USE_CLIENT_DEFAULT)
        except httpx.RequestError as error:
            raise self._accident(error, request) from error
        return self._judged(ask, read_answer(response, self._world.utcnow()))

    def _accident(self, error: httpx.RequestError, request: httpx.Request) -> Fault:
        """What an exception of httpx means; its own text only where it can hold nothing of the request."""
        try:
            failed = error.request
        except RuntimeError:  # httpx attached none
            failed = request
        login = LOGIN in failed.extensions
        unsent = login or isinstance(error, NEVER_SENT)
        return Fault(f"{self._described(error)} ({failed.url.host})", unsent=unsent, repeatable=login)

    def _described(self, error: httpx.RequestError) -> str:
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            return f"no connection: {self.masked(str(error))}"
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return "no connection in time"
        return "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection was lost"

    def _judged(self, ask: Ask, answer: Answer) -> Answer:
        offline = answer.says(self._habits.offline)
        if offline and not (answer.ok and answer.is_json):
            raise Fault(f'the answer says "{offline}"')
        if not answer.ok:
            raise self._error(ask, answer)
        if answer.is_json or (ask.empty_ok and answer.empty) or (ask.bare_ok and answer.is_bare):
            return answer
        raise Fault(f"the answer ({answer.status}) is not JSON")

    def _error(self, ask: Ask, answer: Answer) -> Exception:
        return self._passing(answer) or self._final(ask, answer)

    def _passing(self, answer: Answer) -> Fault | None:
        """The failures that may be gone in a moment, or are none of the application's own words."""
        status = answer.status
        if status == TOO_MANY:
            return Fault("too many requests (429)", unsent=True, repeatable=True, patient=retry_after(answer))
        if status < FIRST_REFUSAL:
            return Fault(f"the answer redirects elsewhere ({status}); check the configured address")
        if status >= FIRST_SERVER_ERROR or status in {REQUEST_TIMEOUT, TOO_EARLY}:
            why = self.masked(refusal_of(answer)[0])
            return Fault(f"it answered {status} ({why})", patient=retry_after(answer))
        if status == NOT_FOUND and answer.is_html:  # it says nothing about the person (rules.md §1, Endings)
            return Fault(f"an HTML page says 404, not the application; check {self._habits.address}")
        return None

    def _final(self, ask: Ask, answer: Answer) -> AdvosyncError:
        """What asking again would not change."""
        status, system = answer.status, self._habits.system
        if self._is_login_refused(ask, answer):
            return CredentialsRefused(system, f"it answered {status}; {self._habits.login_hint}")
        if status == NOT_FOUND and ask.missing:
            return ask.missing
        if status == CONFLICT and answer.status_reason == "modified":
            return Moved(f"{system}'s record changed meanwhile (409 modified); nothing was written, plan it again.")
        reason, name, rule = refusal_of(answer)
        explained = bool(answer.status_reason)
        if status == FORBIDDEN and isinstance(ask.missing, PersonError):
            return Forbidden(system, self.masked(reason), explained=explained)
        return Refused(system, status, self.masked(reason), field=name, type=rule, explained=explained)

    def _is_login_refused(self, ask: Ask, answer: Answer) -> bool:
        told = answer.says(self._habits.login_refused) is not None
        return answer.status == UNAUTHORIZED or (answer.status == FORBIDDEN and ask.proves_login) or told

    def _wait(self, ask: Ask, fault: Fault, failures: int, waited: float) -> float | None:
        """Seconds until the next try, ``None`` for giving up."""
        if ask.is_write and not fault.repeatable:
            return None
        if failures >= self._outage_after:
            return None
        if fault.patient is None:
            return min(FIRST_BACKOFF * 2.0 ** (failures - 1), LONGEST_BACKOFF)
        wait = max(1.0, fault.patient)
        return wait if wait <= RETRY_AFTER_CAP and waited + wait <= WAITING_CAP else None

    def _given_up(self, ask: Ask, fault: Fault) -> Outage | UnknownOutcome:
        kind = UnknownOutcome if ask.is_write and not fault.unsent else Outage
        return kind(self._habits.system, fault.reason)
