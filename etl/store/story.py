"""Everything the store knows of one person, for ``explain``: each query answers one question, oldest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.journal import decoded

if TYPE_CHECKING:
    from etl.store.database import Store

DECIDED: Final = """
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

WRITTEN: Final = """
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

FAILED: Final = """
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

RETRIED: Final = """
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

HELD: Final = """
-- When did a guard keep it back, and who let it go?
select
    run_id,
    held_at,
    kind,
    reason,
    released_at,
    released_by
from holds
where entity_id = :entity_id
order by id
"""

VANISHED: Final = """
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

LOST: Final = """
-- Which of its values lost?
select *
from conflicts
where entity_id = :entity_id
order by id
"""

RUNS: Final = """
-- Who started these runs, and why?
select
    id,
    trigger,
    operator,
    reason,
    direction,
    scope,
    started_at,
    outcome
from runs
where id in (select value from json_each(:run_ids))
"""

AGREED: Final = """
-- What do both sides agree on?
select
    channel,
    espo_value,
    advo_value,
    komm_id,
    komm_kz,
    espo_type,
    agreed_at
from baseline
where entity_id = :entity_id
order by komm_id
"""

LEFT: Final = """
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


def story(store: Store, person: dict[str, Any]) -> dict[str, Any]:
    """Return what the store knows of a person, each part as rows; all of one moment."""
    params = {"entity_id": person["entity_id"]}
    with store.one_moment():
        parts = {
            "decided": [decoded(row) for row in store.rows(DECIDED, params)],
            "written": store.rows(WRITTEN, params),
            "failed": store.rows(FAILED, params),
            "retried": store.rows(RETRIED, params),
            "held": store.rows(HELD, params),
            "vanished": store.rows(VANISHED, params),
            "lost": store.rows(LOST, params),
            "agreed": store.rows(AGREED, params),
            "left": store.rows(LEFT, params),
        }
        run_ids = {row["run_id"] for part in parts.values() for row in part if row.get("run_id")}
        runs = store.rows(RUNS, {"run_ids": sorted(run_ids)})
    return {"person": person, **parts, "runs": {row["id"]: row for row in runs}}
