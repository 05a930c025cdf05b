"""What a fault is: where it strikes, whom it concerns, how often, and how likely each is in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

from jobs.sandbox.simulator import Answer, Call
from tests.simulation.worlds import Person

if TYPE_CHECKING:
    from tests.simulation.storm import Storm

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
NO_ANSWER = Answer(0, {}, b"")
POWER_LOST = "power lost"


class Moment(Enum):
    """Where a fault strikes."""

    NATURE = auto()  # not at all: the systems are like that
    START = auto()  # before the first request of a run
    BEFORE = auto()  # before a request has its effect
    AFTER = auto()  # after the effect, before the answer
    BETWEEN = auto()  # after an answer, before the next request
    COMMIT = auto()  # before a commit of the state store
    POINT = auto()  # before a commit, or before a write to either system
    EDIT = auto()  # around any request, by people
    STORE = auto()  # between two runs, to the state store's file


@dataclass(frozen=True)
class Hit:
    """One fault striking; ``answer`` is what the system answered, where it did."""

    storm: Storm
    key: str
    system: str
    call: Call = field(default_factory=lambda: Call("", ""))
    answer: Answer = NO_ANSWER
    person: Person | None = None

    @cached_property
    def dice(self) -> Random:
        """The dice of this fault alone."""
        return self.storm.fate.dice(self.key)

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
    def is_person(self) -> bool:
        """Whether it is about one person (a note is nobody's business)."""
        return self.person is not None and not self.call.path.endswith("/Note")


@dataclass(frozen=True)
class Fault:
    """``chance``: how often it strikes in a trial. ``blinding``: the sync may have lost what it knew, so that a right
    answer is not unique any more; nothing may be lost all the same. ``unseen``: only a sweep looks again.
    ``agreed``: it strikes only whom both sides agreed on before, so never a first sync."""

    moment: Moment
    chance: float = 0.0
    happens: Callable[[Hit], Answer | None] = lambda _hit: None
    concerns: Callable[[Hit], bool] = lambda _hit: True
    blinding: bool = False
    unseen: bool = False
    agreed: bool = False
    nature: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Weather:
    """How likely what is in one run. ``kill_at``: the process dies at this point (writes and commits counted), with
    ``power`` the whole machine."""

    faults: Mapping[str, float] = field(default_factory=dict)
    people: float = 0.0
    kill_at: int | None = None
    power: bool = False
    side: str | None = None

    @property
    def is_calm(self) -> bool:
        return self.kill_at is None and not self.people and not any(self.faults.values())

    @property
    def is_power_loss(self) -> bool:
        """Whether who dies takes along what was not synced."""
        return self.power or POWER_LOST in self.faults


CALM = Weather()
