"""What a fault is: where it strikes, whom it concerns, how often, and how likely each is in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.worlds import Person

if TYPE_CHECKING:
    from tests.simulation.storm import FaultInjector

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
NO_ANSWER = SimResponse(0, {}, b"")
POWER_LOSS = "power lost"


class InjectionPoint(Enum):
    """Where a fault strikes."""

    TRAIT = auto()  # not at all: the systems are like that
    START = auto()  # before the first request of a run
    BEFORE = auto()  # before a request has its effect
    AFTER = auto()  # after the effect, before the answer
    BETWEEN = auto()  # after an answer, before the next request
    COMMIT = auto()  # before a commit of the state store
    KILL_POINT = auto()  # before a commit, or before a write to either system
    EDIT = auto()  # around any request, by people
    STORE = auto()  # between two runs, to the state store's file


@dataclass(frozen=True)
class FaultContext:
    """One fault striking; ``answer`` is what the system answered, where it did."""

    injector: FaultInjector
    key: str
    system: str
    call: SimRequest = field(default_factory=lambda: SimRequest("", ""))
    answer: SimResponse = NO_ANSWER
    person: Person | None = None

    @cached_property
    def rng(self) -> Random:
        """The dice of this fault alone."""
        return self.injector.chance.rng(self.key)

    @property
    def is_write(self) -> bool:
        return self.call.is_write

    @property
    def is_list(self) -> bool:
        return self.call.method == "GET" and self.call.path.endswith("/CBeteiligte") and self.answer.status == 200

    @property
    def is_array_put(self) -> bool:
        return self.system == "espo" and self.call.method == "PUT" and "Data" in self.call.body

    @property
    def is_about_person(self) -> bool:
        """Whether it is about one person (a note is nobody's business)."""
        return self.person is not None and not self.call.path.endswith("/Note")


@dataclass(frozen=True)
class FaultSpec:
    """``probability``: how often it strikes in a trial. ``ambiguous``: the sync may have lost what it knew, so that a
    right answer is not unique any more; nothing may be lost all the same. ``sweep_only``: only a sweep looks again.
    ``needs_baseline``: it strikes only whom both sides agreed on before, so never a first sync."""

    point: InjectionPoint
    probability: float = 0.0
    inject: Callable[[FaultContext], SimResponse | None] = lambda _context: None
    applies: Callable[[FaultContext], bool] = lambda _context: True
    ambiguous: bool = False
    sweep_only: bool = False
    needs_baseline: bool = False
    traits: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class FaultProfile:
    """How likely what is in one run. ``kill_at``: the process dies at this point (writes and commits counted), with
    ``power`` the whole machine."""

    faults: Mapping[str, float] = field(default_factory=dict)
    edit_probability: float = 0.0
    kill_at: int | None = None
    power: bool = False
    side: str | None = None

    @property
    def is_fault_free(self) -> bool:
        return self.kill_at is None and not self.edit_probability and not any(self.faults.values())

    @property
    def is_power_loss(self) -> bool:
        """Whether who dies takes along what was not synced."""
        return self.power or POWER_LOSS in self.faults


NO_FAULTS = FaultProfile()
