"""Another sync, or a hook, on the same records is noticed, named, and left alone (rules §6, A second writer)."""

from __future__ import annotations

import copy
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.rules.guards import (
    OTHER_FINGERPRINT,
    OTHER_STATUS,
    OWN_RESET,
    OwnWrites,
    SecondWriterCheck,
    find_second_writer,
)
from jobs.commands import maintenance
from jobs.pipeline import run_to_completion
from jobs.run.options import RunOptions
from jobs.sandbox.espocrm.login import SYNC_USER
from tests.harness import FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.simulator import SimRequest, SimResponse

FOREIGN_FINGERPRINT = "0123456789abcdef"


def write_foreign_fields(harness: FaultHarness, person: PersonWithRows, **fields: Any) -> None:
    """Another sync writes its fields, with a key of its own."""
    harness.espo.edit(person.entity_id, **fields)


def reset_by_hook(harness: FaultHarness, call: SimRequest) -> None:
    """EspoCRM's hook asks for a sync after every save, ours included; it runs in the saver's name."""
    record = harness.espo.store.records[call.path.rpartition("/")[2]]
    record.values["syncStatus"] = "dirty"
    record.bump(SYNC_USER, harness.environment.now())


# The judgement -------------------------------------------------------------------------------------------------------


OWN_STATE = OwnWrites(frozenset({"clean"}), frozenset({"aaaa"}))
FOREIGN_ONCE = OwnWrites(frozenset({"failed"}), frozenset({"aaaa"}), 1)
NEVER_WRITTEN = OwnWrites(frozenset(), frozenset())


@pytest.mark.parametrize(
    ("own_state", "status", "fingerprint", "saved_by_us", "entry_changed", "judgement"),
    [
        (OWN_STATE,  "clean",  "aaaa", True,  False, SecondWriterCheck(None, 0)),
        (OWN_STATE,  "clean",  "",     False, False, SecondWriterCheck(None, 0)),
        (OWN_STATE,  "clean",  None,   False, False, SecondWriterCheck(None, 0)),
        (OWN_STATE,  "dirty",  "aaaa", False, False, SecondWriterCheck(None, 0)),
        (OWN_STATE,  "pending_sync", "aaaa", False, True, SecondWriterCheck(None, 0)),
        (OWN_STATE,  "clean",  "bbbb", False, False, SecondWriterCheck(OTHER_FINGERPRINT, 2)),
        (OWN_STATE,  "clean",  "bbbb", False, True,  SecondWriterCheck(OTHER_FINGERPRINT, 2)),
        (OWN_STATE,  "dirty",  "aaaa", True,  False, SecondWriterCheck(OWN_RESET, 2)),
        (OWN_STATE,  "dirty",  "aaaa", True,  True,  SecondWriterCheck(None, 0)),
        (OWN_STATE,  "failed", "aaaa", False, False, SecondWriterCheck(None, 1)),
        (OWN_STATE,  "failed", "aaaa", False, True,  SecondWriterCheck(None, 0)),
        (OWN_STATE,  None,     "aaaa", False, False, SecondWriterCheck(None, 1)),
        (FOREIGN_ONCE,  "clean",  "aaaa", False, False, SecondWriterCheck(OTHER_STATUS, 2)),
        (FOREIGN_ONCE,  "failed", "aaaa", False, False, SecondWriterCheck(None, 0)),
        (NEVER_WRITTEN, "clean",  "bbbb", False, False, SecondWriterCheck(None, 0)),
        (NEVER_WRITTEN, "dirty",  "bbbb", True,  False, SecondWriterCheck(None, 0)),
    ],
)  # fmt: skip
def test_what_stands_in_espocrm_is_judged_by_what_we_left_there(
    own_state: OwnWrites, status: str | None, fingerprint: str | None, saved_by_us: bool, entry_changed: bool,  # noqa: FBT001
    judgement: SecondWriterCheck,
) -> None:  # fmt: skip
    assert (
        find_second_writer(own_state, status, fingerprint, saved_by_us=saved_by_us, is_entry_changed=entry_changed)
        == judgement
    )


# A fingerprint that is not ours --------------------------------------------------------------------------------------


