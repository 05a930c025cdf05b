"""How long edits took: when people made them, and when the other side was read back and showed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.views import rank_arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.records import Side
    from etl.store.database import Store

INSERT_EDITS: Final = """
insert into arrivals (run_id, entity_id, betnr, edited_in, edited_at)
select
    :run_id,
    persons.entity_id,
    persons.betnr,
    json_extract(edit.value, '$[1]'),
    json_extract(edit.value, '$[2]')
from json_each(:edits) as edit
join persons on persons.entity_id = json_extract(edit.value, '$[0]')
where true
on conflict do nothing
"""
"""Of several edits of one side that are on the way together the first one counts."""

CLOSE_ARRIVED_EDITS: Final = """
update arrivals indexed by arrivals_on_the_way
set
    run_id = :run_id,
    arrived_at = (
        select last_sync_at
        from persons
        where persons.entity_id = arrivals.entity_id
    )
where arrived_at is null
    and exists (
        select 1
        from changes
        join persons on persons.entity_id = changes.entity_id
        where changes.entity_id = arrivals.entity_id
            and changes.run_id = :run_id
            and changes.side <> arrivals.edited_in
            and changes.state = 'done'
            and changes.action not in ('mark', 'unmark', 'leftover', 'put_back')
            and changes.finished_at <= persons.last_sync_at
            and not exists (
                select 1
                from changes as reverting
                where reverting.entity_id = changes.entity_id
                    and reverting.run_id = changes.run_id
                    and reverting.komm_id = changes.komm_id
                    and reverting.action = 'put_back'
            )
    )
"""
"""A write that brought an edit to the other side and was not put back since, and a read of that side after it.

The actions named are about our own markers and rows.
"""

DROP_UNMEASURED_EDITS: Final = """
delete from arrivals indexed by arrivals_on_the_way
where arrived_at is null
    and not exists (
        select 1
        from persons
        where persons.entity_id = arrivals.entity_id
            and persons.due_since is not null
            and persons.espo_locked = 0
            and ifnull(persons.status, '') not in ('permanently_failed', 'conflict', 'deleted_in_advoware')
            and not exists (
                select 1
                from holds
                where holds.entity_id = persons.entity_id
                    and holds.released_at is null
            )
    )
"""
"""Nothing of the person is on its way any more, or it waits for people: how long they take is not measured."""


def save_arrivals(
    store: Store, run_id: int, edits: Mapping[tuple[str, Side], str], *, carries_edits: bool
) -> None:
    """Keep the edits that a run saw first, and close those it brought to the other side; an undo brings nobody's."""
    with store.transaction():
        if edits:
            records = [[*key, edited_at] for key, edited_at in edits.items()]
            store.execute(INSERT_EDITS, {"run_id": run_id, "edits": records})
        if carries_edits:
            store.execute(CLOSE_ARRIVED_EDITS, {"run_id": run_id})
        store.execute(DROP_UNMEASURED_EDITS)


def load_arrival_times(store: Store, since: str, until: str) -> dict[str, dict[str, Any]]:
    """Return how many edits of each system arrived in a span, and within how many seconds half, and 95 of 100, did."""
    rows = store.rows(
        f"""
        with ranked as ({rank_arrivals("edited_in", "arrived_at >= :since and arrived_at < :until")})
        select
            edited_in,
            count(*) as edits,
            min(seconds) filter (where place * 2 >= edits) as median_seconds,
            min(seconds) filter (where place * 100 >= edits * 95) as p95_seconds
        from ranked
        group by edited_in
        """,
        {"since": since, "until": until},
    )
    times = {row.pop("edited_in"): row for row in rows}
    nothing = {"edits": 0, "median_seconds": None, "p95_seconds": None}
    return {name: times.get(side, nothing) for side, name in (("espo", "espocrm_edit"), ("advo", "advoware_edit"))}
