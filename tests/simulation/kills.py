"""Every moment at which a process can die, one after the other: exhaustive over small worlds, not sampled.

A moment is before or after a write to either system, or before or after a commit of the state store. The world is
lived up to the run in question once; then for each moment it goes back there, the run dies at that moment, and
everybody must come to rest with the right answer. With ``power`` all dies that was not synced, and the systems keep
what was written to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.chance import Fate
from tests.simulation.fault import Weather
from tests.simulation.history import GONE, Life, Past, a_life
from tests.simulation.invariants import Violation
from tests.simulation.memory import remembered_plans
from tests.simulation.worlds import Nature

NEVER = 10_000


@dataclass(frozen=True)
class Kill:
    """A process that died: in the first sync or in the run after edits (``later``), at this point of it."""

    seed: int
    later: bool
    point: int
    wrong: str | None
    trace: tuple[str, ...]


def kills(
    seed: int, *, later: bool, persons: int = 2, only: int | None = None, power: bool = False
) -> Iterator[Kill]:
    """Kill the run at each of its moments in turn (or ``only`` at one) and say what was wrong at rest.

    With ``power`` those moments at which something is lost; at all others it is a kill like any other.
    """
    nature = Nature.drawn(Fate(seed).dice("nature"), persons)
    with a_life(seed, persons=persons, nature=nature) as life, remembered_plans():
        if later:
            life.come_to_rest()
            life.edit_all("edits", share=1.0)
        life.firm.clock.advance(60)
        past = Past(life)
        life.step(Weather(kill_at=NEVER))
        for point in [only] if only else range(1, life.storm.points + 1):
            life.go_back_to(past)
            wrong = died(life, point, power=power)
            if not power or GONE in life.trace:
                yield Kill(seed, later, point, wrong, tuple(life.trace))


def died(life: Life, point: int, *, power: bool) -> str | None:
    """Let the process die at this point; what was wrong afterwards."""
    try:
        if life.step(Weather(kill_at=point, power=power)) != "killed":
            return "the point was not reached"
        if power and GONE not in life.trace:
            return None
        life.come_to_rest(sweeps=True)
    except Violation as wrong:
        return str(wrong)
    return None
