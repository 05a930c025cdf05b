"""Another sync, or a hook, on the same records is noticed, named, and left alone (rules.md §6, A second writer)."""

from __future__ import annotations

import copy
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.rules.foreign import FOREIGN_HASH, FOREIGN_STATUS, RESET_BY_US, Judgement, Ours, judged
from jobs import maintenance
from jobs.options import Options
from jobs.pipeline import run
from jobs.sandbox.espocrm_login import SYNC_USER
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.simulator import Answer, Call

THEIRS = "0123456789abcdef"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def stamp(desk: Desk, person: Person, **fields: Any) -> None:
    """Another sync writes its fields, with a key of its own."""
    desk.espo.edit(person.entity_id, **fields)


def hook_resets(desk: Desk, call: Call) -> None:
    """EspoCRM's hook asks for a sync after every save, ours included; it runs in the saver's name."""
    record = desk.espo.store.records[call.path.rpartition("/")[2]]
    record.values["syncStatus"] = "dirty"
    record.bump(SYNC_USER, desk.world.now())


# The judgement -------------------------------------------------------------------------------------------------------


OURS = Ours(frozenset({"clean"}), frozenset({"aaaa"}))
ONCE = Ours(frozenset({"failed"}), frozenset({"aaaa"}), 1)
NEVER = Ours(frozenset(), frozenset())


@pytest.mark.parametrize(
    ("ours", "status", "fingerprint", "saved_by_us", "entry_changed", "judgement"),
    [
        (OURS,  "clean",  "aaaa", True,  False, Judgement(None, 0)),
        (OURS,  "clean",  "",     False, False, Judgement(None, 0)),
        (OURS,  "clean",  None,   False, False, Judgement(None, 0)),
        (OURS,  "dirty",  "aaaa", False, False, Judgement(None, 0)),
        (OURS,  "pending_sync", "aaaa", False, True, Judgement(None, 0)),
        (OURS,  "clean",  "bbbb", False, False, Judgement(FOREIGN_HASH, 2)),
        (OURS,  "clean",  "bbbb", False, True,  Judgement(FOREIGN_HASH, 2)),
        (OURS,  "dirty",  "aaaa", True,  False, Judgement(RESET_BY_US, 2)),
        (OURS,  "dirty",  "aaaa", True,  True,  Judgement(None, 0)),
        (OURS,  "failed", "aaaa", False, False, Judgement(None, 1)),
        (OURS,  "failed", "aaaa", False, True,  Judgement(None, 0)),
        (OURS,  None,     "aaaa", False, False, Judgement(None, 1)),
        (ONCE,  "clean",  "aaaa", False, False, Judgement(FOREIGN_STATUS, 2)),
        (ONCE,  "failed", "aaaa", False, False, Judgement(None, 0)),
        (NEVER, "clean",  "bbbb", False, False, Judgement(None, 0)),
        (NEVER, "dirty",  "bbbb", True,  False, Judgement(None, 0)),
    ],
)  # fmt: skip
def test_what_stands_in_espocrm_is_judged_by_what_we_left_there(
    ours: Ours, status: str | None, fingerprint: str | None, saved_by_us: bool, entry_changed: bool,  # noqa: FBT001
    judgement: Judgement,
) -> None:  # fmt: skip
    assert judged(ours, status, fingerprint, saved_by_us=saved_by_us, entry_changed=entry_changed) == judgement


# A fingerprint that is not ours --------------------------------------------------------------------------------------


def test_a_foreign_fingerprint_is_named_and_the_person_is_left_until_its_entries_change(desk: Desk) -> None:
    person, *_ = desk.crowd(5)
    stamp(desk, person, kommunikationHash=THEIRS)
    report = desk.quiet()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("done", 0, 1)
    assert person.entity_id in report.notices[0]
    assert "another sync, or a hook, writes here" in report.notices[0]
    assert desk.held() == [(report.run_id, person.entity_id, "second_writer")]
    desk.espo.edit(person.entity_id, firstName="Moritz")
    for sweep in (False, True):
        assert desk.quiet(sweep=sweep).notices == []
    assert desk.shown(person)["syncStatus"] == "clean"
    desk.add_phone(person, "+4951188888888")
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3
    assert desk.held() == []
    assert desk.ask("select released_by from holds") == [("an entry of the person changed",)]
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_person_that_was_left_goes_on_when_its_entries_change_in_advoware(desk: Desk) -> None:
    person, *_ = desk.crowd(5)
    stamp(desk, person, kommunikationHash=THEIRS)
    desk.quiet()
    desk.advo.add_row(person.betnr, "0511 88888888")
    assert desk.run().outcome == "done"
    assert len(desk.phones(person)) == 3
    assert desk.held() == []


