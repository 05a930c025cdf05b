"""The file itself: who may read it, what is refused and how, what survives."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from etl.errors import LockHeld, StoreError
from etl.store.database import Store
from etl.store.migrations import require_our_file
from etl.store.schema import MIGRATIONS
from etl.store.tables.journal import save_changes, set_change_state
from etl.store.tables.persons import update_person
from etl.store.tables.queue import mark_due, reset_permanent_failures
from jobs.lock import Lease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = "2026-08-30 10:00:00"

LATER_VERSION = (*MIGRATIONS, "alter table persons add column shoe_size integer;")

BROKEN_VERSION = (*MIGRATIONS, "create table half (id integer) strict;\nalter table nowhere add column x text;")


def settings_rows(store: Store) -> list[dict[str, Any]]:
    return store.rows("select * from settings where key <> 'instance_id' order by key")


def file_mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_new_store_is_its_owners_alone_its_side_files_too(store: Store, path: Path) -> None:
    store.set_setting("cursor", "x")
    modes = {file.name: file_mode(file) for file in path.parent.iterdir()}
    assert modes == {"state.db": "0o600", "state.db-wal": "0o600", "state.db-shm": "0o600"}


def test_a_restored_copy_that_came_open_to_all_is_made_private(store: Store, path: Path) -> None:
    store.close()
    path.chmod(0o644)
    Store.open(path, now=NOW).close()
    assert file_mode(path) == "0o600"


def test_after_a_heartbeat_other_processes_still_see_what_a_run_writes_and_it_what_they_write(
    store: Store, path: Path
) -> None:
    """SQLite's locks are POSIX's: closing a file of one's own drops them for all connections of the process."""
    store.set_setting("begun", "run")
    with Store.open(path, now=NOW) as heartbeat:
        heartbeat.set_setting("beat", "run")
    assert setting_in_another_process(path, "beat", "other") == "run"  # who closes last takes the log away
    assert path.with_name("state.db-wal").exists()
    store.set_setting("later", "run")
    assert setting_in_another_process(path, "later", "other") == "run"
    assert store.setting("other") == "other"
    store.close()
    with Store.open(path, now=NOW) as after:
        assert [row["key"] for row in settings_rows(after)] == ["beat", "begun", "later", "other"]
        assert after.scalar("pragma integrity_check") == "ok"


def setting_in_another_process(path: Path, key: str, written: str) -> str | None:
    """What a process that comes and goes reads there; it writes ``written``, too."""
    program = (
        "import sys; from etl.store.database import Store\n"
        "with Store.open(sys.argv[1], now=sys.argv[2]) as store:\n"
        "    print(store.setting(sys.argv[3])); store.set_setting(sys.argv[4], sys.argv[4])"
    )
    command = [sys.executable, "-c", program, str(path), NOW, key, written]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_commits_survive_a_power_loss_unless_asked_otherwise(path: Path) -> None:
    with Store.open(path, now=NOW) as store:
        assert store.scalar("pragma synchronous") == 2
        assert store.scalar("pragma journal_mode") == "wal"
        assert store.scalar("pragma foreign_keys") == 1


def test_only_what_happened_may_wait_for_the_next_intent(tmp_path: Path) -> None:
    """Full, 2, outlasts a power loss; normal, 1, keeps the order and may lose the latest; off, 0, is for tests."""
    sql = "pragma synchronous"
    with Store.open(tmp_path / "state.db", now=NOW) as store:
        with store.transaction_without_fsync():
            assert store.scalar(sql) == 1
        with store.transaction(), store.transaction_without_fsync():
            assert store.scalar(sql) == 2
        with pytest.raises(StoreError), store.transaction_without_fsync():
            update_person(store, "nobody", name="Nemo")
        assert store.scalar(sql) == 2
    with Store.open(tmp_path / "state.db", now=NOW, durable=False) as store, store.transaction_without_fsync():
        assert store.scalar(sql) == 0


