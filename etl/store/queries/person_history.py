"""Everything the store knows of one person, for ``explain``: each query answers one question, oldest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.tables.journal import decode_json_columns

if TYPE_CHECKING:
    from etl.store.database import Store

PERSON_DECISIONS: Final = """
-- What was decided for each entry, by which run?
select
    decisions.id,
    decisions.run_id,
    decisions.created_at as at,
    decisions.variant,
    decisions.reason,
    decisions.komm_id,
    decisions.channel,
    decisions.foreseen,
    decisions.facts,
    decisions.state
from decisions
where decisions.entity_id = :entity_id
    and decisions.variant not in ('same', 'leave')
order by decisions.id
"""

PERSON_WRITES: Final = """
-- What was written to carry it out?
select
    id,
    run_id,
    decision_id,
    side,
    action,
    komm_id,
    komm_kz,
    old_value,
    new_value,
    old_remark,
    new_remark,
    state,
    error,
    finished_at
from changes
where entity_id = :entity_id
    and state <> 'planned'
order by decision_id, seq, id
"""

PERSON_FAILURES: Final = """
-- In which runs did it fail, and why?
select
    runs.id as run_id,
    ifnull(runs.finished_at, runs.started_at) as at,
    json_extract(failure.value, '$.error') as error
from runs
join json_each(runs.report, '$.errors') as failure
where runs.persons_failed > 0
    and json_extract(failure.value, '$.entity_id') = :entity_id
order by runs.id
"""

PERSON_RETRIES: Final = """
-- When did an operator ask to try it again?
select
    runs.id as run_id,
    runs.started_at as at
from runs
join json_each(runs.report, '$.retried') as retried
where runs.trigger = 'retry'
    and retried.value = :entity_id
order by runs.id
"""

PERSON_HOLDS: Final = """
-- When did a guard keep it back, and who let it go?
select
    run_id,
    held_at,
    kind,
    reason,
    until_edited,
    released_at,
    released_by
from holds
where entity_id = :entity_id
order by id
"""

PERSON_ABSENCES: Final = """
-- When was it not there as agreed, and what became of that?
select
    run_id,
    seen_at,
    kind,
    seen_betnr,
    ended_at,
    returned_at
from endings
where entity_id = :entity_id
order by id
"""

PERSON_CONFLICTS: Final = """
-- Which of its values lost?
select *
from conflicts
where entity_id = :entity_id
order by id
"""

RUNS_BY_ID: Final = """
-- Who started these runs, and why?
select
    id,
    trigger,
    operator,
    reason,
    about,
    direction,
    scope,
    started_at,
    outcome
from runs
where id in (select value from json_each(:run_ids))
"""

PERSON_BASELINE: Final = """
-- What do both sides agree on?
select
    channel,
    espo_value,
    espo_canonical,
    advo_value,
    komm_id,
    komm_kz,
    espo_type,
    agreed_at
from baseline
where entity_id = :entity_id
order by komm_id
"""

PERSON_LEFT_ALONE: Final = """
-- Which entries is nothing done about?
select
    side,
    value,
    komm_id,
    reason,
    detail,
    since
from left_alone
where entity_id = :entity_id
order by id
"""


def load_person_history(store: Store, person: dict[str, Any]) -> dict[str, Any]:
    """Return what the store knows of a person, each part as rows; all of one moment."""
    params = {"entity_id": person["entity_id"]}
    with store.read_transaction():
        parts = {
            "decided": [decode_json_columns(row) for row in store.rows(PERSON_DECISIONS, params)],
            "written": store.rows(PERSON_WRITES, params),
            "failed": store.rows(PERSON_FAILURES, params),
            "retried": store.rows(PERSON_RETRIES, params),
            "held": store.rows(PERSON_HOLDS, params),
            "vanished": store.rows(PERSON_ABSENCES, params),
            "lost": store.rows(PERSON_CONFLICTS, params),
            "agreed": store.rows(PERSON_BASELINE, params),
            "left": store.rows(PERSON_LEFT_ALONE, params),
        }
        run_ids = {row["run_id"] for part in parts.values() for row in part if row.get("run_id")}
        runs = store.rows(RUNS_BY_ID, {"run_ids": sorted(run_ids)})
    return {"person": person, **parts, "runs": {row["id"]: row for row in runs}}
