"""How everything stands right now: the figures behind ``status`` and the metrics, quick on a quarter million persons.

Each query is answered by an index alone or by a handful of rows; a test holds that.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from etl.enums import COMPLETED_OUTCOMES
from etl.store.tables.persons import ids_on_locked_records

if TYPE_CHECKING:
    from etl.store.database import Store

INSTANCE_ID: Final = "instance_id"
LAST_SWEEP_AT: Final = "last_sweep_at"
LAST_MAINTENANCE_AT: Final = "last_maintenance_at"
SKIPPED_RUNS: Final = "skipped_runs"
SWEEP_AFTER: Final = "sweep_after"
SWEEP_STARTED_BY: Final = "sweep_begun_by"
SCHEDULER: Final = "scheduler"
"""Setting: the scheduler that runs here, as JSON: host, pid, when its process was born, when it was last heard of."""

RESTORED_FROM: Final = "put_back_from"
"""Setting: when the copy was made from which this store was put back."""

FULL_RUN_TRIGGERS: Final = ("sync", "sweep")
"""The triggers of runs that go over everybody."""

STATUS_COUNTS: Final = """
select
    status,
    count(betnr) as linked,
    count(*) - count(betnr) as not_linked
from persons
where gone_at is null
group by status
"""

HELD_BY_STATUS: Final = """
select
    iif(persons.betnr is null, 'not_linked', ifnull(persons.status, 'undecided')) as status,
    count(distinct persons.entity_id) as persons
from holds indexed by holds_open
join persons using (entity_id)
where holds.released_at is null
    and persons.gone_at is null
group by 1
"""
"""Whom the counts by status have among the others; ``person_status`` is the definition, and a test compares the two."""

POLLED_PERSONS: Final = """
from persons
where betnr is not null
    and gone_at is null
    and (status is null or status not in ('deleted_in_advoware', 'conflict'))
"""
"""Whom the rolling look comes to: those deleted are left to the sweep, those sharing a betnr to a human."""

WAITING_PERSONS: Final = """
from persons
where due_since is not null
    and gone_at is null
"""

COMPLETED_RUN: Final = f"""
    trigger in ({", ".join(f"'{trigger}'" for trigger in FULL_RUN_TRIGGERS)})
    and outcome in ({", ".join(f"'{outcome}'" for outcome in COMPLETED_OUTCOMES)})
"""
"""The one definition of a good run: a sync or sweep that went to its end, whoever it had to hold or saw fail."""

OUTAGE_SINCE: Final = f"""
select min(started_at)
from runs
where outcome = 'outage'
    and trigger in (select value from json_each(:triggers))
    and id > ifnull((select max(id) from runs where {COMPLETED_RUN}), 0)
"""

LAST_RUN: Final = f"""
select
    id,
    trigger,
    host,
    started_at,
    finished_at,
    outcome,
    error,
    persons_seen,
    persons_changed,
    persons_failed,
    unixepoch(finished_at) - unixepoch(started_at) as seconds
from runs
where trigger in (select value from json_each(:triggers))
    and (:completed = 0 or ({COMPLETED_RUN}))
order by id desc
limit 1
"""

LONGEST_RECENT_RUN: Final = """
select max(seconds)
from (
    select unixepoch(finished_at) - unixepoch(started_at) as seconds
    from runs
    where trigger = 'sync'
        and finished_at is not null
        and outcome in (select value from json_each(:outcomes))
    order by id desc
    limit 20
)
"""

ESPO_VERSION: Final = """
select
    espo_version as version,
    (
        select espo_version
        from runs as earlier
        where earlier.espo_version <> runs.espo_version
            and earlier.id < runs.id
        order by earlier.id desc
        limit 1
    ) as before,
    (
        select started_at
        from runs as first
        where first.espo_version = runs.espo_version
            and first.id > ifnull(
                (
                    select max(other.id)
                    from runs as other
                    where other.espo_version <> runs.espo_version
                ),
                0
            )
        order by first.id
        limit 1
    ) as since
from runs
where espo_version is not null
order by id desc
limit 1
"""
"""Which EspoCRM the latest run met, since when, and which one before."""

OPEN_HOLD_COUNTS: Final = """
select
    run_id,
    kind,
    count(*) as persons,
    min(held_at) as held_at
from holds
where released_at is null
group by run_id, kind
order by run_id, kind
"""


ABSENT_PERSON_COUNTS: Final = """
select
    endings.kind,
    count(*) as persons,
    count(holds.id) as held,
    min(endings.seen_at) as since
from endings indexed by endings_open
left join holds
    on holds.entity_id = endings.entity_id
    and holds.kind = 'endings'
    and holds.released_at is null
where endings.ended_at is null
    and endings.returned_at is null
