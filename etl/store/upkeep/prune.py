"""Retention: history goes with the run it belongs to, and only when nothing of that run is needed any more.

A run is kept while it is young, under way, or the latest of its kind; while a write of it still counts (its baseline
did not take it in), a value that lost in it was neither seen nor restored, or a person is still held by it. What was
settled lately (seen, restored, released) keeps its run for the full time from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etl.store.database import Store

RUNS_PER_TRANSACTION: Final = 200
"""Runs a transaction: others may write in between, and the log beside the database stays small."""

PRUNABLE_RUNS: Final = """
select id
from runs
where finished_at is not null
    and finished_at < :before
    and id not in (select max(id) from runs group by trigger, outcome)
    and not exists (
        select 1
        from changes
        where changes.run_id = runs.id
            and changes.settled = 0
            and changes.state in ('started', 'done', 'unknown')
    )
    and not exists (
        select 1
        from conflicts
        where conflicts.run_id = runs.id
            and max(ifnull(seen_at, ''), ifnull(restored_at, '')) not between '1' and :before
    )
    and not exists (
        select 1
        from holds
        where holds.run_id = runs.id
            and (released_at is null or released_at >= :before)
    )
order by id
limit :limit
"""

RUN_TABLES: Final = ("arrivals", "conflicts", "changes", "array_puts", "decisions", "holds")
"""The tables that hang on ``runs``, those that refer to others first."""


def prune_runs(store: Store, before: str) -> dict[str, int]:
    """Delete the history of runs that ended before this time and are not needed; rows deleted, by table."""
    deleted_rows = dict.fromkeys((*RUN_TABLES, "runs"), 0)
    while run_ids := prunable_runs(store, before):
        with store.transaction():
            for table in RUN_TABLES:
                deleted_rows[table] += store.execute(
                    f"delete from {table} where run_id in (select value from json_each(:runs))", {"runs": run_ids}
                )
            deleted_rows["runs"] += store.execute(
                "delete from runs where id in (select value from json_each(:runs))", {"runs": run_ids}
            )
    return deleted_rows


def prune_closed_waits(store: Store, before: str) -> int:
    """Delete what is known of persons that were not there for a while, and were there again before this time.

    What ended is kept: who returns with the betnr it had then is recovered, however long that takes.
    """
    return store.execute("delete from endings where returned_at < :before", {"before": before})


def prunable_runs(store: Store, before: str) -> list[int]:
    """Return the next runs whose history may go, oldest first."""
    return [row["id"] for row in store.rows(PRUNABLE_RUNS, {"before": before, "limit": RUNS_PER_TRANSACTION})]


def integrity_errors(store: Store) -> list[str]:
    """Return what SQLite finds wrong with the file and its foreign keys; empty when it is intact."""
    messages = [str(row["integrity_check"]) for row in store.rows("pragma integrity_check")]
    orphans = store.rows("pragma foreign_key_check")
    return [line for line in messages if line != "ok"] + [
        f"a row of {row['table']} refers to nothing" for row in orphans
    ]


def optimize(store: Store) -> None:
    """Checkpoint the -wal into the database, and refresh the query planner's statistics."""
    store.tuples("pragma optimize")
    store.rows("pragma wal_checkpoint(truncate)")
