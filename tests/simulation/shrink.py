"""Make a failing world smaller: spare accidents, by halves and then one by one, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable


def shrink_accidents(
    occurred_without: Callable[[frozenset[str]], list[str] | None], first_guess: frozenset[str]
) -> frozenset[str]:
    """The accidents to spare. ``occurred_without`` lives the world without some and returns what struck,
    None when all was well; ``first_guess`` is tried first."""
    excluded = first_guess
    occurred = occurred_without(excluded)
    if occurred is None:
        excluded = frozenset()
        occurred = occurred_without(excluded) or []
    size = max(1, len(occurred) // 2)
    while True:
        progress = False
        chunks = [occurred[at : at + size] for at in range(0, len(occurred), size)]
        for chunk in chunks:
            if not set(chunk) & set(occurred):
                continue
            candidate = excluded | set(chunk)
            remaining = occurred_without(candidate)
            if remaining is not None:
                excluded, occurred, progress = candidate, remaining, True
        if size == 1 and not progress:
            return excluded
        size = max(1, size // 2) if not progress or size > 1 else 1
