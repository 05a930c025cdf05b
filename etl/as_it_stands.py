"""A person as it stands, outside the joins: what a planner needs that is not the diff (undo, restore, mending)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.rules.as_it_stands import Standing
from etl.rules.entry import NONE
from etl.rules.observed import row_records
from etl.rules.plan import PersonPlan, none_dropped_by_others
from etl.rules.seen import agreed, left_note, row_seen
from etl.store.baseline import left_alone_of, pairs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.entry import Agreed, Decision, Left, RowSeen
    from etl.run import Look, Run


def standing(run: Run, look: Look) -> Standing:
    """Both sides as just read, and what the store has agreed and noted."""
    records = row_records(look.advo, run.policy.region, run.policy.table)
    return Standing(
        look.items,
        {one["komm_id"]: seen(one) for one in records},
        {one["komm_id"]: pair(one) for one in pairs_of(run.store, look.espo.entity_id, look.advo.betnr)},
        tuple(left_note(one) for one in left_alone_of(run.store, look.espo.entity_id)),
        run.policy.region,
    )


def seen(record: Mapping[str, Any]) -> RowSeen:
    """A row without the keys that only the joins need."""
    return row_seen({**record, "key": NONE, "marker_key": NONE})


def pair(record: Mapping[str, Any]) -> Agreed:
    """A baseline row without them."""
    return agreed({**record, "espo_key": NONE, "advo_key": NONE, "pseudo": False})


def plan_with(look: Look, decisions: Sequence[Decision], left: Sequence[Left]) -> PersonPlan:
    """A plan of the run; the person stays due, for nothing else of it was decided here."""
    decided = none_dropped_by_others(decisions)
    return PersonPlan(look.espo.entity_id, look.advo.betnr, decided, tuple(left), look.items, again=True)
