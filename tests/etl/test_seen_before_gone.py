"""What an array PUT brought is believed once a read has shown it (rules §5, *Seen before gone*), by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Direction
from jobs.sandbox.espocrm.arrays import StoredPart
from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
from jobs.sandbox.simulator import ConnectionLost
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse

X, Y, Z = "+495111234560", "+495112222222", "+495119999999"
TYPED = "0511 777777"
TYPED_E164 = "+49511777777"
NO_EDIT = {"read": "yes", "edit": "no"}


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    return SyncHarness(tmp_path, 0)


def add_person_with_numbers(harness: SyncHarness, betnr: int = 1, *numbers: str) -> tuple[str, list[int]]:
    """A person with these numbers on both sides, synced once."""
    numbers = numbers or (X, Y)
    entity_id = harness.espo.add_person("Max Muster", betnr, phones=[(number, "Office") for number in numbers])
    harness.advo.add_person(betnr, "Max Muster")
    rows = [harness.advo.add_row(betnr, number.replace("+49", "0")) for number in numbers]
    assert harness.run().outcome == "done"
    return entity_id, rows


def espo_numbers(harness: SyncHarness, entity_id: str) -> set[str]:
    return {item["phoneNumber"] for item in harness.espo.items(entity_id) if "phoneNumber" in item}


def advo_numbers(harness: SyncHarness, betnr: int = 1) -> list[str]:
    return sorted(row["tlf"] for row in harness.advo.rows(betnr) if row["tlf"])


def run_daily(harness: SyncHarness, runs: int = 3, **options: Any) -> None:
    """Runs an hour apart, so that every retry has its turn, and a sweep."""
    for _ in range(runs):
        harness.clock.advance(3600 * 24)
        harness.run(**options)
    harness.run(sweep=True)


def after_next_array_put(harness: SyncHarness, effect: Callable[[], Any]) -> None:
    """Something that people do in the moment after our next array PUT was answered."""
    calls: list[SimRequest] = []

    def after(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.method == "PUT" and "phoneNumberData" in call.body and not calls:
            calls.append(call)
            harness.clock.advance(1)
            effect()
        return None

    harness.espo.after = after


# EspoCRM answers 200 and stores nothing (row 1) ---------------------------------------------------------------------

HOOKS = [ResettingHook(echoes=True), ResettingHook(echoes=False)]


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_typed_in_advoware_stays_where_espocrm_stores_nothing(
    harness: SyncHarness, hook: ResettingHook
) -> None:
    entity_id, _ = add_person_with_numbers(harness)
    harness.espo.store.hook = hook
    harness.advo.add_row(1, TYPED)
    harness.run(persons=("1",))
    assert harness.query_store("select status, retry_count from persons") == [("failed", 1)]
    run_daily(harness)
    assert TYPED in advo_numbers(harness)
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
    harness.espo.store.hook = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {X, Y, TYPED_E164}
    assert harness.disagreements() == []


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_edited_in_advoware_is_not_overwritten_by_the_old_one(
    harness: SyncHarness, hook: ResettingHook
) -> None:
    entity_id, rows = add_person_with_numbers(harness)
    harness.espo.store.hook = hook
    harness.advo.edit_row(1, rows[0], value=TYPED)
    harness.run(persons=("1",))
    run_daily(harness)
    assert TYPED in advo_numbers(harness)
    harness.espo.store.hook = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {TYPED_E164, Y}
    assert advo_numbers(harness) == sorted([TYPED, Y.replace("+49", "0")])


@pytest.mark.parametrize("hook", HOOKS, ids=["echo", "stored"])
def test_a_number_deleted_in_advoware_does_not_come_back_where_espocrm_keeps_it(
    harness: SyncHarness, hook: ResettingHook
) -> None:
    entity_id, rows = add_person_with_numbers(harness)
    harness.espo.store.hook = hook
    harness.advo.remove_row(1, rows[0])
    harness.run(persons=("1",))
    run_daily(harness)
    assert advo_numbers(harness) == [Y.replace("+49", "0")]
    harness.espo.store.hook = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {Y}


def test_a_persons_other_entries_go_on_beside_one_that_espocrm_does_not_store(harness: SyncHarness) -> None:
    entity_id, rows = add_person_with_numbers(harness)
    harness.espo.store.hook = ResettingHook(guards=lambda value: value == TYPED_E164)
    harness.advo.add_row(1, TYPED)
    harness.advo.edit_row(1, rows[0], value="0511 333333")
    harness.run(persons=("1",))
    assert espo_numbers(harness, entity_id) == {"+49511333333", Y}
    assert harness.query_store("select status, error like '%+49511777777%' from persons") == [("failed", 1)]
    run_daily(harness)
    assert advo_numbers(harness) == sorted([TYPED, "0511 333333", Y.replace("+49", "0")])
    assert espo_numbers(harness, entity_id) == {"+49511333333", Y}


def test_three_persons_without_rights_in_a_row_end_the_run_and_the_next_begins_behind_them(
    harness: SyncHarness,
) -> None:
    for betnr in range(1, 6):
        add_person_with_numbers(harness, betnr, f"+4951112345{betnr}0", f"+4951122222{betnr}0")
    for betnr in range(1, 6):
        harness.advo.add_row(betnr, f"0511 77777{betnr}")
    harness.espo.store.hook = ResettingHook()
    report = harness.run()
    assert report.outcome == "outage"
    assert harness.query_store("select count(*) from persons where status = 'failed'") == [(3,)]
    harness.espo.store.hook = None
    harness.clock.set(harness.clock().replace(microsecond=0))
    harness.run(persons=("4", "5"))
    assert harness.query_store("select count(*) from persons where status = 'clean'") == [(2,)]


def test_what_espocrm_shows_in_place_of_what_was_sent_is_carried_nowhere(harness: SyncHarness) -> None:
    entity_id, _ = add_person_with_numbers(harness)
    harness.advo.add_row(1, TYPED)

    def replace_number(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        """A hook of the firm's own writes another number in the same second."""
        if call.method == "PUT" and TYPED_E164 in call.body:
            items = [item_json for item_json in harness.espo.items(entity_id) if item_json["phoneNumber"] != TYPED_E164]
            other_item = {**items[0], "phoneNumber": "+49511000000", "primary": False}
            harness.espo.store.phones.replace(entity_id, [*items, other_item])
        return None

    harness.espo.after = replace_number
    harness.run(persons=("1",))
    harness.espo.after = None
    run_daily(harness, 1)
    assert "+49511000000" not in advo_numbers(harness)
    assert TYPED in advo_numbers(harness)


