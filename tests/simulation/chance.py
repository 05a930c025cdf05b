"""Chance that can be repeated: every accident hangs on a key, and is drawn from the seed and that key alone.

Taking one accident away (to shrink a failing world) therefore leaves the dice of all others as they were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random


@dataclass
class Fate:
    """The dice of one world; ``spared`` are the accidents that do not happen, ``struck`` those that did."""

    seed: int
    spared: Collection[str] = frozenset()
    struck: list[str] = field(default_factory=list)

    def dice(self, key: str) -> Random:
        """A source of chance that depends on nothing but seed and key."""
        return Random(f"{self.seed}/{key}")  # noqa: S311  a simulation, no secret

    def strikes(self, key: str, chance: float) -> bool:
        """Whether the accident of this key happens."""
        if chance <= 0 or key in self.spared or self.dice(f"?{key}").random() >= chance:
            return False
        self.struck.append(key)
        return True
