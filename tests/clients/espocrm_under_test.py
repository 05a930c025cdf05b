"""One of the EspoCRMs that the conformance tests speak to: a recording, or the simulator told to be that version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import vcr
from pydantic import SecretStr

from etl.clients.espocrm_admin import EspoAdminClient
from etl.clients.request import ApiRequest
from etl.errors import NotFound
from etl.records import Channel, EspoItem
from jobs.sandbox.espocrm.login import ADMIN_NAME, ADMIN_PASSWORD
from tests.clients.fakes import espocrm_client
from tests.recorded import SITE, Recordings, response_date, response_json

if TYPE_CHECKING:
    import httpx

    from etl.clients.espocrm import EspoClient
    from etl.records import EspoRecord

ROOT = f"{SITE}/api/v1"


class EspoUnderTest:
    """An EspoCRM as it was when ``cassette`` was recorded; ``client`` and ``admin`` speak to it.

    ``site["Anna"]`` is a person's id in this version.
    """

    def __init__(self, recordings: Recordings, cassette: str, transport: httpx.BaseTransport | None) -> None:
        self.recordings = recordings
        self.cassette = cassette
        self.version = recordings.version
        self.user = recordings.user_of(cassette)
        self.transport = transport
        self.client = self.client_with_key("API-KEY")

    def __getitem__(self, first_name: str) -> str:
        return self.recordings[first_name]

    def recorded(self, cassette: str, number: int) -> Any:
        """The recorded body of one of the answers of a cassette."""
        return response_json(self.recordings.interactions[cassette][number])

    def answered_at(self, number: int) -> str:
        """When one of this cassette's answers was given."""
        return response_date(self.recordings.interactions[self.cassette][number]).strftime("%Y-%m-%d %H:%M:%S")

    @property
    def first_persons(self) -> dict[str, object]:
        """The condition that the first session's lists carry."""
        return {"type": "in", "attribute": "id", "value": self.recordings.first_ids}

    def client_with_key(self, key: str, **other: Any) -> EspoClient:
        return espocrm_client(self.transport, api_key=SecretStr(key), **other)

    def admin(self) -> EspoAdminClient:
        password = SecretStr(ADMIN_PASSWORD)
        return EspoAdminClient(url=SITE, user=ADMIN_NAME, password=password, transport=self.transport)

    def send_raw(self, method: str, path: str, params: dict[str, str] | None = None, body: object = None) -> Any:
        """A request the client would not send, through its border; nothing is None."""
        ask = ApiRequest(
            method, f"{ROOT}/{path}", params, body=body, on_404=NotFound("EspoCRM", path), allow_empty=True
        )
        return self.client.session.send(ask).payload

    def send_as_admin(self, method: str, path: str, body: object) -> Any:
        """What an administrator does that ``setup-espocrm`` does not."""
        with self.admin() as admin:
            return admin.session.send(ApiRequest(method, f"{ROOT}/{path}", body=body)).payload

    def find_records(self, condition: dict[str, object], select: list[str]) -> list[dict[str, Any]]:
        """The records a condition meets, asked for as no client does."""
        search = {"where": [condition], "select": select, "maxSize": 200}
        answer: dict[str, Any] = self.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)})
        assert answer["total"] == len(answer["list"])
        return list(answer["list"])


def comparable_query(query: list[tuple[str, str]]) -> list[tuple[str, Any]]:
    """A query by what it means: JSON in it is compared as JSON, the order of parameters is nothing."""
    return sorted((name, json.loads(value) if value.startswith(("{", "[")) else value) for name, value in query)


def match_query(first: Any, second: Any) -> None:
    assert comparable_query(first.query) == comparable_query(second.query)


def match_json(first: Any, second: Any) -> None:
    bodies = [json.loads(request.body) if request.body else None for request in (first, second)]
    assert bodies[0] == bodies[1]


def match_version(first: Any, second: Any) -> None:
    assert first.headers.get("x-version-number") == second.headers.get("x-version-number")


RECORDER = vcr.VCR(record_mode="none")
RECORDER.register_matcher("query as meant", match_query)
RECORDER.register_matcher("body as JSON", match_json)
RECORDER.register_matcher("version", match_version)
MATCHERS = ["method", "host", "path", "query as meant", "body as JSON", "version"]


def phone_json(value: str, kind: str, *, primary: bool = False) -> dict[str, object]:
    return {"phoneNumber": value, "type": kind, "primary": primary, "optOut": False, "invalid": False}


def mail_json(value: str, *, primary: bool = True) -> dict[str, object]:
    return {"emailAddress": value, "lower": value.lower(), "primary": primary, "optOut": False, "invalid": False}


def items_without_raw(record: EspoRecord) -> list[EspoItem]:
    """The record's items without their raw JSON."""
    return [replace(item, raw="{}") for item in record.items]


def phone_item(value: str, kind: str | None, *, primary: bool = False) -> EspoItem:
    return EspoItem(Channel.PHONE, value, kind, primary=primary)
