"""One writing run per state store: a lease that renews itself (rules §6, Locks).

A lease is stale when it has expired, or at once when its owner's process is dead on this host. A process is known by
its number and the moment it was born: numbers are used again, after a reboot or in a container always as 1.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from etl.errors import LockHeld, StoreError
from etl.store.database import Store
from etl.store.lease import delete_lease, load_lease, load_lease_token, renew_lease, save_lease
from etl.times import add_seconds

if TYPE_CHECKING:
    from collections.abc import Callable


RENEWALS_PER_LEASE: Final = 4
"""A lease is renewed this often before it would expire, so three heartbeats may fail."""


def unknown_start_time(_pid: int) -> str | None:
    """Say of no process when it was born: then its number alone tells."""
    return None


@dataclass
class Lease:
    """The right to write, held by ``acquire`` until ``release``. ``lost`` once somebody else took it."""

    store: Store
    token: str
    lease_seconds: int
    lost: bool = field(default=False, init=False)

    @classmethod
    def acquire(  # noqa: PLR0913  time, host and processes are arguments: no test needs a real one
        cls,
        store: Store,
        *,
        lease_seconds: int,
        now: str,
        host: str,
        pid: int,
        is_alive: Callable[[int], bool],
        start_time_of: Callable[[int], str | None] = unknown_start_time,
        run: str | None = None,
    ) -> Self:
        """Take the lease, or raise LockHeld saying who holds it since when.

        ``is_alive`` and ``start_time_of`` are asked about processes of this host; ``run`` names what the lease is for.
        """
        token = secrets.token_hex(16)
        with store.transaction():
            lease = load_lease(store)
            if lease and not is_lease_stale(lease, now=now, host=host, is_alive=is_alive, start_time_of=start_time_of):
                raise LockHeld(holder_message(lease))
            save_lease(
                store,
                token=token,
                host=host,
                pid=pid,
                process_started_at=start_time_of(pid),
                run=run,
                now=now,
                expires_at=add_seconds(now, lease_seconds),
            )
        return cls(store, token, lease_seconds)

    @classmethod
    def acquire_here(cls, store: Store, *, lease_seconds: int, now: str, run: str | None = None) -> Self:
        """Take the lease for the process this runs in."""
        return cls.acquire(
            store,
            lease_seconds=lease_seconds,
            now=now,
            host=socket.gethostname(),
            pid=os.getpid(),
            is_alive=is_process_alive,
            start_time_of=process_start_time,
            run=run,
        )

    def renew(self, now: str, store: Store | None = None) -> None:
        """Prolong the lease from ``now``; raise LockHeld when it is no longer ours, and never claim it back.

        Another thread passes a ``store`` of its own.
        """
        store = store or self.store
        if not renew_lease(store, self.token, now=now, expires_at=add_seconds(now, self.lease_seconds)):
            self.lost = True
            lease = load_lease(store)
            raise LockHeld(f"This run lost its lease. {holder_message(lease) if lease else 'Nobody holds it now.'}")

    def check(self) -> None:
        """Raise LockHeld when the lease is no longer ours: asked in each transaction of a run.

        The store is asked too: a machine that slept wakes up long before the next heartbeat.
        """
        if self.lost or load_lease_token(self.store) != self.token:
            raise LockHeld("This run lost its lease to another one; it writes nothing more.")

    def release(self) -> None:
        """Give the lease back, if it is still ours; somebody else's stays."""
        delete_lease(self.store, self.token)

    def __enter__(self) -> Self:
        """Give the held lease to a ``with`` block."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Release the lease on every path."""
        self.release()


class Heartbeat:
    """Renews a lease in a thread with a connection of its own, for the time of a ``with`` block.

    A busy or failing store is tried again at the next beat, until the lease would have expired; then, and when
    somebody else holds it, the lease is ``lost`` and the thread ends.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        clock: Callable[[], str],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.lease = lease
        self.clock = clock
        self.stop_event = threading.Event()
        self.wait = wait or self.stop_event.wait
        self.thread = threading.Thread(target=self.renew_until_stopped, name="advosync-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Start beating."""
        self.thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        """Stop beating; the lease itself is released by its own block."""
        self.stop_event.set()
        self.thread.join()

    def renew_until_stopped(self) -> None:
        """Renew every quarter of the lease until stopped or lost."""
        expires_at = add_seconds(self.clock(), self.lease.lease_seconds)
        while not self.wait(self.lease.lease_seconds / RENEWALS_PER_LEASE) and not self.lease.lost:
            now = self.clock()
            if self.try_renew(now):
                expires_at = add_seconds(now, self.lease.lease_seconds)
            elif expires_at <= now:
                self.lease.lost = True

    def try_renew(self, now: str) -> bool:
        """Try to renew once; False when the store could not be written or the lease is lost."""
        try:
            with Store.open(self.lease.store.path, now=now) as store:
                self.lease.renew(now, store)
        except (StoreError, LockHeld):
            return False
        return True


def is_lease_stale(
    lease: dict[str, Any],
    *,
    now: str,
    host: str,
    is_alive: Callable[[int], bool],
    start_time_of: Callable[[int], str | None],
) -> bool:
    """Whether a lease binds nobody any more: expired, or its owner is dead on this very host."""
    if lease["expires_at"] <= now:
        return True
    return lease["host"] == host and is_process_dead(
        lease["pid"], lease["born"], is_alive=is_alive, start_time_of=start_time_of
    )


def is_process_dead(
    pid: int, start_time: str | None, *, is_alive: Callable[[int], bool], start_time_of: Callable[[int], str | None]
) -> bool:
    """Whether the process is gone, or its number now belongs to another one."""
    if not is_alive(pid):
        return True
    return start_time is not None and start_time_of(pid) not in {None, start_time}


def holder_message(lease: dict[str, Any]) -> str:
    """Say in a sentence who holds the lease."""
    run = f" for {lease['run']}" if lease["run"] else ""
    return (
        f"Process {lease['pid']} on {lease['host']} holds the lock{run} since {lease['acquired_at']} UTC, "
        f"last heard of at {lease['heartbeat_at']} UTC; wait for it to end."
    )



def is_process_alive(pid: int) -> bool:
    """Whether a process with this number exists on this host, also when it is somebody else's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_start_time(pid: int) -> str | None:
    """Return when a process was born: the boot it belongs to and its clock ticks since then; None where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, so fields are counted from behind it; the birth is field 22.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"
