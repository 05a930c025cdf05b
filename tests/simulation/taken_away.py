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
from tests.simulation.chance import SeededChance
from tests.simulation.fault import FaultProfile, FaultSpec
from tests.simulation.faults import FAULTS
from tests.simulation.history import Simulation, open_simulation
from tests.simulation.invariants import Violation
from tests.simulation.worlds import Traits

Replacement = Callable[[Any], Callable[..., Any]]
"""From the engine's own function to what stands in its place."""


@dataclass(frozen=True)
class WorldSpec:
    """Small worlds of one kind: their persons, rounds of edits before the fault strikes, people who edit meanwhile;
    ``edition``: of the rules, what people and weather know."""

    fault: str = "none"
    rounds: int = 1
    persons: int = 3
    edit_probability: float = 0.0
    side: str | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)
    edition: int = 1

    def failure_of(self, seed: int) -> Exception | None:
        """Live the one of this seed; what was wrong with it."""
        fault = FAULTS[self.fault]
        random_traits = Traits.draw(SeededChance(seed).rng("nature"), self.persons, self.edition)
        traits = replace(random_traits, **{**fault.traits, **self.traits})
        with open_simulation(seed, persons=self.persons, traits=traits) as sim:
            try:
                self.run_rounds(sim, fault)
            except Exception as failure:  # noqa: BLE001 - the engine's own errors are as bad as a broken promise
                return failure
        return None

    def run_rounds(self, sim: Simulation, fault: FaultSpec) -> None:
        """Rounds of edits, each brought to rest; in the last one, or the first sync, the fault strikes."""
        for number in range(self.rounds):
            sim.run_to_rest()
            sim.edit_all(f"round{number}", share=0.6)
            sim.firm.clock.advance(300)
            sim.edit_all(f"round{number}, later", share=0.6)
        sim.firm.clock.advance(60)
        sim.run_and_check(
            FaultProfile({self.fault: fault.probability}, edit_probability=self.edit_probability, side=self.side)
        )
        sim.run_to_rest(sweeps=fault.sweep_only)


@dataclass(frozen=True)
class Mutation:
    """A protection taken away: ``places`` are looked up as the engine does, "module:name" or "module:Class.name".

    ``seed``: from where on a world that shows it is not far; ``case``: a case by name that shows it at once, where such
    a world is rare.
    """

    name: str
    places: tuple[str, ...]
    replacement: Replacement
    worlds: WorldSpec
    seed: int = 0
    case: Callable[[], None] | None = None


class Detection(NamedTuple):
    """How the simulation saw a mutation.

    In the world of this seed, the ``world_count``-th it looked at, by this promise.
    """

    seed: int
    world_count: int
    rule: str


def first_detection(mutation: Mutation, seeds: Iterable[int]) -> Detection | None:
    """The first of these worlds that is bad with the mutation and well without; None when there is none."""
    for world_count, seed in enumerate(seeds, start=1):
        with apply_mutation(mutation) as calls:
            failure = mutation.worlds.failure_of(seed)
        if isinstance(failure, AssertionError) and calls and mutation.worlds.failure_of(seed) is None:
            return Detection(seed, world_count, promise_name(failure))
    return None


def case_violation(mutation: Mutation) -> str | None:
    """The promise that breaks in the mutation's case by name, which holds without it by a test of its own."""
    with apply_mutation(mutation) as calls:
        try:
            mutation.case() if mutation.case else None
        except AssertionError as failure:
            return promise_name(failure) if calls else None
    return None


def promise_name(failure: AssertionError) -> str:
    """What broke; the engine has assertions of its own, and an assertion of a case has words under pytest only."""
    if isinstance(failure, Violation):
        return failure.rule
    return str(failure).partition("\n")[0] or "what the case by name asserts"


@contextmanager
def apply_mutation(mutation: Mutation) -> Iterator[Counter[str]]:
    """Let the engine do without this protection for the time of a block; yields the calls by place."""
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        for place in mutation.places:
            stack.enter_context(replace_function(place, mutation.replacement, calls))
        yield calls


@contextmanager
def replace_function(place: str, replacement: Replacement, calls: Counter[str]) -> Iterator[None]:
    """One function replaced where it is looked up, a module, a class or a table of functions."""
    module, _, path = place.partition(":")
    *owner_path, name = path.split(".")
    owner: Any = import_module(module)
    for attribute in owner_path:
        owner = getattr(owner, attribute)
    is_table = isinstance(owner, dict)
    key: Any = Variant(name) if is_table else name
    real_function = owner[key] if is_table else getattr(owner, name)
    new_function = replacement(real_function)

    def count_call(*args: Any, **kwargs: Any) -> Any:
        calls[place] += 1
        return new_function(*args, **kwargs)

    assign = owner.__setitem__ if is_table else lambda key, value: setattr(owner, key, value)
    assign(key, count_call)
    try:
        yield
    finally:
        assign(key, real_function)
