"""The table ``lease``: at most one row, the writing run of this store. What it means is ``jobs/lock.py``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.insert import insert_records

if TYPE_CHECKING:
    from etl.store.database import Store

LEASE_COLUMNS: Final = ("id", "host", "pid", "born", "token", "run", "acquired_at", "heartbeat_at", "expires_at")


def load_lease(store: Store) -> dict[str, Any] | None:
    """Return the row of the lease, None when nobody holds it."""
    rows = store.rows("select * from lease")
    return rows[0] if rows else None


def load_lease_token(store: Store) -> str | None:
    """Return the token of who holds the store, None when nobody does."""
    token: str | None = store.scalar("select token from lease")
    return token


def save_lease(  # noqa: PLR0913  a column each
    store: Store,
    *,
    token: str,
    host: str,
    pid: int,
    process_started_at: str | None,
    run: str | None,
    now: str,
    expires_at: str,
) -> None:
    """Replace the lease's holder; the caller has checked in the same transaction that it may."""
    record = {
        "id": 1,
        "token": token,
        "host": host,
        "pid": pid,
        "born": process_started_at,
        "run": run,
        "acquired_at": now,
        "heartbeat_at": now,
        "expires_at": expires_at,
    }
    with store.ensure_transaction():
        store.execute("delete from lease")
        insert_records(store, "lease", LEASE_COLUMNS, [record])


def renew_lease(store: Store, token: str, *, now: str, expires_at: str) -> bool:
    """Extend the lease with this token; False when it no longer exists."""
    changed_rows = store.execute(
        """
        update lease
        set
            heartbeat_at = :now,
            expires_at = :expires_at
        where token = :token
        """,
        {"token": token, "now": now, "expires_at": expires_at},
    )
    return changed_rows == 1


def delete_lease(store: Store, token: str) -> bool:
    """Delete the lease with this token; False when it no longer exists."""
    return store.execute("delete from lease where token = :token", {"token": token}) == 1
