"""Lists are whole or they are an outage: truncated, repeated, reordered and lying ones are found out (rules.md §1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.clients.listing import Order
from etl.errors import ConfigError, Outage
from tests.clients.fakes import EspoLists, Script, answer, espocrm, listed, ok

if TYPE_CHECKING:
    from etl.clients.espocrm import EspoCrm

PERSONS = [(f"id{n}", f"2026-11-23 13:00:0{n // 2}") for n in range(7)]
ALL = [entity_id for entity_id, _ in PERSONS]


def crm(server: EspoLists | Script, page_size: int = 2) -> EspoCrm:
    return espocrm(server.transport, page_size=page_size)


def ids(pages: Any) -> list[str]:
    return [listing.entity_id for page in pages for listing in page.listings]


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_both_walks_see_everybody_once_whatever_the_page_size(page_size: int) -> None:
    espo = crm(EspoLists(PERSONS), page_size)
    assert ids(espo.everyone()) == ALL
    assert ids(espo.modified_since(None)) == ALL
    assert ids(espo.modified_since("2026-11-23 13:00:02")) == ALL[4:]


def test_only_the_first_page_is_counted_and_the_next_begin_behind_the_last_record() -> None:
    lists = EspoLists(PERSONS[:4])
    list(crm(lists).modified_since("2026-11-23 13:00:00"))
    assert [(asked["where"], asked["no_total"]) for asked in lists.asked] == [
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
    assert [page.listings for page in crm(EspoLists([])).everyone()] == [()]


def test_pages_carry_the_servers_own_time() -> None:
    assert {page.answered_at for page in crm(EspoLists(PERSONS)).everyone()} == {"2026-11-23 13:18:22"}


# What happens while one walks ------------------------------------------------------------------------------------


def test_a_record_saved_during_a_walk_by_time_comes_twice_the_later_one_last() -> None:
    lists = EspoLists(PERSONS)
    lists.between = lambda n: lists.records.update(id0="2026-11-23 13:30:00") if n == 1 else None
    assert ids(crm(lists).modified_since(None)) == [*ALL, "id0"]


def test_a_record_saved_before_the_walk_reaches_it_is_not_lost() -> None:
    lists = EspoLists(PERSONS)
    lists.between = lambda n: lists.records.update(id5="2026-11-23 13:30:00") if n == 1 else None
    assert ids(crm(lists).modified_since(None)) == ["id0", "id1", "id2", "id3", "id4", "id6", "id5"]


def test_a_record_created_during_a_walk_is_no_error() -> None:
    lists = EspoLists(PERSONS)
    lists.between = lambda n: lists.records.update(id9="2026-11-23 13:30:00") if n == 1 else None
    assert ids(crm(lists).everyone()) == [*ALL, "id9"]


@pytest.mark.parametrize("order", Order)
def test_a_record_deleted_during_a_walk_is_settled_by_counting_again(order: Order) -> None:
    lists = EspoLists(PERSONS)

    def delete_the_last(n: int) -> None:
        if n == 1:
            del lists.records["id6"]

    lists.between = delete_the_last
    assert ids(crm(lists).walk([], order=order)) == ALL[:-1]
    assert lists.asked[-1]["maxSize"] == 0


# Lists that lie --------------------------------------------------------------------------------------------------


def spoiled(n: int, **change: Any) -> EspoLists:
    """Lists whose ``n``th page is falsified: ``total`` and ``list`` replace or transform what is true."""
    lists = EspoLists(PERSONS)

    def spoil(at: int, page: dict[str, Any]) -> dict[str, Any]:
        if at != n:
            return page
        return page | {name: value(page[name]) if callable(value) else value for name, value in change.items()}

    lists.spoil = spoil
    return lists


def without_betnr(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "betnr"}


LIES = {
    "a page cut short in the middle": (spoiled(1, list=lambda found: found[:1]), "full page"),
    "a page cut short that claims to be the last": (spoiled(1, list=lambda found: found[:1], total=-2), "of 7 records"),
    "an end announced too early": (spoiled(1, total=-2), "of 7 records"),
    "an empty page in the middle": (spoiled(1, list=[], total=-2), "of 7 records"),
    "a page with a total and no records": (spoiled(0, list=[]), "of 7 records"),
    "a page repeated": (spoiled(1, list=[listed(*PERSONS[0]), listed(*PERSONS[1])]), "out of order or listed twice"),
    "a record repeated": (spoiled(1, list=[listed(*PERSONS[2])] * 2), "out of order or listed twice"),
    "records in the wrong order": (spoiled(1, list=lambda found: found[::-1]), "out of order"),
    "a total that is too large": (spoiled(0, total=9), None),
    "no total": (spoiled(0, total=None), "no total"),
    "a total of -1 on the first page": (spoiled(0, total=-1), "no total"),
    "a total that is text": (spoiled(0, total="7"), "no list or no total"),
    "too many records": (spoiled(0, list=[listed(*one) for one in PERSONS[:3]]), "3 records on a page of 2"),
    "no list": (spoiled(0, list=None), "no list"),
    "a record without id": (spoiled(1, list=[{"betnr": 1}]), "lacks id"),
    "a record without betnr": (spoiled(1, list=lambda found: [without_betnr(one) for one in found]), "lacks betnr"),
}  # fmt: skip


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("name", LIES)
def test_a_list_that_is_not_whole_is_an_outage(name: str, order: Order) -> None:
    lists, says = LIES[name]
    lists.asked.clear()
    walk = crm(lists).walk([], order=order)
    if says is None:  # the fresh count agrees with what was seen: whole
        assert ids(walk) == ALL
        return
    with pytest.raises(Outage, match=says):
        ids(walk)


def test_a_record_named_twice_on_one_page_is_no_edit() -> None:
    twice = [listed("id0", "2026-11-23 13:00:00"), listed("id0", "2026-11-23 13:00:01")]
    lists = spoiled(0, list=twice)
    with pytest.raises(Outage, match="a page names a record twice"):
        ids(crm(lists).modified_since(None))


def test_ids_that_differ_in_letter_case_follow_the_databases_order() -> None:
    script = Script(ok({"total": 3, "list": [listed(name, "2026-11-23 13:00:00") for name in ("a1", "B2", "c3")]}))
    assert ids(crm(script, 200).everyone()) == ["a1", "B2", "c3"]


@pytest.mark.parametrize("body", ["<html>", '{"total": 7, "list": [{"id": "id0"', "[]", '"x"', "null"])
def test_an_answer_that_is_no_list_is_an_outage(body: str) -> None:
    with pytest.raises(Outage):
        ids(crm(Script(*[answer(200, body) for _ in range(3)])).everyone())


@pytest.mark.parametrize("refusal", [400, 403])
def test_a_refused_list_is_a_matter_of_the_configuration_and_fails_nobody(refusal: int) -> None:
    refused = answer(refusal, X_Status_Reason="Not existing attribute 'betnr' in where.")
    script = Script(refused, *([ok({"user": {}})] if refusal == 403 else []))
    with pytest.raises(ConfigError, match="refuses to list CBeteiligte"):
        ids(crm(script).everyone())


# Chunks and filters ----------------------------------------------------------------------------------------------


def test_a_sweep_takes_chunks_and_goes_on_behind_the_last_id() -> None:
    espo = crm(EspoLists(PERSONS))
    first = espo.linked(None, 3)
    second = espo.linked("id2", 3)
    third = espo.linked("id5", 3)
    assert [ids([chunk]) for chunk in (first, second, third)] == [ALL[:3], ALL[3:6], ALL[6:]]
    assert first.answered_at == "2026-11-23 13:18:22"


def test_a_chunk_cut_short_is_an_outage() -> None:
    with pytest.raises(Outage, match="1 of 7 records"):
        crm(spoiled(0, list=lambda found: found[:1])).linked(None, 3)


def test_due_asks_for_all_five_reasons_at_once() -> None:
    script = Script(ok({"total": 1, "list": [listed("id0", "2026-11-23 13:00:00")]}))
    due = crm(script, 200).due("2026-11-23 12:00:00", "2026-11-23 11:55:00")
    assert [listing.entity_id for listing in due] == ["id0"]
    asked = script.requests[0].url.params["searchParams"]
    for part in ("pending_sync", "dirty", "syncNextRetry", "syncAutoResetAt", '"syncing"', "11:55:00"):
        assert part in asked


def test_many_betnr_are_asked_for_in_several_lists() -> None:
    script = Script(ok({"total": 1, "list": [listed("a", "2026-11-23 13:00:00")]}), ok({"total": 0, "list": []}))
    assert len(crm(script, 200).with_betnr(range(150))) == 1
    assert max(len(str(request.url)) for request in script.requests) < 4000
