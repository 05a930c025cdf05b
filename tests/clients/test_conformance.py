"""One suite, two EspoCRMs: the client reads a real 9.2.7 (recorded) and the simulated one alike.

The recordings are replayed with vcrpy and never re-recorded. What they hold that the client would never send goes
through the client's own border. Each test needs the state its cassette was recorded in; the simulator is brought there
by replaying what was recorded before (tests/sandbox proves that its raw answers are the recorded ones).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import vcr
from pydantic import SecretStr

from etl.clients.espocrm_admin import EspoAdminClient
from etl.clients.paging import SortOrder
from etl.clients.request import ApiRequest
from etl.errors import ConcurrentEdit, ConfigError, CredentialsRefused, MalformedPayload, NotFound, Refused
from etl.records import Channel, EspoItem
from jobs.sandbox.espocrm.login import ADMIN_NAME, ADMIN_PASSWORD
from tests.clients.fakes import espocrm_client
from tests.in_process import InProcess
from tests.recorded import (
    ANNA,
    BERND,
    CASSETTES,
    CLARA,
    DORIS,
    EMIL,
    FIRST,
    FIRST_PERSONS,
    GERDA,
    HANS,
    ILSE,
    KARL,
    LENA,
    SITE,
    simulator_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from etl.clients.espocrm import EspoClient
    from etl.records import EspoRecord
    from jobs.sandbox.espocrm.api import EspoSim

ROOT = f"{SITE}/api/v1"
NOBODY = "000000000000000aa"
FIVE_PERSONS: dict[str, object] = {"type": "in", "attribute": "id", "value": list(FIRST_PERSONS)}


class EspoUnderTest:
    """One of the two EspoCRMs, as the cassettes left it; ``client`` and ``admin`` speak to it."""

    def __init__(self, transport: httpx.BaseTransport | None) -> None:
        self.transport = transport
        self.client = self.client_with_key("API-KEY")

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


# The two EspoCRMs ------------------------------------------------------------------------------------------------


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


@pytest.fixture(params=["recording", "simulator"])
def espo(request: pytest.FixtureRequest) -> Iterator[Callable[[str], EspoUnderTest]]:
    """``espo(cassette)`` is the parameter's EspoCRM in the state that cassette was recorded in."""
    cassettes: list[Any] = []

    def open_at(cassette: str) -> EspoUnderTest:
        if request.param == "simulator":
            return EspoUnderTest(InProcess(simulator_at(cassette)[0]))
        cassettes.append(RECORDER.use_cassette(str(CASSETTES / f"{cassette}.yaml"), match_on=MATCHERS))
        cassettes[-1].__enter__()
        return EspoUnderTest(None)

    yield open_at
    for cassette in cassettes:
        cassette.__exit__(None, None, None)


if TYPE_CHECKING:
    EspoAt = Callable[[str], EspoUnderTest]


def phone_json(value: str, kind: str, *, primary: bool = False) -> dict[str, object]:
    return {"phoneNumber": value, "type": kind, "primary": primary, "optOut": False, "invalid": False}


def mail_json(value: str, *, primary: bool = True) -> dict[str, object]:
    return {"emailAddress": value, "lower": value.lower(), "primary": primary, "optOut": False, "invalid": False}


def items_without_raw(record: EspoRecord) -> list[EspoItem]:
    """The record's items without their raw JSON."""
    return [replace(item, raw="{}") for item in record.items]


def phone_item(value: str, kind: str | None, *, primary: bool = False) -> EspoItem:
    return EspoItem(Channel.PHONE, value, kind, primary=primary)


ANNAS_MAIL = EspoItem(Channel.MAIL, "ahrens0@kanzlei-muster.de", primary=True)
DORIS_PHONES = [phone_item("+49511700003", "Office", primary=True), phone_item("+49171700003", "Mobile")]


# Who and what ----------------------------------------------------------------------------------------------------


def test_a_good_key_is_told_its_user_and_rights_and_a_wrong_one_is_refused(espo: EspoAt) -> None:
    login = espo("login")
    user = login.client.get_user()
    assert (user.id, user.name) == ("6b0434ad3fef4ae13", "sync_api")
    assert user.acl["CBeteiligte"]["edit"] == "all"
    wrong = login.client_with_key("wrong")
    with pytest.raises(CredentialsRefused, match=r"check espocrm\.api_key"):
        wrong.get_user()
    assert wrong.calls == {"GET": 1}


