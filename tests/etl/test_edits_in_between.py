"""Sequences that once lost, doubled or blurred a number, each as it happened: edits, faults and refusals in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Direction, Scope
from etl.rules.marker import decode
from jobs.sandbox.simulator import TimedOut, make_json_response
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
OFFICE, FAX, HOME = "Office", "Fax", "Home"


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    return SyncHarness(tmp_path, 0)


def add_person_in_sync(
    harness: SyncHarness, phones: list[tuple[str, str]], *rows: tuple[str, str | None]
) -> tuple[str, list[int]]:
    """A person, betnr 1, synced once."""
    entity_id = harness.espo.add_person("Max Muster", 1, phones=phones)
    harness.advo.add_person(1, "Max Muster")
    row_ids = [harness.advo.add_row(1, value, remark) for value, remark in rows]
    assert harness.run().outcome == "done"
    return entity_id, row_ids


def phone_types(harness: SyncHarness, entity_id: str) -> set[tuple[str, str]]:
    phones = (item for item in harness.espo.items(entity_id) if "phoneNumber" in item)
    return {(item["phoneNumber"], item["type"]) for item in phones}


def row_values_and_texts(harness: SyncHarness) -> dict[int, tuple[str, str]]:
    """Value and own text by row."""
    return {row["id"]: (row["tlf"], decode(row["bemerkung"]).own_text) for row in harness.advo.rows(1)}


def once_before(
    matches: Callable[[SimRequest], bool], effect: Callable[[], Any]
) -> Callable[[SimRequest], SimResponse | None]:
    """Something that happens before the first request of a kind, and not again."""
    calls: list[SimRequest] = []

    def before(call: SimRequest) -> SimResponse | None:
        if matches(call) and not calls:
            calls.append(call)
            result: SimResponse | None = effect()
            return result
        return None

    return before


def test_an_item_added_while_advoware_was_slow_is_read_again_and_kept(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.add_row(1, "0511 777777")

    def edit_meanwhile() -> None:
        harness.clock.advance(10)
        harness.espo.edit(entity_id, phones=[(X, OFFICE), (Z, HOME)])
        harness.clock.advance(50)

    harness.advo.before = once_before(
        lambda call: call.method == "GET" and "/Beteiligte/1" in call.path, edit_meanwhile
    )
    harness.run(persons=("1",), scope=Scope.ENTRY)
    harness.run(sweep=True)
    assert {number for number, _ in phone_types(harness, entity_id)} == {X, Z, "+49511777777"}


def test_a_retype_whose_value_comes_back_cut_leaves_the_old_row_as_it_was(harness: SyncHarness) -> None:
    phones = [("+495111234567", OFFICE), (Y, FAX)]
    entity_id, (old, _) = add_person_in_sync(
        harness, phones, ("0511 1234567", "Gegner, nicht anrufen"), ("0511 2222222", None)
    )
    harness.advo.behaviour.max_tlf = 12
    harness.espo.edit(entity_id, phones=[("+495111234567", HOME), (Y, FAX)])
    harness.run()
    harness.run(sweep=True)
    assert row_values_and_texts(harness)[old] == ("0511 1234567", "Gegner, nicht anrufen")
    assert [value for value, _ in row_values_and_texts(harness).values() if value] == ["0511 1234567", "0511 2222222"]
    assert phone_types(harness, entity_id) == {("+495111234567", HOME), (Y, FAX)}


def test_a_cut_value_that_cannot_be_put_back_never_reaches_espocrm(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    harness.advo.behaviour.max_tlf = 9
    harness.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    assert harness.run().outcome == "failed_persons"
    harness.clock.advance(3600)
    harness.run()
    assert phone_types(harness, entity_id) == {(Z, OFFICE), (Y, FAX)}


@pytest.mark.parametrize("edited_side", ["row", "item"])
def test_an_edit_behind_our_last_write_needs_no_sweep(harness: SyncHarness, edited_side: str) -> None:
    entity_id, (number, _) = add_person_in_sync(
        harness, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None)
    )
    harness.espo.edit(entity_id, phones=[(X, OFFICE), (Y, FAX), (Z, HOME)])

    def edit_after_write() -> None:
        if edited_side == "row":
            harness.advo.edit_row(1, number, value="0511 333444")
        else:
            harness.espo.edit(entity_id, phones=[("+49511333444", OFFICE), (Y, FAX), (Z, HOME)])

    harness.espo.before = once_before(lambda call: call.method == "PUT" and "clean" in call.body, edit_after_write)
    for _ in range(3):
        harness.run()
    assert ("+49511333444", OFFICE) in phone_types(harness, entity_id)
    assert harness.disagreements() == []


def test_what_a_sweep_saw_is_not_forgotten_by_an_outage(harness: SyncHarness) -> None:
    entity_id, (number, _) = add_person_in_sync(
        harness, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None)
    )
    harness.advo.edit_row(1, number, value="0511 333444")
    harness.espo.before = lambda call: make_json_response(503, {}) if call.is_write else None
    harness.run(sweep=True)
    harness.espo.before = None
    harness.run()
    harness.run()
    assert ("+49511333444", OFFICE) in phone_types(harness, entity_id)


def test_a_refusal_that_is_not_about_a_value_blames_no_value(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.add_row(1, "0511 777777")
    refusal = {"messageTranslation": {"label": "validationFailure", "data": {"field": "lastName", "type": "required"}}}
    harness.espo.before = lambda call: make_json_response(400, refusal) if "phoneNumberData" in call.body else None
    assert harness.run(sweep=True).outcome == "failed_persons"
    assert harness.query_store("select * from left_alone") == []
    harness.espo.before = None
    harness.clock.advance(120)
    harness.run()
    assert ("+49511777777", OFFICE) in phone_types(harness, entity_id)


def test_a_login_refused_in_words_ends_the_run_and_blames_no_value(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.espo.edit(entity_id, phones=[(X, OFFICE), (Z, HOME)])
    error_body = {"message": "Die AppID ist nicht freigeschaltet."}
    creates = "Kommunikationen"
    harness.advo.before = lambda call: make_json_response(400, error_body) if call.path.endswith(creates) else None
    assert harness.run().outcome == "outage"
    assert harness.query_store("select * from left_alone") == []


def test_a_record_linked_to_another_betnr_is_synced_with_it(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.add_person(2, "Max Muster")
    harness.advo.add_row(2, "0511 777777")
    harness.espo.edit(entity_id, betnr=2)
    for _ in range(4):  # it waits, what was agreed ends, it is synced
        harness.run()
    assert ("+49511777777", OFFICE) in phone_types(harness, entity_id)
    assert {row["tlf"] for row in harness.advo.rows(2)} == {"0511 777777", X}
    assert {row["tlf"] for row in harness.advo.rows(1)} == {"0511 1234560"}


def record_before_any_sync(harness: SyncHarness) -> str:
    """A record whose first run found nothing on either side; then both are filled."""
    entity_id, _ = add_person_in_sync(harness, [])
    return entity_id


def record_of_another_betnr(harness: SyncHarness) -> str:
    """A record that was in sync with another betnr."""
    entity_id = harness.espo.add_person("Max Muster", 2, phones=[(X, OFFICE)])
    harness.advo.add_person(2, "Max Muster")
    harness.advo.add_row(2, "0511 1234560")
    harness.advo.add_person(1, "Max Muster")
    assert harness.run().outcome == "done"
    return entity_id


def record_after_unlinking(harness: SyncHarness) -> str:
    """A record that was in sync with this very betnr, and was taken off it."""
    entity_id, (row,) = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.espo.edit(entity_id, betnr=None)
    harness.run()
    harness.run()
    harness.advo.remove_row(1, row)
    return entity_id


@pytest.mark.parametrize("before", [record_before_any_sync, record_of_another_betnr, record_after_unlinking])
@pytest.mark.parametrize("direction", [Direction.TO_ADVOWARE, Direction.BOTH])
def test_a_first_sync_that_is_planned_again_in_the_middle_empties_nothing(
    harness: SyncHarness, before: Callable[[SyncHarness], str], direction: Direction
) -> None:
    """What the record was linked to before, or whether it ever was, makes no difference (rules §3)."""
    entity_id = before(harness)
    _, held_row = harness.advo.add_row(1, "0511 1234560", "Zentrale"), harness.advo.add_row(1, "0511 9999999", "Mutter")
    harness.espo.edit(entity_id, betnr=1, phones=[(X, OFFICE), (Y, FAX)])
    harness.advo.behaviour.refused_values = {Y}
    for _ in range(4):  # whoever was linked elsewhere waits and ends first
        harness.run(direction=direction, scope=Scope.PERSON)
    assert row_values_and_texts(harness)[held_row] == ("0511 9999999", "Mutter")


def test_a_torn_read_behind_our_own_array_is_not_believed_by_being_seen_twice(harness: SyncHarness) -> None:
    entity_id = harness.espo.add_person("Max Muster", 1, phones=[(X, OFFICE)], mails=["max@example.com"])
    harness.advo.add_person(1, "Max Muster")
    kept_row = harness.advo.add_row(1, "0511 1234560")
    assert harness.run().outcome == "done"
    harness.advo.add_row(1, "0511 777777")
    reads: list[SimRequest] = []

    def add_row_then_delay() -> None:
        """Somebody adds a row behind our array PUT; what then is planned is read again, as it took a while."""
        harness.advo.add_row(1, "0511 888888")
        harness.advo.before = once_before(is_advo_read, lambda: harness.clock.advance(3))

    def is_advo_read(call: SimRequest) -> bool:
        return call.method == "GET" and "/Beteiligte/1" in call.path and bool(harness.espo.writes)

    def answer_without_phones(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        """From the third read behind our PUT on."""
        if call.method != "GET" or entity_id not in call.path or not harness.espo.writes:
            return None
        reads.append(call)
        record_json = json.loads(answer.body)
        return make_json_response(200, {**record_json, "phoneNumberData": []}) if len(reads) > 2 else None

    harness.advo.before = once_before(is_advo_read, add_row_then_delay)
    harness.espo.after = answer_without_phones
    harness.run()
    assert len(reads) > 3
    assert row_values_and_texts(harness)[kept_row][0] == "0511 1234560"
    harness.espo.after = None
    harness.run()
    numbers = {number for number, _ in phone_types(harness, entity_id)}
    assert numbers == {X, "+49511777777", "+49511888888"}


def test_a_record_linked_elsewhere_behind_its_deletion_is_synced_by_the_next_run(harness: SyncHarness) -> None:
    harness.espo.add_person("Erika Muster", 9)  # Advoware still knows somebody, so its 404 is believed
    harness.advo.add_person(9, "Erika Muster")
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.add_person(2, "Max Muster")
    harness.advo.delete_person(1)
    harness.espo.before = once_before(
        lambda call: call.method == "PUT" and entity_id in call.path,
        lambda: harness.espo.edit(entity_id, betnr=2),
    )
    harness.run(sweep=True)
    for _ in range(3):
        harness.run()
    assert {row["tlf"] for row in harness.advo.rows(2)} == {X}
    assert harness.espo.record(entity_id)["syncStatus"] == "clean"


def test_a_row_held_back_at_a_first_sync_is_not_emptied_because_it_was_respelled(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 0, sync={"direction": "to_advoware"})
    _, (_, held_row) = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None), ("0511 9999999", None))
    harness.advo.edit_row(1, held_row, value="0511/9999999")
    harness.run(sweep=True)
    assert row_values_and_texts(harness)[held_row] == ("0511/9999999", "")


def test_a_type_changed_by_somebody_is_not_lost_when_a_direction_held_it_back(harness: SyncHarness) -> None:
    phones = [(X, OFFICE), (Y, FAX)]
    entity_id, (old, _) = add_person_in_sync(harness, phones, ("0511 1234560", "Zentrale"), ("0511 2222222", None))
    harness.espo.edit(entity_id, phones=[(X, HOME), (Y, FAX)])
    harness.run(direction=Direction.TO_ESPOCRM)
    assert row_values_and_texts(harness)[old] == ("0511 1234560", "Zentrale")
    harness.run()
    komm_kz_by_value = {row["tlf"]: row["kommKz"] for row in harness.advo.rows(1) if row["tlf"]}
    assert komm_kz_by_value == {X: 6, "0511 2222222": 1}


def test_a_revert_that_never_arrived_is_no_conflict_that_was_decided(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 0, sync={"direction": "to_advoware"})
    entity_id, (number, _) = add_person_in_sync(
        harness, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None)
    )
    harness.advo.edit_row(1, number, value="0511 333444")

    def lose_request() -> None:
        raise TimedOut

    harness.advo.before = once_before(lambda call: call.method == "PUT", lose_request)
    harness.run(sweep=True)
    harness.run(sweep=True)
    assert row_values_and_texts(harness)[number][0] == X
    assert phone_types(harness, entity_id) == {(X, OFFICE), (Y, FAX)}
    assert harness.query_store("select advo_value, espo_value from conflicts") == [("0511 333444", X)]


def test_half_a_letter_in_a_remark_fails_nobody_and_is_kept_as_u_fffd(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.add_row(1, "0511 777777", "KAPUTT")
    harness.advo.after = lambda _, answer: answer._replace(body=answer.body.replace(b"KAPUTT", b"\\ud83d"))
    assert harness.run(sweep=True).outcome == "done"
    assert ("+49511777777", OFFICE) in phone_types(harness, entity_id)
    assert [row["bemerkung"].endswith("] \ufffd") for row in harness.advo.rows(1)] == [False, True]
    assert harness.run(sweep=True).writes.advoware == 0


def test_a_record_that_always_answers_500_starves_nobody(harness: SyncHarness) -> None:
    entity_id, _ = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.espo.add_person("Anna Ahrens", 2, phones=[(Z, OFFICE)])
    harness.advo.add_person(2, "Anna Ahrens")
    harness.advo.add_row(1, "0511 777777")
    record_path = f"/CBeteiligte/{entity_id}"
    harness.espo.before = lambda call: (
        make_json_response(500, {}) if call.is_write and call.path.endswith(record_path) else None
    )
    assert harness.run(sweep=True).outcome == "done"
    assert [row["tlf"] for row in harness.advo.rows(2)] == [Z]
    harness.espo.before = None
    harness.run()
    assert ("+49511777777", OFFICE) in phone_types(harness, entity_id)


def test_a_value_advoware_refuses_in_a_clash_is_named_once_and_not_tried_again(harness: SyncHarness) -> None:
    entity_id, (number, _) = add_person_in_sync(
        harness, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None)
    )
    harness.advo.behaviour.refused_values = {Z}
    harness.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    harness.advo.edit_row(1, number, value="0511 333444")
    harness.run(sweep=True)
    harness.run(sweep=True)
    assert harness.run(sweep=True).writes.advoware == 0
    assert phone_types(harness, entity_id) == {(Z, OFFICE), (Y, FAX)}
    assert row_values_and_texts(harness)[number][0] == "0511 333444"
    assert harness.query_store("select reason, value from left_alone") == [("unsyncable", Z)]


def test_one_row_replaced_by_another_waits_a_run_before_the_number_goes(harness: SyncHarness) -> None:
    entity_id, (number,) = add_person_in_sync(harness, [(X, OFFICE)], ("0511 1234560", None))
    harness.advo.remove_row(1, number)
    harness.advo.add_row(1, "0511 777777")
    assert harness.run().persons.waiting == 1
    assert phone_types(harness, entity_id) == {(X, OFFICE)}
    harness.run()
    assert {value for value, _ in phone_types(harness, entity_id)} == {"+49511777777"}
