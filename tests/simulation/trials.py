"""One fault alone, at the first sync or at a run after edits, in the world of a seed: is anything lost?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from tests.simulation.chance import Fate
from tests.simulation.fault import Moment, Weather
from tests.simulation.faults import FAULTS
from tests.simulation.history import Life, Past, a_life
from tests.simulation.memory import remembered_plans
from tests.simulation.worlds import Nature

SELDOM = 0.03  # how often a run is planned first: whole worlds see to that
MOST_RUNS = 4  # in which a fault may strike before it counts as one that never came


class Tried(NamedTuple):
    """How a trial ended: whether its fault came at all (where it never did, nothing was tried), what was wrong."""

    struck: bool
    wrong: Exception | None
    trace: tuple[str, ...]


def trial(fault: str, *, later: bool, seed: int, persons: int = 3, edition: int = 3) -> Exception | None:
    """Live a world of this seed with this fault, the rest calm; return what was wrong, None when all was well.

    ``later``: all agree, people edit, and the fault strikes the next runs; else it strikes the first sync.
    """
    ((_, found),) = trials([fault], later=later, seed=seed, persons=persons, edition=edition)
    return found.wrong


def trials(
    faults: Iterable[str], *, later: bool, seed: int, persons: int = 3, edition: int = 3
) -> Iterator[tuple[str, Tried]]:
    """One trial after the other in the world of this seed, which is lived once up to where they differ.

    What changes the nature of the world needs a world of its own. Yields fault and how its trial ended; a world that is
    bad before a fault strikes is bad for all of them.
    """
    drawn = Nature.drawn(Fate(seed).dice("nature"), persons, edition)
    kinds: dict[Nature, list[str]] = {}
    for fault in faults:
        kinds.setdefault(replace(drawn, **FAULTS[fault].nature), []).append(fault)  # type: ignore[arg-type]
    for nature, alike in kinds.items():
        with a_life(seed, persons=persons, nature=nature) as life, remembered_plans():
            past = beginning(life, later=later)
            for fault in alike:
                yield fault, past if isinstance(past, Tried) else tried(life, past, fault, later=later)


def beginning(life: Life, *, later: bool) -> Past | Tried:
    """Live up to where a fault is to strike; what was wrong, if anything was."""
    try:
        if later:
            life.come_to_rest(sampled=SELDOM)
            life.storm.backup, life.storm.begun_since_backup = life.firm.advo.backup(), 0
            life.edit_all("edits", share=1.0)
    except Exception as wrong:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
        return Tried(struck=True, wrong=wrong, trace=tuple(life.trace))
    return Past(life)


def tried(life: Life, past: Past, fault: str, *, later: bool) -> Tried:
    """Go back to the beginning, live on with this fault, and say whether it came at all and what was wrong."""
    life.go_back_to(past)
    try:
        lived(life, fault, later=later)
    except Exception as wrong:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
        return Tried(struck=True, wrong=wrong, trace=tuple(life.trace))
    came = FAULTS[fault].moment is Moment.NATURE or bool(life.storm.struck[fault])
    return Tried(came, None, tuple(life.trace))


def lived(life: Life, fault: str, *, later: bool) -> None:
    """The runs in which the fault may strike, and all that follows."""
    one = FAULTS[fault]
    for _ in range(MOST_RUNS):
        life.firm.clock.advance(60)
        struck(life, fault, later=later)
        if life.storm.struck[fault] or one.moment is Moment.NATURE:
            break
    life.come_to_rest(sweeps=one.unseen, sampled=SELDOM)


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
