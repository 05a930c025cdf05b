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
from tests.simulation.history import open_simulation
from tests.simulation.kills import kill_results
from tests.simulation.ledger import ROOT, ResultLine, ResultLog, Task, result_line
from tests.simulation.mutations import MUTATIONS
from tests.simulation.tables import markdown_report, replace_section
from tests.simulation.taken_away import case_violation, first_detection
from tests.simulation.trials import trial_results

README = ROOT / "tests" / "README.md"
RESULTS = ROOT / ".simulation" / "figures.jsonl"
KEPT_FILE = Path(__file__).with_name("lived.json")
PROGRESS_SECONDS = 20.0
MAX_DETAIL = 300  # characters of a violation
MAX_WORLDS = 300  # worlds in which a missing protection is looked for
MAX_WORLDS_WITH_CASE = 60  # where a case by name shows it


def run_figures(arguments: Sequence[str]) -> int:
    """Live what the file lacks, print the tables; 1 when anything was bad."""
    options = parse_figure_options(arguments)
    log = ResultLog(options.results, options.kept)
    todo = tasks_to_run(options, log)
    print(f"{len(todo)} to live, results in {log.path}", file=sys.stderr)
    run_tasks(todo, log, processes=options.processes, seconds=options.seconds)
    text = markdown_report(log)
    print(text)
    if options.keep:
        log.keep()
        README.write_text(replace_section(README.read_text("utf-8"), text), "utf-8")
    return 1 if any(line.bad for line in log.latest_lines().values()) else 0


def parse_figure_options(arguments: Sequence[str]) -> argparse.Namespace:
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
    parser.add_argument("--kept", type=Path, default=KEPT_FILE, help="what earlier machines lived")
    parser.add_argument("--keep", action="store_true", help="put it there, and the tables into tests/README.md")
    return parser.parse_args(arguments)


def tasks_to_run(options: argparse.Namespace, log: ResultLog) -> list[Task]:
    """What the file lacks of what was asked for, the quickest to tell first."""
    lines = log.latest_lines()
    bad_tasks = [task for task, line in lines.items() if line.bad] if options.again else []
    missing_trials = trial_tasks(options.only or FAULTS, options.trials, lines)
    kill_kinds = [Task("kills", 0, later=later, persons=2) for later in (False, True)]
    kill_tasks = [task._replace(seed=seed) for seed in range(options.kills) for task in kill_kinds]
    mutation_tasks = [Task("mutation", 0, mutation.name) for mutation in MUTATIONS if options.mutations]
    world = Task("history", options.first_seed, persons=options.persons, episodes=options.episodes)
    worlds = missing_tasks(world, options.histories, options.persons, lines)
    return bad_tasks + missing_trials + [task for task in kill_tasks + mutation_tasks if task not in lines] + worlds


def trial_tasks(faults: Iterable[str], trials: int, lines: Mapping[Task, ResultLine]) -> list[Task]:
    """So many trials of each fault, of all faults in turn, less those lived already."""
    cells = [
        missing_tasks(Task("trial", 0, fault, later, persons=3), trials, 1, lines)
        for fault in faults
        for later in ((True,) if FAULTS[fault].needs_baseline else (False, True))
    ]
    return [task for turn in zip_longest(*cells) for task in turn if task is not None]


