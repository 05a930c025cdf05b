"""What an array PUT brought is believed once a read has shown it (rules.md §5, *Seen before gone*), by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Direction
from jobs.sandbox.espocrm_arrays import Stored
from jobs.sandbox.espocrm_saving import Death, Hook
from jobs.sandbox.simulator import ConnectionLost
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
TYPED = "0511 777777"
BROUGHT = "+49511777777"
NO_EDIT = {"read": "yes", "edit": "no"}


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice.of(tmp_path, 0)


def person(practice: Practice, betnr: int = 1, *numbers: str) -> tuple[str, list[int]]:
    """A person with these numbers on both sides, synced once."""
    numbers = numbers or (X, Y)
    entity_id = practice.espo.add_person("Max Muster", betnr, phones=[(number, "Office") for number in numbers])
    practice.advo.add_person(betnr, "Max Muster")
    rows = [practice.advo.add_row(betnr, number.replace("+49", "0")) for number in numbers]
    assert practice.run().outcome == "done"
    return entity_id, rows


def phones(practice: Practice, entity_id: str) -> set[str]:
    return {item["phoneNumber"] for item in practice.espo.items(entity_id) if "phoneNumber" in item}


def values(practice: Practice, betnr: int = 1) -> list[str]:
    return sorted(row["tlf"] for row in practice.advo.rows(betnr) if row["tlf"])


def later(practice: Practice, runs: int = 3, **options: Any) -> None:
    """Runs an hour apart, so that every retry has its turn, and a sweep."""
    for _ in range(runs):
        practice.clock.advance(3600 * 24)
        practice.run(**options)
    practice.run(sweep=True)


def behind_array_put(practice: Practice, effect: Callable[[], Any]) -> None:
    """Something that people do in the moment after our next array PUT was answered."""
    done: list[Call] = []

    def after(call: Call, _answer: Answer) -> Answer | None:
        if call.method == "PUT" and "phoneNumberData" in call.body and not done:
            done.append(call)
            practice.clock.advance(1)
            effect()
        return None

    practice.espo.after = after


# EspoCRM answers 200 and stores nothing (row 1) ---------------------------------------------------------------------

HOOKS = [Hook(echoes=True), Hook(echoes=False)]


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_typed_in_advoware_stays_where_espocrm_stores_nothing(practice: Practice, hook: Hook) -> None:
    entity_id, _ = person(practice)
    practice.espo.store.hook = hook
    practice.advo.add_row(1, TYPED)
    practice.run(persons=("1",))
    assert remembered(practice, "select status, retry_count from persons") == [("failed", 1)]
    later(practice)
    assert TYPED in values(practice)
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
    practice.espo.store.hook = None
    later(practice)
    assert phones(practice, entity_id) == {X, Y, BROUGHT}
    assert practice.disagreements() == []


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_edited_in_advoware_is_not_overwritten_by_the_old_one(practice: Practice, hook: Hook) -> None:
    entity_id, rows = person(practice)
    practice.espo.store.hook = hook
    practice.advo.edit_row(1, rows[0], value=TYPED)
    practice.run(persons=("1",))
    later(practice)
    assert TYPED in values(practice)
    practice.espo.store.hook = None
    later(practice)
    assert phones(practice, entity_id) == {BROUGHT, Y}
    assert values(practice) == sorted([TYPED, Y.replace("+49", "0")])


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_deleted_in_advoware_does_not_come_back_where_espocrm_keeps_it(practice: Practice, hook: Hook) -> None:
    entity_id, rows = person(practice)
    practice.espo.store.hook = hook
    practice.advo.remove_row(1, rows[0])
    practice.run(persons=("1",))
    later(practice)
    assert values(practice) == [Y.replace("+49", "0")]
    practice.espo.store.hook = None
    later(practice)
    assert phones(practice, entity_id) == {Y}


def test_a_persons_other_entries_go_on_beside_one_that_espocrm_does_not_store(practice: Practice) -> None:
    entity_id, rows = person(practice)
    practice.espo.store.hook = Hook(guards=lambda value: value == BROUGHT)
    practice.advo.add_row(1, TYPED)
    practice.advo.edit_row(1, rows[0], value="0511 333333")
    practice.run(persons=("1",))
    assert phones(practice, entity_id) == {"+49511333333", Y}
    assert remembered(practice, "select status, error like '%+49511777777%' from persons") == [("failed", 1)]
    later(practice)
    assert values(practice) == sorted([TYPED, "0511 333333", Y.replace("+49", "0")])
    assert phones(practice, entity_id) == {"+49511333333", Y}


def test_three_persons_without_rights_in_a_row_end_the_run_and_the_next_begins_behind_them(practice: Practice) -> None:
    for betnr in range(1, 6):
        person(practice, betnr, f"+4951112345{betnr}0", f"+4951122222{betnr}0")
    for betnr in range(1, 6):
        practice.advo.add_row(betnr, f"0511 77777{betnr}")
    practice.espo.store.hook = Hook()
    report = practice.run()
    assert report.outcome == "outage"
    assert remembered(practice, "select count(*) from persons where status = 'failed'") == [(3,)]
    practice.espo.store.hook = None
    practice.clock.set(practice.clock().replace(microsecond=0))
    practice.run(persons=("4", "5"))
    assert remembered(practice, "select count(*) from persons where status = 'clean'") == [(2,)]


def test_what_espocrm_shows_in_place_of_what_was_sent_is_carried_nowhere(practice: Practice) -> None:
    entity_id, _ = person(practice)
    practice.advo.add_row(1, TYPED)

    def rewritten(call: Call, _answer: Answer) -> Answer | None:
        """A hook of the firm's own writes another number in the same second."""
        if call.method == "PUT" and BROUGHT in call.body:
            items = [one for one in practice.espo.items(entity_id) if one["phoneNumber"] != BROUGHT]
            strange = {**items[0], "phoneNumber": "+49511000000", "primary": False}
            practice.espo.store.phones.replace(entity_id, [*items, strange])
        return None

    practice.espo.after = rewritten
    practice.run(persons=("1",))
    practice.espo.after = None
    later(practice, 1)
    assert "+49511000000" not in values(practice)
    assert TYPED in values(practice)


