"""Advoware's API for the sync: a read returns one person, a write changes one row, one at a time (README.md)."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Self, Unpack

from pydantic import SecretStr

from etl.clients.advoware_auth import (
    LOGIN_HINT,
    LOGIN_REFUSED_TEXTS,
    OFFLINE_TEXTS,
    SYSTEM,
    Credentials,
    Endpoints,
    LoginOnly,
    TokenAuth,
    decode_api_key,
    parse_discovery,
)
from etl.clients.advoware_payload import is_person_payload, parse_created_row, parse_person, parse_updated_row
from etl.clients.http import HttpSession, RateLimiter
from etl.clients.request import ApiRequest, ClientEnvironment, ClientOptions, ServerQuirks, check_url
from etl.errors import (
    ConcurrentEdit,
    ConfigError,
    CredentialsRefused,
    Forbidden,
    NotFound,
    Outage,
    PersonError,
    UnknownOutcome,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from etl.clients.request import ApiResponse
    from etl.records import AdvoRecord, AdvoRow, RowDraft

WRITE_LOCK = threading.Lock()
"""Held during every write, by every client of this process (rules §5)."""

ADVOWARE_QUIRKS = ServerQuirks(
    SYSTEM,
    LOGIN_HINT,
    "advoware.path_prefix and the configured addresses",
    offline_texts=OFFLINE_TEXTS,
    login_refused_texts=LOGIN_REFUSED_TEXTS,
)


class AdvowareClient:
    """One firm's Advoware. Reads may overlap, writes never do; raises what ``etl.clients.http`` says.

    With ``base_url`` and ``security_gateway`` both given, discovery is not asked.
    """

    def __init__(  # noqa: PLR0913 - the section ``advoware`` of config.yaml and the world around it
        self,
        *,
        kanzlei: str,
        database: str,
        user: str,
        app_id: str | SecretStr,
        api_key: SecretStr,
        password: SecretStr,
        base_url: str | None = None,
        security_gateway: str | None = None,
        configurator_url: str = "https://www2.advo-net.net/AdvonetConfigurator",
        path_prefix: str = "api/v1/advonet",
        role: int = 2,
        product: int = 64,
        allowed_hosts: Iterable[str] = ("advo-net.net",),
        timeout_seconds: float = 30,
        max_requests_per_second: float = 10,
        outage_after: int = 3,
        **options: Unpack[ClientOptions],
    ) -> None:
        environment = ClientEnvironment(**options)
        self._kanzlei = kanzlei
        self._known_endpoints = Endpoints(
            check_url(base_url, "advoware.base_url") if base_url else "",
            check_url(security_gateway, "advoware.security_gateway") if security_gateway else "",
        )
        self._configurator = check_url(configurator_url, "advoware.configurator_url")
        self._prefix = path_prefix.strip("/")
        self._allowed_hosts = tuple(allowed_hosts)
        self._discovery_lock = threading.Lock()
        self._recent_betnrs: deque[int] = deque(maxlen=2)  # persons read last with success
        decode_api_key(api_key)  # a wrong one is found before anything is sent
        app = app_id.get_secret_value() if isinstance(app_id, SecretStr) else app_id
        account = Credentials(kanzlei, database, user, role, product, app, api_key, password)
        self._token_auth = TokenAuth(
            account,
            lambda: self._endpoints().gateway,
            timeout_seconds=timeout_seconds,
            monotonic=environment.monotonic,
            utcnow=environment.utcnow,
        )
        self.session = HttpSession(
            ADVOWARE_QUIRKS,
            timeout_seconds=timeout_seconds,
            outage_after=outage_after,
            environment=environment,
            rate_limiter=RateLimiter(max_requests_per_second, sleep=environment.sleep, monotonic=environment.monotonic),
            secrets=self._token_auth.secrets,
        )

    def __repr__(self) -> str:
        return f"Advoware({self._kanzlei!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    @property
    def calls(self) -> Counter[str]:
        """Requests so far by method, repetitions included; logins and discovery are not among them."""
        return self.session.calls

    def login(self) -> Endpoints:
        """Find the addresses and log in afresh; ``ConfigError``, ``CredentialsRefused`` or ``Outage`` where not."""
        endpoints = self._endpoints()
        self.session.send(self._login_request())
        return endpoints

    def fetch(self, betnr: int) -> AdvoRecord:
        """One person with all rows; ``NotFound`` when deleted, ``MalformedPayload`` when it lacks what it must have."""
        person = self._parse_person(self._send_for_person(self._request("GET", betnr), betnr), betnr)
        self._recent_betnrs.append(betnr)
        return person

    def create(self, betnr: int, draft: RowDraft) -> AdvoRow:
        """A new row of ``draft.komm_kz``; ``UnknownOutcome`` when the answer does not tell its id.

        What else the answer lacks is taken from ``draft``; a ``row_id`` it lacks is "". ``NotFound`` without the
        person.
        """
        if draft.komm_kz is None:
            raise ValueError("a new row needs a komm_kz")
        body = {"tlf": draft.value, "bemerkung": draft.remark, "kommKz": draft.komm_kz, "online": draft.online}
        response = self._send_for_person(self._request("POST", betnr, "Kommunikationen", body=body), betnr)
        row = parse_created_row(response.payload, draft)
        if row is None:
            raise UnknownOutcome(SYSTEM, f"the answer to a new Kommunikation of {betnr} tells no id")
        return row

    def update(self, betnr: int, komm_id: int, draft: RowDraft) -> AdvoRow | None:
        """Write value, remark and ``online`` of a row: always all three, merge or replace is not known (A).

        The row as answered, or ``None`` where the answer is not the row. ``ConcurrentEdit`` when the row is gone.
        """
        body = {"tlf": draft.value, "bemerkung": draft.remark, "online": draft.online}
        response = self._send_for_person(self._request("PUT", betnr, "Kommunikationen", komm_id, body=body), betnr)
        return parse_updated_row(response.payload, komm_id)

    def _request(self, method: str, betnr: int, *path: str | int, body: object = None) -> ApiRequest:
        url = "/".join(str(part) for part in (self._endpoints().base, self._prefix, "Beteiligte", betnr, *path))
        no_person = NotFound(SYSTEM, str(betnr))
        no_row = (
            ConcurrentEdit(f"Advoware has no Kommunikation {path[-1]} of {betnr} any more.")
            if method == "PUT"
            else no_person
        )
        return ApiRequest(method, url, body=body, on_404=no_row, allow_empty=method == "PUT", auth=self._token_auth)

    def _send_for_person(self, request: ApiRequest, betnr: int) -> ApiResponse:
        """A person's read or write, one write at a time; after a 403 the login decides who is to blame."""
        try:
            with WRITE_LOCK if request.is_write else nullcontext():
                return self.session.send(request)
        except Forbidden:
            self._require_access(betnr)
            raise

    def _require_access(self, refused_betnr: int) -> None:
        """``CredentialsRefused`` where more is refused than this person (rules §6).

        Advoware has nothing like EspoCRM's App/user, so another person that this client was shown is read again. Where
        it was shown nobody else, a fresh login must do: it proves the account, not what the account may see.
        """
        others = [
            betnr for betnr in tuple(self._recent_betnrs) if betnr != refused_betnr
        ]  # other readers add to it meanwhile
        with suppress(PersonError):
            try:
                self.session.send(self._request("GET", others[-1]) if others else self._login_request())
            except Forbidden as error:
                raise CredentialsRefused(SYSTEM, f"it refuses persons it showed before (403); {LOGIN_HINT}") from error

    def _login_request(self) -> ApiRequest:
        return ApiRequest("GET", self._endpoints().gateway, auth=LoginOnly(self._token_auth))

    def _parse_person(self, response: ApiResponse, betnr: int) -> AdvoRecord:
        if not is_person_payload(response.payload) and (
            offline_text := response.find_text(OFFLINE_TEXTS)
        ):  # also under a 200 (O)
            raise Outage(SYSTEM, f'the answer says "{offline_text}"')
        return parse_person(response.payload, betnr)

    def _endpoints(self) -> Endpoints:
        """Configured, else discovered once; asked again after a failure."""
        with self._discovery_lock:
            if not self._known_endpoints.is_complete:
                self._known_endpoints = self._discover()
            return self._known_endpoints

    def _discover(self) -> Endpoints:
        unknown_kanzlei = ConfigError(f'Advoware\'s discovery knows no "{self._kanzlei}"; check advoware.kanzlei')
        request = ApiRequest(
            "GET", f"{self._configurator}/api/Url", {"Kanzlei": self._kanzlei}, on_404=unknown_kanzlei, is_login=True
        )
        return parse_discovery(
            self.session.send(request).payload, self._kanzlei, self._allowed_hosts, self._known_endpoints
        )
