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

from tests.simulation.chance import Fate
from tests.simulation.figures import figures
from tests.simulation.history import Life, a_life
from tests.simulation.invariants import Violation
from tests.simulation.shrink import smaller
from tests.simulation.worlds import Nature


def main() -> int:
    if sys.argv[1:2] == ["figures"]:
        return figures(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--persons", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--edition", type=int, default=3, help="of what people and weather know")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9)
    asked = parser.parse_args()
    failures: Counter[str] = Counter()
    began = time.perf_counter()
    worlds = 0
    for seed in range(asked.seed, asked.seed + asked.worlds):
        if time.perf_counter() - began > asked.seconds:
            break
        worlds += 1
        wrong, life = lived(seed, asked.persons, asked.episodes, asked.edition)
        if asked.trace:
            print("\n".join(life.trace))
        if wrong is None:
            continue
        name = wrong.rule if isinstance(wrong, Violation) else type(wrong).__name__
        failures[name] += 1
        print(f"seed {seed}: {str(wrong)[:600]}")
        if not isinstance(wrong, Violation):
            traceback.print_exception(wrong, limit=-4)
        size = f"--persons {asked.persons} --episodes {asked.episodes} --edition {asked.edition}"
        print(f"  python -m tests.simulation --seed {seed} {size} --shrink", flush=True)
        if asked.shrink:
            shrink(seed, asked.persons, asked.episodes, asked.edition, name, str(wrong))
    spent = time.perf_counter() - began
    print(f"{worlds} worlds, {worlds * asked.persons} person-histories, {spent:.1f} s, failures {dict(failures)}")
    return 1 if failures else 0


def lived(
    seed: int, persons: int, episodes: int, edition: int, spared: frozenset[str] = frozenset()
) -> tuple[Exception | None, Life]:
    """What was wrong with the life of a seed, and the life."""
    nature = Nature.drawn(Fate(seed).dice("nature"), persons, edition)
    with a_life(seed, persons=persons, spared=spared, nature=nature) as life:
        try:
            life.live(episodes)
        except Exception as wrong:  # noqa: BLE001
            return wrong, life
        return None, life


def shrink(seed: int, persons: int, episodes: int, edition: int, name: str, told: str) -> None:
    def fails(spared: frozenset[str]) -> list[str] | None:
        wrong, life = lived(seed, persons, episodes, edition, spared)
        found = wrong.rule if isinstance(wrong, Violation) else type(wrong).__name__ if wrong else None
        return life.fate.struck if found == name else None

    named = re.search(r"person(\d+)|/0+([0-9a-f]+)'", told)
    alone = named and (named[1] or str(int(named[2], 16) - 1))
    others = frozenset(f"person{number}" for number in range(persons) if str(number) != alone)
    spared = smaller(fails, others if alone else frozenset())
    wrong, life = lived(seed, persons, episodes, edition, spared)
    print("shrunk to", life.fate.struck)
    print("\n".join(line[:420] for line in life.trace))
    print(wrong)


if __name__ == "__main__":
    sys.exit(main())
