"""Records that staff lock in EspoCRM 10: the person waits, on both sides, and all others go on (rules §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobs.client_factory import make_espo_client
from jobs.commands.checks.rights import check_locks
from jobs.commands.explain import explain_persons
from jobs.commands.status import collect_status
from jobs.html_report.page import DateRange, render_report_page
from tests.harness import SyncHarness
from tests.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest

NUMBER = "+49511200001"
SENTENCE = "Staff locked this record: the sync with Advoware waits until it is unlocked."
GERMAN_SENTENCE = "Der Datensatz ist gesperrt: Der Abgleich mit Advoware wartet, bis er entsperrt wird."
OWN_FIELDS = (
    "syncStatus", "advowareLastSync", "kommunikationHash", "syncErrorMessage", "syncRetryCount", "syncNextRetry",
    "syncAutoResetAt",
)  # fmt: skip


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    harness = SyncHarness(tmp_path, 3)
    harness.espo.store.entity.lockable = True
    harness.run()
    return harness


def first_link(harness: SyncHarness) -> tuple[str, int]:
    return next(iter(harness.person_links()))


def person_writes(harness: SyncHarness, entity_id: str, betnr: int) -> list[SimRequest]:
    return [call for call in harness.writes if entity_id in call.path or f"/{betnr}/" in call.path]


def numbers(harness: SyncHarness, entity_id: str) -> set[Any]:
    return {item.get("phoneNumber") for item in harness.espo.items(entity_id)}


def phones_of(harness: SyncHarness, entity_id: str) -> list[Any]:
    return [item for item in harness.espo.items(entity_id) if "phoneNumber" in item]


def test_a_locked_person_waits_with_both_sides_edits_and_others_go_on(harness: SyncHarness) -> None:
    (entity_id, betnr), (_, other_betnr), *_ = harness.person_links()
    harness.espo.lock(entity_id)
    harness.advo.add_row(betnr, NUMBER)
    harness.advo.add_row(other_betnr, "+49511200002")
    for _ in range(3):
        report = harness.run()
        assert (report.outcome, report.persons.failed, report.persons.locked) == ("done", 0, 1)
        assert person_writes(harness, entity_id, betnr) == []
    assert harness.query_store("select retry_count, error from persons where entity_id = ?", entity_id) == [(0, None)]
    assert [number for number, *_ in harness.disagreements()] == [betnr]
    harness.espo.lock(entity_id, is_locked=False)
    report = harness.run()
    assert (report.outcome, report.persons.locked, harness.disagreements()) == ("done", 0, [])
    assert NUMBER in numbers(harness, entity_id)
    assert harness.run().writes.advoware == 0
    assert harness.writes == []


def test_a_known_lock_costs_no_request_of_its_own(harness: SyncHarness) -> None:
    entity_id, betnr = first_link(harness)
    harness.espo.lock(entity_id)
    harness.advo.add_row(betnr, NUMBER)
    harness.run()
    harness.run()
    assert [call for call in harness.espo.request_log if entity_id in call.path] == []


@pytest.mark.parametrize("number", range(1, 5))
def test_a_lock_between_look_and_put_is_no_failure(harness: SyncHarness, number: int) -> None:
    """Before the ``number``-th request that concerns the record: its read, its array PUT, its read back, its status."""
    entity_id, betnr = first_link(harness)
    harness.advo.add_row(betnr, NUMBER)
    count = 0

    def lock_before(call: SimRequest) -> None:
        nonlocal count
        count += entity_id in call.path
        if count == number and not harness.espo.record(entity_id).get("isLocked"):
            harness.espo.lock(entity_id)

    harness.espo.before = lock_before
    report = harness.run(persons=[str(betnr)])
    harness.espo.before = None
    assert (report.outcome, report.persons.failed) == ("done", 0)
    assert harness.query_store("select retry_count from persons where entity_id = ?", entity_id) == [(0,)]
    writes = harness.writes
    harness.run()
    assert person_writes(harness, entity_id, betnr) == []
    assert NUMBER in {row["tlf"] for row in harness.advo.rows(betnr)}, writes
    harness.espo.lock(entity_id, is_locked=False)
    assert harness.run().outcome == "done"
    assert harness.disagreements() == []
    assert harness.espo.record(entity_id)["syncStatus"] == "clean"
    assert harness.run().writes.espocrm == 0


def test_a_sweep_and_a_named_sync_leave_a_locked_person_alone(harness: SyncHarness) -> None:
    entity_id, betnr = first_link(harness)
    harness.espo.lock(entity_id)
    harness.advo.add_row(betnr, NUMBER)
    for options in ({"sweep": True}, {"persons": [entity_id]}):
        assert harness.run(**options).persons.locked == 1
        assert person_writes(harness, entity_id, betnr) == []


def test_a_number_typed_before_the_lock_waits_for_advoware_too(tmp_path: Path) -> None:
    """Its plan writes to Advoware only, so no refusal of EspoCRM's would stop it."""
    harness = SyncHarness(tmp_path, 3)
    harness.espo.store.entity.lockable = True
    harness.run()
    entity_id, betnr = first_link(harness)
    harness.espo.edit(entity_id, phones=[*phones_of(harness, entity_id), {"phoneNumber": NUMBER, "type": "Office"}])
    harness.espo.lock(entity_id)
    for options in ({}, {"persons": [entity_id]}, {"sweep": True}):
        assert harness.run(**options).persons.locked == 1
        assert person_writes(harness, entity_id, betnr) == []
    harness.espo.lock(entity_id, is_locked=False)
    harness.run()
    assert NUMBER in {row["tlf"] for row in harness.advo.rows(betnr)}
    assert harness.disagreements() == []


