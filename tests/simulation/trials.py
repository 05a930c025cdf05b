"""One fault alone, at the first sync or at a run after edits, in the world of a seed: is anything lost?"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tests.simulation.chance import Fate
from tests.simulation.faults import FAULTS, Moment, Weather
from tests.simulation.history import Life, a_life
from tests.simulation.worlds import Nature

MOST_RUNS = 4  # in which a fault may strike before it counts as one that never came


class Tried(NamedTuple):
    """How a trial ended: whether its fault came at all, and what was wrong."""

    struck: bool
    wrong: Exception | None


def trial(fault: str, *, later: bool, seed: int, persons: int = 3) -> Exception | None:
    """Live a world of this seed with this fault, the rest calm; return what was wrong, None when all was well.

    ``later``: all agree, people edit, and the fault strikes the next runs; else it strikes the first sync.
    """
    return tried(fault, later=later, seed=seed, persons=persons).wrong


def tried(fault: str, *, later: bool, seed: int, persons: int = 3) -> Tried:
    """The same, and whether the fault came at all: where it never did, nothing was tried."""
    nature = replace(Nature.drawn(Fate(seed).dice("nature"), persons), **FAULTS[fault].nature)  # type: ignore[arg-type]
    with a_life(seed, persons=persons, nature=nature) as life:
        try:
            lived(life, fault, later=later)
        except Exception as wrong:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
            return Tried(struck=True, wrong=wrong)
    return Tried(FAULTS[fault].moment is Moment.NATURE or bool(life.storm.struck[fault]), None)


def lived(life: Life, fault: str, *, later: bool) -> None:
    """The life of a trial."""
    if later:
        life.come_to_rest()
        life.edit_all("edits", share=1.0)
    one = FAULTS[fault]
    for _ in range(MOST_RUNS):
        life.firm.clock.advance(60)
        struck(life, fault, later=later)
        if life.storm.struck[fault] or one.moment is Moment.NATURE:
            break
    life.come_to_rest(sweeps=one.unseen)


def struck(life: Life, fault: str, *, later: bool) -> None:
    """One run, or more, in which the fault may strike."""
    one = FAULTS[fault]
    if one.moment is not Moment.STORE:
        life.step(Weather({fault: one.chance}))
        return
    if not later:
        life.step(write=False)
    backup = life.stored() if fault == "old backup put back" else None
    life.step()
    life.lose_store(backup)
    life.storm.struck[fault] += 1