group by endings.kind
order by endings.kind
"""
"""Who waits because it is not there as agreed, and how many of them a guard holds."""


def load_status(store: Store) -> dict[str, Any]:
    """Return every figure of one moment, times as UTC text; what is not known is None."""
    with store.read_transaction():
        return {
            "instance_id": store.setting(INSTANCE_ID),
            "last_run": load_last_run(store),
            "last_success": load_last_run(store, completed=True),
            "longest_run_seconds": store.scalar(LONGEST_RECENT_RUN, {"outcomes": COMPLETED_OUTCOMES}) or 0,
            "espocrm": next(iter(store.rows(ESPO_VERSION)), None),
            "scheduler": json.loads(store.setting(SCHEDULER) or "null"),
            "under_way": load_lease_holder(store),
            "persons": count_persons_by_status(store),
            "looks": load_poll_ages(store),
            "due": single_row(store, f"select count(*) as persons, min(due_since) as since {WAITING_PERSONS}"),
            "retries": load_retry_queue(store),
            "not_there": store.rows(ABSENT_PERSON_COUNTS),
            "holds": store.rows(OPEN_HOLD_COUNTS),
            "locked": len(ids_on_locked_records(store)),
            "open_conflicts": store.scalar(
                "select count(*) from conflicts where seen_at is null and restored_at is null"
            ),
            "sweep": {"last_at": store.setting(LAST_SWEEP_AT), "after": store.setting(SWEEP_AFTER)},
            "maintenance": {"last_at": store.setting(LAST_MAINTENANCE_AT)},
            "skipped_runs": json.loads(store.setting(SKIPPED_RUNS) or "{}"),
        }


def load_last_run(store: Store, *, completed: bool = False) -> dict[str, Any] | None:
    """Return the latest run over everybody, or the latest that went to its end."""
    params = {"triggers": FULL_RUN_TRIGGERS, "completed": completed}
    return next(iter(store.rows(LAST_RUN, params)), None)


def outage_since(store: Store) -> str | None:
    """Return when the first run over everybody began that met an outage after the last good one; None without any."""
    params = {"triggers": FULL_RUN_TRIGGERS}
    since: str | None = store.scalar(OUTAGE_SINCE, params)
    return since


def load_lease_holder(store: Store) -> dict[str, Any] | None:
    """Return who holds the lock, None when nobody does."""
    return next(iter(store.rows("select host, pid, run, acquired_at, heartbeat_at, expires_at from lease")), None)


def count_persons_by_status(store: Store) -> dict[str, int]:
    """Return how many persons have each status, "undecided" (before their first run), "held" and "not_linked"."""
    counts = Counter[str]()
    not_linked = 0
    for row in store.rows(STATUS_COUNTS):
        not_linked += row["not_linked"]
        counts[row["status"] or "undecided"] += row["linked"]
    counts["held"] = 0
    counts["not_linked"] = not_linked
    for row in store.rows(HELD_BY_STATUS):  # who is held is not in sync, whatever its last run said
        counts[row["status"]] -= row["persons"]
        counts["held"] += row["persons"]
    return {status: count for status, count in counts.items() if count}


def load_poll_ages(store: Store) -> dict[str, Any]:
    """Return when Advoware was read longest ago, and how many persons were never read there."""
    oldest = f"select advo_seen_at {POLLED_PERSONS} and advo_seen_at is not null order by advo_seen_at limit 1"
    return {
        "oldest_at": store.scalar(oldest),
        "never": store.scalar(f"select count(*) {POLLED_PERSONS} and advo_seen_at is null"),
    }


def load_retry_queue(store: Store) -> dict[str, Any]:
    """Return the queue of retries: how many wait for theirs, and when the next one is due."""
    query = "select count(*) as persons, min({0}) as next_at from persons where {0} is not null"
    return {
        "failed": single_row(store, query.format("next_retry_at")),
        "permanently_failed": single_row(store, query.format("auto_reset_at")),
    }


def failing_persons(store: Store) -> list[dict[str, Any]]:
    """Return the persons who failed, permanently or not."""
    return store.rows(
        """
        select
            entity_id,
            betnr,
            status
        from persons
        where gone_at is null
            and status in ('failed', 'permanently_failed')
        order by entity_id
        """
    )


def single_row(store: Store, sql: str) -> dict[str, Any]:
    """Return the one row of a query that has one."""
    return store.rows(sql)[0]


def add_skipped_runs(store: Store, job: str, times: int, now: str) -> None:
    """Remember that runs of a job were skipped or missed: how often in all, and when the last time."""
    skipped = json.loads(store.setting(SKIPPED_RUNS) or "{}")
    earlier_times = skipped.get(job, {}).get("times", 0)
    store.set_setting(SKIPPED_RUNS, json.dumps(skipped | {job: {"times": earlier_times + times, "last_at": now}}))


def count_persons_saved_by_others(store: Store, user_id: str) -> int:
    """Return how many records our own API user saved last, and not this store: somebody else uses its key."""
    count: int = store.scalar(
        """
        select count(*)
        from persons
        where gone_at is null
            and espo_modified_by = :user_id
            and own_modified_at is not null
            and espo_modified_at > own_modified_at
        """,
        {"user_id": user_id},
    )
    return count


def count_persons_with_second_writer(store: Store) -> int:
    """Return how many records a run found to be written by another sync or a hook (rules §6)."""
    count: int = store.scalar(
        "select count(distinct entity_id) from holds where kind = 'second_writer' and released_at is null"
    )
    return count


def recently_read_betnrs(store: Store, limit: int) -> list[int]:
    """Return the betnr of linked persons read in Advoware, the latest read first."""
    rows = store.rows(
        f"""
        select betnr
        {POLLED_PERSONS}
            and advo_seen_at is not null
        order by advo_seen_at desc
        limit :limit
        """,
        {"limit": limit},
    )
    return [row["betnr"] for row in rows]