def test_locks_switched_off_let_the_next_sweep_go_on(harness: SyncHarness) -> None:
    """The field is gone with them, and no list shows the record as changed (fact B17)."""
    entity_id, betnr = first_link(harness)
    harness.espo.lock(entity_id)
    harness.advo.add_row(betnr, NUMBER)
    harness.run()
    harness.espo.store.entity.lockable = False
    harness.run(sweep=True)
    assert NUMBER in numbers(harness, entity_id)


@pytest.mark.parametrize(("language", "sentence"), [("en", SENTENCE), ("de", GERMAN_SENTENCE)], ids=["en", "de"])
def test_where_our_fields_are_free_the_record_says_that_it_waits(
    tmp_path: Path, language: str, sentence: str
) -> None:
    harness = SyncHarness(tmp_path, 2, report={"language": language})
    harness.espo.store.entity.lockable = True
    for name in OWN_FIELDS:
        harness.espo.store.entity.fields[name]["notLockable"] = True
    harness.run()
    entity_id, betnr = first_link(harness)
    harness.espo.lock(entity_id)
    harness.advo.add_row(betnr, NUMBER)
    harness.run()
    record = harness.espo.record(entity_id)
    assert (record["syncStatus"], record["syncErrorMessage"]) == ("pending_sync", sentence)
    harness.run()
    assert harness.writes == []
    assert NUMBER not in numbers(harness, entity_id)
    harness.espo.lock(entity_id, is_locked=False)
    harness.run()
    record = harness.espo.record(entity_id)
    assert (record["syncStatus"], record["syncErrorMessage"] or "") == ("clean", "")
    assert NUMBER in numbers(harness, entity_id)


def test_status_and_explain_name_the_lock(harness: SyncHarness) -> None:
    entity_id, _ = first_link(harness)
    assert collect_status(harness.config, harness.clock())["locked"] == 0
    harness.espo.lock(entity_id)
    harness.run()
    assert collect_status(harness.config, harness.clock())["locked"] == 1
    (document,) = explain_persons(harness.config, entity_id, environment=harness.environment)
    assert document["person"]["espo_locked"] == 1
    today = harness.clock().date()
    page = render_report_page(harness.config, DateRange(today, today), names=False, now=harness.clock())
    assert "1 Datensatz ist in EspoCRM gesperrt" in page


def test_check_says_what_a_lock_covers_and_how_a_save_is_stored(harness: SyncHarness) -> None:
    entity, client = harness.espo.store.entity, make_espo_client(harness.config, transport=InProcess(harness.espo))
    with client:
        user = client.get_user()
        covered = [(result.state, result.message) for result in check_locks(client, harness.config, user)]
        for name in OWN_FIELDS:
            entity.fields[name]["notLockable"] = True
        entity.transactional_save = True
        freed = [result.state for result in check_locks(client, harness.config, user)]
        entity.lockable = None
        harness.espo.store.role.may_lock = True
        may_lock = [result.message for result in check_locks(client, harness.config, client.get_user())]
        without_locks = [result.about for result in check_locks(client, harness.config, user)]
    assert [state for state, _ in covered] == ["note", "ok"]
    assert all(name in covered[0][1] for name in OWN_FIELDS)
    assert "Lock Permission" in may_lock[0]
    assert freed == ["ok", "ok"]
    assert without_locks == ["EspoCRM saves"]


def test_a_locked_person_gone_from_advoware_gets_no_refused_put(harness: SyncHarness) -> None:
    """Its status is written by the run that sees it unlocked."""
    entity_id, betnr = first_link(harness)
    harness.espo.lock(entity_id)
    harness.advo.delete_person(betnr)
    for _ in range(3):
        harness.clock.advance(3600)
        harness.run(sweep=True)
        assert person_writes(harness, entity_id, betnr) == []
    harness.espo.lock(entity_id, is_locked=False)
    harness.clock.advance(60)
    harness.run()
    assert harness.espo.record(entity_id)["syncStatus"] == "deleted_in_advoware"
