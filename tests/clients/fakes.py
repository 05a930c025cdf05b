"""Stand-ins for the world around a client: a clock that only sleeping moves, and servers that follow a script."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx
from pydantic import SecretStr

from etl.clients.advoware import AdvowareClient
from etl.clients.espocrm import EspoClient
from jobs.sandbox.advoware import login as advoware_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BETNR = 104860
TOKEN = {"token_type": "bearer", "expires_in": 3600, "access_token": "t0k3n"}
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DATE = {"Date": "Mon, 23 Nov 2026 13:18:22 GMT"}


class FakeClock:
    """Time that passes only by sleeping; ``slept`` lists how long each sleep was."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds

    def utcnow(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class ScriptedServer:
    """A server that gives the scripted answers in order and fails on one request more; exceptions are raised."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        self.answers_left = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self.answers_left, f"unexpected {request.method} {request.url}"
        answer = self.answers_left.pop(0)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("simulated", request=request)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]


def ok_response(payload: object, **headers: str) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(payload), headers=DATE | headers)


def http_response(status: int, body: str | bytes = "", **headers: str) -> httpx.Response:
    header_values = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=body, headers=DATE | header_values)


class FakeEspoLists:
    """EspoCRM's list of CBeteiligte for the filters a walk uses, over ``(id, modifiedAt)`` pairs.

    ``between`` is called before each page, so that people can edit meanwhile; ``falsify`` may falsify an answer.
    """

    def __init__(self, records: Iterable[tuple[str, str]]) -> None:
        self.records = dict(records)
        self.searches: list[dict[str, Any]] = []
        self.before_page: Callable[[int], None] = lambda _: None
        self.falsify: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _, page: page

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.respond)

    def respond(self, request: httpx.Request) -> httpx.Response:
        self.before_page(len(self.searches))
        search = json.loads(parse_qs(request.url.query.decode())["searchParams"][0])
        self.searches.append(search | {"no_total": request.headers.get("x-no-total") == "true"})
        return ok_response(self.falsify(len(self.searches) - 1, self.page(search, self.searches[-1]["no_total"])))

    def page(self, search: dict[str, Any], no_total: bool) -> dict[str, Any]:  # noqa: FBT001
        matching = [
            record
            for record in self.records.items()
            if all(self.matches_condition(record, condition) for condition in search["where"])
        ]
        matching.sort(
            key=(lambda pair: (pair[1], pair[0])) if search.get("orderBy") == "modifiedAt" else (lambda pair: pair[0])
        )
        records_of_page = matching[: search["maxSize"]]
        total = len(matching) if not no_total else -1 if len(matching) > len(records_of_page) else -2
        return {"total": total, "list": [list_record(entity_id, modified) for entity_id, modified in records_of_page]}

    def matches_condition(self, record: tuple[str, str], condition: dict[str, Any]) -> bool:
        if condition["type"] in {"or", "and"}:
            return {"or": any, "and": all}[condition["type"]](
                self.matches_condition(record, part) for part in condition["value"]
            )
        if condition["type"] == "isNotNull":
            return True
        value = dict(zip(("id", "modifiedAt"), record, strict=True))[condition["attribute"]]
        results: dict[str, bool] = {
            "equals": value == condition["value"],
            "greaterThan": value > condition["value"],
            "greaterThanOrEquals": value >= condition["value"],
        }
        return results[condition["type"]]


def list_record(entity_id: str, modified: str, **changes: object) -> dict[str, Any]:
    return {
        "id": entity_id,
        "name": f"Person {entity_id}",
        "betnr": 910001,
        "syncStatus": "clean",
        "kommunikationHash": None,
        "modifiedAt": modified,
        "modifiedById": None,
        **changes,
    }


def record_json(entity_id: str = "e1", **changes: object) -> dict[str, Any]:
    arrays: dict[str, Any] = {"phoneNumberData": [], "emailAddressData": []}
    return list_record(entity_id, "2026-11-23 13:00:00", syncRetryCount=0, **arrays) | changes


def person_json(betnr: int = 104860, *rows: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {"betNr": betnr, "kommunikation": list(rows), **changes}


def komm_json(komm_id: int = 88002, **changes: object) -> dict[str, Any]:
    fields = {"rowId": "FBABAAAA", "kommKz": 0, "tlf": "0511/12345-60", "bemerkung": None, "online": False}
    return {"id": komm_id, "betNr": 104860, "kommArt": 0, **fields, **changes}


def advoware_client(
    transport: httpx.BaseTransport | None, clock: FakeClock | None = None, **changes: Any
) -> AdvowareClient:
    """A client with the sandbox's account, without a ceiling of requests."""
    clock = clock or FakeClock()
    options: dict[str, Any] = {
        "kanzlei": advoware_login.KANZLEI,
        "database": advoware_login.DATABASE,
        "user": advoware_login.USER,
        "app_id": advoware_login.APP_ID,
        "api_key": SecretStr(advoware_login.API_KEY),
        "password": SecretStr(advoware_login.PASSWORD),
        "max_requests_per_second": 0,
        "transport": transport,
        "sleep": clock.sleep,
        "monotonic": clock.monotonic,
        "utcnow": clock.utcnow,
    }
    return AdvowareClient(**options | changes)


def espocrm_client(transport: httpx.BaseTransport | None, clock: FakeClock | None = None, **changes: Any) -> EspoClient:
    """A client of the recordings' EspoCRM."""
    clock = clock or FakeClock()
    options: dict[str, Any] = {
        "url": "http://crm.example.test",
        "api_key": SecretStr("API-KEY"),
        "transport": transport,
        "sleep": clock.sleep,
        "monotonic": clock.monotonic,
        "utcnow": clock.utcnow,
    }
    return EspoClient(**options | changes)
