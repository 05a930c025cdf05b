"""Make a failing world smaller: spare accidents, by halves and then one by one, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable


def smaller(fails: Callable[[frozenset[str]], list[str] | None], guess: frozenset[str]) -> frozenset[str]:
    """The accidents to spare. ``fails`` lives the world without some and returns what struck,
    None when all was well; ``guess`` is tried first."""
    spared = guess
    struck = fails(spared)
    if struck is None:
        spared = frozenset()
        struck = fails(spared) or []
    size = max(1, len(struck) // 2)
    while True:
        progress = False
        chunks = [struck[at : at + size] for at in range(0, len(struck), size)]
        for chunk in chunks:
            if not set(chunk) & set(struck):
                continue
            tried = spared | set(chunk)
            left = fails(tried)
            if left is not None:
                spared, struck, progress = tried, left, True
        if size == 1 and not progress:
            return spared
        size = max(1, size // 2) if not progress or size > 1 else 1
