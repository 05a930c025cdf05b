"""``python -m tests.simulation --seed 7``: live the world of a seed, print what went wrong, shrink it.

``python -m tests.simulation figures``: live many in parallel, keep the results, print them as tables (``figures.py``).
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections import Counter

from tests.simulation.chance import SeededChance
from tests.simulation.figures import run_figures
from tests.simulation.history import Simulation, open_simulation
from tests.simulation.invariants import Violation
from tests.simulation.shrink import shrink_accidents
from tests.simulation.worlds import LATEST_EDITION, Traits


def main() -> int:
    if sys.argv[1:2] == ["figures"]:
        return run_figures(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--persons", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--edition", type=int, default=LATEST_EDITION, help="of what people and weather know")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    failures: Counter[str] = Counter()
    started = time.perf_counter()
    worlds = 0
    for seed in range(options.seed, options.seed + options.worlds):
        if time.perf_counter() - started > options.seconds:
            break
        worlds += 1
        failure, sim = run_seed(seed, options.persons, options.episodes, options.edition)
        if options.trace:
            print("\n".join(sim.trace))
        if failure is None:
            continue
        name = failure.rule if isinstance(failure, Violation) else type(failure).__name__
        failures[name] += 1
        print(f"seed {seed}: {str(failure)[:600]}")
        if not isinstance(failure, Violation):
            traceback.print_exception(failure, limit=-4)
        size = f"--persons {options.persons} --episodes {options.episodes} --edition {options.edition}"
        print(f"  python -m tests.simulation --seed {seed} {size} --shrink", flush=True)
        if options.shrink:
            print_shrunk_world(seed, options.persons, options.episodes, options.edition, name, str(failure))
    elapsed = time.perf_counter() - started
    print(f"{worlds} worlds, {worlds * options.persons} person-histories, {elapsed:.1f} s, failures {dict(failures)}")
    return 1 if failures else 0


def run_seed(
    seed: int, persons: int, episodes: int, edition: int, excluded: frozenset[str] = frozenset()
) -> tuple[Exception | None, Simulation]:
    """What was wrong with the life of a seed, and the life."""
    traits = Traits.draw(SeededChance(seed).rng("nature"), persons, edition)
    with open_simulation(seed, persons=persons, excluded=excluded, traits=traits) as sim:
        try:
            sim.run_episodes(episodes)
        except Exception as failure:  # noqa: BLE001
            return failure, sim
        return None, sim


def print_shrunk_world(seed: int, persons: int, episodes: int, edition: int, name: str, message: str) -> None:
    def occurred_without(excluded: frozenset[str]) -> list[str] | None:
        failure, sim = run_seed(seed, persons, episodes, edition, excluded)
        failure_name = failure.rule if isinstance(failure, Violation) else type(failure).__name__ if failure else None
        return sim.chance.occurred if failure_name == name else None

    person_match = re.search(r"person(\d+)|/0+([0-9a-f]+)'", message)
    suspect = person_match and (person_match[1] or str(int(person_match[2], 16) - 1))
    others = frozenset(f"person{number}" for number in range(persons) if str(number) != suspect)
    excluded = shrink_accidents(occurred_without, others if suspect else frozenset())
    failure, sim = run_seed(seed, persons, episodes, edition, excluded)
    print("shrunk to", sim.chance.occurred)
    print("\n".join(line[:420] for line in sim.trace))
    print(failure)


if __name__ == "__main__":
    sys.exit(main())
