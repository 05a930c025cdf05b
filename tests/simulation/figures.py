"""``python -m tests.simulation figures``: bring a file of results up to these numbers, and print it as tables.

It can be stopped (Ctrl-C: what is under way is finished) and goes on where it was; several part runs are summed from
one file. ``--keep`` adds it to what is in the repository, ``lived.json``, and puts the tables into ``tests/README.md``.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import gc
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import NamedTuple

from tests.simulation.faults import FAULTS
from tests.simulation.history import a_life
from tests.simulation.kills import kills
from tests.simulation.ledger import ROOT, Ledger, Line, Task, ended
from tests.simulation.mutations import MUTATIONS
from tests.simulation.tables import tables, written_into
from tests.simulation.taken_away import seen, seen_in_case
from tests.simulation.trials import trials

README = ROOT / "tests" / "README.md"
RESULTS = ROOT / ".simulation" / "figures.jsonl"
KEPT = Path(__file__).with_name("lived.json")
EVERY_SECONDS = 20.0
TOLD = 300  # characters of a violation
SEARCHED = 300  # worlds in which a missing protection is looked for
FEW = 60  # where a case by name shows it


def figures(asked: Sequence[str]) -> int:
    """Live what the file lacks, print the tables; 1 when anything was bad."""
    options = asked_for(asked)
    ledger = Ledger(options.results, options.kept)
    todo = wanted(options, ledger)
    print(f"{len(todo)} to live, results in {ledger.path}", file=sys.stderr)
    lived(todo, ledger, processes=options.processes, seconds=options.seconds)
    text = tables(ledger)
    print(text)
    if options.keep:
        ledger.keep()
        README.write_text(written_into(README.read_text("utf-8"), text), "utf-8")
    return 1 if any(line.bad for line in ledger.lived().values()) else 0


def asked_for(asked: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation figures", description=__doc__)
    parser.add_argument("--histories", type=int, default=0, help="person-histories in all")
    parser.add_argument("--persons", type=int, default=50, help="persons of a world")
    parser.add_argument("--episodes", type=int, default=2, help="first sync to rest, then edits to rest")
    parser.add_argument("--trials", type=int, default=0, help="trials of each fault, first sync and later run")
    parser.add_argument("--only", nargs="*", default=None, help="these faults only")
    parser.add_argument("--kills", type=int, default=0, help="small worlds whose every kill point is lived")
    parser.add_argument("--mutations", action="store_true", help="after how many seeds each missing protection is seen")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="live again what was bad")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--kept", type=Path, default=KEPT, help="what earlier machines lived")
    parser.add_argument("--keep", action="store_true", help="put it there, and the tables into tests/README.md")
    return parser.parse_args(asked)


def wanted(options: argparse.Namespace, ledger: Ledger) -> list[Task]:
    """What the file lacks of what was asked for, the quickest to tell first."""
    done = ledger.lived()
    again = [task for task, line in done.items() if line.bad] if options.again else []
    tried = trials_of(options.only or FAULTS, options.trials, done)
    kinds = [Task("kills", 0, later=later, persons=2) for later in (False, True)]
    killed = [one._replace(seed=seed) for seed in range(options.kills) for one in kinds]
    unseen = [Task("mutation", 0, one.name) for one in MUTATIONS if options.mutations]
    world = Task("history", options.first_seed, persons=options.persons, episodes=options.episodes)
    worlds = missing(world, options.histories, options.persons, done)
    return again + tried + [task for task in killed + unseen if task not in done] + worlds


def trials_of(faults: Iterable[str], trials: int, done: Mapping[Task, Line]) -> list[Task]:
    """So many trials of each fault, of all faults in turn, less those lived already."""
    cells = [
        missing(Task("trial", 0, fault, later, persons=3), trials, 1, done)
        for fault in faults
        for later in ((True,) if FAULTS[fault].agreed else (False, True))
    ]
    return [task for turn in zip_longest(*cells) for task in turn if task is not None]


def missing(like: Task, asked: int, each: int, done: Mapping[Task, Line]) -> list[Task]:
    """Tasks of seeds not lived yet, ``each`` worth so many, to have as many as asked for of this kind."""
    kind = (like.kind, like.name, like.later)
    there = sum(line.done for task, line in done.items() if (task.kind, task.name, task.later) == kind)
    every = (like._replace(seed=seed) for seed in count(like.seed))
    return list(islice((task for task in every if task not in done), max(0, -(-(asked - there) // each))))


def lived(todo: Sequence[Task], ledger: Ledger, *, processes: int, seconds: float) -> None:
    """Live the tasks in processes of their own; each line is written when it is there."""
    began, told, bad = time.monotonic(), 0.0, 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=deaf_to_ctrl_c) as pool, ctrl_c() as asked_to_stop:
        goes_on = lambda: not asked_to_stop and time.monotonic() - began < seconds  # noqa: E731
        for done, line in enumerate(answers(pool, bundles(todo), processes + 1, goes_on), start=1):
            ledger.write(line)
            if line.bad:
                bad += 1
                print(f"BAD {line.task}: {line.told}", file=sys.stderr)
            if time.monotonic() - told > EVERY_SECONDS:
                told = time.monotonic()
                progress(done, len(todo), bad, told - began)


@contextmanager
def ctrl_c() -> Iterator[list[int]]:
    """Ctrl-C once: what is under way is finished and written; twice: the end."""
    asked: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("stopping when what is under way is done", file=sys.stderr)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def bundles(todo: Iterable[Task]) -> list[list[Task]]:
    """What is lived together: the trials of one seed, whose worlds are the same up to the fault; all else alone."""
    found: dict[object, list[Task]] = {}
    for number, task in enumerate(todo):
        together = (task.seed, task.later, task.persons) if task.kind == "trial" else number
        found.setdefault(together, []).append(task)
    return list(found.values())


def answers(
    pool: ProcessPoolExecutor, todo: Sequence[Sequence[Task]], at_once: int, goes_on: Callable[[], bool]
) -> Iterator[Line]:
    """The lines as they come; only a few bundles are given out at a time, so that stopping is quick."""
    waiting = iter(todo)
    under_way: set[Future[list[Line]]] = {pool.submit(live, tasks) for tasks in islice(waiting, at_once)}
    while under_way:
        finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        if goes_on():
            under_way |= {pool.submit(live, tasks) for tasks in islice(waiting, len(finished))}
        for future in finished:
            yield from future.result()


def deaf_to_ctrl_c() -> None:
    """Only the process somebody looks at stops; the others finish what they have. What is imported stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()