def missing_tasks(
    template: Task, wanted_count: int, count_per_task: int, lines: Mapping[Task, ResultLine]
) -> list[Task]:
    """Tasks of seeds not lived yet, ``count_per_task`` worth so many, to have as many as asked for of this kind."""
    kind = (template.kind, template.name, template.later)
    existing_count = sum(line.done for task, line in lines.items() if (task.kind, task.name, task.later) == kind)
    candidates = (template._replace(seed=seed) for seed in count(template.seed))
    return list(
        islice(
            (task for task in candidates if task not in lines),
            max(0, -(-(wanted_count - existing_count) // count_per_task)),
        )
    )


def run_tasks(todo: Sequence[Task], log: ResultLog, *, processes: int, seconds: float) -> None:
    """Live the tasks in processes of their own; each line is written when it is there."""
    started, last_progress, bad = time.monotonic(), 0.0, 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=ignore_ctrl_c) as pool, catch_ctrl_c() as stop_requests:
        may_continue = lambda: not stop_requests and time.monotonic() - started < seconds  # noqa: E731
        for done_count, line in enumerate(run_bundles(pool, bundles(todo), processes + 1, may_continue), start=1):
            log.write(line)
            if line.bad:
                bad += 1
                print(f"BAD {line.task}: {line.told}", file=sys.stderr)
            if time.monotonic() - last_progress > PROGRESS_SECONDS:
                last_progress = time.monotonic()
                print_progress(done_count, len(todo), bad, last_progress - started)


@contextmanager
def catch_ctrl_c() -> Iterator[list[int]]:
    """Ctrl-C once: what is under way is finished and written; twice: the end."""
    stop_requests: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if stop_requests:
            raise KeyboardInterrupt
        stop_requests.append(number)
        print("stopping when what is under way is done", file=sys.stderr)

    old_handler = signal.signal(signal.SIGINT, stop)
    try:
        yield stop_requests
    finally:
        signal.signal(signal.SIGINT, old_handler)


def bundles(todo: Iterable[Task]) -> list[list[Task]]:
    """What is lived together: the trials of one seed, whose worlds are the same up to the fault; all else alone."""
    bundles_by_key: dict[object, list[Task]] = {}
    for number, task in enumerate(todo):
        key = (task.seed, task.later, task.persons) if task.kind == "trial" else number
        bundles_by_key.setdefault(key, []).append(task)
    return list(bundles_by_key.values())


def run_bundles(
    pool: ProcessPoolExecutor, todo: Sequence[Sequence[Task]], at_once: int, may_continue: Callable[[], bool]
) -> Iterator[ResultLine]:
    """The lines as they come; only a few bundles are given out at a time, so that stopping is quick."""
    waiting_bundles = iter(todo)
    running: set[Future[list[ResultLine]]] = {
        pool.submit(run_bundle, tasks) for tasks in islice(waiting_bundles, at_once)
    }
    while running:
        finished_futures, running = wait(running, return_when=FIRST_COMPLETED)
        if may_continue():
            running |= {pool.submit(run_bundle, tasks) for tasks in islice(waiting_bundles, len(finished_futures))}
        for future in finished_futures:
            yield from future.result()


def ignore_ctrl_c() -> None:
    """Only the process somebody looks at stops; the others finish what they have. What is imported stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()


def print_progress(done_count: int, total: int, bad: int, elapsed: float) -> None:
    """One line about how far it is, and when it will be done."""
    remaining = elapsed / done_count * (total - done_count)
    now = datetime.now(UTC).strftime("%H:%M:%S")
    print(
        f"{now} {done_count} of {total} lived, {bad} bad, {elapsed:.0f} s, about {remaining / 60:.0f} min left",
        file=sys.stderr,
    )


# One task -----------------------------------------------------------------------------------------------------------


class TaskResult(NamedTuple):
    """What came of a task: how many persons, trials, points or seeds; what was wrong; what else is to be told."""

    task: Task
    done: int
    failures: Sequence[Exception] = ()
    detail: str = ""


def run_bundle(tasks: Sequence[Task]) -> list[ResultLine]:
    """Live a bundle of tasks and say how each ended."""
    lines, started = [], time.perf_counter()
    for result in run_trial_tasks(tasks) if tasks[0].kind == "trial" else map(RUNNERS[tasks[0].kind], tasks):
        detail = "; ".join([f"{type(failure).__name__}: {failure}" for failure in result.failures]) or result.detail
        now = time.perf_counter()
        seconds, started = round(now - started, 3), now
        lines.append(
            result_line(
                result.task, done=result.done, bad=len(result.failures), detail=detail[:MAX_DETAIL], seconds=seconds
            )
        )
    return lines


def run_trial_tasks(tasks: Sequence[Task]) -> Iterator[TaskResult]:
    """Trials of one seed; a trial in which the fault never came is none."""
    by_fault = {task.name: task for task in tasks}
    _, seed, _, later, persons, _ = tasks[0]
    for fault, result in trial_results(by_fault, later=later, seed=seed, persons=persons):
        yield TaskResult(by_fault[fault], int(result.injected), [result.failure] if result.failure else ())


def run_world(task: Task) -> TaskResult:
    """All persons of one world, from first sync through edits and faults to rest."""
    with open_simulation(task.seed, persons=task.persons) as sim:
        try:
            sim.run_episodes(task.episodes)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the world is bad
            return TaskResult(task, task.persons, [failure])
    return TaskResult(task, task.persons)


def run_kills(task: Task) -> TaskResult:
    """Every kill point of one small world."""
    results = list(kill_results(task.seed, later=task.later, persons=task.persons))
    return TaskResult(
        task,
        len(results),
        [AssertionError(f"point {result.point}: {result.failure}") for result in results if result.failure],
    )


def run_mutation(task: Task) -> TaskResult:
    """The worlds of one mutation, until one shows it, else its case by name; as bad as a lost number when neither."""
    mutation = next(candidate for candidate in MUTATIONS if candidate.name == task.name)
    detection = first_detection(mutation, range(MAX_WORLDS_WITH_CASE if mutation.case else MAX_WORLDS))
    if detection is None and (rule := case_violation(mutation)):
        return TaskResult(task, 0, detail=rule)
    if detection is None:
        return TaskResult(task, MAX_WORLDS, [AssertionError("nothing shows that this protection is missing")])
    return TaskResult(task, detection.world_count, detail=detection.rule)


RUNNERS = {"history": run_world, "kills": run_kills, "mutation": run_mutation}
