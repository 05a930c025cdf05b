"""Lists are whole or they are an outage: truncated, repeated, reordered and lying ones are found out (rules §1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.clients.paging import SortOrder
from etl.errors import ConfigError, Outage
from tests.clients.fakes import FakeEspoLists, ScriptedServer, espocrm_client, http_response, list_record, ok_response
from tests.in_process import InProcess
from tests.recorded import recordings_of, simulator_at

if TYPE_CHECKING:
    from etl.clients.espocrm import EspoClient

PERSONS = [(f"id{n}", f"2026-11-23 13:00:0{n // 2}") for n in range(7)]
ALL_IDS = [entity_id for entity_id, _ in PERSONS]


def list_client(server: FakeEspoLists | ScriptedServer, page_size: int = 2) -> EspoClient:
    return espocrm_client(server.transport, page_size=page_size)


def entity_ids(pages: Any) -> list[str]:
    return [listing.entity_id for page in pages for listing in page.listings]


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_both_walks_see_everybody_once_whatever_the_page_size(page_size: int) -> None:
    espo = list_client(FakeEspoLists(PERSONS), page_size)
    assert entity_ids(espo.iter_pages([])) == ALL_IDS
    assert entity_ids(espo.iter_modified_since(None)) == ALL_IDS
    assert entity_ids(espo.iter_modified_since("2026-11-23 13:00:02")) == ALL_IDS[4:]


def test_only_the_first_page_is_counted_and_the_next_begin_behind_the_last_record() -> None:
    lists = FakeEspoLists(PERSONS[:4])
    list(list_client(lists).iter_modified_since("2026-11-23 13:00:00"))
    assert [(search["where"], search["no_total"]) for search in lists.searches] == [
        ([{"type": "greaterThanOrEquals", "attribute": "modifiedAt", "value": "2026-11-23 13:00:00"}], False),
        (
            [
                {
                    "type": "or",
                    "value": [
                        {"type": "greaterThan", "attribute": "modifiedAt", "value": "2026-11-23 13:00:00"},
                        {
                            "type": "and",
                            "value": [
                                {"type": "equals", "attribute": "modifiedAt", "value": "2026-11-23 13:00:00"},
                                {"type": "greaterThan", "attribute": "id", "value": "id1"},
                            ],
                        },
                    ],
                }
            ],
            True,
        ),
    ]


def test_an_empty_list_is_whole() -> None:
    assert [page.listings for page in list_client(FakeEspoLists([])).iter_pages([])] == [()]


def test_pages_carry_the_servers_own_time() -> None:
    assert {page.answered_at for page in list_client(FakeEspoLists(PERSONS)).iter_pages([])} == {"2026-11-23 13:18:22"}


# What happens while one walks ------------------------------------------------------------------------------------


def test_a_record_saved_during_a_walk_by_time_comes_twice_the_later_one_last() -> None:
    lists = FakeEspoLists(PERSONS)
    lists.before_page = lambda n: lists.records.update(id0="2026-11-23 13:30:00") if n == 1 else None
    assert entity_ids(list_client(lists).iter_modified_since(None)) == [*ALL_IDS, "id0"]


def test_a_record_saved_before_the_walk_reaches_it_is_not_lost() -> None:
    lists = FakeEspoLists(PERSONS)
    lists.before_page = lambda n: lists.records.update(id5="2026-11-23 13:30:00") if n == 1 else None
    assert entity_ids(list_client(lists).iter_modified_since(None)) == ["id0", "id1", "id2", "id3", "id4", "id6", "id5"]


def test_a_record_created_during_a_walk_is_no_error() -> None:
    lists = FakeEspoLists(PERSONS)
    lists.before_page = lambda n: lists.records.update(id9="2026-11-23 13:30:00") if n == 1 else None
    assert entity_ids(list_client(lists).iter_pages([])) == [*ALL_IDS, "id9"]


@pytest.mark.parametrize("order", SortOrder)
def test_a_record_deleted_during_a_walk_is_settled_by_counting_again(order: SortOrder) -> None:
    lists = FakeEspoLists(PERSONS)

    def delete_the_last(n: int) -> None:
        if n == 1:
            del lists.records["id6"]

    lists.before_page = delete_the_last
    assert entity_ids(list_client(lists).iter_pages([], order=order)) == ALL_IDS[:-1]
    assert lists.searches[-1]["maxSize"] == 0


# Lists that lie --------------------------------------------------------------------------------------------------


def falsify_page(n: int, **change: Any) -> FakeEspoLists:
    """Lists whose ``n``th page is falsified: ``total`` and ``list`` replace or transform what is true."""
    lists = FakeEspoLists(PERSONS)

    def falsify(at: int, page: dict[str, Any]) -> dict[str, Any]:
        if at != n:
            return page
        return page | {name: value(page[name]) if callable(value) else value for name, value in change.items()}

    lists.falsify = falsify
    return lists


def record_without_betnr(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "betnr"}


FALSE_LISTS = {
    "a page cut short in the middle": (falsify_page(1, list=lambda records: records[:1]), "full page"),
    "a page cut short that claims to be the last": (falsify_page(1, list=lambda records: records[:1], total=-2), "of 7 records"),
    "an end announced too early": (falsify_page(1, total=-2), "of 7 records"),
    "an empty page in the middle": (falsify_page(1, list=[], total=-2), "of 7 records"),
    "a page with a total and no records": (falsify_page(0, list=[]), "of 7 records"),
    "a page repeated": (falsify_page(1, list=[list_record(*PERSONS[0]), list_record(*PERSONS[1])]), "out of order or listed twice"),
    "a record repeated": (falsify_page(1, list=[list_record(*PERSONS[2])] * 2), "out of order or listed twice"),
    "records in the wrong order": (falsify_page(1, list=lambda records: records[::-1]), "out of order"),
    "a total that is too large": (falsify_page(0, total=9), None),
    "no total": (falsify_page(0, total=None), "no total"),
    "a total of -1 on the first page": (falsify_page(0, total=-1), "no total"),
    "a total that is text": (falsify_page(0, total="7"), "no list or no total"),
    "too many records": (falsify_page(0, list=[list_record(*person) for person in PERSONS[:3]]), "3 records on a page of 2"),
    "no list": (falsify_page(0, list=None), "no list"),
    "a record without id": (falsify_page(1, list=[{"betnr": 1}]), "lacks id"),
    "a record without betnr": (falsify_page(1, list=lambda records: [record_without_betnr(record) for record in records]), "lacks betnr"),
}  # fmt: skip


@pytest.mark.parametrize("order", SortOrder)
@pytest.mark.parametrize("name", FALSE_LISTS)
def test_a_list_that_is_not_whole_is_an_outage(name: str, order: SortOrder) -> None:
    lists, message = FALSE_LISTS[name]
    lists.searches.clear()
    walk = list_client(lists).iter_pages([], order=order)
    if message is None:  # the fresh count agrees with what was seen: whole
        assert entity_ids(walk) == ALL_IDS
        return
    with pytest.raises(Outage, match=message):
        entity_ids(walk)


def test_a_record_named_twice_on_one_page_is_no_edit() -> None:
    twice = [list_record("id0", "2026-11-23 13:00:00"), list_record("id0", "2026-11-23 13:00:01")]
    lists = falsify_page(0, list=twice)
    with pytest.raises(Outage, match="a page names a record twice"):
        entity_ids(list_client(lists).iter_modified_since(None))


def test_ids_that_differ_in_letter_case_follow_the_databases_order() -> None:
    script = ScriptedServer(
        ok_response({"total": 3, "list": [list_record(name, "2026-11-23 13:00:00") for name in ("a1", "B2", "c3")]})
    )
    assert entity_ids(list_client(script, 200).iter_pages([])) == ["a1", "B2", "c3"]


@pytest.mark.parametrize("body", ["<html>", '{"total": 7, "list": [{"id": "id0"', "[]", '"x"', "null"])
def test_an_answer_that_is_no_list_is_an_outage(body: str) -> None:
    with pytest.raises(Outage):
        entity_ids(list_client(ScriptedServer(*[http_response(200, body) for _ in range(3)])).iter_pages([]))


@pytest.mark.parametrize("refusal", [400, 403])
def test_a_refused_list_is_a_matter_of_the_configuration_and_fails_nobody(refusal: int) -> None:
    refusal_response = http_response(refusal, X_Status_Reason="Not existing attribute 'betnr' in where.")
    script = ScriptedServer(refusal_response, *([ok_response({"user": {}})] if refusal == 403 else []))
    with pytest.raises(ConfigError, match="refuses to list CBeteiligte"):
        entity_ids(list_client(script).iter_pages([]))


# Chunks and filters ----------------------------------------------------------------------------------------------


def test_a_sweep_takes_chunks_and_goes_on_behind_the_last_id() -> None:
    espo = list_client(FakeEspoLists(PERSONS))
    first = espo.list_sweep_chunk(None, 3)
    second = espo.list_sweep_chunk("id2", 3)
    third = espo.list_sweep_chunk("id5", 3)
    assert [entity_ids([chunk]) for chunk in (first, second, third)] == [ALL_IDS[:3], ALL_IDS[3:6], ALL_IDS[6:]]
    assert first.answered_at == "2026-11-23 13:18:22"


def test_a_chunk_cut_short_is_an_outage() -> None:
    with pytest.raises(Outage, match="1 of 7 records"):
        list_client(falsify_page(0, list=lambda records: records[:1])).list_sweep_chunk(None, 3)


def test_due_asks_for_all_five_reasons_at_once() -> None:
    script = ScriptedServer(ok_response({"total": 1, "list": [list_record("id0", "2026-11-23 13:00:00")]}))
    due = list_client(script, 200).list_due("2026-11-23 12:00:00", "2026-11-23 11:55:00")
    assert [listing.entity_id for listing in due] == ["id0"]
    search_params = script.requests[0].url.params["searchParams"]
    for part in ("pending_sync", "dirty", "syncNextRetry", "syncAutoResetAt", '"syncing"', "11:55:00"):
        assert part in search_params


def test_many_betnr_are_asked_for_in_several_lists() -> None:
    script = ScriptedServer(
        ok_response({"total": 1, "list": [list_record("a", "2026-11-23 13:00:00")]}),
        ok_response({"total": 0, "list": []}),
    )
    assert len(list_client(script, 200).list_by_betnr(range(150))) == 1
    assert max(len(str(request.url)) for request in script.requests) < 4000


def test_the_walks_and_filters_the_client_sends_work() -> None:
    sim = simulator_at("9.2", "login")[0]
    anna, bernd, clara, doris, emil = recordings_of("9.2").first_ids
    client = espocrm_client(InProcess(sim), page_size=2)
    sim.edit(bernd, syncStatus="failed", syncNextRetry="2026-11-23 13:00:00")
    sim.edit(clara, syncStatus="failed", syncNextRetry="2026-11-23 14:00:00")
    sim.edit(doris, syncStatus="permanently_failed", syncAutoResetAt="2026-11-23 13:10:00")
    sim.edit(emil, syncStatus="syncing", betnr=910005)
    due = client.list_due("2026-11-23 13:30:00", syncing_before="2026-11-23 13:20:00")
    assert [listing.entity_id for listing in due] == [anna, bernd, doris, emil]
    sim.edit(emil, syncStatus="syncing", betnr=None)
    due = client.list_due("2026-11-23 13:30:00", syncing_before="2026-11-23 13:20:00")
    assert [listing.entity_id for listing in due] == [anna, bernd, doris]
    assert anna not in [
        listing.entity_id for page in client.iter_modified_since("2026-11-23 13:18:17") for listing in page.listings
    ]
    assert len([listing for page in client.iter_modified_since(None) for listing in page.listings]) == 5
    assert [listing.entity_id for listing in client.list_sweep_chunk(None, 3).listings] == [anna, bernd, clara]
    assert [listing.entity_id for listing in client.list_sweep_chunk(clara, 3).listings] == [doris]
    assert [listing.betnr for page in client.iter_pages([]) for listing in page.listings][-1] is None
    assert [listing.entity_id for listing in client.list_by_betnr([910002, 4711])] == [bernd]
