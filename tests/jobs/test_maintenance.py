"""Keeping house: consistent copies, a kept number of them, retention, and a damaged store that is not copied."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from etl.errors import ConfigError, LockHeld, StoreError
from etl.store.database import Store
from etl.store.standing import LAST_MAINTENANCE_AT
from jobs.lock import Lease
from jobs.maintenance import Wish, back_up, maintain, prune_now
from jobs.options import Options
from tests.firm import Firm

if TYPE_CHECKING:
    from pathlib import Path

HOUSE = Options(trigger="maintenance")


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    made = Firm.of(tmp_path, persons=3, state={"keep_backups": 2, "keep_history_days": 30})
    made.go()
    return made


def backups(firm: Firm) -> list[Path]:
    return sorted((firm.config.state.path.parent / "backups").glob("*"))


def test_maintenance_copies_the_store_and_the_copy_is_a_store_for_its_owner_alone(firm: Firm) -> None:
    done = maintain(firm.config, HOUSE, world=firm.world)
    [copy] = backups(firm)
    assert done["backup"] == str(copy)
    assert copy.name == "state-20260831-060200.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o077 == 0
    with Store.open(copy, now=firm.world.now(), read_only=True) as one, firm.store() as other:
        assert one.rows("select * from persons order by 1") == other.rows("select * from persons order by 1")
        assert other.setting(LAST_MAINTENANCE_AT) == firm.world.now()


def test_only_the_configured_number_of_copies_is_kept_the_latest(firm: Firm) -> None:
    for _ in range(4):
        firm.clock.advance(86_400)
        done = maintain(firm.config, HOUSE, world=firm.world)
    assert [path.name for path in backups(firm)] == ["state-20260903-060200.db", "state-20260904-060200.db"]
    assert done["backups_removed"] == 1


def test_without_copies_wanted_none_is_made_and_none_deleted(firm: Firm) -> None:
    maintain(firm.config, HOUSE, world=firm.world)
    firm.configured(state={"keep_backups": 0})
    firm.clock.advance(60)
    assert maintain(firm.config, HOUSE, world=firm.world)["backup"] is None
    assert len(backups(firm)) == 1


def test_history_older_than_retention_goes_and_the_persons_stay(firm: Firm) -> None:
    firm.clock.advance(timedelta(days=31).total_seconds())
    firm.go()
    done = maintain(firm.config, HOUSE, world=firm.world)
    assert done["pruned"]["runs"] == 1
    assert done["pruned"]["changes"] > 0
    firm.advo.forget_calls()
    firm.espo.forget_calls()
    assert firm.go(sweep=True).outcome == "done"
    assert firm.advo.writes == firm.espo.writes == []


def test_prune_can_be_told_to_keep_fewer_days_and_records_who_and_why(firm: Firm) -> None:
    firm.clock.advance(timedelta(days=3).total_seconds())
    firm.go()
    asked = Options(trigger="prune", operator="anna", reason="disk")
    done = prune_now(firm.config, asked, Wish(days=1), world=firm.world)
    assert done["pruned"]["runs"] == 1
    with firm.store() as store:
        [row] = store.rows("select operator, reason, outcome from runs where trigger = 'prune'")
    assert row == {"operator": "anna", "reason": "disk", "outcome": "done"}


def test_a_backup_goes_where_it_is_told_and_overwrites_nothing(firm: Firm, tmp_path: Path) -> None:
    to = tmp_path / "elsewhere" / "copy.db"
    back_up(firm.config, Options(trigger="backup"), Wish(to=to), world=firm.world)
    assert to.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is there already"):
        back_up(firm.config, Options(trigger="backup"), Wish(to=to), world=firm.world)
    with firm.store() as store:
        assert [row["outcome"] for row in store.rows("select outcome from runs where trigger = 'backup'")] == ["done"]


def test_a_backup_needs_no_lock_so_it_can_be_made_while_a_run_writes(firm: Firm, tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    with firm.store() as store, Lease.acquire_here(store, lease_seconds=3600, now=firm.world.now()):
        back_up(firm.config, Options(trigger="backup"), Wish(to=to), world=firm.world)
    assert to.exists()


def test_a_damaged_store_is_named_with_its_latest_copy_and_not_copied(firm: Firm) -> None:
    maintain(firm.config, HOUSE, world=firm.world)
    [good] = backups(firm)
    with firm.store() as store:
        store.execute("pragma ignore_check_constraints = on")
        store.execute("update persons set status = 'nonsense'")
    firm.clock.advance(60)
    with pytest.raises(StoreError, match=re.escape(f"restore {good} by copying it here")):
        maintain(firm.config, HOUSE, world=firm.world)
    assert backups(firm) == [good]


def test_while_a_run_holds_the_lock_nothing_is_done(firm: Firm) -> None:
    with (
        firm.store() as store,
        Lease.acquire_here(store, lease_seconds=3600, now=firm.world.now()),
        pytest.raises(LockHeld),
    ):
        maintain(firm.config, HOUSE, world=firm.world)
    assert backups(firm) == []
