"""One fault alone, at the first sync or at a run after edits, in the world of a seed: is anything lost?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from tests.simulation.chance import SeededChance
from tests.simulation.fault import FaultProfile, InjectionPoint
from tests.simulation.faults import FAULTS
from tests.simulation.history import Simulation, SimulationSnapshot, open_simulation
from tests.simulation.memory import cache_plans
from tests.simulation.worlds import LATEST_EDITION, Traits

RARE_PLAN_SHARE = 0.03  # how often a run is planned first: whole worlds see to that
MOST_RUNS = 4  # in which a fault may strike before it counts as one that never came


class TrialResult(NamedTuple):
    """How a trial ended: whether its fault came at all (where it never did, nothing was tried), what was wrong."""

    injected: bool
    failure: Exception | None
    trace: tuple[str, ...]


def trial_failure(
    fault: str, *, later: bool, seed: int, persons: int = 3, edition: int = LATEST_EDITION
) -> Exception | None:
    """Live a world of this seed with this fault, the rest calm; return what was wrong, None when all was well.

    ``later``: all agree, people edit, and the fault strikes the next runs; else it strikes the first sync.
    """
    ((_, result),) = trial_results([fault], later=later, seed=seed, persons=persons, edition=edition)
    return result.failure


def trial_results(
    faults: Iterable[str], *, later: bool, seed: int, persons: int = 3, edition: int = LATEST_EDITION
) -> Iterator[tuple[str, TrialResult]]:
    """One trial after the other in the world of this seed, which is lived once up to where they differ.

    What changes the nature of the world needs a world of its own. Yields fault and how its trial ended; a world that is
    bad before a fault strikes is bad for all of them.
    """
    random_traits = Traits.draw(SeededChance(seed).rng("nature"), persons, edition)
    faults_by_traits: dict[Traits, list[str]] = {}
    for fault in faults:
        faults_by_traits.setdefault(replace(random_traits, **FAULTS[fault].traits), []).append(fault)  # type: ignore[arg-type]
    for traits, same_world_faults in faults_by_traits.items():
        with open_simulation(seed, persons=persons, traits=traits) as sim, cache_plans():
            start = run_up_to_fault(sim, later=later)
            for fault in same_world_faults:
                yield fault, start if isinstance(start, TrialResult) else run_trial(sim, start, fault, later=later)


def run_up_to_fault(sim: Simulation, *, later: bool) -> SimulationSnapshot | TrialResult:
    """Live up to where a fault is to strike; what was wrong, if anything was."""
    try:
        if later:
            sim.run_to_rest(plan_share=RARE_PLAN_SHARE)
            sim.injector.advo_backup, sim.injector.runs_since_backup = sim.firm.advo.backup(), 0
            sim.edit_all("edits", share=1.0)
    except Exception as failure:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
        return TrialResult(injected=True, failure=failure, trace=tuple(sim.trace))
    return SimulationSnapshot(sim)


def run_trial(sim: Simulation, snapshot: SimulationSnapshot, fault: str, *, later: bool) -> TrialResult:
    """Go back to the beginning, live on with this fault, and say whether it came at all and what was wrong."""
    sim.restore(snapshot)
    try:
        run_with_fault(sim, fault, later=later)
    except Exception as failure:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
        return TrialResult(injected=True, failure=failure, trace=tuple(sim.trace))
    injected = FAULTS[fault].point is InjectionPoint.TRAIT or bool(sim.injector.injected[fault])
    return TrialResult(injected, None, tuple(sim.trace))


def run_with_fault(sim: Simulation, fault: str, *, later: bool) -> None:
    """The runs in which the fault may strike, and all that follows."""
    spec = FAULTS[fault]
    for _ in range(MOST_RUNS):
        sim.firm.clock.advance(60)
        inject_in_run(sim, fault, later=later)
        if sim.injector.injected[fault] or spec.point is InjectionPoint.TRAIT:
            break
    sim.run_to_rest(sweeps=spec.sweep_only, plan_share=RARE_PLAN_SHARE)


def inject_in_run(sim: Simulation, fault: str, *, later: bool) -> None:
    """One run, or more, in which the fault may strike."""
    spec = FAULTS[fault]
    if spec.point is not InjectionPoint.STORE:
        sim.run_and_check(FaultProfile({fault: spec.probability}))
        return
    if not later:
        sim.run_and_check(write=False)
    backup = sim.store_bytes() if fault == "old backup put back" else None
    sim.run_and_check()
    sim.lose_store(backup)
    sim.injector.injected[fault] += 1
