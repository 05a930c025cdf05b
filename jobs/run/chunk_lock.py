"""Long work goes in chunks and gives way between them: who wants the lock meanwhile waits for the chunk, and gets it.

Without a word between them a regular run would have to ask in the very moment between two chunks. So who is refused
because of a chunk says so in the store as long as it waits, and the next chunk does not begin before that one had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.errors import LockHeld
from etl.store.lease import load_lease
from etl.times import add_seconds
from jobs.lock import Lease

if TYPE_CHECKING:
    from etl.store.database import Store
    from jobs.environment import Environment
    from jobs.run.options import RunRequest

CHUNK_LEASE: Final = "a chunk of longer work"
"""What the lease of a chunk says it is held for."""

WAITER_KEY: Final = "lock_wanted_at"
"""Setting: when somebody last waited for a chunk to end."""

POLL_SECONDS, MAX_WAIT_SECONDS, WAITER_TTL_SECONDS = 0.5, 1800.0, 5
"""How often and how long a chunk's end is waited for, and for how long a word of it counts."""


def acquire_lease(request: RunRequest) -> Lease:
    """Take the lease; LockHeld when another run holds it, but the end of a chunk is waited for."""
    store, environment, in_chunks = request.store, request.environment, request.options.runs_in_chunks
    waited_seconds = 0.0
    while True:
        try:
            lease = Lease.acquire_here(
                store,
                lease_seconds=request.config.state.lease_seconds,
                now=environment.now(),
                run=CHUNK_LEASE if in_chunks else None,
            )
        except LockHeld:
            if in_chunks or waited_seconds >= MAX_WAIT_SECONDS or not is_chunk_lease(store):
                raise
            store.set_setting(WAITER_KEY, environment.now())
        else:
            if not in_chunks and store.setting(WAITER_KEY) is not None:
                store.set_setting(WAITER_KEY, None)
            return lease
        environment.checkpoint()
        environment.sleep(POLL_SECONDS)
        waited_seconds += POLL_SECONDS


def is_chunk_lease(store: Store) -> bool:
    """Whether the lease is held for a chunk, or was given back this very moment."""
    lease = load_lease(store)
    return lease is None or lease["run"] == CHUNK_LEASE


def yield_to_waiter(store: Store, environment: Environment) -> None:
    """Let go first who waits for the lock; nobody is waited for who stopped waiting."""
    waited_seconds = 0.0
    while has_waiter(store, environment.now()) and waited_seconds < WAITER_TTL_SECONDS:
        environment.checkpoint()
        environment.sleep(POLL_SECONDS)
        waited_seconds += POLL_SECONDS


def has_waiter(store: Store, now: str) -> bool:
    """Whether somebody said just now that it waits."""
    wanted_at = store.setting(WAITER_KEY)
    return wanted_at is not None and add_seconds(wanted_at, WAITER_TTL_SECONDS) > now
