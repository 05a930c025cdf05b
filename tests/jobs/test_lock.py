"""One writing run per state store, and none for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import LockHeld
from etl.store.database import Store
from etl.times import add_seconds
from jobs.lock import Heartbeat, Lease, is_process_alive, process_start_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = "2026-08-30 10:00:00"
SOON = "2026-08-30 10:01:00"
EXPIRY = "2026-08-30 10:02:00"
LATE = "2026-08-30 10:03:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, now=NOW, durable=False) as store_open:
        yield store_open


class Host:
    """A computer with processes: number to birth. A dead process is not among them."""

    def __init__(self, name: str = "srv", **processes: str) -> None:
        self.name = name
        self.processes = {int(number.removeprefix("p")): birth for number, birth in processes.items()}

    def acquire(self, store: Store, pid: int, now: str = NOW, run: str | None = None) -> Lease:
        return Lease.acquire(
            store,
            lease_seconds=120,
            now=now,
            host=self.name,
            pid=pid,
            is_alive=self.processes.__contains__,
            start_time_of=self.processes.get,
            run=run,
        )


def lease_rows(store: Store) -> list[tuple[Any, ...]]:
    leases = store.rows("select host, pid, run, acquired_at, heartbeat_at, expires_at from lease")
    return [tuple(row.values()) for row in leases]


def test_a_lease_says_who_holds_it_and_until_when(store: Store) -> None:
    Host(p1="monday").acquire(store, 1, run="sync 7")
    assert lease_rows(store) == [("srv", 1, "sync 7", NOW, NOW, EXPIRY)]


def test_a_second_run_is_told_who_holds_the_lock_since_when(store: Store) -> None:
    host = Host(p1="monday", p2="tuesday")
    host.acquire(store, 1, run="sync 7")
    with pytest.raises(LockHeld) as caught:
        host.acquire(store, 2, SOON)
    assert str(caught.value) == (
        "Process 1 on srv holds the lock for sync 7 since 2026-08-30 10:00:00 UTC, "
        "last heard of at 2026-08-30 10:00:00 UTC; wait for it to end."
    )
    assert lease_rows(store) == [("srv", 1, "sync 7", NOW, NOW, EXPIRY)]


def test_the_same_process_cannot_hold_it_twice(store: Store) -> None:
    host = Host(p1="monday")
    host.acquire(store, 1)
    with pytest.raises(LockHeld):
        host.acquire(store, 1, SOON)


def test_a_released_lease_is_free_at_once(store: Store) -> None:
    host = Host(p1="monday", p2="tuesday")
    with pytest.raises(ZeroDivisionError), host.acquire(store, 1):
        raise ZeroDivisionError
    assert lease_rows(store) == []
    host.acquire(store, 2)
    assert lease_rows(store) == [("srv", 2, None, NOW, NOW, EXPIRY)]


def test_a_renewed_lease_outlives_its_first_expiry(store: Store) -> None:
    host = Host(p1="monday", p2="tuesday")
    host.acquire(store, 1).renew(SOON)
    assert lease_rows(store) == [("srv", 1, None, NOW, SOON, LATE)]
    with pytest.raises(LockHeld):
        host.acquire(store, 2, EXPIRY)


def test_an_expired_lease_is_taken_over_from_any_host(store: Store) -> None:
    Host("other", p1="monday").acquire(store, 1)
    Host(p2="tuesday").acquire(store, 2, EXPIRY)
    assert lease_rows(store) == [("srv", 2, None, EXPIRY, EXPIRY, "2026-08-30 10:04:00")]


def test_a_dead_owner_on_this_host_is_taken_over_at_once(store: Store) -> None:
    Host(p1="monday").acquire(store, 1)
    Host(p2="tuesday").acquire(store, 2, SOON)
    assert lease_rows(store) == [("srv", 2, None, SOON, SOON, LATE)]


def test_a_process_of_another_host_cannot_be_known_dead(store: Store) -> None:
    Host("other", p1="monday").acquire(store, 1)
    with pytest.raises(LockHeld):
        Host(p2="tuesday").acquire(store, 2, SOON)


def test_a_number_used_again_is_another_process(store: Store) -> None:
    """As after a reboot, or in a container where every process is number 1."""
    Host(p1="monday").acquire(store, 1)
    Host(p1="tuesday").acquire(store, 1, SOON)
    assert lease_rows(store) == [("srv", 1, None, SOON, SOON, LATE)]


def test_where_births_are_unknown_the_number_decides(store: Store) -> None:

    def acquire(pid: int, now: str) -> Lease:
        return Lease.acquire(store, lease_seconds=120, now=now, host="srv", pid=pid, is_alive=lambda _pid: True)

    acquire(1, NOW)
    with pytest.raises(LockHeld):
        acquire(2, SOON)


def test_who_lost_the_lease_learns_it_and_takes_nothing_back(store: Store) -> None:
    slow_lease = Host("other", p1="monday").acquire(store, 1)
    Host(p2="tuesday").acquire(store, 2, EXPIRY)
    with pytest.raises(LockHeld, match="writes nothing more"):
        slow_lease.check()
    with pytest.raises(LockHeld, match=r"This run lost its lease\. Process 2 on srv"):
        slow_lease.renew(LATE)
    assert slow_lease.lost
    with pytest.raises(LockHeld, match="writes nothing more"):
        slow_lease.check()
    slow_lease.release()
    assert lease_rows(store) == [("srv", 2, None, EXPIRY, EXPIRY, "2026-08-30 10:04:00")]


def test_an_expired_lease_nobody_took_may_be_renewed(store: Store) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    lease.renew(LATE)
    assert lease_rows(store) == [("srv", 1, None, NOW, LATE, "2026-08-30 10:05:00")]


def test_a_lease_somebody_removed_is_lost(store: Store) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    store.execute("delete from lease")
    with pytest.raises(LockHeld, match="Nobody holds it now"):
        lease.renew(SOON)


def test_of_many_that_start_at_once_one_gets_the_lock(path: Path, store: Store) -> None:
    host = Host(**{f"p{pid}": "monday" for pid in range(1, 9)})
    outcomes: list[str] = []

    def start(pid: int) -> None:
        with Store.open(path, now=NOW, durable=False) as own_store:
            try:
                host.acquire(own_store, pid)
                outcomes.append("holds")
            except LockHeld:
                outcomes.append("waits")

    threads = [threading.Thread(target=start, args=(pid,)) for pid in host.processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["holds"] + ["waits"] * 7
    assert len(lease_rows(store)) == 1


def test_this_process_lives_and_has_a_birth_that_does_not_change(store: Store) -> None:
    assert is_process_alive(os.getpid())
    assert process_start_time(os.getpid()) == process_start_time(os.getpid())
    with Lease.acquire_here(store, lease_seconds=120, now=NOW):
        assert store.rows("select pid, born from lease") == [
            {"pid": os.getpid(), "born": process_start_time(os.getpid())}
        ]


def test_a_process_that_ended_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert is_process_alive(child.pid)
    child.wait()
    assert not is_process_alive(child.pid)
    assert process_start_time(child.pid) is None


# The heartbeat. Its clock is a list of moments, its waiting ends when the list does.


class BeatClock:
    """A clock that shows one moment a beat, and a wait that stops with the last."""

    def __init__(self, *moments: str) -> None:
        self.moments = list(moments)
        self.waited: list[float] = []

    def clock(self) -> str:
        return self.moments.pop(0)

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return not self.moments


def test_the_heartbeat_renews_every_quarter_of_the_lease(store: Store) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    beat_clock = BeatClock(NOW, "2026-08-30 10:00:30", SOON)
    with Heartbeat(lease, clock=beat_clock.clock, wait=beat_clock.wait) as heartbeat:
        heartbeat.thread.join()
    assert lease_rows(store) == [("srv", 1, None, NOW, SOON, LATE)]
    assert beat_clock.waited == [30.0, 30.0, 30.0]


def test_the_heartbeat_ends_with_its_block(store: Store) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    with Heartbeat(lease, clock=lambda: NOW) as heartbeat:
        pass
    assert not heartbeat.thread.is_alive()
    assert not lease.lost


def test_the_heartbeat_notices_that_the_lease_was_taken(store: Store) -> None:
    lease = Host("other", p1="monday").acquire(store, 1)
    Host(p2="tuesday").acquire(store, 2, EXPIRY)
    beat_clock = BeatClock(NOW, LATE, LATE, LATE)
    with Heartbeat(lease, clock=beat_clock.clock, wait=beat_clock.wait) as heartbeat:
        heartbeat.thread.join()
    assert lease.lost
    assert beat_clock.moments == [LATE, LATE]


def test_the_heartbeat_survives_a_store_that_fails_for_a_while(store: Store, path: Path, tmp_path: Path) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    elsewhere = Store(tmp_path, store.conn)
    lease.store = elsewhere
    beat_clock = BeatClock(NOW, "2026-08-30 10:00:30", SOON)
    Heartbeat(lease, clock=beat_clock.clock, wait=beat_clock.wait).renew_until_stopped()
    assert not lease.lost
    lease.store = store
    beat_clock = BeatClock(SOON, "2026-08-30 10:01:30")
    Heartbeat(lease, clock=beat_clock.clock, wait=beat_clock.wait).renew_until_stopped()
    assert lease_rows(store) == [("srv", 1, None, NOW, "2026-08-30 10:01:30", "2026-08-30 10:03:30")]
    assert path.exists()


def test_a_lease_that_could_not_be_renewed_until_it_expired_is_lost(store: Store, tmp_path: Path) -> None:
    lease = Host(p1="monday").acquire(store, 1)
    lease.store = Store(tmp_path, store.conn)
    beat_clock = BeatClock(NOW, SOON, EXPIRY, LATE)
    Heartbeat(lease, clock=beat_clock.clock, wait=beat_clock.wait).renew_until_stopped()
    assert lease.lost
    assert beat_clock.moments == [LATE]


def test_times_are_counted_across_midnight() -> None:
    assert add_seconds("2026-12-31 23:59:00", 120) == "2027-01-01 00:01:00"
