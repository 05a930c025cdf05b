"""Questions people ask of the state store, in plain words and as SQL: what ``inspect`` offers to click on.

Each is one ``select``; what stands behind a colon is filled in by the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.rules.variants import VARIANT_WORDS


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """A question: as it is asked, what the answer shows, and how the store answers it."""

    title: str
    description: str
    sql: str


VARIANT_IN_WORDS: Final = " ".join(
    f"when '{variant}' then '{words}'" for variant, words in VARIANT_WORDS.items()
)

WHAT_HAPPENED_TO: Final = f"""
with
meant as materialized (
    select *
    from persons
    where entity_id = trim(:person)
        or cast(betnr as text) = trim(:person)
),
story (at, run, what, side, action, old_value, new_value, why, state, place) as (
    select
        coalesce(changes.finished_at, changes.started_at, runs.started_at),
        changes.run_id,
        case changes.variant {VARIANT_IN_WORDS} end,
        changes.side,
        changes.action,
        changes.old_value,
        changes.new_value,
        ifnull(changes.reason, '') || ifnull(' – ' || changes.error, ''),
        changes.state,
        changes.id
    from meant
    join changes using (entity_id)
    join runs on runs.id = changes.run_id
    where runs.trigger <> 'plan'
    union all
    select
        decisions.created_at,
        decisions.run_id,
        case decisions.variant {VARIANT_IN_WORDS} end,
        null,
        null,
        null,
        null,
        decisions.reason,
        decisions.state,
        decisions.id
    from meant
    join decisions using (entity_id)
    where decisions.variant <> 'same'
        and not exists (
            select 1
            from changes
            where changes.decision_id = decisions.id
        )
    union all
    select
        conflicts.created_at,
        conflicts.run_id,
        'a value lost, conflict ' || conflicts.id,
        iif(conflicts.kept = 'espo', 'advo', 'espo'),
        'kept in conflicts',
        iif(conflicts.kept = 'espo', conflicts.advo_value, conflicts.espo_value),
        iif(conflicts.kept = 'espo', conflicts.espo_value, conflicts.advo_value),
        conflicts.reason,
        case
            when conflicts.restored_at is not null then 'restored ' || conflicts.restored_at
            when conflicts.seen_at is not null then 'seen ' || conflicts.seen_at
            else 'open'
        end,
        conflicts.id
    from meant
    join conflicts using (entity_id)
    union all
    select
        holds.held_at,
        holds.run_id,
        'held back',
        null,
        null,
        null,
        null,
        ifnull(holds.reason, holds.kind),
        ifnull('released ' || holds.released_at || ' by ' || holds.released_by, 'open'),
        holds.id
    from meant
    join holds using (entity_id)
    union all
    select
        left_alone.since,
        null,
        'left alone: ' || left_alone.reason,
        left_alone.side,
        null,
        left_alone.value,
        null,
        left_alone.detail,
        null,
        left_alone.id
    from meant
    join left_alone using (entity_id)
    union all
    select
        looks.at,
        null,
        looks.what,
        looks.side,
        null,
        null,
        null,
        looks.why,
        null,
        0
    from (
        select espo_seen_at as at, 'last look' as what, 'espo' as side, null as why
        from meant
        union all
        select advo_seen_at, 'last look', 'advo', null
        from meant
        union all
        select last_sync_at, 'both sides agreed', null, null
        from meant
        union all
        select due_since, 'waits since', null, due_reason
        from meant
        union all
        select next_retry_at, 'next attempt', null, error
        from meant
    ) as looks
    where looks.at is not null
)
select
    at,
    run as run_id,
    what,
    side,
    action,
    old_value,
    new_value,
    why,
    state
from story
order by at, run, place
"""

WHO_IS_IT: Final = """
select
    persons.entity_id,
    persons.betnr,
    persons.name,
    person_status.status,
    last_sync_at,
    due_since,
    error,
    gone_at
from persons
left join person_status using (entity_id)
where length(trim(:name_or_number)) >= 2
    and (
        persons.entity_id = trim(:name_or_number)
        or cast(persons.betnr as text) = trim(:name_or_number)
        or persons.name like '%' || trim(:name_or_number) || '%'
        or persons.entity_id in (
            select entity_id
            from espo_entries
            where value = trim(:name_or_number)
                or canonical = lower(trim(:name_or_number))
        )
        or persons.betnr in (
            select betnr
            from advo_entries
            where value = trim(:name_or_number)
                or canonical = lower(trim(:name_or_number))
        )
    )
order by persons.name, persons.entity_id
limit 200
"""

VALUES_THAT_LOST_LAST_WEEK: Final = """
select
    conflicts.id,
    conflicts.created_at,
    conflicts.run_id,
    conflicts.entity_id,
    conflicts.betnr,
    persons.name,
    conflicts.channel,
    iif(conflicts.kept = 'espo', conflicts.advo_value, conflicts.espo_value) as lost_value,
    iif(conflicts.kept = 'espo', conflicts.espo_value, conflicts.advo_value) as kept_value,
    conflicts.kept,
    conflicts.reason,
    conflicts.seen_at,
    conflicts.restored_at
