"""Worlds of the simulation whose runs take place on a cluster's workers, killed amid their writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
import yaml

from jobs.firms.result import FirmCommand
from jobs.sandbox.advoware import login
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.firms.machines import Machines, ask
from tests.simulation.history import Simulation, open_simulation
from tests.simulation.invariants import check_after_run
from tests.simulation.told import query_store
from tests.simulation.worlds import Traits

SEEDS = (11, 12, 13)
MAX_ROUNDS = 8


@contextmanager
def firms_on_workers(folder: Path) -> Iterator[dict[str, Simulation]]:
    """A world for each seed behind real sockets, and the file by which workers run it."""
    with ExitStack() as stack:
        worlds: dict[str, Simulation] = {}
        for seed in SEEDS:
            sim = stack.enter_context(open_simulation(seed, persons=4, traits=Traits(persons=4)))
            sim.firm.clock.at = None  # the workers' clock is the real one
            sim.use_servers(stack.enter_context(Servers(sim.firm.espo, sim.firm.advo)))
            worlds[f"world{seed}"] = sim
            sections = {
                name: section.model_dump(mode="json", exclude_unset=True)
                for name, section in sim.config
                if name in {"espocrm", "advoware", "sync", "state"}
            }
            sections["espocrm"] |= {"api_key": sim.config.espocrm.api_key.get_secret_value(), "settle_seconds": 0}
            for key in ("api_key", "password"):
                sections["advoware"][key] = getattr(sim.config.advoware, key).get_secret_value()
            (folder / f"world{seed}.yaml").write_text(yaml.safe_dump(sections), "utf-8")
        yield worlds


def kill_in_write(sim: Simulation, number: int, killed: list[int]) -> None:
    """Kill the worker that sends this world's write of that number, to either system, between it and its answer."""
    writes = 0

    def kill(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        nonlocal writes
        writes += call.is_write
        if call.is_write and writes == number:
            [[pid]] = query_store(sim.path, "select pid from lease")
            killed.append(int(str(pid)))
            os.kill(killed[-1], signal.SIGKILL)
        return None

    sim.firm.espo.after = sim.firm.advo.after = kill


def run_until_all_done(machines: Machines, folder: Path, worlds: dict[str, Simulation]) -> None:
    """Rounds until every firm had a run that ended well; a second attempt beside a first is no failure."""
    done: set[str] = set()
    for _ in range(MAX_ROUNDS):
        results = ask(machines, folder, FirmCommand.SYNC)
        assert {result.outcome for result in results.values()} <= {"done", "locked"}, results
        done |= {name for name, result in results.items() if result.outcome == "done"}
        if done == set(worlds):
            return
    raise AssertionError(done)


@pytest.mark.slow
def test_workers_killed_in_first_syncs_and_later_runs_break_no_invariant(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "OLDEST_REQUEST", timedelta(days=30))  # on the way to rest days pass in these worlds
    for name in ("a", "b"):
        machines.start_worker(name, nanny=True)  # a nanny puts another worker in the place of one that was killed
    with firms_on_workers(tmp_path) as worlds:
        rng = Random(1)  # noqa: S311 - a simulation, no secret
        killed: list[int] = []
        for life in range(2):
            before = len(killed)
            for sim in worlds.values():
                sim.had_faults = True
                kill_in_write(sim, rng.randint(1, 6), killed)
            run_until_all_done(machines, tmp_path, worlds)
            assert len(killed) > before, life
            for sim in worlds.values():
                sim.firm.espo.after = sim.firm.advo.after = None
                check_after_run(sim.firm, sim.path, left_lease=False, earlier_conflicts={})
                sim.run_to_rest(plan_share=0)
                sim.edit_all(f"edits{life}", share=1.0)
                sim.firm.clock.advance(60)
