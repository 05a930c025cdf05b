"""Every moment at which a process can die, one after the other: exhaustive over small worlds, not sampled.

A moment is before or after a write to either system, or before or after a commit of the state store. The world is
lived up to the run in question once for each moment; that run dies there, and everybody must come to rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.chance import Fate
from tests.simulation.faults import CALM, Weather
from tests.simulation.history import Life, a_life
from tests.simulation.worlds import Nature

NEVER = 10_000


@dataclass(frozen=True)
class Moment:
    """A point of one run of one world: ``later`` is the run after the first edits, else the first sync."""

    seed: int
    later: bool
    point: int


def points(seed: int, *, later: bool, persons: int = 2) -> int:
    """How many moments the run has."""
    with prepared(seed, later=later, persons=persons) as life:
        life.step(Weather(kill_at=NEVER))
        return life.storm.points


def killed_at(moment: Moment, persons: int = 2) -> Life:
    """Kill the run at this moment and let everybody come to rest; a Violation says what was lost."""
    with prepared(moment.seed, later=moment.later, persons=persons) as life:
        ended = life.step(Weather(kill_at=moment.point))
        assert ended == "killed", f"{moment} was not reached"
        life.come_to_rest()
        return life


def every_moment(seed: int, persons: int = 2) -> Iterator[Moment]:
    """All moments of the first sync and of the run after edits."""
    for later in (False, True):
        for point in range(1, points(seed, later=later, persons=persons) + 1):
            yield Moment(seed, later, point)


class prepared:  # noqa: N801  a context manager
    """The world just before the run in question."""

    def __init__(self, seed: int, *, later: bool, persons: int) -> None:
        self.later = later
        self.life = a_life(seed, persons=persons, nature=nature_of(seed, persons))

    def __enter__(self) -> Life:
        life = self.life.__enter__()
        if self.later:
            life.step(CALM)
            life.firm.clock.advance(600)
            life.remember()
            life.edit_all("edits", share=1.0)
            life.firm.clock.advance(60)
        return life

    def __exit__(self, *reason: object) -> None:
        self.life.__exit__(*reason)


def nature_of(seed: int, persons: int) -> Nature:
    """The nature of a seed; both scopes and both ways of a PUT in turn."""
    return Nature.drawn(Fate(seed).dice("nature"), persons)
