"""Stand-ins for the world around a client: a clock that only sleeping moves, and servers that follow a script."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx
from pydantic import SecretStr

from etl.clients.advoware import Advoware
from etl.clients.espocrm import EspoCrm
from jobs.sandbox import advoware_login as account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BETNR = 104860
TOKEN = {"token_type": "bearer", "expires_in": 3600, "access_token": "t0k3n"}
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DATE = {"Date": "Mon, 23 Nov 2026 13:18:22 GMT"}


class Clock:
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


class Script:
    """A server that gives the scripted answers in order and fails on one request more; exceptions are raised."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        self.left = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self.left, f"unexpected {request.method} {request.url}"
        answer = self.left.pop(0)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("simulated", request=request)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]


def ok(payload: object, **headers: str) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(payload), headers=DATE | headers)


def answer(status: int, body: str | bytes = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=body, headers=DATE | named)


class EspoLists:
    """EspoCRM's list of CBeteiligte for the filters a walk uses, over ``(id, modifiedAt)`` pairs.

    ``between`` is called before each page, so that people can edit meanwhile; ``spoil`` may falsify an answer.
    """

    def __init__(self, records: Iterable[tuple[str, str]]) -> None:
        self.records = dict(records)
        self.asked: list[dict[str, Any]] = []
        self.between: Callable[[int], None] = lambda _: None
        self.spoil: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _, page: page

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.respond)

    def respond(self, request: httpx.Request) -> httpx.Response:
        self.between(len(self.asked))
        search = json.loads(parse_qs(request.url.query.decode())["searchParams"][0])
        self.asked.append(search | {"no_total": request.headers.get("x-no-total") == "true"})
        return ok(self.spoil(len(self.asked) - 1, self.page(search, self.asked[-1]["no_total"])))

    def page(self, search: dict[str, Any], no_total: bool) -> dict[str, Any]:  # noqa: FBT001
        found = [record for record in self.records.items() if all(self.meets(record, one) for one in search["where"])]
        found.sort(key=(lambda r: (r[1], r[0])) if search.get("orderBy") == "modifiedAt" else (lambda r: r[0]))
        shown = found[: search["maxSize"]]
        total = len(found) if not no_total else -1 if len(found) > len(shown) else -2
        return {"total": total, "list": [listed(entity_id, modified) for entity_id, modified in shown]}

    def meets(self, record: tuple[str, str], one: dict[str, Any]) -> bool:
        if one["type"] in {"or", "and"}:
            return {"or": any, "and": all}[one["type"]](self.meets(record, inner) for inner in one["value"])
        if one["type"] == "isNotNull":
            return True
        value = dict(zip(("id", "modifiedAt"), record, strict=True))[one["attribute"]]
        compared: dict[str, bool] = {
            "equals": value == one["value"],
            "greaterThan": value > one["value"],
            "greaterThanOrEquals": value >= one["value"],
        }
        return compared[one["type"]]


def listed(entity_id: str, modified: str, **other: object) -> dict[str, Any]:
    return {
        "id": entity_id,
        "name": f"Person {entity_id}",
        "betnr": 910001,
        "syncStatus": "clean",
        "kommunikationHash": None,
        "modifiedAt": modified,
        "modifiedById": None,
        **other,
    }


def record(entity_id: str = "e1", **other: object) -> dict[str, Any]:
    arrays: dict[str, Any] = {"phoneNumberData": [], "emailAddressData": []}
    return listed(entity_id, "2026-11-23 13:00:00", syncRetryCount=0, **arrays) | other


def person(betnr: int = 104860, *rows: dict[str, Any], **other: object) -> dict[str, Any]:
    return {"betNr": betnr, "kommunikation": list(rows), **other}


def komm(komm_id: int = 88002, **other: object) -> dict[str, Any]:
    plain = {"rowId": "FBABAAAA", "kommKz": 0, "tlf": "0511/12345-60", "bemerkung": None, "online": False}
    return {"id": komm_id, "betNr": 104860, "kommArt": 0, **plain, **other}


def advoware(transport: httpx.BaseTransport | None, clock: Clock | None = None, **other: Any) -> Advoware:
    """A client with the sandbox's account, without a ceiling of requests."""
    clock = clock or Clock()
    given: dict[str, Any] = {
        "kanzlei": account.KANZLEI,
        "database": account.DATABASE,
        "user": account.USER,
        "app_id": account.APP_ID,
        "api_key": SecretStr(account.API_KEY),
        "password": SecretStr(account.PASSWORD),
        "max_requests_per_second": 0,
        "transport": transport,
        "sleep": clock.sleep,
        "monotonic": clock.monotonic,
        "utcnow": clock.utcnow,
    }
    return Advoware(**given | other)


def espocrm(transport: httpx.BaseTransport | None, clock: Clock | None = None, **other: Any) -> EspoCrm:
    """A client of the recordings' EspoCRM."""
    clock = clock or Clock()
    given: dict[str, Any] = {
        "url": "http://crm.example.test",
        "api_key": SecretStr("API-KEY"),
        "transport": transport,
        "sleep": clock.sleep,
        "monotonic": clock.monotonic,
        "utcnow": clock.utcnow,
    }
    return EspoCrm(**given | other)