from conflicts
left join persons using (entity_id)
where conflicts.created_at >= datetime('now', '-7 days')
order by conflicts.id desc
"""

WHO_FAILS_AND_WHY: Final = """
select
    entity_id,
    persons.betnr,
    persons.name,
    persons.status,
    error,
    retry_count,
    coalesce(auto_reset_at, next_retry_at) as next_attempt_at,
    last_sync_at
from persons
join person_status using (entity_id)
where persons.status in ('failed', 'permanently_failed', 'conflict', 'deleted_in_advoware')
    and persons.gone_at is null
    and person_status.status = persons.status
order by persons.status, error, entity_id
"""

WHERE_DO_THE_SIDES_DIFFER: Final = """
select *
from differences
"""

WHAT_DID_RUN_WRITE: Final = """
select
    changes.id,
    changes.entity_id,
    changes.betnr,
    persons.name,
    changes.variant,
    changes.side,
    changes.action,
    changes.old_value,
    changes.new_value,
    changes.old_remark,
    changes.new_remark,
    changes.reason,
    changes.state,
    changes.error,
    changes.finished_at
from changes
left join persons using (entity_id)
where changes.run_id = cast(:run as integer)
order by changes.id
"""

WHO_IS_HELD_BACK: Final = """
select
    holds.run_id,
    holds.entity_id,
    holds.betnr,
    persons.name,
    holds.kind,
    holds.reason,
    holds.held_at
from holds
left join persons using (entity_id)
where holds.released_at is null
order by holds.run_id, holds.entity_id
"""

WHO_WAITS: Final = """
select
    entity_id,
    persons.betnr,
    persons.name,
    person_status.status,
    due_since,
    round((julianday('now') - julianday(due_since)) * 24, 1) as hours,
    due_reason,
    next_retry_at
from persons
join person_status using (entity_id)
where due_since is not null
order by due_since, entity_id
"""

WHAT_HAPPENED_TO_VALUE: Final = """
select
    coalesce(changes.finished_at, changes.started_at) as at,
    changes.run_id,
    changes.entity_id,
    changes.betnr,
    persons.name,
    changes.variant,
    changes.side,
    changes.action,
    changes.old_value,
    changes.new_value,
    changes.state
from changes
left join persons using (entity_id)
where trim(:value) in (changes.old_value, changes.new_value)
    and changes.state not in ('planned', 'held', 'dropped')
order by changes.id
"""

WHAT_IS_LEFT_ALONE: Final = """
select
    left_alone.reason,
    left_alone.detail,
    left_alone.entity_id,
    left_alone.betnr,
    persons.name,
    left_alone.side,
    left_alone.channel,
    left_alone.value,
    left_alone.since
from left_alone
join persons using (entity_id)
where persons.gone_at is null
order by left_alone.reason, left_alone.detail, left_alone.id
"""

WHICH_VALUES_CAN_NOBODY_READ: Final = """
with
unclear as (
    select
        persons.*,
        'espo' as side,
        espo_entries.channel,
        espo_entries.value,
        espo_entries.doubt
    from espo_entries
    join persons using (entity_id)
    where espo_entries.doubt is not null
    union all
    select
        persons.*,
        'advo' as side,
        advo_entries.channel,
        advo_entries.value,
        advo_entries.doubt
    from advo_entries
    join persons using (betnr)
    where advo_entries.doubt is not null
        and advo_entries.channel is not null
)
select
    unclear.name,
    unclear.entity_id,
    unclear.betnr,
    unclear.channel,
    unclear.side,
    unclear.value,
    unclear.doubt,
    (
        select group_concat(espo_entries.value, ' · ')
        from espo_entries
        where espo_entries.entity_id = unclear.entity_id
            and espo_entries.channel = unclear.channel
    ) as in_espocrm,
    (
        select group_concat(advo_entries.value, ' · ')
        from advo_entries
        where advo_entries.betnr = unclear.betnr
            and advo_entries.channel = unclear.channel
            and advo_entries.canonical is not null
    ) as in_advoware,
    (
        select left_alone.detail
        from left_alone
        where left_alone.entity_id = unclear.entity_id
            and left_alone.side = unclear.side
            and left_alone.value = unclear.value
            and left_alone.reason = 'unclear'
        limit 1
    ) as left_alone
from unclear
where unclear.gone_at is null
order by unclear.doubt, unclear.name, unclear.entity_id, unclear.side, unclear.value
"""

HOW_OLD_ARE_THE_READS: Final = """
select
    case
        when advo_seen_at is null then '7 never'
        when advo_seen_at >= datetime('now', '-1 hour') then '1 under an hour'
        when advo_seen_at >= datetime('now', '-6 hours') then '2 under 6 hours'
        when advo_seen_at >= datetime('now', '-1 day') then '3 under a day'
        when advo_seen_at >= datetime('now', '-3 days') then '4 under 3 days'
        when advo_seen_at >= datetime('now', '-7 days') then '5 under a week'
        else '6 longer ago'
    end as last_look_in_advoware,
    count(*) as persons,
    min(advo_seen_at) as oldest