# EspoCRM dies inside the PUT (row 10) --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, ConnectionLost])
@pytest.mark.parametrize("phones_stored", [StoredPart.NOTHING, StoredPart.UNLINKED, StoredPart.LINKED, StoredPart.ALL])
def test_a_half_stored_put_loses_no_number_and_is_no_conflict(
    harness: SyncHarness, phones_stored: StoredPart, fault: type[ConnectionLost] | None
) -> None:
    numbers = (X, Y, Z, "+495113333333")
    entity_id, rows = add_person_with_numbers(harness, 1, *numbers)
    typed = [f"0511 88888{at}" for at in range(4)]
    for row, value in zip(rows, typed, strict=True):
        harness.advo.edit_row(1, row, value=value)
    harness.espo.store.put_crashes = [PutCrash(phones=phones_stored, fault=fault)]
    harness.run(persons=("1",))
    run_daily(harness)
    assert advo_numbers(harness) == typed
    assert espo_numbers(harness, entity_id) == {value.replace("0511 ", "+49511") for value in typed}
    assert harness.query_store("select count(*) from conflicts") == [(0,)]


def test_what_a_half_stored_put_took_comes_back_with_type_and_flags(harness: SyncHarness) -> None:
    entity_id = harness.espo.add_person(
        "Max Muster",
        1,
        phones=[
            {"phoneNumber": X, "type": "Fax", "primary": True, "optOut": True, "invalid": False},
            {"phoneNumber": Y, "type": "Home", "primary": False, "optOut": False, "invalid": True},
        ],
    )
    harness.advo.add_person(1, "Max Muster")
    harness.run()
    (first, _) = [row["id"] for row in harness.advo.rows(1)]
    harness.advo.edit_row(1, first, value=TYPED)
    harness.espo.store.put_crashes = [PutCrash(phones=StoredPart.UNLINKED)]
    harness.run(persons=("1",))
    run_daily(harness)
    items = {item["phoneNumber"]: item for item in harness.espo.items(entity_id)}
    assert set(items) == {TYPED_E164, Y}
    assert (items[TYPED_E164]["type"], items[TYPED_E164]["primary"], items[TYPED_E164]["optOut"]) == ("Fax", True, True)
    assert (items[Y]["type"], items[Y]["invalid"]) == ("Home", True)


