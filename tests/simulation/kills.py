"""Every moment at which a process can die, one after the other: exhaustive over small worlds, not sampled.

A moment is before or after a write to either system, or before or after a commit of the state store. The world is
lived up to the run in question once; then for each moment it goes back there, the run dies at that moment, and
everybody must come to rest with the right answer. With ``power`` all dies that was not synced, and the systems keep
what was written to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.chance import SeededChance
from tests.simulation.fault import FaultProfile
from tests.simulation.history import UNSYNCED_LOST, Simulation, SimulationSnapshot, open_simulation
from tests.simulation.invariants import Violation
from tests.simulation.memory import cache_plans
from tests.simulation.worlds import Traits

NO_KILL_POINT = 10_000


@dataclass(frozen=True)
class KillResult:
    """A process that died: in the first sync or in the run after edits (``later``), at this point of it."""

    seed: int
    later: bool
    point: int
    failure: str | None
    trace: tuple[str, ...]


def kill_results(
    seed: int, *, later: bool, persons: int = 2, only: int | None = None, power: bool = False
) -> Iterator[KillResult]:
    """Kill the run at each of its moments in turn (or ``only`` at one) and say what was wrong at rest.

    With ``power`` those moments at which something is lost; at all others it is a kill like any other.
    """
    traits = Traits.draw(SeededChance(seed).rng("nature"), persons)
    with open_simulation(seed, persons=persons, traits=traits) as sim, cache_plans():
        if later:
            sim.run_to_rest()
            sim.edit_all("edits", share=1.0)
        sim.firm.clock.advance(60)
        snapshot = SimulationSnapshot(sim)
        sim.run_and_check(FaultProfile(kill_at=NO_KILL_POINT))
        for point in [only] if only else range(1, sim.injector.point_count + 1):
            sim.restore(snapshot)
            failure = kill_failure(sim, point, power=power)
            if not power or UNSYNCED_LOST in sim.trace:
                yield KillResult(seed, later, point, failure, tuple(sim.trace))


def kill_failure(sim: Simulation, point: int, *, power: bool) -> str | None:
    """Let the process die at this point; what was wrong afterwards."""
    try:
        if sim.run_and_check(FaultProfile(kill_at=point, power=power)) != "killed":
            return "the point was not reached"
        if power and UNSYNCED_LOST not in sim.trace:
            return None
        sim.run_to_rest(sweeps=True)
    except Violation as violation:
        return str(violation)
    return None
