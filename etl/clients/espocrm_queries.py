"""EspoCRM's own filters: what a list is asked for (EspoCRM, Reading).

How EspoCRM is asked: with a person in mind or not, and what a 403 then means (rules §6).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx

from etl.clients.espocrm_payload import ARRAY_FIELDS
from etl.clients.request import ApiRequest, ServerQuirks
from etl.enums import PersonStatus
from etl.errors import FORBIDDEN, RIGHTS_HINT, ConfigError, Forbidden, Outage, PersonError, Refused
from etl.records import Channel

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from etl.clients.http import HttpSession
    from etl.clients.paging import Filter, PageRequest
    from etl.clients.request import ApiResponse
    ChannelValue = tuple[Channel, str]

MAX_FILTER_LENGTH: Final = 6000
"""Signs of a filter in an address of 8 kB (EspoCRM fact B4): about 45 mails, or 200 numbers."""


def condition(kind: str, attribute: str, value: object) -> Filter:
    """One condition."""
    return {"type": kind, "attribute": attribute, "value": value}


def search_params(search: Mapping[str, object]) -> dict[str, str]:
    """The query of a list; a bare ``where=`` would be ignored, and everything come."""
    return {"searchParams": json.dumps(search, ensure_ascii=False, separators=(",", ":"))}


def page_search(page_request: PageRequest, attributes: Sequence[str]) -> dict[str, object]:
    """What one page of a walk is asked with."""
    if page_request.size == 0:
        return {"where": page_request.where, "maxSize": 0}
    return {
        "where": page_request.where,
        "select": attributes,
        "orderBy": page_request.order,
        "order": "asc",
        "maxSize": page_request.size,
    }


def due_filter(fields: Mapping[str, str], now: str, syncing_before: str) -> Filter:
    """Records whose status asks for a look (``EspoClient.due``)."""
    status = fields["sync_status"]
    timed_statuses = [
        (PersonStatus.FAILED,             fields["next_retry"], now),
        (PersonStatus.PERMANENTLY_FAILED, fields["auto_reset"], now),
        (PersonStatus.SYNCING,            "modifiedAt",         syncing_before),
    ]
    cases = [condition("in", status, [PersonStatus.PENDING_SYNC, PersonStatus.DIRTY])]
    for waiting_status, time_field, until in timed_statuses:
        both = [condition("equals", status, waiting_status), condition("lessThanOrEquals", time_field, until)]
        cases.append({"type": "and", "value": both})
    return {"type": "or", "value": cases}


def holder_filters(values: Iterable[ChannelValue]) -> Iterator[Filter]:
    """Filters for records with any of these numbers and mails, as few as fit into addresses."""
    chunk: list[ChannelValue] = []
    for value in values:
        if chunk and len(quote(json.dumps(one_holder_filter([*chunk, value])))) > MAX_FILTER_LENGTH:
            yield one_holder_filter(chunk)
            chunk = []
        chunk.append(value)
    if chunk:
        yield one_holder_filter(chunk)


def one_holder_filter(values: Sequence[ChannelValue]) -> Filter:
    """One filter. Mails one by one: EspoCRM 8 answers 500 to ``in`` by mail (EspoCRM fact B3)."""
    numbers = [value for channel, value in values if channel is Channel.PHONE]
    mails = [value for channel, value in values if channel is Channel.MAIL]
    conditions = [condition("in", ARRAY_FIELDS[Channel.PHONE][1], numbers)] if numbers else []
    conditions += [condition("equals", ARRAY_FIELDS[Channel.MAIL][1], mail) for mail in mails]
    return {"type": "or", "value": conditions}


SYSTEM = "EspoCRM"
APP_USER = "App/user"
METADATA = "Metadata"
"""Where EspoCRM tells its definitions; what is not set is answered with an empty body (EspoCRM fact B15)."""

ESPO_QUIRKS = ServerQuirks(
    SYSTEM,
    "check espocrm.api_key, that its API user is active and has a role; after failed logins wait a minute",
    "espocrm.url",
)


class ApiKeyAuth(httpx.Auth):
    """Puts the key on each request, so that no client object carries it in a header that could be printed."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """One request, with the key."""
        request.headers["X-Api-Key"] = self._key.get_secret_value()
        yield request


class EspoApi:
    """Requests below one address. What is refused is a person's, the login's, or a matter of the settings."""

    def __init__(self, root: str, session: HttpSession) -> None:
        self.root = root
        self._session = session

    def url(self, *path: str) -> str:
        """An address below the root, each part quoted."""
        return "/".join([self.root, *(quote(part, safe="") for part in path)])

    def send_for_person(self, request: ApiRequest) -> ApiResponse:
        """A person's read or write; after a 403 our own user decides whether the person is to blame."""
        try:
            return self._session.send(request)
        except Forbidden:
            self._require_login()
            raise

    def send_general(self, request: ApiRequest, purpose: str) -> ApiResponse:
        """A list, or what EspoCRM says of itself: nobody fails where it is refused, the settings are wrong."""
        try:
            return self._session.send(request)
        except Refused as refusal:
            why = f"({refusal.status}: {refusal.reason})"
            if refusal.status == FORBIDDEN:
                self._require_login()
                if not refusal.explained:
                    raise Outage(SYSTEM, f"it refuses {purpose} {why} {RIGHTS_HINT}") from refusal
            raise ConfigError(f"EspoCRM refuses {purpose} {why}; run `advosync check`") from refusal

    def get(self, path: str, params: Mapping[str, str] | None = None) -> ApiResponse:
        """What EspoCRM says of itself, of us, or of its entities."""
        no_espocrm = ConfigError(f"espocrm.url: no EspoCRM answers at {self.root}")
        request = ApiRequest(
            "GET",
            f"{self.root}/{path}",
            params,
            on_404=no_espocrm,
            allow_bare=path == METADATA,
            proves_login=path == APP_USER,
        )
        return self.send_general(request, path)

    def get_metadata(self, key: str) -> object:
        """One value of the metadata; ``None`` where it is not set, or where our role may not know (fact B15)."""
        return self.get(METADATA, {"key": key}).value

    def has_entity(self, entity: str) -> bool:
        """Whether there is such an entity, also where our role has no rights on it: the metadata shows neither."""
        unknown_entity = ConfigError(f"EspoCRM knows no entity {entity}")
        try:
            self._session.send(ApiRequest("GET", self.url(entity), {"maxSize": "0"}, on_404=unknown_entity))
        except ConfigError:
            return False
        except Refused as refusal:
            if refusal.status != FORBIDDEN:
                raise
            self._require_login()
        return True

    def _require_login(self) -> None:
        """``CredentialsRefused`` where EspoCRM refuses our own user, too; ``Outage`` where it does not answer."""
        with suppress(PersonError):
            self._session.send(ApiRequest("GET", f"{self.root}/{APP_USER}", proves_login=True))