def test_opening_again_changes_nothing(store: Store, path: Path) -> None:
    store.set_setting("cursor", "x")
    store.close()
    with Store.open(path, now=NOW) as again:
        assert settings_rows(again) == [{"key": "cursor", "value": "x"}]
        assert again.scalar("pragma user_version") == len(MIGRATIONS)
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with Store.open(path, now=NOW) as store:
        assert settings_rows(store) == []


def test_a_setting_is_remembered_replaced_and_forgotten(store: Store) -> None:
    assert store.setting("cursor") is None
    store.set_setting("cursor", "a")
    store.set_setting("cursor", "b")
    assert store.setting("cursor") == "b"
    store.set_setting("cursor", None)
    assert settings_rows(store) == []


# What is refused, each in a sentence that names the file.


def open_refusal(path: Path, *, read_only: bool = False) -> str:
    with pytest.raises(StoreError) as caught:
        Store.open(path, now=NOW, read_only=read_only, busy_timeout=0)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_newer_than_the_program_is_refused(path: Path) -> None:
    Store.open(path, now=NOW, migrations=LATER_VERSION).close()
    assert "newer than this program" in open_refusal(path)
    assert "newer than this program" in open_refusal(path, read_only=True)


def test_another_programs_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("create table mine (id integer)")
    other.close()
    before = path.read_bytes()
    assert "of another program" in open_refusal(path)
    assert "of another program" in open_refusal(path, read_only=True)
    assert path.read_bytes()[96:] == before[96:]


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_a_file_that_another_process_makes_ours_meanwhile_is_not_foreign(tmp_path: Path, statement: int) -> None:
    """Two processes start on a new machine: whichever looks while the other makes the tables finds them its own."""
    path, statements_run = tmp_path / "state.db", 0

    class InterruptedConnection(sqlite3.Connection):
        def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
            nonlocal statements_run
            answer = sqlite3.Connection.execute(self, sql, *params)
            row = answer.fetchone()
            statements_run += 1
            if statements_run == statement:
                Store.open(path, now=NOW).close()
            return sqlite3.Connection.execute(self, "select ? where ? is not null", (row and row[0],) * 2)

    with closing(sqlite3.connect(path, factory=InterruptedConnection)) as connection:
        require_our_file(connection, path, len(MIGRATIONS))
    assert statements_run >= statement


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("betnr;telefon\n" * 200, encoding="utf-8")
    assert "is not an SQLite file" in open_refusal(path)


def test_a_damaged_file_says_so_when_the_damage_is_met(store: Store, path: Path) -> None:
    store.execute_many("insert into settings values (:key, 'x')", [{"key": f"{n:09}"} for n in range(5000)])
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * 40] + b"\xff" * (len(content) - 4096 * 40))
    with pytest.raises(StoreError, match="damaged; restore the latest backup"), Store.open(path, now=NOW) as damaged:
        damaged.rows("select sum(length(key)) from settings not indexed")


def test_a_missing_store_cannot_be_read(path: Path) -> None:
    assert "no state store" in open_refusal(path, read_only=True)
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_refused(path: Path) -> None:
    path.parent.write_text("a file", encoding="utf-8")
    assert "cannot be opened for writing" in open_refusal(path)


def test_a_folder_in_the_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    assert "cannot be opened for writing" in open_refusal(path)


def test_an_older_store_cannot_be_read_before_it_was_migrated(store: Store, path: Path) -> None:
    store.close()
    with pytest.raises(StoreError, match="run `advosync sync` once"):
        Store.open(path, now=NOW, read_only=True, migrations=LATER_VERSION)


def test_a_locked_store_says_who_must_let_go(store: Store, path: Path) -> None:
    with (
        Store.open(path, now=NOW, busy_timeout=0) as other,
        store.transaction(),
        pytest.raises(StoreError, match="locked by another program"),
    ):
        other.set_setting("cursor", "x")