def test_a_foreign_fingerprint_is_named_and_the_person_is_left_until_its_entries_change(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(5)
    write_foreign_fields(harness, person, kommunikationHash=FOREIGN_FINGERPRINT)
    report = harness.run_without_writes()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("done", 0, 1)
    assert person.entity_id in report.notices[0]
    assert "another sync, or a hook, writes here" in report.notices[0]
    assert harness.open_hold_rows() == [(report.run_id, person.entity_id, "second_writer")]
    harness.espo.edit(person.entity_id, firstName="Moritz")
    for sweep in (False, True):
        assert harness.run_without_writes(sweep=sweep).notices == []
    assert harness.sync_fields(person)["syncStatus"] == "clean"
    harness.add_phone(person, "+4951188888888")
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3
    assert harness.open_hold_rows() == []
    assert harness.query_store("select released_by from holds") == [("an entry of the person changed",)]
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_person_that_was_left_goes_on_when_its_entries_change_in_advoware(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(5)
    write_foreign_fields(harness, person, kommunikationHash=FOREIGN_FINGERPRINT)
    harness.run_without_writes()
    harness.advo.add_row(person.betnr, "0511 88888888")
    assert harness.run().outcome == "done"
    assert len(harness.espo_phones(person)) == 3
    assert harness.open_hold_rows() == []


def test_an_edit_and_a_foreign_fingerprint_at_once_wait(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(5)
    harness.add_phone(person, "+4951188888888")
    write_foreign_fields(harness, person, kommunikationHash=FOREIGN_FINGERPRINT)
    assert harness.run_without_writes().persons.held == 1
    assert len(harness.advo_values(person)) == 2
    report = harness.run(approve_run=2, operator="anna")
    assert (report.outcome, len(harness.advo_values(person))) == ("done", 3)
    assert harness.open_hold_rows() == []
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_an_emptied_fingerprint_is_nobodys(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(2)
    write_foreign_fields(harness, person, kommunikationHash=None)
    assert harness.run(sweep=True).outcome == "done"
    assert harness.open_hold_rows() == []
    assert harness.espo.record(person.entity_id)["kommunikationHash"]


@pytest.mark.parametrize("fields", [{"kommunikationHash": FOREIGN_FINGERPRINT}, {"syncStatus": "failed"}])
def test_what_a_new_store_finds_where_it_wrote_nothing_yet_is_put_right_at_the_next_read(
    harness: FaultHarness, fields: dict[str, str]
) -> None:
    """World 2793: nothing was foreign to a store that never wrote there, and a sweep alone found it."""
    (person,) = harness.add_persons_in_sync(1)
    for file in harness.path.parent.glob(f"{harness.path.name}*"):
        file.unlink()
    harness.run_without_writes()
    before = harness.espo.record(person.entity_id)["kommunikationHash"]
    write_foreign_fields(harness, person, **fields)
    harness.run()
    record = harness.espo.record(person.entity_id)
    assert (record["syncStatus"], record["kommunikationHash"]) == ("clean", before)
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_more_than_three_persons_hold_the_whole_run(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8)
    for person in people[:4]:
        write_foreign_fields(harness, person, kommunikationHash=FOREIGN_FINGERPRINT)
    for person in people[2:6]:
        harness.add_phone(person, f"+495118888{person.betnr}")
    report = harness.run_without_writes()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, 6)
    assert {entity_id for _, entity_id, _ in harness.open_hold_rows()} == {person.entity_id for person in people[:6]}
    harness.add_phone(people[0], "+4951177777777")  # held by the run: an edit alone does not release it
    assert harness.run_without_writes().exit_code() == 0
    harness.add_phone(people[7], "+4951166666666")
    assert harness.run().persons.changed == 1
    report = harness.run(approve_run=2, operator="anna")
    assert [len(harness.advo_values(person)) for person in people] == [2, 2, 3, 3, 3, 3, 2, 3]
    assert [entity_id for _, entity_id, _ in harness.open_hold_rows()] == [
        people[0].entity_id
    ]  # other steps: held anew
    assert harness.run(approve_run=report.run_id, operator="anna").outcome == "done"
    assert len(harness.advo_values(people[0])) == 3
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_plan_says_so_too_and_leaves_no_trace(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(5)
    for person in people:
        write_foreign_fields(harness, person, kommunikationHash=FOREIGN_FINGERPRINT)
    report = harness.run_without_writes(write=False, trigger="plan")
    assert report.exit_code() == 3
    assert harness.open_hold_rows() == []
    assert harness.run_without_writes().exit_code() == 3


# A status that is not ours -------------------------------------------------------------------------------------------


def test_a_foreign_status_is_put_right_once_and_named_the_second_time_running(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(5)
    write_foreign_fields(harness, person, syncStatus="failed")
    assert harness.run().outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "clean"
    write_foreign_fields(harness, person, syncStatus="conflict")
    report = harness.run_without_writes()
    assert "status" in report.notices[0]
    assert harness.person_columns(person, "foreign_writes") == (2,)
    assert harness.sync_fields(person)["syncStatus"] == "conflict"


def test_a_foreign_status_now_and_then_is_somebodys_slip(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(5)
    for _ in range(3):
        write_foreign_fields(harness, person, syncStatus="failed")
        assert harness.run().notices == []
        assert harness.run_without_writes(sweep=True).notices == []  # ours again: not running any more
    assert harness.open_hold_rows() == []


# A hook that resets the status on our own writes ----------------------------------------------------------------------


def test_a_hook_that_asks_again_after_our_own_write_is_named(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(2)

    def reset_status(call: SimRequest, answer: SimResponse) -> None:
        if call.method == "PUT" and answer.status == 200:
            reset_by_hook(harness, call)

    harness.add_phone(person, "+4951188888888")
    with harness.hook_after(harness.espo, reset_status):
        assert harness.run().persons.changed == 1
        report = harness.run_without_writes()
        assert "our own write" in report.notices[0]
        assert harness.run_without_writes().notices == []
        harness.add_phone(person, "+4951177777777")
        assert harness.run().outcome == "done"
        assert len(harness.advo_values(person)) == 4


def test_a_hook_that_resets_every_record_holds_the_run_instead_of_writing_for_ever(harness: FaultHarness) -> None:
    people = [harness.add_person() for _ in range(6)]

    def reset_status(call: SimRequest, answer: SimResponse) -> None:
        if call.method == "PUT" and answer.status == 200:
            reset_by_hook(harness, call)

    with harness.hook_after(harness.espo, reset_status):
        assert harness.run().persons.changed == 6
        assert harness.run_without_writes().exit_code() == 3
        assert harness.run_without_writes().exit_code() == 0
        assert len(harness.open_hold_rows()) == len(people)


# What must not be taken for one --------------------------------------------------------------------------------------


def test_a_write_of_ours_whose_answer_we_never_saw_is_ours(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(2)
    harness.add_phone(person, "+4951188888888")

    class ProcessDeath(BaseException):
        pass

    def die(call: SimRequest, _answer: SimResponse) -> None:
        if call.method == "PUT":
            raise ProcessDeath

    with harness.hook_after(harness.espo, die), pytest.raises(ProcessDeath):
        harness.run()
    harness.advo.add_row(person.betnr, "0511 77777777")
    report = harness.run()
    assert (report.outcome, report.notices, harness.open_hold_rows()) == ("done", [], [])
    assert len(harness.espo_phones(person)) == len(harness.advo_values(person)) == 4
    assert harness.run_without_writes(sweep=True).outcome == "done"


# Older states put back -----------------------------------------------------------------------------------------------


def checkpoint_store(harness: FaultHarness) -> None:
    """Everything of the store in its one file."""
    with closing(sqlite3.connect(harness.path)) as store:
        store.execute("pragma wal_checkpoint(truncate)")


def replace_first_phones(harness: FaultHarness, people: list[PersonWithRows]) -> None:
    """Edits on both sides, synced."""
    for person in people:
        harness.espo.edit(
            person.entity_id, phones=[(f"+495119999{person.betnr}", "Office"), harness.espo_phones(person)[1]]
        )
    assert harness.run().outcome == "done"


def test_an_old_backup_of_the_store_put_back_holds_and_writes_nothing_wrong(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(6)
    checkpoint_store(harness)
    old = harness.folder / "old.db"
    shutil.copy(harness.path, old)
    replace_first_phones(harness, people)
    harness.advo.edit_row(people[0].betnr, people[0].rows[1], value="0511 77777777")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (harness.folder / name).unlink(missing_ok=True)
    shutil.copy(old, harness.path)
    report = harness.run_without_writes(sweep=True)
    assert report.exit_code() == 3
    assert sum("EspoCRM shows a later sync than this state store knows of" in notice for notice in report.notices) == 5
    assert (
        sum("it was our own API user who wrote it" in notice for notice in report.notices) == 1
    )  # its rows changed since
    assert len(harness.open_hold_rows()) == 6
    report = harness.run(approve_run=report.run_id, operator="anna")
    assert report.outcome == "done"
    assert len(harness.espo_phones(people[0])) == len(harness.advo_values(people[0])) == 2
    assert "0511 77777777" in harness.advo_values(people[0])
    assert harness.run_without_writes(sweep=True).outcome == "done"


def take_backup(harness: FaultHarness) -> Callable[[], None]:
    """Make a copy as advosync makes them every night; what puts it back."""
    options = RunOptions(trigger="backup", operator="anna")
    backup_file = Path(
        maintenance.back_up(harness.config, options, maintenance.MaintenanceArgs(), environment=harness.environment)[
            "backup"
        ]
    )

    def restore_backup() -> None:
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (harness.folder / name).unlink(missing_ok=True)
        shutil.copy(backup_file, harness.path)

    return restore_backup


def test_a_backup_put_back_is_known_as_one_and_holds_nobody_who_stands_as_its_markers_say(
    harness: FaultHarness,
) -> None:
    """The table's row 12: all who changed since were held as "another sync writes here"."""
    people = harness.add_persons_in_sync(6)
    restore_backup = take_backup(harness)
    replace_first_phones(harness, people)
    restore_backup()
    assert "put back from a copy of 2026-03-02" in harness.run_without_writes(trigger="plan", write=False).notices[0]
    report = harness.run_without_writes(sweep=True)
    assert (report.exit_code(), report.persons.held) == (0, 0)
    assert "put back from a copy of 2026-03-02" in report.notices[0]
    assert harness.run_without_writes(sweep=True).notices == []
    assert {(len(harness.espo_phones(person)), len(harness.advo_values(person))) for person in people} == {(2, 2)}


def test_after_a_backup_was_put_back_nothing_typed_since_is_taken_for_deleted(harness: FaultHarness) -> None:
    """The copy knows a number that was deleted after it was made, and somebody enters it once more."""
    person, other, *_ = harness.add_persons_in_sync(6, 3)
    restore_backup = take_backup(harness)
    first, *others = harness.espo_phones(person)
    harness.espo.edit(person.entity_id, phones=[(number, "Office") for number in others])
    before = harness.espo_phones(other)
    harness.add_phone(other, "+4951188888888")
    assert harness.run().variants == {"var1": 1, "var2": 1}
    restore_backup()
    harness.add_phone(person, first)
    harness.espo.edit(other.entity_id, phones=[(number, "Office") for number in before])
    report = harness.run(sweep=True)
    assert first in harness.espo_phones(person)
    assert len(harness.advo_values(person)) == len(harness.espo_phones(person)) == 3
    assert harness.open_hold_rows() == [(report.run_id, other.entity_id, "recovery")]
    assert harness.run(approve_run=report.run_id, operator="anna").variants == {"var2": 1}
    assert len(harness.advo_values(other)) == 3
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_second_advosync_is_named_though_it_uses_the_same_key(harness: FaultHarness, tmp_path: Path) -> None:
    """It writes the very fingerprint we would; a copy that was put back explains it only until we synced again."""
    people = harness.add_persons_in_sync(5)
    take_backup(harness)()
    harness.run_without_writes(sweep=True)
    harness.add_phone(people[0], "+4951188888888")
    assert harness.run().variants == {"var1": 1}
    harness.advo.add_row(people[0].betnr, "0511 77777777")
    harness.settings["state"] = {"path": str(tmp_path / "other.db")}
    other = harness.config  # another installation: the same key, a store of its own
    harness.clock.advance(60)
    assert run_to_completion(other, RunOptions(), environment=harness.environment).variants["var4"] == 1
    del harness.settings["state"]
    report = harness.run_without_writes(sweep=True)
    assert "a second advosync works here" in report.notices[0]
    assert [kind for *_, kind in harness.open_hold_rows()] == ["second_writer"]


def test_espocrm_restored_to_last_weeks_state_holds_and_writes_nothing(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(6)
    week_ago = copy.deepcopy((harness.espo.store.records, harness.espo.store.phones, harness.espo.store.mails))
    replace_first_phones(harness, people)
    harness.espo.store.records, harness.espo.store.phones, harness.espo.store.mails = week_ago
    report = harness.run_without_writes(sweep=True)
    assert report.exit_code() == 3
    assert len(harness.open_hold_rows()) == 6
    assert all(f"+495119999{person.betnr}" in harness.advo_values(person) for person in people)


def test_advoware_restored_to_last_weeks_state_is_held_where_it_would_take_too_much_back(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(12)
    week_ago = copy.deepcopy(harness.advo.beteiligte)
    replace_first_phones(harness, people[:6])
    replace_first_phones(harness, people[6:])
    harness.advo.beteiligte = week_ago
    report = harness.run_without_writes(sweep=True)
    assert report.exit_code() == 3
    assert {kind for *_, kind in harness.open_hold_rows()} == {"removals"}
    assert all(f"+495119999{person.betnr}" in harness.espo_phones(person) for person in people)
