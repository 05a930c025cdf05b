"""The table ``runs``: who started what when, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.enums import RunOutcome
from etl.store.insert import insert_returning_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.store.database import Store

LATEST_ESPO_VERSION: Final = "espo_version"
START_COLUMNS: Final = (
    "version",
    "trigger",
    "operator",
    "reason",
    "about",
    "part_of",
    "host",
    "pid",
    "direction",
    "scope",
    "started_at",
)


def start_run(  # noqa: PLR0913  a column each
    store: Store,
    *,
    now: str,
    version: str,
    trigger: str,
    direction: str | None = None,
    scope: str | None = None,
    operator: str | None = None,
    reason: str | None = None,
    about: int | None = None,
    part_of: int | None = None,
    host: str | None = None,
    pid: int | None = None,
) -> int:
    """Record that a run begins, and return its number; numbers are never used twice.

    ``about``: what an operator's command was given, the run of an undo for example. ``part_of``: the first run of the
    longer work whose chunk this is.
    """
    record = {
        "version": version,
        "trigger": trigger,
        "operator": operator,
        "reason": reason,
        "about": about,
        "part_of": part_of,
        "host": host,
        "pid": pid,
        "direction": direction,
        "scope": scope,
        "started_at": now,
    }
    return insert_returning_ids(store, "runs", START_COLUMNS, {}, [record])[0]


def finish_run(  # noqa: PLR0913  a column each
    store: Store,
    run_id: int,
    *,
    now: str,
    outcome: str,
    counts: Mapping[str, int] | None = None,
    error: str | None = None,
    calls: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Record how a run ended. ``counts`` has any of persons_seen, -_changed, -_failed, espo_reads … advo_writes."""
    columns = {
        "finished_at": now,
        "outcome": outcome,
        "error": error,
        "calls": calls,
        "report": report,
        **(counts or {}),
    }
    assignments = ", ".join(f"{column} = :{column}" for column in columns)
    store.execute(f"update runs set {assignments} where id = :run_id", {**columns, "run_id": run_id})


def abandon_runs(store: Store, now: str) -> list[int]:
    """End the runs that never said how they ended, and return their numbers; only the holder of the lease may."""
    rows = store.rows(
        """
        update runs
        set
            finished_at = :now,
            outcome = :abandoned,
            error = 'The process ended without a word; the next run recovers what it left open.'
        where finished_at is null
        returning id
        """,
        {"now": now, "abandoned": RunOutcome.ABANDONED},
    )
    return [row["id"] for row in rows]


def record_espo_version(store: Store, run_id: int, version: str) -> str | None:
    """Record which EspoCRM a run talks to; return which one the run before met, None where none met one."""
    before = store.setting(LATEST_ESPO_VERSION)
    with store.transaction():
        store.execute(
            "update runs set espo_version = :version where id = :run_id", {"version": version, "run_id": run_id}
        )
        if version != before:
            store.set_setting(LATEST_ESPO_VERSION, version)
    return before


def load_run(store: Store, run_id: int) -> dict[str, Any] | None:
    """Return one run's row, None when there is none with this number."""
    rows = store.rows("select * from runs where id = :run_id", {"run_id": run_id})
    return rows[0] if rows else None


def chunk_run_ids(store: Store, run_id: int) -> list[int]:
    """Return all chunks of the longer work (sweep, backfill, undo of one) this run was part of, newest first.

    An approval of what one of them held belongs to it.
    """
    rows = store.rows(
        """
        with recursive whole (id) as (
            select id
            from runs
            where ifnull(part_of, id) = (
                select ifnull(part_of, id)
                from runs
                where id = :run_id
            )
            union
            select runs.id
            from runs
            join whole on runs.about = whole.id
            where runs.trigger = 'approve'
        )
        select id from whole order by id desc
        """,
        {"run_id": run_id},
    )
    return [row["id"] for row in rows]