def test_an_edit_and_a_foreign_fingerprint_at_once_wait(desk: Desk) -> None:
    person, *_ = desk.crowd(5)
    desk.add_phone(person, "+4951188888888")
    stamp(desk, person, kommunikationHash=THEIRS)
    assert desk.quiet().persons.held == 1
    assert len(desk.values(person)) == 2
    report = desk.run(approve_run=2, operator="anna")
    assert (report.outcome, len(desk.values(person))) == ("done", 3)
    assert desk.held() == []
    assert desk.quiet(sweep=True).outcome == "done"


def test_an_emptied_fingerprint_is_nobodys(desk: Desk) -> None:
    person, *_ = desk.crowd(2)
    stamp(desk, person, kommunikationHash=None)
    assert desk.run(sweep=True).outcome == "done"
    assert desk.held() == []
    assert desk.espo.record(person.entity_id)["kommunikationHash"]


@pytest.mark.parametrize("fields", [{"kommunikationHash": THEIRS}, {"syncStatus": "failed"}])
def test_what_stands_where_a_new_store_wrote_nothing_yet_is_put_right_at_the_next_look(
    desk: Desk, fields: dict[str, str]
) -> None:
    """World 2793: nothing was foreign to a store that never wrote there, and a sweep alone found it."""
    (person,) = desk.crowd(1)
    for file in desk.path.parent.glob(f"{desk.path.name}*"):
        file.unlink()
    desk.quiet()
    before = desk.espo.record(person.entity_id)["kommunikationHash"]
    stamp(desk, person, **fields)
    desk.run()
    shown = desk.espo.record(person.entity_id)
    assert (shown["syncStatus"], shown["kommunikationHash"]) == ("clean", before)
    assert desk.quiet(sweep=True).outcome == "done"


def test_more_than_three_persons_hold_the_whole_run(desk: Desk) -> None:
    people = desk.crowd(8)
    for person in people[:4]:
        stamp(desk, person, kommunikationHash=THEIRS)
    for person in people[2:6]:
        desk.add_phone(person, f"+495118888{person.betnr}")
    report = desk.quiet()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, 6)
    assert {entity_id for _, entity_id, _ in desk.held()} == {one.entity_id for one in people[:6]}
    desk.add_phone(people[0], "+4951177777777")  # held by the run: an edit alone does not release it
    assert desk.quiet().exit_code() == 0
    desk.add_phone(people[7], "+4951166666666")
    assert desk.run().persons.changed == 1
    report = desk.run(approve_run=2, operator="anna")
    assert [len(desk.values(one)) for one in people] == [2, 2, 3, 3, 3, 3, 2, 3]
    assert [entity_id for _, entity_id, _ in desk.held()] == [people[0].entity_id]  # other steps: held anew
    assert desk.run(approve_run=report.run_id, operator="anna").outcome == "done"
    assert len(desk.values(people[0])) == 3
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_plan_says_so_too_and_leaves_no_trace(desk: Desk) -> None:
    people = desk.crowd(5)
    for person in people:
        stamp(desk, person, kommunikationHash=THEIRS)
    report = desk.quiet(write=False, trigger="plan")
    assert report.exit_code() == 3
    assert desk.held() == []
    assert desk.quiet().exit_code() == 3


# A status that is not ours -------------------------------------------------------------------------------------------


def test_a_foreign_status_is_put_right_once_and_named_the_second_time_running(desk: Desk) -> None:
    person, *_ = desk.crowd(5)
    stamp(desk, person, syncStatus="failed")
    assert desk.run().outcome == "done"
    assert desk.shown(person)["syncStatus"] == "clean"
    stamp(desk, person, syncStatus="conflict")
    report = desk.quiet()
    assert "status" in report.notices[0]
    assert desk.kept(person, "foreign_writes") == (2,)
    assert desk.shown(person)["syncStatus"] == "conflict"