# EspoCRM dies inside the PUT (row 10) --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, ConnectionLost])
@pytest.mark.parametrize("phones_stored", [Stored.NOTHING, Stored.UNLINKED, Stored.LINKED, Stored.ALL])
def test_a_half_stored_put_loses_no_number_and_is_no_conflict(
    practice: Practice, phones_stored: Stored, fault: type[ConnectionLost] | None
) -> None:
    numbers = (X, Y, Z, "+495113333333")
    entity_id, rows = person(practice, 1, *numbers)
    typed = [f"0511 88888{at}" for at in range(4)]
    for row, value in zip(rows, typed, strict=True):
        practice.advo.edit_row(1, row, value=value)
    practice.espo.store.deaths = [Death(phones=phones_stored, fault=fault)]
    practice.run(persons=("1",))
    later(practice)
    assert values(practice) == typed
    assert phones(practice, entity_id) == {value.replace("0511 ", "+49511") for value in typed}
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]


def test_what_a_half_stored_put_took_comes_back_with_type_and_flags(practice: Practice) -> None:
    entity_id = practice.espo.add_person(
        "Max Muster",
        1,
        phones=[
            {"phoneNumber": X, "type": "Fax", "primary": True, "optOut": True, "invalid": False},
            {"phoneNumber": Y, "type": "Home", "primary": False, "optOut": False, "invalid": True},
        ],
    )
    practice.advo.add_person(1, "Max Muster")
    practice.run()
    (first, _) = [row["id"] for row in practice.advo.rows(1)]
    practice.advo.edit_row(1, first, value=TYPED)
    practice.espo.store.deaths = [Death(phones=Stored.UNLINKED)]
    practice.run(persons=("1",))
    later(practice)
    items = {item["phoneNumber"]: item for item in practice.espo.items(entity_id)}
    assert set(items) == {BROUGHT, Y}
    assert (items[BROUGHT]["type"], items[BROUGHT]["primary"], items[BROUGHT]["optOut"]) == ("Fax", True, True)
    assert (items[Y]["type"], items[Y]["invalid"]) == ("Home", True)


def test_our_own_syncing_left_by_a_half_stored_put_is_taken_up_once_it_has_settled(practice: Practice) -> None:
    entity_id, _ = person(practice)
    practice.advo.add_row(1, TYPED)
    practice.espo.store.deaths = [Death(phones=Stored.UNLINKED)]
    practice.run(persons=("1",))
    assert practice.espo.record(entity_id)["syncStatus"] == "syncing"
    practice.clock.advance(-900 + 30)
    practice.run()
    assert practice.espo.record(entity_id)["syncStatus"] == "clean"
    assert phones(practice, entity_id) == {X, Y, BROUGHT}


@pytest.mark.parametrize("why", ["direction", "right"])
def test_an_opt_out_that_a_half_stored_put_took_outlives_a_run_that_holds_the_entry_back(
    practice: Practice, why: str
) -> None:
    entity_id = practice.espo.add_person("Max Muster", 1, phones=[opted_out(X), opted_out(Y)])
    practice.advo.add_person(1, "Max Muster")
    practice.run()
    practice.advo.edit_row(1, practice.advo.rows(1)[0]["id"], value=TYPED)
    practice.espo.store.deaths = [Death(phones=Stored.UNLINKED)]
    practice.run(persons=("1",))
    practice.espo.edit(entity_id, phones=[opted_out(Y), (Z, "Home")])
    practice.clock.advance(3600 * 24)
    practice.espo.store.role.fields |= {"phoneNumber": NO_EDIT} if why == "right" else {}
    practice.run(direction=Direction.TO_ADVOWARE if why == "direction" else None)
    assert values(practice) == sorted([TYPED, Y, Z])
    practice.espo.store.role.fields.clear()
    later(practice)
    assert {one["phoneNumber"]: one["optOut"] for one in practice.espo.items(entity_id)} == {
        BROUGHT: True,
        Y: True,
        Z: False,
    }