def test_settings_and_fields_are_read(espo: EspoAt) -> None:
    client = espo("settings_and_fields").client
    server, fields = client.get_server(), client.get_field_defs()
    assert (server.version, server.international, server.extensions) == ("9.2.7", True, False)
    assert (server.max_mails, server.max_phones, server.maintenance) == (10, 10, False)
    assert server.answered_at == "2026-11-23 13:18:22"
    assert {client.fields[name] for name in client.fields} <= set(fields)
    assert fields["syncStatus"]["default"] == "pending_sync"


# Lists -----------------------------------------------------------------------------------------------------------


def test_a_walk_by_time_in_pages_of_two_is_whole(espo: EspoAt) -> None:
    client = espo("list_keyset_paging").client_with_key("API-KEY", page_size=2)
    pages = list(client.iter_pages([FIVE_PERSONS], order=SortOrder.MODIFIED))
    assert [[listing.entity_id for listing in page.listings] for page in pages] == [
        [ANNA, BERND], [CLARA, DORIS], [EMIL],
    ]  # fmt: skip
    assert [page.total for page in pages] == [5, -1, -2]
    first = pages[0].listings[0]
    assert (first.betnr, first.name, first.status) == (910001, "Anna Ahrens", "pending_sync")
    assert (first.modified_at, first.modified_by, first.fingerprint) == ("2026-11-23 13:18:16", None, None)
    assert client.calls == {"GET": 3}


def test_the_limits_of_lists(espo: EspoAt) -> None:
    limits = espo("list_limits")
    with pytest.raises(Refused, match="Max size should not exceed 200"):
        limits.send_raw("GET", "CBeteiligte", {"maxSize": "201"})
    count_search = {"where": [FIVE_PERSONS], "maxSize": 0}
    assert limits.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(count_search)}) == {"total": 5, "list": []}
    unknown_search = {"where": [{"type": "equals", "attribute": "nope", "value": 1}], "maxSize": 1}
    with pytest.raises(Refused, match=r"\(400\): Not existing attribute 'nope' in where\."):
        limits.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(unknown_search)})
    answer = limits.send_raw(
        "GET", "CBeteiligte", {"where": json.dumps([FIVE_PERSONS]), "maxSize": "1", "select": "id"}
    )
    assert answer["total"] == 5


def test_the_filter_for_due_persons(espo: EspoAt) -> None:
    retry: list[dict[str, object]] = [
        {"type": "equals", "attribute": "syncStatus", "value": "failed"},
        {"type": "lessThanOrEquals", "attribute": "syncNextRetry", "value": "2026-11-23 12:00:00"},
    ]
    waiting: dict[str, object] = {"type": "in", "attribute": "syncStatus", "value": ["pending_sync", "dirty"]}
    search = {
        "where": [FIVE_PERSONS, {"type": "or", "value": [waiting, {"type": "and", "value": retry}]}],
        "select": ["id", "betnr", "syncStatus", "modifiedAt"],
        "orderBy": "id",
        "order": "asc",
        "maxSize": 200,
    }
    answer = espo("list_due_persons").send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)})
    assert [record["id"] for record in answer["list"]] == list(FIRST_PERSONS)


# Records ---------------------------------------------------------------------------------------------------------


def test_a_record_is_read_with_its_items(espo: EspoAt) -> None:
    client = espo("get_record").client
    anna = client.fetch(ANNA)
    assert items_without_raw(anna) == [
        phone_item("+49511700000", "Office", primary=True),
        phone_item("+49171700000", "Mobile"),
        ANNAS_MAIL,
    ]
    assert anna.answered_at == "2026-11-23 13:18:22"
    assert (anna.betnr, anna.status, anna.modified_at, anna.version) == (
        910001, "pending_sync", "2026-11-23 13:18:16", None,
    )  # fmt: skip
    with pytest.raises(NotFound, match=NOBODY):
        client.fetch(NOBODY)