def test_a_foreign_status_now_and_then_is_somebodys_slip(desk: Desk) -> None:
    person, *_ = desk.crowd(5)
    for _ in range(3):
        stamp(desk, person, syncStatus="failed")
        assert desk.run().notices == []
        assert desk.quiet(sweep=True).notices == []  # ours again: not running any more
    assert desk.held() == []


# A hook that resets the status on our own writes ----------------------------------------------------------------------


def test_a_hook_that_asks_again_after_our_own_write_is_named(desk: Desk) -> None:
    person, *_ = desk.crowd(2)

    def resets(call: Call, answer: Answer) -> None:
        if call.method == "PUT" and answer.status == 200:
            hook_resets(desk, call)

    desk.add_phone(person, "+4951188888888")
    with desk.spoiled(desk.espo, resets):
        assert desk.run().persons.changed == 1
        report = desk.quiet()
        assert "our own write" in report.notices[0]
        assert desk.quiet().notices == []
        desk.add_phone(person, "+4951177777777")
        assert desk.run().outcome == "done"
        assert len(desk.values(person)) == 4


def test_such_a_hook_on_every_record_holds_the_run_instead_of_writing_for_ever(desk: Desk) -> None:
    people = [desk.hire() for _ in range(6)]

    def resets(call: Call, answer: Answer) -> None:
        if call.method == "PUT" and answer.status == 200:
            hook_resets(desk, call)

    with desk.spoiled(desk.espo, resets):
        assert desk.run().persons.changed == 6
        assert desk.quiet().exit_code() == 3
        assert desk.quiet().exit_code() == 0
        assert len(desk.held()) == len(people)


# What must not be taken for one --------------------------------------------------------------------------------------


def test_a_write_of_ours_whose_answer_we_never_saw_is_ours(desk: Desk) -> None:
    person, *_ = desk.crowd(2)
    desk.add_phone(person, "+4951188888888")

    class Died(BaseException):
        pass

    def dies(call: Call, _answer: Answer) -> None:
        if call.method == "PUT":
            raise Died

    with desk.spoiled(desk.espo, dies), pytest.raises(Died):
        desk.run()
    desk.advo.add_row(person.betnr, "0511 77777777")
    report = desk.run()
    assert (report.outcome, report.notices, desk.held()) == ("done", [], [])
    assert len(desk.phones(person)) == len(desk.values(person)) == 4
    assert desk.quiet(sweep=True).outcome == "done"


# Older states put back -----------------------------------------------------------------------------------------------


def checkpointed(desk: Desk) -> None:
    """Everything of the store in its one file."""
    with closing(sqlite3.connect(desk.path)) as store:
        store.execute("pragma wal_checkpoint(truncate)")


def week_of_work(desk: Desk, people: list[Person]) -> None:
    """Edits on both sides, synced."""
    for person in people:
        desk.espo.edit(person.entity_id, phones=[(f"+495119999{person.betnr}", "Office"), desk.phones(person)[1]])
    assert desk.run().outcome == "done"


def test_an_old_backup_of_the_store_put_back_holds_and_writes_nothing_wrong(desk: Desk) -> None:
    people = desk.crowd(6)
    checkpointed(desk)
    old = desk.folder / "old.db"
    shutil.copy(desk.path, old)
    week_of_work(desk, people)
    desk.advo.edit_row(people[0].betnr, people[0].rows[1], value="0511 77777777")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (desk.folder / name).unlink(missing_ok=True)
    shutil.copy(old, desk.path)
    report = desk.quiet(sweep=True)
    assert report.exit_code() == 3
    assert sum("EspoCRM shows a later sync than this state store knows of" in one for one in report.notices) == 5
    assert sum("it was our own API user who wrote it" in one for one in report.notices) == 1  # its rows changed since
    assert len(desk.held()) == 6
    report = desk.run(approve_run=report.run_id, operator="anna")
    assert report.outcome == "done"
    assert len(desk.phones(people[0])) == len(desk.values(people[0])) == 2
    assert "0511 77777777" in desk.values(people[0])
    assert desk.quiet(sweep=True).outcome == "done"


