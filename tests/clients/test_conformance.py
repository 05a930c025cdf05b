"""The client reads four real EspoCRMs (recorded) and the simulated ones alike; `conftest.py` says how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from etl.clients.paging import SortOrder
from etl.errors import ConcurrentEdit, ConfigError, CredentialsRefused, NotFound, Refused
from etl.records import Channel, EspoItem
from tests.clients.espocrm_under_test import items_without_raw, mail_json, phone_item, phone_json

if TYPE_CHECKING:
    from tests.clients.espocrm_under_test import EspoUnderTest

NOBODY = "000000000000000aa"
ANNAS_MAIL = EspoItem(Channel.MAIL, "ahrens0@kanzlei-muster.de", primary=True)
DORIS_PHONES = [phone_item("+49511700003", "Office", primary=True), phone_item("+49171700003", "Mobile")]


# Who and what ----------------------------------------------------------------------------------------------------


@pytest.mark.recording("login")
def test_a_good_key_is_told_its_user_and_rights_and_a_wrong_one_is_refused(site: EspoUnderTest) -> None:
    user = site.client.get_user()
    assert (user.id, user.name) == (site.user.id, "sync_api")
    assert user.acl["CBeteiligte"]["edit"] == "all"
    wrong = site.client_with_key("wrong")
    with pytest.raises(CredentialsRefused, match=r"check espocrm\.api_key"):
        wrong.get_user()
    assert wrong.calls == {"GET": 1}


@pytest.mark.recording("settings_and_fields")
def test_settings_and_fields_are_read(site: EspoUnderTest) -> None:
    client = site.client
    server, fields = client.get_server(), client.get_field_defs()
    assert (server.version, server.international, server.extensions) == (site.version.number, True, False)
    limit = site.version.max_items
    assert (server.max_mails, server.max_phones, server.maintenance) == (limit, limit, False)
    assert server.answered_at == site.answered_at(0)
    assert {client.fields[name] for name in client.fields} <= set(fields)
    assert fields["syncStatus"]["default"] == "pending_sync"


# Lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.recording("list_keyset_paging")
def test_a_walk_by_time_in_pages_of_two_is_whole(site: EspoUnderTest) -> None:
    client = site.client_with_key("API-KEY", page_size=2)
    pages = list(client.iter_pages([site.first_persons], order=SortOrder.MODIFIED))
    assert [[listing.entity_id for listing in page.listings] for page in pages] == [
        [site["Anna"], site["Bernd"]], [site["Clara"], site["Doris"]], [site["Emil"]],
    ]  # fmt: skip
    assert [page.total for page in pages] == [5, -1, -2]
    first = pages[0].listings[0]
    assert (first.betnr, first.name, first.status) == (910001, "Anna Ahrens", "pending_sync")
    assert (first.modified_at, first.modified_by, first.fingerprint) == (site.recordings.persons["Anna Ahrens"].created_at, None, None)
    assert client.calls == {"GET": 3}


@pytest.mark.recording("list_limits")
def test_the_limits_of_lists(site: EspoUnderTest) -> None:
    with pytest.raises(Refused, match="Max size should not exceed 200"):
        site.send_raw("GET", "CBeteiligte", {"maxSize": "201"})
    count_search = {"where": [site.first_persons], "maxSize": 0}
    assert site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(count_search)}) == {"total": 5, "list": []}
    unknown_search = {"where": [{"type": "equals", "attribute": "nope", "value": 1}], "maxSize": 1}
    with pytest.raises(Refused, match=r"\(400\): Not existing attribute 'nope' in where\."):
        site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(unknown_search)})
    answer = site.send_raw(
        "GET", "CBeteiligte", {"where": json.dumps([site.first_persons]), "maxSize": "1", "select": "id"}
    )
    assert answer["total"] == 5


@pytest.mark.recording("list_due_persons")
def test_the_filter_for_due_persons(site: EspoUnderTest) -> None:
    retry: list[dict[str, object]] = [
        {"type": "equals", "attribute": "syncStatus", "value": "failed"},
        {"type": "lessThanOrEquals", "attribute": "syncNextRetry", "value": "2026-11-23 12:00:00"},
    ]
    waiting: dict[str, object] = {"type": "in", "attribute": "syncStatus", "value": ["pending_sync", "dirty"]}
    search = {
        "where": [site.first_persons, {"type": "or", "value": [waiting, {"type": "and", "value": retry}]}],
        "select": ["id", "betnr", "syncStatus", "modifiedAt"],
        "orderBy": "id",
        "order": "asc",
        "maxSize": 200,
    }
    answer = site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)})
    assert [record["id"] for record in answer["list"]] == site.recordings.first_ids


# Records ---------------------------------------------------------------------------------------------------------


@pytest.mark.recording("get_record")
def test_a_record_is_read_with_its_items(site: EspoUnderTest) -> None:
    client = site.client
    anna = client.fetch(site["Anna"])
    assert items_without_raw(anna) == [
        phone_item("+49511700000", "Office", primary=True),
        phone_item("+49171700000", "Mobile"),
        ANNAS_MAIL,
    ]
    assert anna.answered_at == site.answered_at(0)
    assert (anna.betnr, anna.status, anna.modified_at, anna.version) == (
        910001, "pending_sync", site.recordings.persons["Anna Ahrens"].created_at, None,
    )  # fmt: skip
    with pytest.raises(NotFound, match=NOBODY):
        client.fetch(NOBODY)


@pytest.mark.recording("write_arrays")
def test_arrays_are_written_whole_and_answered(site: EspoUnderTest) -> None:
    client = site.client
    three = [
        phone_json("+49511700000", "Office", primary=True),
        phone_json("+49171700000", "Mobile"),
        phone_json("+49511700099", "Fax"),
    ]
    arrays = {Channel.PHONE: three, Channel.MAIL: [mail_json("ahrens0@kanzlei-muster.de")]}
    added = client.write(site["Anna"], {"sync_status": "syncing"}, arrays)
    assert (added.status, added.modified_by) == ("syncing", site.user.id)
    assert [json.loads(item.raw) for item in added.items] == [*three, mail_json("ahrens0@kanzlei-muster.de")]
    clean = client.write(
        site["Anna"],
        {
            "sync_status": "clean", "last_sync": "2026-11-23 12:00:00", "fingerprint": "0123456789abcdef",
            "error": None, "retry_count": 0, "next_retry": None, "auto_reset": None,
        },
    )  # fmt: skip
    assert (clean.status, clean.fingerprint, clean.items) == ("clean", "0123456789abcdef", added.items)
    removed = client.write(site["Anna"], {}, {Channel.PHONE: [phone_json("+49171700000", "Mobile", primary=True)]})
    assert items_without_raw(removed) == [phone_item("+49171700000", "Mobile", primary=True), ANNAS_MAIL]
    echoed = client.write(site["Bernd"], {}, {Channel.PHONE: [{"phoneNumber": "+49511700001"}]})
    assert items_without_raw(echoed)[0] == phone_item("+49511700001", None)
    cleared = client.write(site["Bernd"], {}, {Channel.MAIL: []})
    assert items_without_raw(cleared) == [phone_item("+49511700001", "Mobile", primary=True)]
    assert client.write(site["Bernd"], {}).items == cleared.items
    assert site.send_raw("PUT", f"CBeteiligte/{site['Bernd']}", body={"noSuchField": 1})["id"] == site["Bernd"]


@pytest.mark.recording("write_refused")
def test_what_espocrm_refuses_is_refused_by_field_and_rule(site: EspoUnderTest) -> None:
    client = site.client

    def refusal_of(channel: Channel, items: list[dict[str, object]]) -> tuple[int, str | None, str | None]:
        with pytest.raises(Refused) as caught:
            client.write(site["Clara"], {}, {channel: items})
        return caught.value.status, caught.value.field, caught.value.type

    assert refusal_of(Channel.PHONE, [phone_json("030 12345", "Office")]) == (400, "phoneNumber", "valid")
    for text, stored in [("+49 511/12345", "+4951112345"), ("+49 (0)511 123456", "+49511123456")]:
        normalised = client.write(site["Clara"], {}, {Channel.PHONE: [phone_json(text, "Office")]})
        assert items_without_raw(normalised)[0] == phone_item(stored, "Office")
    umlaut = [mail_json("müller@kanzlei-muster.de", primary=False)]
    assert refusal_of(Channel.MAIL, umlaut) == (400, "emailAddress", "emailAddress")
    eleven = [phone_json(f"+4951180000{n:02}", "Office") for n in range(11)]
    if site.version.max_items is None:  # EspoCRM 8 knows no limit (fact A10)
        assert len(client.write(site["Clara"], {}, {Channel.PHONE: eleven}).items) == 11 + 1
    else:
        assert refusal_of(Channel.PHONE, eleven) == (400, "phoneNumber", "maxCount")
    blank = client.write(site["Doris"], {}, {Channel.MAIL: [{"emailAddress": ""}]})
    assert items_without_raw(blank) == DORIS_PHONES
    twice = [mail_json("a@kanzlei-muster.de"), mail_json("A@kanzlei-muster.de", primary=False)]
    phone_count = 1 if site.version.max_items else 11
    assert len(client.write(site["Clara"], {}, {Channel.MAIL: twice}).items) == phone_count + 2
    for body, field in [
        ({"sync_status": "nonsense"}, "syncStatus"),
        ({"last_sync": "2026-11-23T12:00:00.123456"}, "advowareLastSync"),
    ]:
        with pytest.raises(Refused) as caught:
            client.write(site["Clara"], body)
        assert (caught.value.field, caught.value.type) == (field, "valid")
    with pytest.raises(NotFound):
        client.write(NOBODY, {"sync_status": "clean"})


@pytest.mark.recording("shared_phone_row")
def test_a_type_changes_on_another_record_without_its_time(site: EspoUnderTest) -> None:
    client = site.client
    client.write(site["Emil"], {}, {Channel.PHONE: [phone_json("+49171700000", "Home", primary=True)]})
    anna = client.fetch(site["Anna"])
    assert items_without_raw(anna) == [phone_item("+49171700000", "Home", primary=True), ANNAS_MAIL]
    assert anna.modified_at == site.recorded("write_arrays", 2)["modifiedAt"]


@pytest.mark.recording("version_number")
def test_a_stale_version_moved(site: EspoUnderTest) -> None:
    client = site.client
    assert client.write(site["Doris"], {"sync_status": "dirty"}).version == 1
    fresh = client.write(site["Doris"], {}, {Channel.PHONE: [phone_json("+49511700777", "Office", primary=True)]}, version=1)
    assert fresh.version == 2
    with pytest.raises(ConcurrentEdit):
        client.write(site["Doris"], {}, {Channel.PHONE: [phone_json("+49511700778", "Office", primary=True)]}, version=1)


@pytest.mark.recording("stream_note")
def test_a_note_is_posted_and_a_notification_refused(site: EspoUnderTest) -> None:
    site.client.post_note(site["Doris"], "Advoware value 0511/777 was replaced.")
    with pytest.raises(Refused, match="No create access"):
        site.send_raw("POST", "Notification", body={"type": "Message", "userId": "1", "message": "x"})


@pytest.mark.recording("create_fields")
def test_an_administrator_creates_a_field_once(site: EspoUnderTest) -> None:
    admin = site.admin()
    status = {"name": "syncStatus", "type": "enum", "label": "syncStatus", "options": ["clean"]}
    assert not admin.create_field_from(status)
    assert admin.create_field_from(
        {"name": "recordedField", "type": "varchar", "label": "recordedField", "maxLength": 64}
    )


@pytest.mark.recording("deleted_record")
def test_a_deleted_record_is_gone_and_in_no_list(site: EspoUnderTest) -> None:
    with pytest.raises(NotFound):
        site.client.fetch(site["Doris"])
    search = {"where": [{"type": "equals", "attribute": "id", "value": site["Doris"]}], "maxSize": 1}
    assert site.send_raw("GET", "CBeteiligte", {"searchParams": json.dumps(search)}) == {"total": 0, "list": []}


@pytest.mark.recording("metadata_unset_key")
def test_what_is_not_set_and_an_entity_that_is_not_there_are_answered_with_nothing(site: EspoUnderTest) -> None:
    assert not site.admin().has_switch("optimisticConcurrencyControl")
    with pytest.raises(ConfigError, match="knows no entity CNirgends"):
        site.client_with_key("API-KEY", entity="CNirgends").get_field_defs()
    types = "entityDefs.CBeteiligte.fields.phoneNumber.typeList"
    assert [site.send_raw("GET", "Metadata", {"key": key}) for key in ("scopes.CNirgends", types)] == [
        None, ["Mobile", "Office", "Home", "Fax", "Other"],
    ]  # fmt: skip
