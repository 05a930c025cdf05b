"""A plan, and the writes to Advoware's rows that it is made of (rules §5). Pure.

A plan says what a run would do for each person to whom anything happened: plain values, to be read, saved and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from etl.enums import Action
from etl.records import Channel, EspoItem, Side
from etl.rules.entry import Step
from etl.rules.espo.items import item_payload
from etl.rules.marker import MarkerKind, encode_slot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.rules.entry import AdvoEntry, Decision, Entry, LeftAlone

@dataclass(frozen=True)
class PersonPlan:
    """What a run would do for one person. ``replan``: it stays due, because something is left for the next plan.

    ``empty_side``: a side that shows no known entry any more; ``waiting_side``: such a side seen for the first time.
    """

    entity_id: str
    betnr: int
    decisions: tuple[Decision, ...]
    left_alone: tuple[LeftAlone, ...]
    items: tuple[EspoItem, ...]
    first_sync: bool = False
    recovery: bool = False
    empty_side: Side | None = None
    waiting_side: Side | None = None
    replan: bool = False

    @property
    def steps(self) -> list[Step]:
        """Every write, in the order of rules §5."""
        espo = [step for decision in self.decisions for step in decision.steps if step.side is Side.ESPO]
        advo = [step for decision in self.decisions for step in decision.steps if step.side is Side.ADVO]
        return espo + sorted(advo, key=lambda step: step.action in (Action.EMPTY, Action.LEFTOVER))

    @property
    def espo_payload(self) -> dict[Channel, list[dict[str, Any]]]:
        """EspoCRM's arrays after the plan, as whole items, for the channels in which an item changes."""
        changed_channels = {step.channel for step in self.steps if step.side is Side.ESPO}
        return {
            channel: [item_payload(item) for item in self.expected_items if item.channel is channel]
            for channel in sorted(changed_channels)
        }

    @property
    def expected_items(self) -> tuple[EspoItem, ...]:
        """EspoCRM's items after the plan."""
        steps = [step for step in self.steps if step.side is Side.ESPO]
        item_after = {id(step.old_item): step.item for step in steps if step.old_item is not None}
        remaining = [item_after.get(id(item), item) for item in self.items]
        return tuple(item for item in remaining if item is not None) + tuple(
            step.item for step in steps if step.old_item is None and step.item
        )


Plan = dict[str, PersonPlan]
"""By entity id; for a person that is not in it there is nothing to decide."""


def keep_reassigned_pairs(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Do not end a baseline row that another pair takes over: where rows change places it is set, not deleted."""
    all_decisions = tuple(decisions)
    holder = {
        decision.next_baseline.komm_id: decision for decision in all_decisions if decision.next_baseline is not None
    }
    return tuple(
        replace(
            decision,
            ended_komm_ids=tuple(
                komm_id for komm_id in decision.ended_komm_ids if holder.get(komm_id, decision) is decision
            ),
        )
        if any(holder.get(komm_id, decision) is not decision for komm_id in decision.ended_komm_ids)
        else decision
        for decision in all_decisions
    )


T = TypeVar("T")


def update_row_step(action: Action, channel: Channel, row: AdvoEntry, komm_kz: int, value: str, remark: str) -> Step:
    """One PUT to an existing row."""
    return Step(
        Side.ADVO,
        action,
        channel,
        row.komm_id,
        komm_kz,
        row.value,
        value,
        row.remark,
        remark,
        row.online,
        old_row_id=row.row_id,
    )


def empty_step(entry: Entry) -> Step:
    """Empty the row and write the slot marker; the own text is kept."""
    row = require(entry.row)
    return update_row_step(
        Action.EMPTY, entry.channel, row, entry.komm_kz, "", encode_slot(entry.komm_kz, row.own_text)
    )


def mark_slot_steps(entry: Entry) -> tuple[Step, ...]:
    """The write of the slot marker to an empty row that lacks it, if it does."""
    row = entry.row
    if row is None or row.value or (row.marker_kind is MarkerKind.SLOT and row.marker_komm_kz == entry.komm_kz):
        return ()
    return (
        update_row_step(
            Action.MARK, entry.channel, row, entry.komm_kz, row.value, encode_slot(entry.komm_kz, row.own_text)
        ),
    )


def require(value: T | None) -> T:
    """Return a part of the entry that the decision table guarantees; if it is missing, that is a bug."""
    if value is None:
        message = "the decision table promised a side that is not there"
        raise AssertionError(message)
    return value