def put_back_from_backup(desk: Desk) -> Callable[[], None]:
    """Make a copy as advosync makes them every night; what puts it back."""
    asked = Options(trigger="backup", operator="anna")
    copied = Path(maintenance.back_up(desk.config, asked, maintenance.Wish(), world=desk.world)["backup"])

    def put_back() -> None:
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (desk.folder / name).unlink(missing_ok=True)
        shutil.copy(copied, desk.path)

    return put_back


def test_a_backup_put_back_is_known_as_one_and_holds_nobody_who_stands_as_its_markers_say(desk: Desk) -> None:
    """The table's row 12: all who changed since were held as "another sync writes here"."""
    people = desk.crowd(6)
    put_back = put_back_from_backup(desk)
    week_of_work(desk, people)
    put_back()
    assert "put back from a copy of 2026-03-02" in desk.quiet(trigger="plan", write=False).notices[0]
    report = desk.quiet(sweep=True)
    assert (report.exit_code(), report.persons.held) == (0, 0)
    assert "put back from a copy of 2026-03-02" in report.notices[0]
    assert desk.quiet(sweep=True).notices == []
    assert {(len(desk.phones(one)), len(desk.values(one))) for one in people} == {(2, 2)}


def test_after_a_backup_was_put_back_nothing_typed_since_is_taken_for_deleted(desk: Desk) -> None:
    """The copy knows a number that was deleted after it was made, and somebody enters it once more."""
    back, gone, *_ = desk.crowd(6, 3)
    put_back = put_back_from_backup(desk)
    first, *others = desk.phones(back)
    desk.espo.edit(back.entity_id, phones=[(number, "Office") for number in others])
    before = desk.phones(gone)
    desk.add_phone(gone, "+4951188888888")
    assert desk.run().variants == {"var1": 1, "var2": 1}
    put_back()
    desk.add_phone(back, first)
    desk.espo.edit(gone.entity_id, phones=[(number, "Office") for number in before])
    report = desk.run(sweep=True)
    assert first in desk.phones(back)
    assert len(desk.values(back)) == len(desk.phones(back)) == 3
    assert desk.held() == [(report.run_id, gone.entity_id, "recovery")]
    assert desk.run(approve_run=report.run_id, operator="anna").variants == {"var2": 1}
    assert len(desk.values(gone)) == 3
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_second_advosync_is_named_though_it_uses_the_same_key(desk: Desk, tmp_path: Path) -> None:
    """It writes the very fingerprint we would; a copy that was put back explains it only until we synced again."""
    people = desk.crowd(5)
    put_back_from_backup(desk)()
    desk.quiet(sweep=True)
    desk.add_phone(people[0], "+4951188888888")
    assert desk.run().variants == {"var1": 1}
    desk.advo.add_row(people[0].betnr, "0511 77777777")
    desk.settings["state"] = {"path": str(tmp_path / "other.db")}
    other = desk.config  # another installation: the same key, a store of its own
    desk.clock.advance(60)
    assert run(other, Options(), world=desk.world).variants["var4"] == 1
    del desk.settings["state"]
    report = desk.quiet(sweep=True)
    assert "a second advosync works here" in report.notices[0]
    assert [kind for *_, kind in desk.held()] == ["second_writer"]


def test_espocrm_restored_to_last_weeks_state_holds_and_writes_nothing(desk: Desk) -> None:
    people = desk.crowd(6)
    week_ago = copy.deepcopy((desk.espo.store.records, desk.espo.store.phones, desk.espo.store.mails))
    week_of_work(desk, people)
    desk.espo.store.records, desk.espo.store.phones, desk.espo.store.mails = week_ago
    report = desk.quiet(sweep=True)
    assert report.exit_code() == 3
    assert len(desk.held()) == 6
    assert all(f"+495119999{one.betnr}" in desk.values(one) for one in people)


def test_advoware_restored_to_last_weeks_state_is_held_where_it_would_take_too_much_back(desk: Desk) -> None:
    people = desk.crowd(12)
    week_ago = copy.deepcopy(desk.advo.beteiligte)
    week_of_work(desk, people[:6])
    week_of_work(desk, people[6:])
    desk.advo.beteiligte = week_ago
    report = desk.quiet(sweep=True)
    assert report.exit_code() == 3
    assert {kind for *_, kind in desk.held()} == {"removals"}
    assert all(f"+495119999{one.betnr}" in desk.phones(one) for one in people)