def test_reading_alone_never_writes(store: Store, path: Path) -> None:
    store.set_setting("cursor", "x")
    with Store.open(path, now=NOW, read_only=True) as reader:
        assert reader.setting("cursor") == "x"
        with pytest.raises(StoreError, match="cannot be written"):
            reader.set_setting("cursor", "y")


def test_a_mistake_in_sql_is_not_taken_for_a_broken_file(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        store.rows("select * from nowhere")


# Transactions.


def test_a_failing_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012  the block is what is tested
        store.set_setting("a", "1")
        raise KeyboardInterrupt
    assert settings_rows(store) == []


def test_a_nested_transaction_joins_the_outer_one(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012  the block is what is tested
        with store.transaction():
            store.set_setting("inner", "1")
        raise ZeroDivisionError
    assert settings_rows(store) == []


def test_a_nested_failure_that_is_survived_leaves_no_halves(store: Store) -> None:
    with store.transaction():
        store.set_setting("outer", "1")
        with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012  the block is what is tested
            store.set_setting("inner", "1")
            raise ZeroDivisionError
    assert settings_rows(store) == [{"key": "outer", "value": "1"}]


def test_nothing_of_sqlite_utils_commits_behind_our_back(store: Store, path: Path) -> None:
    with Store.open(path, now=NOW, read_only=True) as reader, store.transaction():
        store.execute("insert into settings values ('execute', '1')")
        store.rows("insert into settings values ('query', '1') returning key")
        store.execute_many("insert into settings values (:key, '1')", [{"key": "many"}])
        store.db.table("settings").insert_all([{"key": "insert_all", "value": "1"}])
        store.db.table("settings").upsert({"key": "upsert", "value": "1"}, pk="key")
        store.rows("select 1")
        assert settings_rows(reader) == []
    assert [row["key"] for row in settings_rows(store)] == ["execute", "insert_all", "many", "query", "upsert"]


def test_a_write_outside_a_transaction_is_committed_at_once(store: Store, path: Path) -> None:
    with Store.open(path, now=NOW, read_only=True) as reader:
        store.set_setting("a", "1")
        assert settings_rows(reader) == [{"key": "a", "value": "1"}]


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.set_setting("a", "1"),
        lambda store: store.execute_many("insert into settings values (:key, '1')", [{"key": "a"}]),
        lambda store: update_person(store, "a", name="B"),
        lambda store: reset_permanent_failures(store, NOW),
        lambda store: mark_due(store, ["a"], "modified", NOW),
        lambda store: set_change_state(store, [1], "started", now=NOW),
    ],
)
@pytest.mark.parametrize("is_only_expired", [False, True])
def test_nothing_is_written_once_the_store_is_not_ours_any_more(
    store: Store, run_id: int, write: Callable[[Store], object], *, is_only_expired: bool
) -> None:
    """A run whose lease was taken, or could not be renewed, must not take back what its successor saw."""
    store.execute("insert into persons (entity_id, name) values ('a', 'A')")
    change = {"run_id": run_id, "entity_id": "a", "betnr": 1, "variant": "var1", "side": "advo", "action": "mark"}
    save_changes(store, [change])
    lease = Lease.acquire_here(store, lease_seconds=60, now=NOW)
    lease.lost = is_only_expired
    if not is_only_expired:
        store.execute("update lease set token = 'of somebody else'")
    before = [*store.conn.iterdump()]
    with store.with_lease(lease), pytest.raises(LockHeld):
        write(store)
    assert [*store.conn.iterdump()] == before
    write(store)


def test_many_records_are_written_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.execute_many("insert into settings values (:key, '1')", [{"key": "a"}, {"key": "a"}])
    assert settings_rows(store) == []


def test_queries_of_one_moment_do_not_see_what_is_committed_meanwhile(store: Store, path: Path) -> None:
    with Store.open(path, now=NOW, read_only=True) as reader:
        with reader.read_transaction():
            assert settings_rows(reader) == []
            store.set_setting("a", "1")
            assert settings_rows(reader) == []
        assert settings_rows(reader) == [{"key": "a", "value": "1"}]


