"""The few figures that are drawn: for ``inspect``'s start page (the last days) and for ``report`` (a span of days).

Every query takes ``:since`` and ``:until``, UTC text, the latter exclusive; what speaks of now ignores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.queries.canned import WHAT_IS_LEFT_ALONE
from etl.store.queries.status import COMPLETED_RUN, WAITING_PERSONS
from etl.store.tables.arrivals import load_arrival_times

if TYPE_CHECKING:
    from etl.store.database import Store

PERSONS_BY_STATUS: Final = """
select
    status,
    count(*) as persons
from person_status
group by 1
order by 2 desc
"""

CHANGES_BY_MINUTE: Final = """
with entries as (
    select
        ifnull(decision_id, -id) as entry,
        variant,
        min(finished_at) as at
    from changes
    where state = 'done'
        and finished_at >= :since
        and finished_at < :until
    group by 1
)
select
    substr(entries.at, 1, 16) || ':00' as at,
    iif(json_extract(decisions.facts, '$.verdict') = 'revert', 'reverted', entries.variant) as variant,
    count(*) as entries
from entries
left join decisions on decisions.id = entries.entry
group by 1, 2
order by 1, 2
"""
"""A change of one side that was put back there, as the other side stands, is ``reverted``: it was carried nowhere.

By the minute: which day that is, the zone of the firm decides.
"""

AGE_OF_LAST_READ: Final = """
select
    case
        when advo_seen_at is null then 6
        when advo_seen_at >= datetime(:until, '-1 hour') then 0
        when advo_seen_at >= datetime(:until, '-6 hours') then 1
        when advo_seen_at >= datetime(:until, '-1 day') then 2
        when advo_seen_at >= datetime(:until, '-3 days') then 3
        when advo_seen_at >= datetime(:until, '-7 days') then 4
        else 5
    end as age,
    count(*) as persons
from persons
where betnr is not null
    and gone_at is null
group by 1
order by 1
"""

DURATION_OF_RUNS: Final = """
select
    id,
    trigger,
    started_at,
    outcome,
    persons_seen,
    strftime('%s', finished_at) - strftime('%s', started_at) as seconds
from runs
where finished_at is not null
    and trigger <> 'plan'
    and started_at >= :since
    and started_at < :until
order by id desc
limit 200
"""

TOTALS: Final = f"""
select
    (
        select count(*)
        from persons
        where betnr is not null
            and gone_at is null
    ) as linked,
    (
        select count(*)
        from person_status
        where status in ('failed', 'permanently_failed', 'conflict', 'deleted_in_advoware')
    ) as to_see_to,
    (
        select count(*)
        from person_status
        where status = 'held'
    ) as held,
    (
        select count(*)
        from open_conflicts
    ) as open_conflicts,
    (
        select count(*)
        from ({WHAT_IS_LEFT_ALONE})
    ) as left_alone,
    (
        select count(*)
        {WAITING_PERSONS}
    ) as waiting,
    (
        select count(*)
        from persons
        where espo_locked = 1
            and betnr is not null
            and gone_at is null
    ) as locked,
    (
        select max(finished_at)
        from runs
        where {COMPLETED_RUN}
    ) as last_success
"""

CHANGE_TOTALS: Final = """
select
    (
        select count(*)
        from runs
        where trigger in ('sync', 'sweep')
            and started_at >= :since
            and started_at < :until
    ) as runs,
    (
        select count(*)
        from runs
        where trigger in ('sync', 'sweep')
            and outcome = 'outage'
            and started_at >= :since
            and started_at < :until
    ) as outages,
    (
        select count(*)
        from runs
        where trigger in ('sync', 'sweep')
            and outcome in ('abandoned', 'refused', 'crashed')
            and started_at >= :since
            and started_at < :until
    ) as failures_of_ours,
    (
        select count(*)
        from conflicts
        where created_at >= :since
            and created_at < :until
    ) as lost,
    (
        select count(*)
        from conflicts
        where restored_at >= :since
            and restored_at < :until
    ) as restored,
    (
        select count(distinct entity_id)
        from changes
        where state = 'done'
            and finished_at >= :since
            and finished_at < :until
    ) as persons_changed
"""

LOST_VALUES: Final = """
select
    conflicts.created_at,
    conflicts.betnr,
    persons.name,
    iif(conflicts.kept = 'espo', conflicts.advo_value, conflicts.espo_value) as lost_value,
    iif(conflicts.kept = 'espo', conflicts.espo_value, conflicts.advo_value) as kept_value,
    conflicts.seen_at,
    conflicts.restored_at
from conflicts
left join persons using (entity_id)
where conflicts.created_at >= :since
    and conflicts.created_at < :until
order by conflicts.id desc
limit 200
"""

PERSONS_NEEDING_ATTENTION: Final = """
select
    betnr,
    name,
    status,
    reason as error,
    (
        select min(kind)
        from holds indexed by holds_open
        where holds.entity_id = person_status.entity_id
            and holds.released_at is null
    ) as held_kind
from person_status
where status in ('held', 'failed', 'permanently_failed', 'conflict', 'deleted_in_advoware')
order by status, name, betnr
limit 200
"""

CHART_QUERIES: Final[dict[str, str]] = {
    "persons_by_status": PERSONS_BY_STATUS,
    "changes_a_day": CHANGES_BY_MINUTE,
    "age_of_last_look": AGE_OF_LAST_READ,
    "duration_of_runs": DURATION_OF_RUNS,
    "at_a_glance": TOTALS,
    "what_was_done": CHANGE_TOTALS,
    "values_that_lost": LOST_VALUES,
    "persons_to_see_to": PERSONS_NEEDING_ATTENTION,
}
"""By name."""

ChartRows = list[dict[str, Any]]


def load_chart_data(store: Store, since: str, until: str) -> dict[str, ChartRows]:
    """Return the rows of every figure for the span, all of one moment."""
    with store.read_transaction():
        rows = {name: store.rows(sql, {"since": since, "until": until}) for name, sql in CHART_QUERIES.items()}
        return rows | {"how_long_edits_took": [load_arrival_times(store, since, until)]}
