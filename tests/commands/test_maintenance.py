"""Keeping house: consistent copies, a kept number of them, retention, and a damaged store that is not copied."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from etl.errors import ConfigError, LockHeld, StoreError
from etl.store.database import Store
from etl.store.queries.status import LAST_MAINTENANCE_AT
from jobs.commands.maintenance import MaintenanceArgs, back_up, maintain, prune_store
from jobs.lock import Lease
from jobs.run.options import RunOptions
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from pathlib import Path

MAINTENANCE = RunOptions(trigger="maintenance")


@pytest.fixture
def harness(tmp_path: Path) -> CommandHarness:
    harness = CommandHarness(tmp_path, persons=3, state={"keep_backups": 2, "keep_history_days": 30})
    harness.run()
    return harness


def backup_files(harness: CommandHarness) -> list[Path]:
    return sorted((harness.config.state.path.parent / "backups").glob("*"))


def test_maintenance_copies_the_store_and_the_copy_is_a_store_for_its_owner_alone(harness: CommandHarness) -> None:
    result = maintain(harness.config, MAINTENANCE, environment=harness.environment)
    [copy] = backup_files(harness)
    assert result["backup"] == str(copy)
    assert copy.name == "state-20260831-060200.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o077 == 0
    with Store.open(copy, now=harness.environment.now(), read_only=True) as backup_store, harness.open_store() as store:
        assert backup_store.rows("select * from persons order by 1") == store.rows("select * from persons order by 1")
        assert store.setting(LAST_MAINTENANCE_AT) == harness.environment.now()


def test_only_the_configured_number_of_copies_is_kept_the_latest(harness: CommandHarness) -> None:
    for _ in range(4):
        harness.clock.advance(86_400)
        result = maintain(harness.config, MAINTENANCE, environment=harness.environment)
    assert [path.name for path in backup_files(harness)] == ["state-20260903-060200.db", "state-20260904-060200.db"]
    assert result["backups_removed"] == 1


def test_copies_of_another_store_beside_it_are_no_copies_of_this_one(harness: CommandHarness) -> None:
    copies = harness.config.state.path.parent / "backups"
    copies.mkdir()
    neighbours = [copies / f"state-nord-20260{month}01-040000.db" for month in (1, 2, 9)]
    for path in neighbours:
        path.write_bytes(b"a store of another firm")
    for _ in range(3):
        harness.clock.advance(86_400)
        maintain(harness.config, MAINTENANCE, environment=harness.environment)
    assert backup_files(harness) == sorted(
        [copies / "state-20260902-060200.db", copies / "state-20260903-060200.db", *neighbours]
    )


def test_without_copies_wanted_none_is_made_and_none_deleted(harness: CommandHarness) -> None:
    maintain(harness.config, MAINTENANCE, environment=harness.environment)
    harness.configure(state={"keep_backups": 0})
    harness.clock.advance(60)
    assert maintain(harness.config, MAINTENANCE, environment=harness.environment)["backup"] is None
    assert len(backup_files(harness)) == 1


def test_history_older_than_retention_goes_and_the_persons_stay(harness: CommandHarness) -> None:
    harness.clock.advance(timedelta(days=31).total_seconds())
    harness.run()
    result = maintain(harness.config, MAINTENANCE, environment=harness.environment)
    assert result["pruned"]["runs"] == 1
    assert result["pruned"]["changes"] > 0
    harness.advo.clear_request_log()
    harness.espo.clear_request_log()
    assert harness.run(sweep=True).outcome == "done"
    assert harness.advo.writes == harness.espo.writes == []


def test_prune_can_be_told_to_keep_fewer_days_and_records_who_and_why(harness: CommandHarness) -> None:
    harness.clock.advance(timedelta(days=3).total_seconds())
    harness.run()
    options = RunOptions(trigger="prune", operator="anna", reason="disk")
    result = prune_store(harness.config, options, MaintenanceArgs(days=1), environment=harness.environment)
    assert result["pruned"]["runs"] == 1
    with harness.open_store() as store:
        [row] = store.rows("select operator, reason, outcome from runs where trigger = 'prune'")
    assert row == {"operator": "anna", "reason": "disk", "outcome": "done"}


def test_a_backup_goes_where_it_is_told_and_overwrites_nothing(harness: CommandHarness, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "copy.db"
    back_up(harness.config, RunOptions(trigger="backup"), MaintenanceArgs(to=target), environment=harness.environment)
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is there already"):
        back_up(
            harness.config, RunOptions(trigger="backup"), MaintenanceArgs(to=target), environment=harness.environment
        )
    with harness.open_store() as store:
        assert [row["outcome"] for row in store.rows("select outcome from runs where trigger = 'backup'")] == ["done"]


def test_a_backup_needs_no_lock_so_it_can_be_made_while_a_run_writes(harness: CommandHarness, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with harness.open_store() as store, Lease.acquire_here(store, lease_seconds=3600, now=harness.environment.now()):
        back_up(
            harness.config, RunOptions(trigger="backup"), MaintenanceArgs(to=target), environment=harness.environment
        )
    assert target.exists()


def test_a_damaged_store_is_named_with_its_latest_copy_and_not_copied(harness: CommandHarness) -> None:
    maintain(harness.config, MAINTENANCE, environment=harness.environment)
    [good_backup] = backup_files(harness)
    with harness.open_store() as store:
        store.execute("pragma ignore_check_constraints = on")
        store.execute("update persons set status = 'nonsense'")
    harness.clock.advance(60)
    with pytest.raises(StoreError, match=re.escape(f"restore {good_backup} by copying it here")):
        maintain(harness.config, MAINTENANCE, environment=harness.environment)
    assert backup_files(harness) == [good_backup]


def test_while_a_run_holds_the_lock_nothing_is_done(harness: CommandHarness) -> None:
    with (
        harness.open_store() as store,
        Lease.acquire_here(store, lease_seconds=3600, now=harness.environment.now()),
        pytest.raises(LockHeld),
    ):
        maintain(harness.config, MAINTENANCE, environment=harness.environment)
    assert backup_files(harness) == []
