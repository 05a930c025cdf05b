"""Taking a protection away from the engine, and the worlds in which the simulation must see that it is missing.

A function is replaced where the engine looks it up; the engine itself has no switch for it. The calls of what was put
in place are counted: a mutation nobody calls would prove nothing, nor does one that merely crashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, NamedTuple

from etl.rules.variants import Variant
from tests.simulation.chance import Fate
from tests.simulation.fault import Fault, Weather
from tests.simulation.faults import FAULTS
from tests.simulation.history import Life, a_life
from tests.simulation.invariants import Violation
from tests.simulation.worlds import Nature

Broken = Callable[[Any], Callable[..., Any]]
"""From the engine's own function to what stands in its place."""


@dataclass(frozen=True)
class Worlds:
    """Small worlds of one kind: their persons, rounds of edits before the fault strikes, people who edit meanwhile;
    ``edition``: of the rules, what people and weather know."""

    fault: str = "none"
    rounds: int = 1
    persons: int = 3
    people: float = 0.0
    side: str | None = None
    nature: Mapping[str, Any] = field(default_factory=dict)
    edition: int = 1

    def lived(self, seed: int) -> Exception | None:
        """Live the one of this seed; what was wrong with it."""
        fault = FAULTS[self.fault]
        drawn = Nature.drawn(Fate(seed).dice("nature"), self.persons, self.edition)
        nature = replace(drawn, **{**fault.nature, **self.nature})
        with a_life(seed, persons=self.persons, nature=nature) as life:
            try:
                self.live(life, fault)
            except Exception as wrong:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
                return wrong
        return None

    def live(self, life: Life, fault: Fault) -> None:
        """Rounds of edits, each brought to rest; in the last one, or the first sync, the fault strikes."""
        for number in range(self.rounds):
            life.come_to_rest()
            life.edit_all(f"round{number}", share=0.6)
            life.firm.clock.advance(300)
            life.edit_all(f"round{number}, later", share=0.6)
        life.firm.clock.advance(60)
        life.step(Weather({self.fault: fault.chance}, people=self.people, side=self.side))
        life.come_to_rest(sweeps=fault.unseen)


@dataclass(frozen=True)
class Mutation:
    """A protection taken away: ``places`` are looked up as the engine does, "module:name" or "module:Class.name".

    ``seed``: from where on a world that shows it is not far; ``case``: a case by name that shows it at once, where such
    a world is rare.
    """

    name: str
    places: tuple[str, ...]
    broken: Broken
    worlds: Worlds
    seed: int = 0
    case: Callable[[], None] | None = None


class Seen(NamedTuple):
    """How the simulation saw a mutation: in the world of this seed, the ``lived``-th it looked at, by this promise."""

    seed: int
    lived: int
    rule: str


def seen(mutation: Mutation, seeds: Iterable[int]) -> Seen | None:
    """The first of these worlds that is bad with the mutation and well without; None when there is none."""
    for lived, seed in enumerate(seeds, start=1):
        with taken_away(mutation) as calls:
            wrong = mutation.worlds.lived(seed)
        if isinstance(wrong, AssertionError) and calls and mutation.worlds.lived(seed) is None:
            return Seen(seed, lived, promise(wrong))
    return None


def seen_in_case(mutation: Mutation) -> str | None:
    """The promise that breaks in the mutation's case by name, which holds without it by a test of its own."""
    with taken_away(mutation) as calls:
        try:
            mutation.case() if mutation.case else None
        except AssertionError as wrong:
            return promise(wrong) if calls else None
    return None


def promise(wrong: AssertionError) -> str:
    """What broke; the engine has assertions of its own."""
    return wrong.rule if isinstance(wrong, Violation) else str(wrong).partition("\n")[0]


@contextmanager
def taken_away(mutation: Mutation) -> Iterator[Counter[str]]:
    """Let the engine do without this protection for the time of a block; yields the calls by place."""
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        for place in mutation.places:
            stack.enter_context(put_in_place(place, mutation.broken, calls))
        yield calls


@contextmanager
def put_in_place(place: str, broken: Broken, calls: Counter[str]) -> Iterator[None]:
    """One function replaced where it is looked up, a module, a class or a table of functions."""
    module, _, path = place.partition(":")
    *way, name = path.split(".")
    owner: Any = import_module(module)
    for step in way:
        owner = getattr(owner, step)
    is_table = isinstance(owner, dict)
    key: Any = Variant(name) if is_table else name
    real = owner[key] if is_table else getattr(owner, name)
    instead = broken(real)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[place] += 1
        return instead(*args, **kwargs)

    put = owner.__setitem__ if is_table else lambda key, value: setattr(owner, key, value)
    put(key, counted)
    try:
        yield
    finally:
        put(key, real)