def test_one_moment_inside_a_transaction_sees_its_writes_and_ends_nothing(store: Store) -> None:
    with store.transaction():
        store.set_setting("a", "1")
        with store.read_transaction():
            assert store.setting("a") == "1"
    assert store.setting("a") == "1"


def test_two_processes_may_create_the_store_at_the_same_moment(path: Path) -> None:
    failures: list[BaseException] = []

    def create() -> None:
        try:
            Store.open(path, now=NOW).close()
        except BaseException as error:  # noqa: BLE001  whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# Values.


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (pd.NA, None),
        (float("nan"), None),
        (pd.NaT, None),
        (np.float64("nan"), None),
        (np.int64(7), "7"),
        (np.bool_(True), "1"),  # noqa: FBT003
        (np.str_("x"), "x"),
        ({"b": "Ä", "a": [1, pd.NA, np.int64(2)]}, '{"a": [1, null, 2], "b": "Ä"}'),
        ((1, 2), "[1, 2]"),
        ("x", "x"),
    ],
)
def test_values_of_frames_are_stored_as_plain_values(store: Store, value: object, stored: str | None) -> None:
    store.execute("insert into settings values ('k', cast(:value as text))", {"value": value})
    assert store.setting("k") == stored


# Backup and migration.


def test_a_backup_is_one_private_file_that_restores_by_copying(store: Store, path: Path, tmp_path: Path) -> None:
    store.set_setting("a", "1")
    store.backup(tmp_path / "copy.db")
    assert file_mode(tmp_path / "copy.db") == "0o600"
    assert sorted(file.name for file in tmp_path.glob("copy*")) == ["copy.db"]
    store.set_setting("a", "2")
    store.close()
    shutil.copy(tmp_path / "copy.db", path)
    with Store.open(path, now=NOW) as restored:
        assert settings_rows(restored) == [{"key": "a", "value": "1"}]


def test_a_backup_replaces_an_older_one_only_when_it_is_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("older", encoding="utf-8")
    (tmp_path / "copy.db.part").write_text("left by a crash", encoding="utf-8")
    store.set_setting("a", "1")
    store.backup(tmp_path / "copy.db")
    with Store.open(tmp_path / "copy.db", now=NOW, read_only=True) as copy:
        assert settings_rows(copy) == [{"key": "a", "value": "1"}]


def test_a_backup_into_a_missing_folder_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere.copy\.db cannot be written"):
        store.backup(tmp_path / "nowhere" / "copy.db")


def test_an_older_store_is_copied_before_it_is_migrated(store: Store, path: Path) -> None:
    store.set_setting("a", "1")
    store.close()
    with Store.open(path, now=NOW, migrations=LATER_VERSION) as migrated:
        assert migrated.scalar("pragma user_version") == len(LATER_VERSION)
        assert settings_rows(migrated) == [{"key": "a", "value": "1"}]
        assert "shoe_size" in migrated.db["persons"].columns_dict
        assert "last_runs" in migrated.db.view_names()
    copy = path.with_name(f"state.db.v{len(MIGRATIONS)}.20260830100000")
    assert file_mode(copy) == "0o600"
    with Store.open(copy, now=NOW, read_only=True) as backup:
        assert settings_rows(backup) == [{"key": "a", "value": "1"}]


def test_a_new_store_is_made_without_a_copy(path: Path) -> None:
    Store.open(path, now=NOW, migrations=LATER_VERSION).close()
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


def test_a_migration_that_fails_leaves_the_older_version_whole(store: Store, path: Path) -> None:
    store.set_setting("a", "1")
    store.close()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Store.open(path, now=NOW, migrations=BROKEN_VERSION)
    with Store.open(path, now=NOW) as older:
        assert settings_rows(older) == [{"key": "a", "value": "1"}]
        assert "half" not in older.db.table_names()
        assert "last_runs" in older.db.view_names()
