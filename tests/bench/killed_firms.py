"""``python -m tests.bench.killed_firms``: worlds of the simulation as firms, whose processes are killed as they write.

Two workers of Dask's distributed, each with a nanny, and a world for each seed behind real sockets. Killed with -9,
between a write and its answer: workers in first syncs, workers in later runs, ``firms run`` on the cluster and, with
its workers, on a pool, Dask's own scheduler, and the process of an undo while a round of the cluster is at the same
firm (its lease lets one of them write). Dask's scheduler and its workers are started again at the same address while
``firms run`` stays: soon, and once so late that the client of ``firms run`` gave up. Each time rounds go on until every
firm is done; then the simulation's invariants are checked, after the run and at rest, and a plan must be quiet. What an
undo took back stays so; there agreement is not what is right.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from subprocess import DEVNULL, Popen
from typing import TYPE_CHECKING

import yaml

from jobs.exit_codes import ExitCode
from jobs.firms.result import FirmCommand
from jobs.sandbox.advoware import login
from tests.children import end_children_with_me
from tests.firms.machines import Machines, ask, wait_for
from tests.firms.test_killed_workers import firms_on_workers, kill_in_write, run_until_all_done
from tests.simulation.invariants import check_after_run, check_no_duplicates
from tests.simulation.told import query_store

if TYPE_CHECKING:
    from jobs.sandbox.simulator import SimRequest, SimResponse
    from tests.simulation.history import Simulation

Worlds = dict[str, "Simulation"]
MOST_WRITES = 4
PATIENCE_SECONDS = 120.0
AWAY_MINUTES = (0.0, 1.0)
"""For so long Dask's scheduler stays away; its clients look for it for half a minute."""

RUNS_DONE = "select count(*) from runs where outcome in ('done', 'failed_persons', 'held')"


def main() -> int:
    end_children_with_me()
    login.OLDEST_REQUEST = timedelta(days=30)  # on the way to rest days pass in these worlds
    rng = Random(1)  # noqa: S311 - a simulation, no secret
    with tempfile.TemporaryDirectory(prefix="advosync-killed-") as name:
        folder, machines = Path(name), Machines(Path(name))
        try:
            for worker in ("a", "b"):
                machines.start_worker(worker, nanny=True)
            with firms_on_workers(folder) as worlds:
                allow_undo_and_schedule(folder)
                kill_workers(machines, folder, worlds, rng, "workers in first syncs")
                kill_workers(machines, folder, worlds, rng, "workers in later runs")
                kill_scheduler(folder, worlds, rng, "firms run on the cluster", "--cluster", machines.address)
                kill_scheduler(folder, worlds, rng, "firms run on a pool, with its workers", "--workers", "2")
                for minutes in AWAY_MINUTES:
                    kill_dask(machines, folder, worlds, rng, minutes)
                kill_undo(machines, folder, worlds)
        finally:
            machines.close()
    return 0


def allow_undo_and_schedule(folder: Path) -> None:
    """No guard holds an undo in such small firms, and the scheduler runs each minute."""
    for path in folder.glob("world*.yaml"):
        sections = yaml.safe_load(path.read_text("utf-8"))
        sections |= {"guards": {"max_removals": 1000, "max_removal_share": 1.0}, "schedule": {"sync": {"minutes": 1}}}
        path.write_text(yaml.safe_dump(sections), "utf-8")


def kill_workers(machines: Machines, folder: Path, worlds: Worlds, rng: Random, what: str) -> None:
    """Kill the worker of each world in one of its first writes, and let rounds go on."""
    killed: list[int] = []
    for sim in worlds.values():
        kill_in_write(sim, rng.randint(1, MOST_WRITES), killed)
    run_until_all_done(machines, folder, worlds)
    come_to_rest(worlds, what, len(killed))


def kill_scheduler(folder: Path, worlds: Worlds, rng: Random, what: str, *engine: str) -> None:
    """Kill ``firms run`` in a write of one of the worlds, start it again, and let it run until all are done."""
    first, go_on = start_until_write(folder, worlds, rng, *engine)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    done_before = runs_done(worlds)
    go_on.set()
    second = start_firms_run(folder, *engine)
    run_until_done_again(second, worlds, done_before)
    come_to_rest(worlds, what, 1)


def kill_dask(machines: Machines, folder: Path, worlds: Worlds, rng: Random, minutes: float) -> None:
    """Kill the cluster's scheduler in a write of a world, and start the cluster again; ``firms run`` stays."""
    running, go_on = start_until_write(folder, worlds, rng, "--cluster", machines.address)
    machines.kill_scheduler()
    go_on.set()
    time.sleep(minutes * 60)
    assert running.poll() is None, f"firms run ended with {running.returncode}"
    done_before = runs_done(worlds)
    machines.start_scheduler_again()
    for worker in ("a", "b"):
        machines.start_worker(worker, nanny=True)
    run_until_done_again(running, worlds, done_before)
    come_to_rest(worlds, f"Dask's scheduler, away for {minutes:g} minutes", 1)


