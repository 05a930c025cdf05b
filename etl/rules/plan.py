"""A plan: what a run would do for each person to whom anything happened; plain values, to be read, saved, compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.items import whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.rules.entry import Decision, Left, Step


@dataclass(frozen=True)
class PersonPlan:
    """What a run would do for one person. ``again``: it stays due, because more is left for the next plan.

    ``vanished_from``: a side that shows no known entry any more; ``waits_for``: the same, seen for the first time.
    """

    entity_id: str
    betnr: int
    decisions: tuple[Decision, ...]
    left: tuple[Left, ...]
    items: tuple[Item, ...]
    first_sync: bool = False
    recovery: bool = False
    vanished_from: Side | None = None
    waits_for: Side | None = None
    again: bool = False

    @property
    def steps(self) -> list[Step]:
        """Every write, in the order of rules.md §5."""
        espo = [step for one in self.decisions for step in one.steps if step.side is Side.ESPO]
        advo = [step for one in self.decisions for step in one.steps if step.side is Side.ADVO]
        return espo + sorted(advo, key=lambda step: step.action in ("empty", "leftover"))

    @property
    def arrays(self) -> dict[Channel, list[dict[str, Any]]]:
        """EspoCRM's arrays after the plan, whole items, for the channels in which an item changes."""
        changed = {step.channel for step in self.steps if step.side is Side.ESPO}
        return {
            channel: [whole(item) for item in self.expected_items if item.channel is channel]
            for channel in sorted(changed)
        }

    @property
    def expected_items(self) -> tuple[Item, ...]:
        """EspoCRM's items after the plan."""
        steps = [step for step in self.steps if step.side is Side.ESPO]
        after = {id(step.was): step.item for step in steps if step.was is not None}
        kept = [after.get(id(item), item) for item in self.items]
        return tuple(item for item in kept if item is not None) + tuple(
            step.item for step in steps if step.was is None and step.item
        )


Plan = dict[str, PersonPlan]
"""By entity id; who is not in it has nothing to decide."""


def none_dropped_by_others(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Rows change places between pairs: a baseline row that one pair leaves and another takes is set, not dropped."""
    made = tuple(decisions)
    taken = {one.pair.komm_id: one for one in made if one.pair is not None}
    return tuple(
        replace(one, drops=tuple(row for row in one.drops if taken.get(row, one) is one))
        if any(taken.get(row, one) is not one for row in one.drops)
        else one
        for one in made
    )
