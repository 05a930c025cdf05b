"""``undo`` and ``restore``: what an operator puts back is planned, guarded, written and verified like a sync.

The rules give the decisions (``etl.rules.undo.undo``, ``etl.rules.undo.restore``); here they become plans of the run,
in the place of the diff's. Persons stay due, so that the next run looks at whatever else happened to them meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.reading.current_state import load_current_state, plan_of_decisions
from etl.records import Direction
from etl.rules.undo.restore import plan_restore, value_to_restore
from etl.rules.undo.undo import plan_undo
from etl.store.tables.conflicts import load_conflict, presence_of_lost_values, reopen_conflicts, set_restored_at
from etl.store.tables.holds import open_holds
from etl.store.tables.journal import changes_of_run, decisions_of_run
from etl.store.tables.persons import load_persons
from etl.store.tables.queue import mark_due
from etl.store.tables.runs import load_run
from jobs.run.sync_persons import make_person_plans, read_both_sides, sync_persons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext
    from etl.rules.plan import PersonPlan, Plan
    from etl.store.database import Store

UNDO, RESTORE, APPROVE = "undo", "restore", "approve"
PUT_BACK_REASON = "an operator put something back"


@dataclass
class UndoPlanner:
    """The planner of ``undo RUN``: every person the run wrote to, back from its before-images."""

    run_id: int
    not_put_back: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def persons(self, run: RunContext) -> list[str]:
        """Whom the run wrote to; ConfigError when it wrote nothing."""
        changes = changes_of_run(run.store, self.run_id)
        if not changes:
            raise ConfigError(f"Run {self.run_id} wrote nothing; `advosync export last_runs` tells which run did.")
        return sorted({change["entity_id"] for change in changes})

    def plans(self, run: RunContext, entity_ids: Sequence[str]) -> Plan:
        """One plan a person; one without decisions where nothing can be put back."""
        changes = group_by_person(changes_of_run(run.store, self.run_id))
        decisions = group_by_person(decisions_of_run(run.store, self.run_id))
        return {
            entity_id: self.plan_person(run, entity_id, changes[entity_id], decisions[entity_id])
            for entity_id in entity_ids
        }

    def plan_person(
        self,
        run: RunContext,
        entity_id: str,
        changes: Sequence[Mapping[str, Any]],
        decisions: Sequence[Mapping[str, Any]],
    ) -> PersonPlan:
        """The plan that puts one person back."""
        read = run.reads[entity_id]
        state = load_current_state(run, read)
        same_link = [change for change in changes if change["betnr"] == read.advo.betnr]
        reversal_result = plan_undo(same_link, decisions, state, run_id=self.run_id, undo_run_id=run.id)
        other_link_count = len(changes) - len(same_link)
        self.not_put_back[entity_id] = (
            *reversal_result.edits_since,
            *(["it was linked to another betnr then"] if other_link_count else []),
        )
        return plan_of_decisions(read, reversal_result.decisions, reversal_result.left_alone)

    def finish(self, run: RunContext) -> None:
        """The conflicts of an undone run are over; where that undo, or a restore, was undone, they have lost again."""
        if not run.write or not run.counters.changed:
            return
        origin_run, is_redo = undone_run(run, self.run_id)
        trigger, restored = original_request(run.store, origin_run)
        if trigger == RESTORE and restored is not None:
            restored_ids, reopened_ids = ([restored], []) if is_redo else ([], [restored])
        else:
            since = (load_run(run.store, self.run_id) or {}).get("started_at") if is_redo else None
            is_current_by_conflict = presence_of_lost_values(run.store, origin_run, run.counters.changed, since=since)
            restored_ids = [conflict_id for conflict_id, is_current in is_current_by_conflict.items() if is_current]
            reopened_ids = [
                conflict_id for conflict_id in is_current_by_conflict if is_redo and conflict_id not in restored_ids
            ]
        set_restored_at(run.store, restored_ids, run.utcnow())
        reopen_conflicts(run.store, reopened_ids)


@dataclass
class RestorePlanner:
    """The planner of ``restore ID``: one value that lost, on both sides again."""

    conflict_id: int
    not_put_back: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def conflict(self, run: RunContext) -> dict[str, Any]:
        """The row of ``conflicts``; ConfigError when there is none, or none any more that speaks of this link."""
        record = load_conflict(run.store, self.conflict_id)
        if record is None:
            raise ConfigError(f"There is no conflict {self.conflict_id}; `advosync conflicts` lists them.")
        if record["restored_at"]:
            raise ConfigError(f"Conflict {self.conflict_id} was restored at {record['restored_at']} UTC already.")
        return record

    def persons(self, run: RunContext) -> list[str]:
        """The person the value belongs to."""
        return [self.conflict(run)["entity_id"]]

    def plans(self, run: RunContext, entity_ids: Sequence[str]) -> Plan:
        """The plan of its person."""
        conflict = self.conflict(run)
        result: Plan = {}
        for entity_id in entity_ids:
            read = run.reads[entity_id]
            state = load_current_state(run, read)
            decision_or_reason: Any = f"its betnr was {conflict['betnr']} then, and is another one now"
            if read.advo.betnr == conflict["betnr"]:
                decision_or_reason = plan_restore(value_to_restore(conflict), state, run.policy)
            self.not_put_back[entity_id] = (decision_or_reason,) if isinstance(decision_or_reason, str) else ()
            decisions = (
                () if decision_or_reason is None or isinstance(decision_or_reason, str) else (decision_or_reason,)
            )
            result[entity_id] = plan_of_decisions(read, decisions, state.left_alone)
        return result

    def finish(self, run: RunContext) -> None:
        """The conflict is restored once the value stands on both sides."""
        entity_id = self.conflict(run)["entity_id"]
        is_restored = entity_id in run.counters.changed or (
            entity_id in self.not_put_back and not self.not_put_back[entity_id]
        )
        if run.write and is_restored and entity_id not in run.counters.held and entity_id not in run.counters.failed:
            set_restored_at(run.store, [self.conflict_id], run.utcnow())


OperatorPlanner = UndoPlanner | RestorePlanner


def run_operator_plan(run: RunContext, planner: OperatorPlanner) -> Plan:
    """Plan, guard and write what is put back, and name what is not."""
    if run.policy.direction is not Direction.BOTH:
        raise ConfigError("Putting back writes to both sides; the direction cannot be narrowed.")
    requested = planner.persons(run)
    held_ids = {record["entity_id"] for record in open_holds(run.store)} & set(requested)
    run.counters.held |= held_ids
    left_out = held_ids | run.counters.skipped | run.absences.keys()
    persons = load_persons(run.store, requested)
    selected = [record for record in persons if record["entity_id"] not in left_out and not record["gone_at"]]
    mark_due(run.store, [record["entity_id"] for record in selected], PUT_BACK_REASON, run.utcnow())
    entity_ids = read_both_sides(run, selected, force=True)
    run.planner_override = planner.plans
    plans = make_person_plans(run, entity_ids)
    result = sync_persons(run, [record for record in entity_ids if plans[record].decisions])
    unread = dict.fromkeys(set(requested) - set(entity_ids) - held_ids, ("it cannot be read on both sides now",))
    report_not_put_back(
        run, {**planner.not_put_back, **unread, **dict.fromkeys(held_ids, ("a guard holds it; see `advosync held`",))}
    )
    planner.finish(run)
    return result


def planner_for(store: Store, run_id: int) -> OperatorPlanner | None:
    """How a held run is planned again when it is approved; None: by the diff, as any sync."""
    trigger, target_id = original_request(store, run_id)
    if target_id is None or trigger not in (UNDO, RESTORE):
        return None
    return UndoPlanner(target_id) if trigger == UNDO else RestorePlanner(target_id)


def original_request(store: Store, run_id: int) -> tuple[str | None, int | None]:
    """What a run was really about: an approval carries out what an earlier run had planned."""
    record = load_run(store, run_id)
    while record is not None and record["trigger"] == APPROVE and record["about"] is not None:
        record = load_run(store, record["about"])
    return (None, None) if record is None else (record["trigger"], record["about"])


def undone_run(run: RunContext, run_id: int) -> tuple[int, bool]:
    """The run whose writes an undo of this one is about, and whether it carries them out again: an undo undone."""
    is_redo = False
    trigger, target_id = original_request(run.store, run_id)
    while trigger == UNDO and target_id is not None:
        run_id, is_redo = target_id, not is_redo
        trigger, target_id = original_request(run.store, run_id)
    return run_id, is_redo


def report_not_put_back(run: RunContext, reasons: Mapping[str, Sequence[str]]) -> None:
    """What is not put back, by person, in the report."""
    betnrs = {person["entity_id"]: person["betnr"] for person in load_persons(run.store, list(reasons))}
    for entity_id, sentences in sorted(reasons.items()):
        person_label = f"{entity_id} / {betnrs.get(entity_id) or 'no betnr'}"
        run.counters.notices += [f"not put back: {person_label}: {sentence}" for sentence in sentences]


def group_by_person(rows: Sequence[Mapping[str, Any]]) -> defaultdict[str, list[Mapping[str, Any]]]:
    """Rows of the journal by person."""
    result: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        result[row["entity_id"]].append(row)
    return result