def start_until_write(folder: Path, worlds: Worlds, rng: Random, *engine: str) -> tuple[Popen[bytes], threading.Event]:
    """Start ``firms run``; the process once a write of a world has no answer yet, and what lets the answer go."""
    written, go_on = threading.Event(), threading.Event()
    number = rng.randint(1, MOST_WRITES)

    def wait_in_write(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        nonlocal number
        number -= call.is_write
        if number == 0 and not written.is_set():
            written.set()
            go_on.wait(PATIENCE_SECONDS)
        return None

    for sim in worlds.values():
        sim.firm.espo.after = sim.firm.advo.after = wait_in_write
    process = start_firms_run(folder, *engine)
    assert written.wait(PATIENCE_SECONDS), "nothing was written"
    return process, go_on


def start_firms_run(folder: Path, *engine: str) -> Popen[bytes]:
    command = [sys.executable, "-m", "jobs", "firms", "run", "--dir", str(folder), *engine]
    return Popen(command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)


def runs_done(worlds: Worlds) -> dict[str, int]:
    return {name: int(str(query_store(sim.path, RUNS_DONE)[0][0])) for name, sim in worlds.items()}


def run_until_done_again(process: Popen[bytes], worlds: Worlds, done_before: dict[str, int]) -> None:
    """Wait until each world had another run that ended well, and stop ``firms run`` in order."""
    wait_for(lambda: all(done > done_before[name] for name, done in runs_done(worlds).items()))
    process.send_signal(signal.SIGTERM)
    assert process.wait() == ExitCode.DONE
    wait_for(lambda: not any(query_store(sim.path, "select pid from lease") for sim in worlds.values()))


def come_to_rest(worlds: Worlds, what: str, killed: int) -> None:
    """Check what must hold after a run and at rest, and let people edit for the next time."""
    assert killed, what
    for name, sim in worlds.items():
        sim.firm.espo.after = sim.firm.advo.after = None
        sim.had_faults = True
        check_after_run(sim.firm, sim.path, left_lease=False, earlier_conflicts={})
        sim.run_to_rest(plan_share=0)
        assert sim.run_and_check(write=False) == "done", name
        assert not sim.report.changes, name
        sim.edit_all(what, share=1.0)
        sim.firm.clock.advance(60)
    print(f"{time.strftime('%H:%M:%S')} {what}: {killed} killed; {len(worlds)} firms at rest, plans quiet", flush=True)


def kill_undo(machines: Machines, folder: Path, worlds: Worlds) -> None:
    """Sync the last edits, undo that run in each world, and kill the undo in its first write, amid a round."""
    run_until_all_done(machines, folder, worlds)
    killed: list[int] = []
    for name, sim in worlds.items():
        [[run_id]] = query_store(sim.path, "select max(run_id) from changes where state = 'done'")
        command = [sys.executable, "-m", "jobs", "--config", str(folder / f"{name}.yaml"), "undo", str(run_id), "--yes"]
        outcomes: list[str] = []

        def sync_beside(name: str = name, outcomes: list[str] = outcomes) -> None:
            outcomes.append(ask(machines, folder, FirmCommand.SYNC, name)[name].outcome)

        undo = Popen(command, stdout=DEVNULL, stderr=DEVNULL)
        kill_undo_in_write(sim, undo, sync_beside, killed)
        undo.wait()
        assert undo.returncode == -signal.SIGKILL, (name, undo.returncode)
        sim.firm.espo.after = sim.firm.advo.after = None
        run_until_all_done(machines, folder, worlds)
        again = Popen(command, stdout=DEVNULL, stderr=DEVNULL)
        assert again.wait() == ExitCode.DONE, (name, again.returncode)
        run_until_all_done(machines, folder, worlds)
        check_after_run(sim.firm, sim.path, left_lease=False, earlier_conflicts={})
        for person in sim.firm.persons:
            check_no_duplicates(sim.firm, person)
        plan = ask(machines, folder, FirmCommand.PLAN, name)[name]
        assert plan.exit_code == ExitCode.DONE, (name, plan)
        assert outcomes == ["locked"], (name, outcomes)
        print(f"{name}: undo of run {run_id} killed; beside it a round ended {outcomes}; carried out, plan quiet")


def kill_undo_in_write(sim: Simulation, undo: Popen[bytes], sync_beside: object, killed: list[int]) -> None:
    """In the first write of the undo let a round try the same firm, then kill the undo before its answer."""

    def kill(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.is_write and undo.pid not in killed:
            [[pid]] = query_store(sim.path, "select pid from lease")
            assert pid == undo.pid
            killed.append(undo.pid)
            threading.Thread(target=end_undo).start()
            undo.wait()
        return None

    def end_undo() -> None:
        assert callable(sync_beside)
        sync_beside()
        undo.kill()

    sim.firm.espo.after = sim.firm.advo.after = kill


if __name__ == "__main__":
    sys.exit(main())