def test_arrays_are_written_whole_and_answered(espo: EspoAt) -> None:
    site = espo("write_arrays")
    client = site.client
    three = [
        phone_json("+49511700000", "Office", primary=True),
        phone_json("+49171700000", "Mobile"),
        phone_json("+49511700099", "Fax"),
    ]
    added = client.write(
        ANNA, {"sync_status": "syncing"}, {Channel.PHONE: three, Channel.MAIL: [mail_json("ahrens0@kanzlei-muster.de")]}
    )
    assert (added.status, added.modified_by) == ("syncing", "6b0434ad3fef4ae13")
    assert [json.loads(item.raw) for item in added.items] == [*three, mail_json("ahrens0@kanzlei-muster.de")]
    clean = client.write(
        ANNA,
        {
            "sync_status": "clean", "last_sync": "2026-11-23 12:00:00", "fingerprint": "0123456789abcdef",
            "error": None, "retry_count": 0, "next_retry": None, "auto_reset": None,
        },
    )  # fmt: skip
    assert (clean.status, clean.fingerprint, clean.items) == ("clean", "0123456789abcdef", added.items)
    removed = client.write(ANNA, {}, {Channel.PHONE: [phone_json("+49171700000", "Mobile", primary=True)]})
    assert items_without_raw(removed) == [phone_item("+49171700000", "Mobile", primary=True), ANNAS_MAIL]
    echoed = client.write(BERND, {}, {Channel.PHONE: [{"phoneNumber": "+49511700001"}]})
    assert items_without_raw(echoed)[0] == phone_item("+49511700001", None)
    cleared = client.write(BERND, {}, {Channel.MAIL: []})
    assert items_without_raw(cleared) == [phone_item("+49511700001", "Mobile", primary=True)]
    assert client.write(BERND, {}).items == cleared.items
    assert site.send_raw("PUT", f"CBeteiligte/{BERND}", body={"noSuchField": 1})["id"] == BERND


def test_what_espocrm_refuses_is_refused_by_field_and_rule(espo: EspoAt) -> None:
    site = espo("write_refused")
    client = site.client

    def refusal_of(channel: Channel, items: list[dict[str, object]]) -> tuple[int, str | None, str | None]:
        with pytest.raises(Refused) as caught:
            client.write(CLARA, {}, {channel: items})
        return caught.value.status, caught.value.field, caught.value.type

    assert refusal_of(Channel.PHONE, [phone_json("030 12345", "Office")]) == (400, "phoneNumber", "valid")
    for text, stored in [("+49 511/12345", "+4951112345"), ("+49 (0)511 123456", "+49511123456")]:
        normalised = client.write(CLARA, {}, {Channel.PHONE: [phone_json(text, "Office")]})
        assert items_without_raw(normalised)[0] == phone_item(stored, "Office")
    umlaut = [mail_json("müller@kanzlei-muster.de", primary=False)]
    assert refusal_of(Channel.MAIL, umlaut) == (400, "emailAddress", "emailAddress")
    eleven = [phone_json(f"+4951180000{n:02}", "Office") for n in range(11)]
    assert refusal_of(Channel.PHONE, eleven) == (400, "phoneNumber", "maxCount")
    blank = client.write(DORIS, {}, {Channel.MAIL: [{"emailAddress": ""}]})
    assert items_without_raw(blank) == DORIS_PHONES
    twice = [mail_json("a@kanzlei-muster.de"), mail_json("A@kanzlei-muster.de", primary=False)]
    assert len(client.write(CLARA, {}, {Channel.MAIL: twice}).items) == 3
    for body, field in [
        ({"sync_status": "nonsense"}, "syncStatus"),
        ({"last_sync": "2026-11-23T12:00:00.123456"}, "advowareLastSync"),
    ]:
        with pytest.raises(Refused) as caught:
            client.write(CLARA, body)
        assert (caught.value.field, caught.value.type) == (field, "valid")
    with pytest.raises(NotFound):
        client.write(NOBODY, {"sync_status": "clean"})


