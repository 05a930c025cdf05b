"""From a filled state store to the plan in hand: reading, frames, matching, table, saving.

Measured twice: as a run does it, whose SQL prefilter lets only persons with differences through to the joins, and with
everybody through the joins.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, cast

from etl import diff
from etl.context import Limits, RunContext
from etl.records import Direction, Scope
from etl.rules.entry import Policy
from etl.store.database import Store
from etl.store.tables.runs import start_run
from etl.store.tables.snapshots import load_frames
from etl.writing.journal import journal_plan
from jobs.run.sync_persons import make_person_plans
from tests.bench.dictionary_loop import STEP, plan_by_loop
from tests.bench.filling import KINDS, NOW, REGION, TABLE, fill_store
from tests.bench.measure import cost_of, median_of, median_ratio, rounds
from tests.bench.results import BenchLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from etl.rules.plan import Plan
    from tests.bench.__main__ import BenchOptions
    from tests.bench.measure import Cost

ENTRIES = len(KINDS)
WITH_VDIRSYNCER, LARGE = 10_000, 250_000
MAX_RATIO, MAX_SECONDS, MAX_JOINED_SECONDS, MAX_MB = 0.5, 15, 20, 2048
JOINED_AT_ONCE = 10_000
POLICY = Policy(Direction.BOTH, Scope.PERSON, REGION, TABLE)


def plan_with_engine(path: str) -> int:
    """What a run does between its reads and its first write; returns the number of steps."""
    return sum(len(plan.steps) for plan in plan_all(path).values())


def plan_with_loop(path: str) -> int:
    """The same by a loop."""
    return len(plan_by_loop(path))


def plan_all_through_joins(path: str) -> int:
    """The same with everybody through the joins, differences or not; returns the number of steps."""
    return sum(len(plan.steps) for plan in plan_all(path, join_frames).values())


def join_frames(run: RunContext, entity_ids: Sequence[str]) -> Plan:
    """The plans of these persons, without the prefilter; so many at a time as fit in memory."""
    plans: Plan = {}
    for start in range(0, len(entity_ids), JOINED_AT_ONCE):
        frames = load_frames(run.store, entity_ids[start : start + JOINED_AT_ONCE])
        plans = {**plans, **diff.plan_from_frames(frames, run.policy)}
    return plans


def plan_all(path: str, plan: Callable[[RunContext, Sequence[str]], Plan] = make_person_plans) -> Plan:
    """Plan everybody in the store and journal it."""
    with Store.open(path, now=NOW, durable=False) as store:
        run = bench_run(store)
        everybody = [row["entity_id"] for row in store.rows("select entity_id from persons order by entity_id")]
        plans = plan(run, everybody)
        with store.transaction():
            for person_plan in plans.values():
                journal_plan(run, person_plan)
    return plans


def bench_run(store: Store) -> RunContext:
    """A run that reads and writes nothing but the store."""
    no_client = cast("Any", None)
    return RunContext(
        id=start_run(store, now=NOW, version="bench", trigger="sync"),
        store=store, espo=no_client, advo=no_client, policy=POLICY, limits=Limits(), user_id="sync",
        utcnow=lambda: NOW, monotonic=lambda: 0.0, sleep=lambda _: None, log=None,
    )  # fmt: skip


def plan_differences(path: str) -> list[tuple[object, ...]]:
    """The steps that only one of the two decided, most of them never more than ten."""
    loop_steps = {tuple(loop_step[name] for name in STEP) for loop_step in plan_by_loop(path)}
    engine_steps = {
        tuple(
            {
                **{name: getattr(step, name) for name in STEP if hasattr(step, name)},
                "entity_id": plan.entity_id,
                "betnr": plan.betnr,
                "variant": decision.variant,
            }[name]
            for name in STEP
        )
        for plan in plan_all(path).values()
        for decision in plan.decisions
        for step in decision.steps
    }
    return sorted(loop_steps ^ engine_steps, key=str)[:10]


# Side by side -----------------------------------------------------------------------------------------------------


def measure_planning(options: BenchOptions) -> list[BenchLine]:
    """Each size against the loop; 10,000 persons against vdirsyncer too; the largest against DuckDB's join."""
    lines = []
    for persons in options.persons:
        store = options.store_path(persons, fill_store)
        differing_steps = plan_differences(copy_bench_store(store))
        if differing_steps:
            raise AssertionError(f"the loop decides otherwise: {differing_steps}")
        kinds = [
            plan_cost(name, store) for name in ("plan_with_engine", "plan_with_loop", "plan_all_through_joins")
        ]
        if persons == WITH_VDIRSYNCER:
            kinds.append(vdirsyncer_cost(options.folder, persons * ENTRIES))
        if persons == max(options.persons):
            kinds.append(duckdb_cost(options.folder, store))
        lines += planning_lines(persons, rounds(options.runs, *kinds), options)
    return lines


