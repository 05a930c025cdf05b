"""Sequences that once lost, doubled or blurred a number, each as it happened: edits, faults and refusals in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Direction, Scope
from etl.rules.marker import decode
from jobs.sandbox.simulator import TimedOut, json_answer
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
OFFICE, FAX, HOME = "Office", "Fax", "Home"


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice.of(tmp_path, 0)


def person(practice: Practice, phones: list[tuple[str, str]], *rows: tuple[str, str | None]) -> tuple[str, list[int]]:
    """A person, betnr 1, synced once."""
    entity_id = practice.espo.add_person("Max Muster", 1, phones=phones)
    practice.advo.add_person(1, "Max Muster")
    numbers = [practice.advo.add_row(1, value, remark) for value, remark in rows]
    assert practice.run().outcome == "done"
    return entity_id, numbers


def items(practice: Practice, entity_id: str) -> set[tuple[str, str]]:
    phones = (one for one in practice.espo.items(entity_id) if "phoneNumber" in one)
    return {(one["phoneNumber"], one["type"]) for one in phones}


def rows(practice: Practice) -> dict[int, tuple[str, str]]:
    """Value and own text by row."""
    return {row["id"]: (row["tlf"], decode(row["bemerkung"]).own_text) for row in practice.advo.rows(1)}


def once(matches: Callable[[Call], bool], effect: Callable[[], Any]) -> Callable[[Call], Answer | None]:
    """Something that happens before the first request of a kind, and not again."""
    done: list[Call] = []

    def before(call: Call) -> Answer | None:
        if matches(call) and not done:
            done.append(call)
            result: Answer | None = effect()
            return result
        return None

    return before


def test_an_item_added_while_advoware_was_slow_is_read_again_and_kept(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.add_row(1, "0511 777777")

    def meanwhile() -> None:
        practice.clock.advance(10)
        practice.espo.edit(entity_id, phones=[(X, OFFICE), (Z, HOME)])
        practice.clock.advance(50)

    practice.advo.before = once(lambda call: call.method == "GET" and "/Beteiligte/1" in call.path, meanwhile)
    practice.run(persons=("1",), scope=Scope.ENTRY)
    practice.run(sweep=True)
    assert {number for number, _ in items(practice, entity_id)} == {X, Z, "+49511777777"}


def test_a_retype_whose_value_comes_back_cut_leaves_the_old_row_as_it_was(practice: Practice) -> None:
    phones = [("+495111234567", OFFICE), (Y, FAX)]
    entity_id, (old, _) = person(practice, phones, ("0511 1234567", "Gegner, nicht anrufen"), ("0511 2222222", None))
    practice.advo.switches.max_tlf = 12
    practice.espo.edit(entity_id, phones=[("+495111234567", HOME), (Y, FAX)])
    practice.run()
    practice.run(sweep=True)
    assert rows(practice)[old] == ("0511 1234567", "Gegner, nicht anrufen")
    assert [value for value, _ in rows(practice).values() if value] == ["0511 1234567", "0511 2222222"]
    assert items(practice, entity_id) == {("+495111234567", HOME), (Y, FAX)}


def test_a_cut_value_that_cannot_be_put_back_never_reaches_espocrm(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    practice.advo.switches.max_tlf = 9
    practice.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    assert practice.run().outcome == "failed_persons"
    practice.clock.advance(3600)
    practice.run()
    assert items(practice, entity_id) == {(Z, OFFICE), (Y, FAX)}


@pytest.mark.parametrize("where", ["row", "item"])
def test_an_edit_behind_our_last_write_needs_no_sweep(practice: Practice, where: str) -> None:
    entity_id, (number, _) = person(practice, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    practice.espo.edit(entity_id, phones=[(X, OFFICE), (Y, FAX), (Z, HOME)])

    def behind() -> None:
        if where == "row":
            practice.advo.edit_row(1, number, value="0511 333444")
        else:
            practice.espo.edit(entity_id, phones=[("+49511333444", OFFICE), (Y, FAX), (Z, HOME)])

    practice.espo.before = once(lambda call: call.method == "PUT" and "clean" in call.body, behind)
    for _ in range(3):
        practice.run()
    assert ("+49511333444", OFFICE) in items(practice, entity_id)
    assert practice.disagreements() == []


def test_what_a_sweep_saw_is_not_forgotten_by_an_outage(practice: Practice) -> None:
    entity_id, (number, _) = person(practice, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    practice.advo.edit_row(1, number, value="0511 333444")
    practice.espo.before = lambda call: json_answer(503, {}) if call.is_write else None
    practice.run(sweep=True)
    practice.espo.before = None
    practice.run()
    practice.run()
    assert ("+49511333444", OFFICE) in items(practice, entity_id)


def test_a_refusal_that_is_not_about_a_value_blames_no_value(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.add_row(1, "0511 777777")
    refusal = {"messageTranslation": {"label": "validationFailure", "data": {"field": "lastName", "type": "required"}}}
    practice.espo.before = lambda call: json_answer(400, refusal) if "phoneNumberData" in call.body else None
    assert practice.run(sweep=True).outcome == "failed_persons"
    assert remembered(practice, "select * from left_alone") == []
    practice.espo.before = None
    practice.clock.advance(120)
    practice.run()
    assert ("+49511777777", OFFICE) in items(practice, entity_id)


def test_a_login_refused_in_words_ends_the_run_and_blames_no_value(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.espo.edit(entity_id, phones=[(X, OFFICE), (Z, HOME)])
    told = {"message": "Die AppID ist nicht freigeschaltet."}
    creates = "Kommunikationen"
    practice.advo.before = lambda call: json_answer(400, told) if call.path.endswith(creates) else None
    assert practice.run().outcome == "outage"
    assert remembered(practice, "select * from left_alone") == []


def test_a_record_linked_to_another_betnr_is_synced_with_it(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.add_person(2, "Max Muster")
    practice.advo.add_row(2, "0511 777777")
    practice.espo.edit(entity_id, betnr=2)
    for _ in range(4):  # it waits, what was agreed ends, it is synced
        practice.run()
    assert ("+49511777777", OFFICE) in items(practice, entity_id)
    assert {row["tlf"] for row in practice.advo.rows(2)} == {"0511 777777", X}
    assert {row["tlf"] for row in practice.advo.rows(1)} == {"0511 1234560"}


def never_synced(practice: Practice) -> str:
    """A record whose first run found nothing on either side; then both are filled."""
    entity_id, _ = person(practice, [])
    return entity_id


def synced_with_another(practice: Practice) -> str:
    """A record that was in sync with another betnr."""
    entity_id = practice.espo.add_person("Max Muster", 2, phones=[(X, OFFICE)])
    practice.advo.add_person(2, "Max Muster")
    practice.advo.add_row(2, "0511 1234560")
    practice.advo.add_person(1, "Max Muster")
    assert practice.run().outcome == "done"
    return entity_id


def unlinked_for_a_while(practice: Practice) -> str:
    """A record that was in sync with this very betnr, and was taken off it."""
    entity_id, (row,) = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.espo.edit(entity_id, betnr=None)
    practice.run()
    practice.run()
    practice.advo.remove_row(1, row)
    return entity_id


@pytest.mark.parametrize("before", [never_synced, synced_with_another, unlinked_for_a_while])
@pytest.mark.parametrize("direction", [Direction.TO_ADVOWARE, Direction.BOTH])
def test_a_first_sync_that_is_planned_again_in_the_middle_empties_nothing(
    practice: Practice, before: Callable[[Practice], str], direction: Direction
) -> None:
    """What the record was linked to before, or whether it ever was, makes no difference (rules.md §3)."""
    entity_id = before(practice)
    _, held = practice.advo.add_row(1, "0511 1234560", "Zentrale"), practice.advo.add_row(1, "0511 9999999", "Mutter")
    practice.espo.edit(entity_id, betnr=1, phones=[(X, OFFICE), (Y, FAX)])
    practice.advo.switches.refused_values = {Y}
    for _ in range(4):  # whoever was linked elsewhere waits and ends first
        practice.run(direction=direction, scope=Scope.PERSON)
    assert rows(practice)[held] == ("0511 9999999", "Mutter")


def test_a_torn_read_behind_our_own_array_is_not_believed_by_being_seen_twice(practice: Practice) -> None:
    entity_id = practice.espo.add_person("Max Muster", 1, phones=[(X, OFFICE)], mails=["max@example.com"])
    practice.advo.add_person(1, "Max Muster")
    kept = practice.advo.add_row(1, "0511 1234560")
    assert practice.run().outcome == "done"
    practice.advo.add_row(1, "0511 777777")
    torn: list[Call] = []

    def added_then_slow() -> None:
        """Somebody adds a row behind our array PUT; what then is planned is read again, as it took a while."""
        practice.advo.add_row(1, "0511 888888")
        practice.advo.before = once(of_advo, lambda: practice.clock.advance(3))

    def of_advo(call: Call) -> bool:
        return call.method == "GET" and "/Beteiligte/1" in call.path and bool(practice.espo.writes)

    def without_phones(call: Call, answer: Answer) -> Answer | None:
        """From the third read behind our PUT on."""
        if call.method != "GET" or entity_id not in call.path or not practice.espo.writes:
            return None
        torn.append(call)
        shown = json.loads(answer.body)
        return json_answer(200, {**shown, "phoneNumberData": []}) if len(torn) > 2 else None

    practice.advo.before = once(of_advo, added_then_slow)
    practice.espo.after = without_phones
    practice.run()
    assert len(torn) > 3
    assert rows(practice)[kept][0] == "0511 1234560"
    practice.espo.after = None
    practice.run()
    numbers = {number for number, _ in items(practice, entity_id)}
    assert numbers == {X, "+49511777777", "+49511888888"}


def test_a_record_linked_elsewhere_behind_its_deletion_is_synced_by_the_next_run(practice: Practice) -> None:
    practice.espo.add_person("Erika Muster", 9)  # Advoware still knows somebody, so its 404 is believed
    practice.advo.add_person(9, "Erika Muster")
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.add_person(2, "Max Muster")
    practice.advo.delete_person(1)
    practice.espo.before = once(
        lambda call: call.method == "PUT" and entity_id in call.path,
        lambda: practice.espo.edit(entity_id, betnr=2),
    )
    practice.run(sweep=True)
    for _ in range(3):
        practice.run()
    assert {row["tlf"] for row in practice.advo.rows(2)} == {X}
    assert practice.espo.record(entity_id)["syncStatus"] == "clean"


def test_a_row_held_back_at_a_first_sync_is_not_emptied_because_it_was_respelled(tmp_path: Path) -> None:
    practice = Practice.of(tmp_path, 0, sync={"direction": "to_advoware"})
    _, (_, held) = person(practice, [(X, OFFICE)], ("0511 1234560", None), ("0511 9999999", None))
    practice.advo.edit_row(1, held, value="0511/9999999")
    practice.run(sweep=True)
    assert rows(practice)[held] == ("0511/9999999", "")


def test_a_type_changed_by_somebody_is_not_lost_when_a_direction_held_it_back(practice: Practice) -> None:
    phones = [(X, OFFICE), (Y, FAX)]
    entity_id, (old, _) = person(practice, phones, ("0511 1234560", "Zentrale"), ("0511 2222222", None))
    practice.espo.edit(entity_id, phones=[(X, HOME), (Y, FAX)])
    practice.run(direction=Direction.TO_ESPOCRM)
    assert rows(practice)[old] == ("0511 1234560", "Zentrale")
    practice.run()
    kinds = {row["tlf"]: row["kommKz"] for row in practice.advo.rows(1) if row["tlf"]}
    assert kinds == {X: 6, "0511 2222222": 1}


def test_a_revert_that_never_arrived_is_no_conflict_that_was_decided(tmp_path: Path) -> None:
    practice = Practice.of(tmp_path, 0, sync={"direction": "to_advoware"})
    entity_id, (number, _) = person(practice, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    practice.advo.edit_row(1, number, value="0511 333444")

    def lost() -> None:
        raise TimedOut

    practice.advo.before = once(lambda call: call.method == "PUT", lost)
    practice.run(sweep=True)
    practice.run(sweep=True)
    assert rows(practice)[number][0] == X
    assert items(practice, entity_id) == {(X, OFFICE), (Y, FAX)}
    assert remembered(practice, "select advo_value, espo_value from conflicts") == [("0511 333444", X)]


def test_half_a_letter_in_a_remark_fails_nobody_and_is_kept_as_u_fffd(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.add_row(1, "0511 777777", "KAPUTT")
    practice.advo.after = lambda _, answer: answer._replace(body=answer.body.replace(b"KAPUTT", b"\\ud83d"))
    assert practice.run(sweep=True).outcome == "done"
    assert ("+49511777777", OFFICE) in items(practice, entity_id)
    assert [row["bemerkung"].endswith("] \ufffd") for row in practice.advo.rows(1)] == [False, True]
    assert practice.run(sweep=True).writes.advoware == 0


def test_a_record_that_always_answers_500_starves_nobody(practice: Practice) -> None:
    entity_id, _ = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.espo.add_person("Anna Ahrens", 2, phones=[(Z, OFFICE)])
    practice.advo.add_person(2, "Anna Ahrens")
    practice.advo.add_row(1, "0511 777777")
    own = f"/CBeteiligte/{entity_id}"
    practice.espo.before = lambda call: json_answer(500, {}) if call.is_write and call.path.endswith(own) else None
    assert practice.run(sweep=True).outcome == "done"
    assert [row["tlf"] for row in practice.advo.rows(2)] == [Z]
    practice.espo.before = None
    practice.run()
    assert ("+49511777777", OFFICE) in items(practice, entity_id)


def test_a_value_advoware_refuses_in_a_clash_is_named_once_and_not_tried_again(practice: Practice) -> None:
    entity_id, (number, _) = person(practice, [(X, OFFICE), (Y, FAX)], ("0511 1234560", None), ("0511 2222222", None))
    practice.advo.switches.refused_values = {Z}
    practice.espo.edit(entity_id, phones=[(Z, OFFICE), (Y, FAX)])
    practice.advo.edit_row(1, number, value="0511 333444")
    practice.run(sweep=True)
    practice.run(sweep=True)
    assert practice.run(sweep=True).writes.advoware == 0
    assert items(practice, entity_id) == {(Z, OFFICE), (Y, FAX)}
    assert rows(practice)[number][0] == "0511 333444"
    assert remembered(practice, "select reason, value from left_alone") == [("unsyncable", Z)]


def test_one_row_replaced_by_another_waits_a_run_before_the_number_goes(practice: Practice) -> None:
    entity_id, (number,) = person(practice, [(X, OFFICE)], ("0511 1234560", None))
    practice.advo.remove_row(1, number)
    practice.advo.add_row(1, "0511 777777")
    assert practice.run().persons.waiting == 1
    assert items(practice, entity_id) == {(X, OFFICE)}
    practice.run()
    assert {value for value, _ in items(practice, entity_id)} == {"+49511777777"}