from persons
where betnr is not null
    and gone_at is null
group by 1
order by 1
"""

WHICH_RUNS_WENT_BADLY: Final = """
select
    id as run_id,
    trigger,
    started_at,
    finished_at,
    outcome,
    persons_failed,
    error
from runs
where outcome is null
    or outcome <> 'done'
order by id desc
limit 500
"""

WHAT_DO_OPERATORS_DO: Final = """
select
    id as run_id,
    started_at,
    operator,
    trigger,
    case
        when trigger = 'restore' then 'conflict ' || about
        when about is not null then 'run ' || about
        when trigger = 'conflicts' then 'conflicts ' || (
            select group_concat(value, ', ')
            from json_each(runs.report, '$.seen')
        )
        else (
            select group_concat(ifnull(persons.name || ' ', '') || named.value, ', ')
            from json_each(runs.report, '$.' || iif(trigger = 'retry', 'retried', 'forgotten')) as named
            left join persons on persons.entity_id = named.value
        )
    end as what,
    reason,
    outcome,
    persons_changed
from runs
where operator is not null
order by id desc
limit 500
"""

SHARED_NUMBERS: Final = """
select
    canonical,
    channel,
    count(distinct entity_id) as persons,
    group_concat(distinct entity_id) as entity_ids
from espo_entries
join persons using (entity_id)
where persons.gone_at is null
group by canonical, channel
having count(distinct entity_id) > 1
order by persons desc, canonical
limit 1000
"""

CANNED_QUERIES: Final[dict[str, CannedQuery]] = {
    "what_happened_to": CannedQuery(
        "What happened to one person?",
        "The whole story in order of time: decided, written, lost, held, failed. Enter an EspoCRM ID or a betnr.",
        WHAT_HAPPENED_TO,
    ),
    "who_is_it": CannedQuery(
        "Who is it?",
        "Find a person by part of the name, betnr, EspoCRM ID, or by a number or mail address.",
        WHO_IS_IT,
    ),
    "values_that_lost_last_week": CannedQuery(
        "Which values lost last week?",
        "Conflicts of the last seven days. advosync restore ID puts one back.",
        VALUES_THAT_LOST_LAST_WEEK,
    ),
    "who_fails_and_why": CannedQuery(
        "Who fails, and why?",
        "Persons that are not in sync and will not be without somebody, or before the next attempt.",
        WHO_FAILS_AND_WHY,
    ),
    "where_do_the_sides_differ": CannedQuery(
        "Where do the two sides differ right now?",
        "Values that stand on one side only, as last seen. An empty left_alone means: the next run sees to it.",
        WHERE_DO_THE_SIDES_DIFFER,
    ),
    "what_did_run_write": CannedQuery(
        "What did one run write?",
        "Every step of a run, before and after. advosync undo RUN puts it back.",
        WHAT_DID_RUN_WRITE,
    ),
    "who_is_held_back": CannedQuery(
        "Who is held back by a guard?",
        "Persons whose plan waits for advosync approve RUN.",
        WHO_IS_HELD_BACK,
    ),
    "who_waits": CannedQuery(
        "Who waits to be synced?",
        "Longest waiting first, with the reason; a next_retry_at in the future is waited for.",
        WHO_WAITS,
    ),
    "what_happened_to_value": CannedQuery(
        "What happened to one number or mail address?",
        "Every write that was sent of exactly this spelling, whoever it belongs to; state says how it ended.",
        WHAT_HAPPENED_TO_VALUE,
    ),
    "what_is_left_alone": CannedQuery(
        "Which entries are left alone, and why?",
        "What a system cannot hold, what a direction holds back, what a person has twice, what nobody can read.",
        WHAT_IS_LEFT_ALONE,
    ),
    "which_values_can_nobody_read": CannedQuery(
        "Which values can nobody read?",
        "Unclear values, what both sides hold, and how to write them. Without left_alone both sides have the value.",
        WHICH_VALUES_CAN_NOBODY_READ,
    ),
    "how_old_are_the_looks": CannedQuery(
        "How old is our picture of Advoware?",
        "Advoware has no list of changes: persons are looked at in turn. The older the look, the more edits may meet.",
        HOW_OLD_ARE_THE_READS,
    ),
    "which_runs_went_badly": CannedQuery(
        "Which runs did not end well?",
        "All runs but those that are simply done; without an outcome: under way, or its process died.",
        WHICH_RUNS_WENT_BADLY,
    ),
    "what_did_operators_do": CannedQuery(
        "Who approved, undid, restored or retried what?",
        "Commands that record who gave them, for which run, conflict or person, and why.",
        WHAT_DO_OPERATORS_DO,
    ),
    "shared_numbers": CannedQuery(
        "Which numbers and addresses do several persons share?",
        "In EspoCRM they are one row: type, opt-out and invalid change for all of them at once.",
        SHARED_NUMBERS,
    ),
}
"""By the name in the address bar, the most asked first."""
