"""A person as it stands now, outside the joins, for the planners other than the diff: undo, restore, repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.rules.plan import PersonPlan, keep_reassigned_pairs
from etl.rules.snapshot_records import advo_entry_from_record, baseline_pair_from_record, note_from_record, row_records
from etl.rules.undo.restore import CurrentState
from etl.store.tables.baseline import load_left_alone, load_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import PersonReads, RunContext
    from etl.rules.entry import AdvoEntry, BaselinePair, Decision, LeftAlone


def load_current_state(run: RunContext, reads: PersonReads) -> CurrentState:
    """Both sides as just read, with the baseline and the notes of the store."""
    rows = row_records(reads.advo, run.policy.region, run.policy.table)
    return CurrentState(
        reads.items,
        {row["komm_id"]: row_from_record(row) for row in rows},
        {
            record["komm_id"]: pair_from_record(record)
            for record in load_pairs(run.store, reads.espo.entity_id, reads.advo.betnr)
        },
        tuple(note_from_record(record) for record in load_left_alone(run.store, reads.espo.entity_id)),
        run.policy.region,
        run.policy.max_items,
    )


def row_from_record(record: Mapping[str, Any]) -> AdvoEntry:
    """A row, without the keys that only the joins need."""
    return advo_entry_from_record({**record, "key": None, "marker_key": None})


def pair_from_record(record: Mapping[str, Any]) -> BaselinePair:
    """A baseline row, without these keys."""
    return baseline_pair_from_record({**record, "espo_key": None, "advo_key": None, "pseudo": False})


def plan_of_decisions(reads: PersonReads, decisions: Sequence[Decision], left_alone: Sequence[LeftAlone]) -> PersonPlan:
    """These decisions as a plan; the person stays due, because nothing else about it was decided here."""
    plan_decisions = keep_reassigned_pairs(decisions)
    return PersonPlan(
        reads.espo.entity_id, reads.advo.betnr, plan_decisions, tuple(left_alone), reads.items, replan=True
    )