def test_a_type_changes_on_another_record_without_its_time(espo: EspoAt) -> None:
    client = espo("shared_phone_row").client
    client.write(EMIL, {}, {Channel.PHONE: [phone_json("+49171700000", "Home", primary=True)]})
    anna = client.fetch(ANNA)
    assert items_without_raw(anna) == [phone_item("+49171700000", "Home", primary=True), ANNAS_MAIL]
    assert anna.modified_at == "2026-11-23 13:18:22"


def test_a_stale_version_moved(espo: EspoAt) -> None:
    client = espo("version_number").client
    assert client.write(DORIS, {"sync_status": "dirty"}).version == 1
    fresh = client.write(DORIS, {}, {Channel.PHONE: [phone_json("+49511700777", "Office", primary=True)]}, version=1)
    assert fresh.version == 2
    with pytest.raises(ConcurrentEdit):
        client.write(DORIS, {}, {Channel.PHONE: [phone_json("+49511700778", "Office", primary=True)]}, version=1)


def test_a_note_is_posted_and_a_notification_refused(espo: EspoAt) -> None:
    stream = espo("stream_note")
    stream.client.post_note(DORIS, "Advoware value 0511/777 was replaced.")
    with pytest.raises(Refused, match="No create access"):
        stream.send_raw("POST", "Notification", body={"type": "Message", "userId": "1", "message": "x"})


def test_an_administrator_creates_a_field_once(espo: EspoAt) -> None:
    admin = espo("create_fields").admin()
    status = {"name": "syncStatus", "type": "enum", "label": "syncStatus", "options": ["clean"]}
    assert not admin.create_field_from(status)
    assert admin.create_field_from(
        {"name": "recordedField", "type": "varchar", "label": "recordedField", "maxLength": 64}
    )


def test_a_deleted_record_is_gone_and_in_no_list(espo: EspoAt) -> None:
    site = espo("deleted_record")
    with pytest.raises(NotFound):
        site.client.fetch(DORIS)
    search = {"where": [{"type": "equals", "attribute": "id", "value": DORIS}], "maxSize": 1}
    assert site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)}) == {"total": 0, "list": []}


def test_what_is_not_set_and_an_entity_that_is_not_there_are_answered_with_nothing(espo: EspoAt) -> None:
    site = espo("metadata_unset_key")
    assert not site.admin().has_concurrency_control()
    with pytest.raises(ConfigError, match="knows no entity CNirgends"):
        site.client_with_key("API-KEY", entity="CNirgends").get_field_defs()
    types = "entityDefs.CBeteiligte.fields.phoneNumber.typeList"
    assert [site.send_raw("GET", "Metadata", {"key": key}) for key in ("scopes.CNirgends", types)] == [
        None, ["Mobile", "Office", "Home", "Fax", "Other"],
    ]  # fmt: skip


# Rights, and rows that others hold (second edition) ------------------------------------------------------------


def find_records(site: EspoUnderTest, condition: dict[str, object], select: list[str]) -> list[dict[str, Any]]:
    search = {"where": [condition], "select": select, "maxSize": 200}
    answer: dict[str, Any] = site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)})
    assert answer["total"] == len(answer["list"])
    return list(answer["list"])


GERDAS_NEW = {
    Channel.PHONE: [phone_json("+49511700011", "Office", primary=True), phone_json("+49511700012", "Fax")],
    Channel.MAIL: [mail_json("gruber@kanzlei-muster.de"), mail_json("gerda@kanzlei-muster.de", primary=False)],
}
GERDAS_OLD = [
    phone_item("+49511700011", "Office", primary=True), EspoItem(Channel.MAIL, "gruber@kanzlei-muster.de", primary=True),
]  # fmt: skip


def test_a_field_that_may_not_be_edited_is_dropped_and_the_answer_shows_what_is_stored(espo: EspoAt) -> None:
    site = espo("field_not_editable")
    rights = site.send_raw("GET", "App/user")["acl"]["fieldTable"]["CBeteiligte"]
    assert rights == {name: {"read": "yes", "edit": "no"} for name in ("phoneNumber", "emailAddress")}
    answer = site.client.write(GERDA, {"sync_status": "syncing"}, GERDAS_NEW)
    assert (answer.status, items_without_raw(answer)) == ("syncing", GERDAS_OLD)
    assert items_without_raw(site.client.write(GERDA, {"sync_status": "clean"})) == GERDAS_OLD
    assert items_without_raw(site.client.fetch(GERDA)) == GERDAS_OLD