def test_our_own_syncing_left_by_a_half_stored_put_is_taken_up_once_it_has_settled(harness: SyncHarness) -> None:
    entity_id, _ = add_person_with_numbers(harness)
    harness.advo.add_row(1, TYPED)
    harness.espo.store.put_crashes = [PutCrash(phones=StoredPart.UNLINKED)]
    harness.run(persons=("1",))
    assert harness.espo.record(entity_id)["syncStatus"] == "syncing"
    harness.clock.advance(-900 + 30)
    harness.run()
    assert harness.espo.record(entity_id)["syncStatus"] == "clean"
    assert espo_numbers(harness, entity_id) == {X, Y, TYPED_E164}


@pytest.mark.parametrize("why", ["direction", "right"])
def test_an_opt_out_that_a_half_stored_put_took_outlives_a_run_that_holds_the_entry_back(
    harness: SyncHarness, why: str
) -> None:
    entity_id = harness.espo.add_person("Max Muster", 1, phones=[item_with_opt_out(X), item_with_opt_out(Y)])
    harness.advo.add_person(1, "Max Muster")
    harness.run()
    harness.advo.edit_row(1, harness.advo.rows(1)[0]["id"], value=TYPED)
    harness.espo.store.put_crashes = [PutCrash(phones=StoredPart.UNLINKED)]
    harness.run(persons=("1",))
    harness.espo.edit(entity_id, phones=[item_with_opt_out(Y), (Z, "Home")])
    harness.clock.advance(3600 * 24)
    harness.espo.store.role.fields |= {"phoneNumber": NO_EDIT} if why == "right" else {}
    harness.run(direction=Direction.TO_ADVOWARE if why == "direction" else None)
    assert advo_numbers(harness) == sorted([TYPED, Y, Z])
    harness.espo.store.role.fields.clear()
    run_daily(harness)
    assert {item_json["phoneNumber"]: item_json["optOut"] for item_json in harness.espo.items(entity_id)} == {
        TYPED_E164: True,
        Y: True,
        Z: False,
    }


@pytest.mark.parametrize("stored", [StoredPart.NOTHING, StoredPart.LINKED, StoredPart.UNLINKED, StoredPart.ALL])
def test_a_put_is_not_judged_by_a_read_that_may_not_show_its_field(harness: SyncHarness, stored: StoredPart) -> None:
    """The key lost the right between the PUT and the first read: all numbers of the person would read as taken."""
    entity_id, rows = add_person_with_numbers(harness)
    harness.advo.edit_row(1, rows[0], value=TYPED)
    baseline_sql = "select komm_id, espo_value from baseline order by komm_id"
    before = harness.query_store(baseline_sql)
    harness.espo.store.put_crashes = [PutCrash(phones=stored)]
    harness.espo.before = die_before_read(harness)
    with pytest.raises(KeyboardInterrupt):
        harness.run(persons=("1",))
    harness.espo.before = None
    harness.espo.store.role.fields["phoneNumber"] = {"read": "no", "edit": "no"}
    run_daily(harness)
    assert harness.query_store(baseline_sql) == before
    harness.espo.store.role.fields.clear()
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {TYPED_E164, Y}
    assert advo_numbers(harness) == sorted([TYPED, Y.replace("+49", "0")])


