"""The views of the state store: questions in plain words, for ``export``, ``inspect`` and analysts.

Rebuilt together with each migration. To change one, change it here and append an empty migration.
"""

from __future__ import annotations

from typing import Final

LAST_RUNS: Final = """
-- What did the latest runs do?
select
    id,
    trigger,
    direction,
    started_at,
    finished_at,
    strftime('%s', finished_at) - strftime('%s', started_at) as seconds,
    outcome,
    persons_seen,
    persons_changed,
    persons_failed,
    espo_reads,
    espo_writes,
    advo_reads,
    advo_writes,
    error
from runs
order by id desc
limit 100
"""

PERSON_STATUS: Final = """
-- How does each person stand right now, and why? Who is held by a guard is held, whatever its last run said.
select
    entity_id,
    betnr,
    name,
    case
        when exists (
            select 1
            from holds indexed by holds_open
            where holds.entity_id = persons.entity_id
                and holds.released_at is null
        ) then 'held'
        when betnr is null then 'not_linked'
        else ifnull(status, 'undecided')
    end as status,
    ifnull(
        (
            select min(ifnull(holds.reason, holds.kind))
            from holds indexed by holds_open
            where holds.entity_id = persons.entity_id
                and holds.released_at is null
        ),
        error
    ) as reason,
    (
        select min(holds.run_id)
        from holds indexed by holds_open
        where holds.entity_id = persons.entity_id
            and holds.released_at is null
    ) as held_by_run
from persons
where gone_at is null
"""

FAILING_PERSONS: Final = """
-- Who cannot be synced, why, and when is the next attempt?
select
    entity_id,
    persons.betnr,
    persons.name,
    person_status.status,
    error,
    retry_count,
    coalesce(auto_reset_at, next_retry_at) as next_attempt_at,
    last_sync_at,
    due_since
from persons
join person_status using (entity_id)
where persons.status in ('failed', 'permanently_failed')
    and persons.gone_at is null
    and person_status.status = persons.status
order by due_since, entity_id
"""

OPEN_CONFLICTS: Final = """
-- Which values lost and were neither seen by anybody nor restored?
select
    conflicts.id,
    conflicts.created_at,
    conflicts.run_id,
    conflicts.entity_id,
    conflicts.betnr,
    persons.name,
    conflicts.channel,
    conflicts.komm_id,
    conflicts.variant,
    conflicts.espo_value,
    conflicts.advo_value,
    conflicts.kept,
    conflicts.reason
from conflicts
left join persons on persons.entity_id = conflicts.entity_id
where conflicts.seen_at is null
    and conflicts.restored_at is null
order by conflicts.id
"""

UNSYNCABLE_ENTRIES: Final = """
-- Which entries can one of the systems not hold?
select
    left_alone.entity_id,
    left_alone.betnr,
    persons.name,
    left_alone.side,
    left_alone.channel,
    left_alone.komm_id,
    left_alone.value,
    left_alone.detail,
    left_alone.since
from left_alone
join persons on persons.entity_id = left_alone.entity_id
where left_alone.reason = 'unsyncable'
    and persons.gone_at is null
order by left_alone.since, left_alone.id
"""

STALE_PERSONS: Final = """
-- Which linked persons has nobody looked at in Advoware for more than a day?
select
    entity_id,
    persons.betnr,
    persons.name,
    nullif(person_status.status, 'undecided') as status,
    advo_seen_at,
    round(julianday('now') - julianday(advo_seen_at), 1) as days_since_look
from persons
join person_status using (entity_id)
where persons.betnr is not null
    and (advo_seen_at is null or advo_seen_at < datetime('now', '-1 day'))
order by advo_seen_at, entity_id
"""

CHANGES_BY_DAY: Final = """
-- How much was written on which day, on which side, for which reason?
select
    date(finished_at) as day,
    side,
    variant,
    action,
    count(*) as changes,
    count(distinct entity_id) as persons
from changes
where state = 'done'
group by day, side, variant, action
order by day desc, side, variant, action
"""

DIFFERENCES: Final = """
-- What do the two sides, as last seen, not agree on right now?
with
linked as (
    select
        entity_id,
        betnr,
        name,
        due_since
    from persons
    where betnr is not null
        and gone_at is null
        and espo_seen_at is not null
        and advo_seen_at is not null
),
lonely as (
    select
        linked.*,
        'espo' as stands_in,
        items.channel,
        items.value,
        null as komm_id
    from linked
    join espo_entries as items on items.entity_id = linked.entity_id
    where not exists (
        select 1
        from advo_entries as rows
        where rows.betnr = linked.betnr
            and rows.channel = items.channel
            and rows.canonical = items.canonical
    )
    union all
    select
        linked.*,
        'advo' as stands_in,
        rows.channel,
        rows.value,
        rows.komm_id
    from linked
    join advo_entries as rows on rows.betnr = linked.betnr
    where rows.channel is not null
        and rows.canonical is not null
        and not exists (
            select 1
            from espo_entries as items
            where items.entity_id = linked.entity_id
                and items.channel = rows.channel
                and items.canonical = rows.canonical
        )
)
select
    entity_id,
    betnr,
    name,
    channel,
    value,
    stands_in,
    komm_id,
    (
        select group_concat(distinct left_alone.reason)
        from left_alone
        where left_alone.entity_id = lonely.entity_id
            and left_alone.side = lonely.stands_in
            and left_alone.value = lonely.value
    ) as left_alone,
    due_since,
    (
        select min(ifnull(holds.reason, holds.kind))
        from holds indexed by holds_open
        where holds.entity_id = lonely.entity_id
            and holds.released_at is null
    ) as held
from lonely
order by entity_id, channel, stands_in, value
"""


def rank_arrivals(group: str, condition: str) -> str:
    """Return SQL for what arrived: its seconds, and its place among how many of its group."""
    return f"""
    select
        date(arrived_at) as day,
        edited_in,
        max(0, unixepoch(arrived_at) - unixepoch(edited_at)) as seconds,
        row_number() over (partition by {group} order by unixepoch(arrived_at) - unixepoch(edited_at)) as place,
        count(*) over (partition by {group}) as edits
    from arrivals
    where {condition}
    """


ARRIVALS_BY_DAY: Final = f"""
-- How long did edits take to arrive on the other side, day by day?
with ranked as ({rank_arrivals("date(arrived_at), edited_in", "arrived_at is not null")})
select
    day,
    edited_in,
    count(*) as edits,
    min(seconds) filter (where place * 2 >= edits) as median_seconds,
    min(seconds) filter (where place * 100 >= edits * 95) as p95_seconds,
    max(seconds) as longest_seconds
from ranked
group by day, edited_in
order by day desc, edited_in
"""

VIEWS: Final[dict[str, str]] = {
    "last_runs": LAST_RUNS,
    "arrivals_by_day": ARRIVALS_BY_DAY,
    "person_status": PERSON_STATUS,
    "failing_persons": FAILING_PERSONS,
    "open_conflicts": OPEN_CONFLICTS,
    "unsyncable_entries": UNSYNCABLE_ENTRIES,
    "stale_persons": STALE_PERSONS,
    "changes_by_day": CHANGES_BY_DAY,
    "differences": DIFFERENCES,
}
