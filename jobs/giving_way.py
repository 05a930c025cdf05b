"""Long work goes in chunks and gives way between them: who wants the lock meanwhile waits for the chunk, and gets it.

Without a word between them a regular run would have to ask in the very moment between two chunks. So who is refused
because of a chunk says so in the store as long as it waits, and the next chunk does not begin before that one had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.errors import LockHeld
from etl.store.lease import load_lease
from jobs.lock import Lease, later

if TYPE_CHECKING:
    from etl.store.database import Store
    from jobs.options import Order
    from jobs.world import World

CHUNK: Final = "a chunk of longer work"
"""What the lease of a chunk says it is held for."""

WANTED: Final = "lock_wanted_at"
"""Setting: when somebody last waited for a chunk to end."""

NAP_SECONDS, PATIENCE_SECONDS, FRESH_SECONDS = 0.5, 1800.0, 5
"""How often and how long a chunk's end is waited for, and for how long a word of it counts."""


def taken(order: Order) -> Lease:
    """Take the lease; LockHeld when another run holds it, but the end of a chunk is waited for."""
    store, world, chunked = order.store, order.world, order.options.in_chunks
    waited = 0.0
    while True:
        try:
            lease = Lease.acquire_here(
                store,
                lease_seconds=order.config.state.lease_seconds,
                now=world.now(),
                run=CHUNK if chunked else None,
            )
        except LockHeld:
            if chunked or waited >= PATIENCE_SECONDS or not is_chunk(store):
                raise
            store.set_setting(WANTED, world.now())
        else:
            if not chunked and store.setting(WANTED) is not None:
                store.set_setting(WANTED, None)
            return lease
        world.checkpoint()
        world.sleep(NAP_SECONDS)
        waited += NAP_SECONDS


def is_chunk(store: Store) -> bool:
    """Whether the lease is held for a chunk, or was given back this very moment."""
    held = load_lease(store)
    return held is None or held["run"] == CHUNK


def give_way(store: Store, world: World) -> None:
    """Let go first who waits for the lock; nobody is waited for who stopped waiting."""
    waited = 0.0
    while is_wanted(store, world.now()) and waited < FRESH_SECONDS:
        world.checkpoint()
        world.sleep(NAP_SECONDS)
        waited += NAP_SECONDS


def is_wanted(store: Store, now: str) -> bool:
    """Whether somebody said just now that it waits."""
    wanted_at = store.setting(WANTED)
    return wanted_at is not None and later(wanted_at, FRESH_SECONDS) > now