def progress(done: int, of: int, bad: int, spent: float) -> None:
    """One line about how far it is, and when it will be done."""
    left = spent / done * (of - done)
    now = datetime.now(UTC).strftime("%H:%M:%S")
    print(f"{now} {done} of {of} lived, {bad} bad, {spent:.0f} s, about {left / 60:.0f} min left", file=sys.stderr)


# One task -----------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What came of a task: how many persons, trials, points or seeds; what was wrong; what else is to be told."""

    task: Task
    done: int
    wrong: Sequence[Exception] = ()
    told: str = ""


def live(tasks: Sequence[Task]) -> list[Line]:
    """Live a bundle of tasks and say how each ended."""
    lines, began = [], time.perf_counter()
    for found in live_trials(tasks) if tasks[0].kind == "trial" else map(LIVED[tasks[0].kind], tasks):
        told = "; ".join([f"{type(one).__name__}: {one}" for one in found.wrong]) or found.told
        ended_at = time.perf_counter()
        seconds, began = round(ended_at - began, 3), ended_at
        lines.append(ended(found.task, done=found.done, bad=len(found.wrong), told=told[:TOLD], seconds=seconds))
    return lines


def live_trials(tasks: Sequence[Task]) -> Iterator[Found]:
    """Trials of one seed; a trial in which the fault never came is none."""
    by_fault = {task.name: task for task in tasks}
    _, seed, _, later, persons, _ = tasks[0]
    for fault, tried in trials(by_fault, later=later, seed=seed, persons=persons):
        yield Found(by_fault[fault], int(tried.struck), [tried.wrong] if tried.wrong else ())


def live_world(task: Task) -> Found:
    """All persons of one world, from first sync through edits and faults to rest."""
    with a_life(task.seed, persons=task.persons) as life:
        try:
            life.live(task.episodes)
        except Exception as wrong:  # noqa: BLE001 - whatever it is, the world is bad
            return Found(task, task.persons, [wrong])
    return Found(task, task.persons)


def live_kills(task: Task) -> Found:
    """Every kill point of one small world."""
    died = list(kills(task.seed, later=task.later, persons=task.persons))
    return Found(task, len(died), [AssertionError(f"point {kill.point}: {kill.wrong}") for kill in died if kill.wrong])


def live_mutation(task: Task) -> Found:
    """The worlds of one mutation, until one shows it, else its case by name; as bad as a lost number when neither."""
    mutation = next(one for one in MUTATIONS if one.name == task.name)
    found = seen(mutation, range(FEW if mutation.case else SEARCHED))
    if found is None and (rule := seen_in_case(mutation)):
        return Found(task, 0, told=rule)
    if found is None:
        return Found(task, SEARCHED, [AssertionError("nothing shows that this protection is missing")])
    return Found(task, found.lived, told=found.rule)


LIVED = {"history": live_world, "kills": live_kills, "mutation": live_mutation}