def test_a_field_that_may_not_be_read_is_nowhere(espo: EspoAt) -> None:
    site = espo("field_not_readable")
    assert site.send_raw("GET", "App/user")["acl"]["fieldTable"]["CBeteiligte"]["phoneNumber"]["read"] == "no"
    with pytest.raises(MalformedPayload):
        site.client.fetch(GERDA)
    arrays = {"phoneNumberData": GERDAS_NEW[Channel.PHONE], "emailAddressData": GERDAS_NEW[Channel.MAIL]}
    answer = site.send_raw("PUT", f"CBeteiligte/{GERDA}", body={"syncStatus": "syncing", **arrays})
    assert answer["syncStatus"] == "syncing"
    assert not [name for name in answer if name.startswith(("phone", "email"))]
    with pytest.raises(Refused, match="Forbidden attribute 'phoneNumber' in where"):
        find_records(site, {"type": "in", "attribute": "phoneNumber", "value": ["+49511700011"]}, ["id"])


HANS_MARKED = [
    phone_item("+49511700020", "Office", primary=True),
    replace(phone_item("+49511700021", "Fax"), opt_out=True, invalid=True),
    EspoItem(Channel.MAIL, "hans@kanzlei-muster.de", primary=True),
    EspoItem(Channel.MAIL, "Huber@Kanzlei-Muster.de", opt_out=True, invalid=True),
]


def test_a_record_is_found_by_any_of_its_numbers_and_mails(espo: EspoAt) -> None:
    site = espo("shared_lookup")
    flags = [f"{name}{end}" for name in ("phoneNumber", "emailAddress") for end in ("", "IsOptedOut", "IsInvalid")]
    fields = ["id", *flags, "phoneNumberData", "emailAddressData"]
    capitals = "HUBER@KANZLEI-MUSTER.DE"
    either: dict[str, object] = {
        "type": "or",
        "value": [
            {"type": "equals", "attribute": "emailAddress", "value": value}
            for value in (capitals, "nobody@kanzlei-muster.de")
        ],
    }
    by_phone: dict[str, object] = {"type": "in", "attribute": "phoneNumber", "value": ["+49511700021", "+49511799999"]}
    by_mail: dict[str, object] = {
        "type": "in", "attribute": "emailAddress", "value": [capitals, "nobody@kanzlei-muster.de"],
    }  # fmt: skip
    for condition, select in ((by_phone, fields), (by_mail, fields), (either, ["id"])):
        [record_found] = find_records(site, condition, select)
        assert record_found["id"] == HANS
        assert not record_found.get("phoneNumberIsOptedOut")  # the flags are the primary's
        assert "phoneNumberData" not in record_found
    assert items_without_raw(site.client.fetch(HANS)) == HANS_MARKED
    for entity, attribute, value in (
        ("PhoneNumber", "name", "+49511700021"), ("EmailAddress", "lower", "huber@kanzlei-muster.de"),
    ):  # fmt: skip
        where = [{"type": "in", "attribute": attribute, "value": [value]}]
        with pytest.raises(Refused, match="No read access"):
            site.send_raw("GET", entity, {"searchParams": json.dumps({"where": where, "maxSize": 200})})


def test_marks_type_and_spelling_change_on_another_record_without_its_time(espo: EspoAt) -> None:
    client = espo("shared_flags").client
    assert items_without_raw(client.fetch(HANS)) == HANS_MARKED
    arrays = {
        Channel.PHONE: [phone_json("+49511700031", "Office", primary=True), phone_json("+49511700021", "Office")],
        Channel.MAIL: [mail_json("iser@kanzlei-muster.de"), mail_json("huber@kanzlei-muster.de", primary=False)],
    }
    echoed = client.write(ILSE, {}, arrays)
    hans = client.fetch(HANS)
    assert items_without_raw(hans) == [
        HANS_MARKED[0],
        phone_item("+49511700021", "Office"),
        HANS_MARKED[2],
        EspoItem(Channel.MAIL, "huber@kanzlei-muster.de"),
    ]
    assert hans.modified_at == "2026-11-27 01:34:48"
    assert client.write(ILSE, {"sync_status": "clean"}).items == echoed.items