def plan_cost(name: str, store: Path) -> Callable[[], Cost]:
    """One run of a function of this module on a copy of the store, as each journals its plan."""
    return lambda: cost_of(f"tests.bench.planning:{name}", copy_bench_store(store))


def copy_bench_store(store: Path) -> str:
    """A fresh copy; the caches of the machine hold it, for everybody alike."""
    path = store.with_suffix(".copy")
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    shutil.copyfile(store, path)
    return str(path)


def vdirsyncer_cost(folder: Path, items: int) -> Callable[[], Cost]:
    """vdirsyncer's sync on so many items a side, its memory filled."""
    memory = folder / "vdirsyncer.db"
    memory.unlink(missing_ok=True)
    cost_of("tests.bench.rivals:vdirsyncer_first", memory, items)
    return lambda: cost_of("tests.bench.rivals:vdirsyncer_again", copy_bench_store(memory), items)


def duckdb_cost(folder: Path, store: Path) -> Callable[[], Cost]:
    """DuckDB's join over the same tables, which it holds already."""
    (folder / "duck.db").unlink(missing_ok=True)
    cost_of("tests.bench.rivals:fill_duckdb", store, folder)
    return lambda: cost_of("tests.bench.rivals:duckdb_join", folder)


def planning_lines(persons: int, costs: list[list[Cost]], options: BenchOptions) -> list[BenchLine]:
    """What the table says of one size."""
    engine_costs, loop_costs, join_costs, *other_costs = costs
    size = f"{persons:,} persons, {persons * ENTRIES:,} entries a side"
    loop = f"a loop over dictionaries ({median_of(loop_costs):.1f} s, {median_of(loop_costs, 'peak_mb'):.0f} MB)"
    lines = []
    for label, costs_of_label, max_seconds in (
        (f"planning {size}, the prefilter first", engine_costs, MAX_SECONDS),
        (f"planning {size}, all through the joins", join_costs, MAX_JOINED_SECONDS),
    ):
        seconds, memory = median_of(costs_of_label), median_of(costs_of_label, "peak_mb")
        cpu_ratio, is_bound = median_ratio(costs_of_label, loop_costs, "cpu"), persons == LARGE
        lines += [
            BenchLine(
                label,
                f"{seconds:.1f} s, {memory:.0f} MB",
                f"under {max_seconds} s and 2 GB" if is_bound else "",
                not is_bound or (seconds < max_seconds and memory < MAX_MB),
            ),
            BenchLine(
                f"… ÷ {loop}",
                f"{cpu_ratio:.2f}",
                f"≤ {MAX_RATIO}" if is_bound else "",
                not is_bound or cpu_ratio <= MAX_RATIO,
            ),
        ]
        if persons == WITH_VDIRSYNCER:
            share = median_ratio(costs_of_label, other_costs[0], "cpu")
            items = f"{persons * ENTRIES:,} items that do nothing ({median_of(other_costs[0]):.1f} s)"
            lines.append(
                BenchLine(f"… ÷ vdirsyncer's sync of {items}", f"{share:.2f}", f"≤ {MAX_RATIO}", share <= MAX_RATIO)
            )
    if persons == max(options.persons):
        limit = "the limit: DuckDB's full join of the same tables, already its own, on one core"
        lines.append(BenchLine(limit, f"{median_of(other_costs[-1]):.1f} s"))
    return lines
