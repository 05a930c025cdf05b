"""From a filled state store to the plan in hand: reading, frames, matching, table, saving; everybody compared."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, cast

from etl.guard import save_plan
from etl.records import Direction, Scope
from etl.rules.entry import Policy
from etl.run import Limits, Run
from etl.store.database import Store
from etl.store.runs import start_run
from jobs.persons import make_plans
from tests.bench.dictionary_loop import STEP, loop
from tests.bench.filling import KINDS, NOW, REGION, TABLE, fill
from tests.bench.measure import cost_of, middle, ratio, rounds
from tests.bench.results import Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl.rules.plan import Plan
    from tests.bench.__main__ import Asked
    from tests.bench.measure import Cost

ENTRIES = len(KINDS)
WITH_VDIRSYNCER, LARGE = 10_000, 250_000
HALF, LONGEST, MOST_MB = 0.5, 15, 2048
POLICY = Policy(Direction.BOTH, Scope.PERSON, REGION, TABLE)


def ours(path: str) -> int:
    """What a run does between its reads and its first write; returns the number of steps."""
    return sum(len(plan.steps) for plan in planned(path).values())


def dictionary_loop(path: str) -> int:
    """The same by a loop."""
    return len(loop(path))


def planned(path: str) -> Plan:
    """Plan everybody in the store and journal it."""
    with Store.open(path, now=NOW, durable=False) as store:
        run = a_run(store)
        everybody = [row["entity_id"] for row in store.rows("select entity_id from persons order by entity_id")]
        plans = make_plans(run, everybody)
        with store.transaction():
            for plan in plans.values():
                save_plan(run, plan)
    return plans


def a_run(store: Store) -> Run:
    """A run that reads and writes nothing but the store."""
    nobody = cast("Any", None)
    return Run(
        id=start_run(store, now=NOW, version="bench", trigger="sync"),
        store=store, espo=nobody, advoware=nobody, policy=POLICY, limits=Limits(), user_id="sync",
        utcnow=lambda: NOW, monotonic=lambda: 0.0, sleep=lambda _: None, log=None,
    )  # fmt: skip


def differences(path: str) -> list[tuple[object, ...]]:
    """The steps that only one of the two decided, most of them never more than ten."""
    of_loop = {tuple(one[name] for name in STEP) for one in loop(path)}
    of_ours = {
        tuple(
            {
                **{name: getattr(step, name) for name in STEP if hasattr(step, name)},
                "entity_id": plan.entity_id,
                "betnr": plan.betnr,
                "variant": decision.variant,
            }[name]
            for name in STEP
        )
        for plan in planned(path).values()
        for decision in plan.decisions
        for step in decision.steps
    }
    return sorted(of_loop ^ of_ours, key=str)[:10]


# Side by side -----------------------------------------------------------------------------------------------------


def measured(asked: Asked) -> list[Line]:
    """Each size against the loop; 10,000 persons against vdirsyncer too; the largest against DuckDB's join."""
    lines = []
    for persons in asked.persons:
        store = asked.store(persons, fill)
        found = differences(copied(store))
        if found:
            raise AssertionError(f"the loop decides otherwise: {found}")
        kinds = [contest("ours", store), contest("dictionary_loop", store)]
        if persons == WITH_VDIRSYNCER:
            kinds.append(vdirsyncer(asked.folder, persons * ENTRIES))
        if persons == max(asked.persons):
            kinds.append(duckdb(asked.folder, store))
        lines += told(persons, rounds(asked.runs, *kinds), asked)
    return lines


def contest(name: str, store: Path) -> Callable[[], Cost]:
    """One run of a function of this module on a copy of the store, as each journals its plan."""
    return lambda: cost_of(f"tests.bench.planning:{name}", copied(store))


def copied(store: Path) -> str:
    """A fresh copy; the caches of the machine hold it, for everybody alike."""
    path = store.with_suffix(".copy")
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    shutil.copyfile(store, path)
    return str(path)


def vdirsyncer(folder: Path, items: int) -> Callable[[], Cost]:
    """vdirsyncer's sync on so many items a side, its memory filled."""
    memory = folder / "vdirsyncer.db"
    memory.unlink(missing_ok=True)
    cost_of("tests.bench.rivals:vdirsyncer_first", memory, items)
    return lambda: cost_of("tests.bench.rivals:vdirsyncer_again", copied(memory), items)


def duckdb(folder: Path, store: Path) -> Callable[[], Cost]:
    """DuckDB's join over the same tables, which it holds already."""
    (folder / "duck.db").unlink(missing_ok=True)
    cost_of("tests.bench.rivals:duckdb_filled", store, folder)
    return lambda: cost_of("tests.bench.rivals:duckdb_join", folder)


def told(persons: int, costs: list[list[Cost]], asked: Asked) -> list[Line]:
    """What the table says of one size."""
    ours, loop, *others = costs
    largest, most = persons == max(asked.persons), f"{persons:,} persons, {persons * ENTRIES:,} entries a side"
    seconds, memory, against = middle(ours), middle(ours, "peak_mb"), ratio(ours, loop, "cpu")
    lines = [
        Line(
            f"planning {most}",
            f"{seconds:.1f} s, {memory:.0f} MB",
            "under 15 s and 2 GB" if persons == LARGE else "",
            persons != LARGE or (seconds < LONGEST and memory < MOST_MB),
        ),
        Line(
            f"… ÷ a loop over dictionaries ({middle(loop):.1f} s, {middle(loop, 'peak_mb'):.0f} MB)",
            f"{against:.2f}",
            "≤ 0.5" if persons == LARGE else "",
            persons != LARGE or against <= HALF,
        ),
    ]
    if persons == WITH_VDIRSYNCER:
        share = ratio(ours, others[0], "cpu")
        its = f"… ÷ vdirsyncer's sync of {persons * ENTRIES:,} items that do nothing ({middle(others[0]):.1f} s)"
        lines.append(Line(its, f"{share:.2f}", "≤ 0.5", share <= HALF))
    if largest:
        limit = "the limit: DuckDB's full join of the same tables, already its own, on one core"
        lines.append(Line(limit, f"{middle(others[-1]):.1f} s"))
    return lines