def test_a_row_that_a_contact_holds_is_kept_and_only_a_mail_with_a_capital_is_told_otherwise(espo: EspoAt) -> None:
    site = espo("protected_row")
    with pytest.raises(Refused, match="No read access"):
        site.send_raw("GET", f"Contact/{KARL}")
    arrays = {
        Channel.PHONE: [phone_json("+49511700051", "Office", primary=True), phone_json("+49511700041", "Office")],
        Channel.MAIL: [mail_json("lang@kanzlei-muster.de"), mail_json("KRAUSE@kanzlei-muster.de", primary=False)],
    }
    own_items = [
        phone_item("+49511700051", "Office", primary=True),
        EspoItem(Channel.MAIL, "lang@kanzlei-muster.de", primary=True),
    ]
    kept_items = [
        replace(phone_item("+49511700041", "Fax"), opt_out=True, invalid=True),
        EspoItem(Channel.MAIL, "Krause@Kanzlei-Muster.de", opt_out=True, invalid=True),
    ]
    items_answered = items_without_raw(site.client.write(LENA, {"sync_status": "syncing"}, arrays))
    assert items_answered == [
        own_items[0],
        kept_items[0],
        own_items[1],
        EspoItem(Channel.MAIL, "KRAUSE@kanzlei-muster.de"),
    ]
    items_stored = [own_items[0], kept_items[0], own_items[1], kept_items[1]]
    assert items_without_raw(site.client.write(LENA, {"sync_status": "clean"})) == items_stored
    assert items_without_raw(site.client.fetch(LENA)) == items_stored


def test_without_stream_a_note_is_posted_all_the_same(espo: EspoAt) -> None:
    site = espo("stream_off")
    assert site.send_raw("GET", "Metadata", {"key": "scopes.CBeteiligte.stream"}) is False
    assert site.client.get_user().acl["CBeteiligte"]["stream"] == "all"
    site.client.post_note(LENA, "Advoware value 0511/777 was replaced.")
    lena = site.send_raw("GET", f"CBeteiligte/{LENA}")
    assert [name for name in ("isFollowed", "followersIds", "followersNames", "streamUpdatedAt") if name in lena] == []


# What was not recorded, on the simulator only --------------------------------------------------------------------


@pytest.fixture
def sim() -> EspoSim:
    return simulator_at(FIRST[0])[0]


def test_the_walks_and_filters_the_client_sends_work(sim: EspoSim) -> None:
    client = espocrm_client(InProcess(sim), page_size=2)
    sim.edit(BERND, syncStatus="failed", syncNextRetry="2026-11-23 13:00:00")
    sim.edit(CLARA, syncStatus="failed", syncNextRetry="2026-11-23 14:00:00")
    sim.edit(DORIS, syncStatus="permanently_failed", syncAutoResetAt="2026-11-23 13:10:00")
    sim.edit(EMIL, syncStatus="syncing", betnr=910005)
    due = client.list_due("2026-11-23 13:30:00", syncing_before="2026-11-23 13:20:00")
    assert [listing.entity_id for listing in due] == [ANNA, BERND, DORIS, EMIL]
    sim.edit(EMIL, syncStatus="syncing", betnr=None)
    due = client.list_due("2026-11-23 13:30:00", syncing_before="2026-11-23 13:20:00")
    assert [listing.entity_id for listing in due] == [ANNA, BERND, DORIS]
    assert ANNA not in [
        listing.entity_id for page in client.iter_modified_since("2026-11-23 13:18:17") for listing in page.listings
    ]
    assert len([listing for page in client.iter_modified_since(None) for listing in page.listings]) == 5
    assert [listing.entity_id for listing in client.list_sweep_chunk(None, 3).listings] == [ANNA, BERND, CLARA]
    assert [listing.entity_id for listing in client.list_sweep_chunk(CLARA, 3).listings] == [DORIS]
    assert [listing.betnr for page in client.iter_all() for listing in page.listings][-1] is None
    assert [listing.entity_id for listing in client.list_by_betnr([910002, 4711])] == [BERND]