def item_with_opt_out(number: str) -> dict[str, Any]:
    """An item whose owner withdrew consent."""
    return {"phoneNumber": number, "type": "Office", "primary": False, "optOut": True, "invalid": False}


def die_before_read(harness: SyncHarness) -> Callable[[SimRequest], SimResponse | None]:
    """The process dies before it reads the record after its array PUT."""

    def die(call: SimRequest) -> SimResponse | None:
        if call.method == "GET" and "/CBeteiligte/" in call.path and harness.espo.writes:
            raise KeyboardInterrupt
        return None

    return die


# People in those seconds ---------------------------------------------------------------------------------------------


def test_an_item_deleted_and_entered_again_between_our_puts_is_kept(harness: SyncHarness) -> None:
    entity_id, _ = add_person_with_numbers(harness)
    harness.advo.add_row(1, TYPED)
    calls: list[SimRequest] = []

    def delete_then_reenter(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.method == "PUT" and "phoneNumberData" in call.body:
            harness.clock.advance(1)
            harness.espo.edit(entity_id, phones=[(X, "Office"), (TYPED_E164, "Office")])
        elif call.method == "GET" and harness.espo.writes and not calls:
            calls.append(call)
            harness.clock.advance(1)
            harness.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office"), (TYPED_E164, "Office")])
        return None

    harness.espo.after = delete_then_reenter
    harness.run(persons=("1",))
    harness.espo.after = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {X, Y, TYPED_E164}
    assert advo_numbers(harness) == sorted([X.replace("+49", "0"), Y.replace("+49", "0"), TYPED])


def test_a_number_we_brought_that_somebody_deletes_at_once_is_not_lost_silently(harness: SyncHarness) -> None:
    entity_id, _ = add_person_with_numbers(harness)
    harness.advo.add_row(1, TYPED)
    after_next_array_put(harness, lambda: harness.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")]))
    harness.run(persons=("1",))
    harness.espo.after = None
    run_daily(harness)
    # It was never seen there, so its absence is no deletion; who deletes it once more is believed.
    assert espo_numbers(harness, entity_id) == {X, Y, TYPED_E164}
    harness.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")])
    run_daily(harness)
    assert TYPED not in advo_numbers(harness)


def test_a_number_entered_again_behind_our_removal_stays(harness: SyncHarness) -> None:
    entity_id, rows = add_person_with_numbers(harness)
    harness.advo.remove_row(1, rows[0])
    after_next_array_put(harness, lambda: harness.espo.edit(entity_id, phones=[(X, "Office"), (Y, "Office")]))
    harness.run(persons=("1",))
    harness.espo.after = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {X, Y}
    assert len(advo_numbers(harness)) == 2


@pytest.mark.parametrize("stored", [StoredPart.NOTHING, StoredPart.LINKED, StoredPart.UNLINKED, StoredPart.ALL])
def test_a_crash_between_the_array_put_and_its_read_is_judged_by_the_next_run(
    harness: SyncHarness, stored: StoredPart
) -> None:
    entity_id, rows = add_person_with_numbers(harness)
    harness.advo.edit_row(1, rows[0], value=TYPED)
    harness.espo.store.put_crashes = [PutCrash(phones=stored)]
    harness.espo.before = die_before_read(harness)
    with pytest.raises(KeyboardInterrupt):
        harness.run(persons=("1",))
    harness.espo.before = None
    run_daily(harness)
    assert espo_numbers(harness, entity_id) == {TYPED_E164, Y}
    assert advo_numbers(harness) == sorted([TYPED, Y.replace("+49", "0")])
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