@pytest.mark.parametrize("stored", [Stored.NOTHING, Stored.LINKED, Stored.UNLINKED, Stored.ALL])
def test_a_put_is_not_judged_by_a_read_that_may_not_show_its_field(practice: Practice, stored: Stored) -> None:
    """The key lost the right between the PUT and the first read: all numbers of the person would read as taken."""
    entity_id, rows = person(practice)
    practice.advo.edit_row(1, rows[0], value=TYPED)
    agreed = "select komm_id, espo_value from baseline order by komm_id"
    before = remembered(practice, agreed)
    practice.espo.store.deaths = [Death(phones=stored)]
    practice.espo.before = killed_before_the_read(practice)
    with pytest.raises(KeyboardInterrupt):
        practice.run(persons=("1",))
    practice.espo.before = None
    practice.espo.store.role.fields["phoneNumber"] = {"read": "no", "edit": "no"}
    later(practice)
    assert remembered(practice, agreed) == before
    practice.espo.store.role.fields.clear()
    later(practice)
    assert phones(practice, entity_id) == {BROUGHT, Y}
    assert values(practice) == sorted([TYPED, Y.replace("+49", "0")])


def opted_out(number: str) -> dict[str, Any]:
    """An item whose owner withdrew consent."""
    return {"phoneNumber": number, "type": "Office", "primary": False, "optOut": True, "invalid": False}


def killed_before_the_read(practice: Practice) -> Callable[[Call], Answer | None]:
    """The process dies before it reads the record after its array PUT."""

    def killed(call: Call) -> Answer | None:
        if call.method == "GET" and "/CBeteiligte/" in call.path and practice.espo.writes:
            raise KeyboardInterrupt
        return None

    return killed


# People in those seconds ---------------------------------------------------------------------------------------------


def test_an_item_deleted_and_entered_again_between_our_puts_is_kept(practice: Practice) -> None:
    entity_id, _ = person(practice)
    practice.advo.add_row(1, TYPED)
    done: list[Call] = []

    def deleted_then_entered(call: Call, _answer: Answer) -> Answer | None:
        if call.method == "PUT" and "phoneNumberData" in call.body:
            practice.clock.advance(1)
            practice.espo.edit(entity_id, phones=[(X, "Office"), (BROUGHT, "Office")])
        elif call.method == "GET" and practice.espo.writes and not done:
            done.append(call)
            practice.clock.advance(1)
            practice.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office"), (BROUGHT, "Office")])
        return None

    practice.espo.after = deleted_then_entered
    practice.run(persons=("1",))
    practice.espo.after = None
    later(practice)
    assert phones(practice, entity_id) == {X, Y, BROUGHT}
    assert values(practice) == sorted([X.replace("+49", "0"), Y.replace("+49", "0"), TYPED])


def test_a_number_we_brought_that_somebody_deletes_at_once_is_not_lost_silently(practice: Practice) -> None:
    entity_id, _ = person(practice)
    practice.advo.add_row(1, TYPED)
    behind_array_put(practice, lambda: practice.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")]))
    practice.run(persons=("1",))
    practice.espo.after = None
    later(practice)
    # It was never seen there, so its absence is no deletion; who deletes it once more is believed.
    assert phones(practice, entity_id) == {X, Y, BROUGHT}
    practice.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")])
    later(practice)
    assert TYPED not in values(practice)


def test_a_number_entered_again_behind_our_removal_stays(practice: Practice) -> None:
    entity_id, rows = person(practice)
    practice.advo.remove_row(1, rows[0])
    behind_array_put(practice, lambda: practice.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")]))
    practice.run(persons=("1",))
    practice.espo.after = None
    later(practice)
    assert phones(practice, entity_id) == {X, Y}
    assert len(values(practice)) == 2


@pytest.mark.parametrize("stored", [Stored.NOTHING, Stored.LINKED, Stored.UNLINKED, Stored.ALL])
def test_a_crash_between_the_array_put_and_its_read_is_judged_by_the_next_run(
    practice: Practice, stored: Stored
) -> None:
    entity_id, rows = person(practice)
    practice.advo.edit_row(1, rows[0], value=TYPED)
    practice.espo.store.deaths = [Death(phones=stored)]
    practice.espo.before = killed_before_the_read(practice)
    with pytest.raises(KeyboardInterrupt):
        practice.run(persons=("1",))
    practice.espo.before = None
    later(practice)
    assert phones(practice, entity_id) == {BROUGHT, Y}
    assert values(practice) == sorted([TYPED, Y.replace("+49", "0")])
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
