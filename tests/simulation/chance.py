"""Chance that can be repeated: every accident hangs on a key, and is drawn from the seed and that key alone.

Taking one accident away (to shrink a failing world) therefore leaves the dice of all others as they were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random


@dataclass
class SeededChance:
    """The dice of one world; ``excluded`` are the accidents that do not happen, ``occurred`` those that did."""

    seed: int
    excluded: Collection[str] = frozenset()
    occurred: list[str] = field(default_factory=list)

    def rng(self, key: str) -> Random:
        """A source of chance that depends on nothing but seed and key."""
        return Random(f"{self.seed}/{key}")  # noqa: S311  a simulation, no secret

    def occurs(self, key: str, probability: float) -> bool:
        """Whether the accident of this key happens."""
        if probability <= 0 or key in self.excluded or self.rng(f"?{key}").random() >= probability:
            return False
        self.occurred.append(key)
        return True
