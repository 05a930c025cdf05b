"""``undo`` and ``restore``: what an operator puts back is planned, guarded, written and verified like a sync.

The rules give the decisions (``etl.rules.reversal``, ``etl.rules.restoring``); here they become plans of the run, in
the place of the diff's. Persons stay due, so that the next run looks at whatever else happened to them meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.as_it_stands import plan_with, standing
from etl.errors import ConfigError
from etl.records import Direction
from etl.rules.restoring import lost_of, restoring
from etl.rules.reversal import reversal
from etl.store.conflicts import load_conflict, lost_values_standing, mark_restored, reopen
from etl.store.due import mark_due
from etl.store.holds import open_holds
from etl.store.journal import changes_of_run, decisions_of_run
from etl.store.persons import load_persons
from etl.store.runs import load_run
from jobs.persons import looked_at, make_plans, sync_persons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.plan import PersonPlan, Plan
    from etl.run import Run

UNDO, RESTORE, APPROVE = "undo", "restore", "approve"
AGAIN = "an operator put something back"


@dataclass
class Undo:
    """The planner of ``undo RUN``: every person the run wrote to, back from its before-images."""

    run_id: int
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def persons(self, run_: Run) -> list[str]:
        """Whom the run wrote to; ConfigError when it wrote nothing."""
        changes = changes_of_run(run_.store, self.run_id)
        if not changes:
            raise ConfigError(f"Run {self.run_id} wrote nothing; `advosync export last_runs` tells which run did.")
        return sorted({one["entity_id"] for one in changes})

    def plans(self, run_: Run, ready: Sequence[str]) -> Plan:
        """One plan a person; one without decisions where nothing can be put back."""
        changes = grouped(changes_of_run(run_.store, self.run_id))
        decisions = grouped(decisions_of_run(run_.store, self.run_id))
        return {one: self.plan_of(run_, one, changes[one], decisions[one]) for one in ready}

    def plan_of(
        self, run_: Run, entity_id: str, changes: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]
    ) -> PersonPlan:
        """The plan that puts one person back."""
        look = run_.looks[entity_id]
        stands = standing(run_, look)
        same_link = [one for one in changes if one["betnr"] == look.advo.betnr]
        back = reversal(same_link, decisions, stands, of_run=self.run_id, by_run=run_.id)
        apart = len(changes) - len(same_link)
        self.kept[entity_id] = (*back.kept, *(["it was linked to another betnr then"] if apart else []))
        return plan_with(look, back.decisions, back.left)

    def done(self, run_: Run) -> None:
        """The conflicts of an undone run are over; where that undo, or a restore, was undone, they have lost again."""
        if not run_.write or not run_.tally.changed:
            return
        written, forward = at_bottom(run_, self.run_id)
        trigger, restored = origin_of(run_, written)
        if trigger == RESTORE and restored is not None:
            over, lost = ([restored], []) if forward else ([], [restored])
        else:
            since = (load_run(run_.store, self.run_id) or {}).get("started_at") if forward else None
            stands = lost_values_standing(run_.store, written, run_.tally.changed, since=since)
            over = [one for one, stands_again in stands.items() if stands_again]
            lost = [one for one in stands if forward and one not in over]
        mark_restored(run_.store, over, run_.utcnow())
        reopen(run_.store, lost)


@dataclass
class Restore:
    """The planner of ``restore ID``: one value that lost, on both sides again."""

    conflict_id: int
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def conflict(self, run_: Run) -> dict[str, Any]:
        """The row of ``conflicts``; ConfigError when there is none, or none any more that speaks of this link."""
        found = load_conflict(run_.store, self.conflict_id)
        if found is None:
            raise ConfigError(f"There is no conflict {self.conflict_id}; `advosync conflicts` lists them.")
        if found["restored_at"]:
            raise ConfigError(f"Conflict {self.conflict_id} was restored at {found['restored_at']} UTC already.")
        return found

    def persons(self, run_: Run) -> list[str]:
        """The person the value belongs to."""
        return [self.conflict(run_)["entity_id"]]

    def plans(self, run_: Run, ready: Sequence[str]) -> Plan:
        """The plan of its person."""
        conflict = self.conflict(run_)
        result: Plan = {}
        for entity_id in ready:
            look = run_.looks[entity_id]
            stands = standing(run_, look)
            made: Any = f"its betnr was {conflict['betnr']} then, and is another one now"
            if look.advo.betnr == conflict["betnr"]:
                made = restoring(lost_of(conflict), stands, run_.policy)
            self.kept[entity_id] = (made,) if isinstance(made, str) else ()
            decisions = () if made is None or isinstance(made, str) else (made,)
            result[entity_id] = plan_with(look, decisions, stands.left)
        return result

    def done(self, run_: Run) -> None:
        """The conflict is restored once the value stands on both sides."""
        entity_id = self.conflict(run_)["entity_id"]
        stands = entity_id in run_.tally.changed or (entity_id in self.kept and not self.kept[entity_id])
        if run_.write and stands and entity_id not in run_.tally.held and entity_id not in run_.tally.failed:
            mark_restored(run_.store, [self.conflict_id], run_.utcnow())


PuttingBack = Undo | Restore


def put_back(run_: Run, planner: PuttingBack) -> Plan:
    """Plan, guard and write what is put back, and name what is not."""
    if run_.policy.direction is not Direction.BOTH:
        raise ConfigError("Putting back writes to both sides; the direction cannot be narrowed.")
    wanted = planner.persons(run_)
    held = {one["entity_id"] for one in open_holds(run_.store)} & set(wanted)
    run_.tally.held |= held
    left_out = held | run_.tally.skipped | run_.absent.keys()
    known = load_persons(run_.store, wanted)
    chosen = [one for one in known if one["entity_id"] not in left_out and not one["gone_at"]]
    mark_due(run_.store, [one["entity_id"] for one in chosen], AGAIN, run_.utcnow())
    ready = looked_at(run_, chosen, everybody=True)
    run_.planner = planner.plans
    plans = make_plans(run_, ready)
    result = sync_persons(run_, [one for one in ready if plans[one].decisions])
    unread = dict.fromkeys(set(wanted) - set(ready) - held, ("it cannot be read on both sides now",))
    tell_of_kept(run_, {**planner.kept, **unread, **dict.fromkeys(held, ("a guard holds it; see `advosync held`",))})
    planner.done(run_)
    return result


def planner_of(run_: Run, run_id: int) -> PuttingBack | None:
    """How a held run is planned again when it is approved; None: by the diff, as any sync."""
    trigger, about = origin_of(run_, run_id)
    if about is None or trigger not in (UNDO, RESTORE):
        return None
    return Undo(about) if trigger == UNDO else Restore(about)


def origin_of(run_: Run, run_id: int) -> tuple[str | None, int | None]:
    """What a run was really about: an approval carries out what an earlier run had planned."""
    found = load_run(run_.store, run_id)
    while found is not None and found["trigger"] == APPROVE and found["about"] is not None:
        found = load_run(run_.store, found["about"])
    return (None, None) if found is None else (found["trigger"], found["about"])


def at_bottom(run_: Run, run_id: int) -> tuple[int, bool]:
    """The run whose writes an undo of this one is about, and whether it carries them out again: an undo undone."""
    forward = False
    trigger, about = origin_of(run_, run_id)
    while trigger == UNDO and about is not None:
        run_id, forward = about, not forward
        trigger, about = origin_of(run_, run_id)
    return run_id, forward


def tell_of_kept(run_: Run, kept: Mapping[str, Sequence[str]]) -> None:
    """What is not put back, by person, in the report."""
    betnrs = {one["entity_id"]: one["betnr"] for one in load_persons(run_.store, list(kept))}
    for entity_id, sentences in sorted(kept.items()):
        who = f"{entity_id} / {betnrs.get(entity_id) or 'no betnr'}"
        run_.tally.notices += [f"not put back: {who}: {sentence}" for sentence in sentences]


def grouped(rows: Sequence[Mapping[str, Any]]) -> defaultdict[str, list[Mapping[str, Any]]]:
    """Rows of the journal by person."""
    result: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in rows:
        result[one["entity_id"]].append(one)
    return result
