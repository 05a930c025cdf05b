"""What a read shows of an array PUT (rules §5, *Seen before gone*, *Unknown outcome*). Pure.

The answer to an array PUT is an echo, and EspoCRM is not transactional: it may store nothing (a field the key may not
edit), everything, or a part. So the record is read, and the PUT judged value by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.records import Channel, EspoItem
from etl.rules.espo.items import espo_key
from etl.rules.values.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ValueKey = tuple[Channel, str]
"""A channel and what two spellings of a value have in common."""

VALUE_FIELD = {Channel.PHONE: "phoneNumber", Channel.MAIL: "emailAddress"}
"""EspoCRM's key of an item's value."""


class ChangeOutcome(StrEnum):
    """What became of one change that an array PUT carried."""

    COMPLETE = "whole"
    REMOVED_ONLY = "taken only"
    """The old value is gone and the new one is not there: a half-done write of ours, and nobody's deletion."""
    ADDED_ONLY = "brought only"
    """The new value is there and the old one still stands beside it."""
    NOTHING = "nothing"
    """Whatever was to go still stands, and what was to come is not there."""


@dataclass(frozen=True)
class ArrayRead:
    """A record's items as a read showed them, beside those before the PUT and those it sent.

    ``values_before`` and ``values_sent`` are empty for a PUT of the first edition, whose journal did not keep them.
    """

    values_before: frozenset[ValueKey]
    values_sent: frozenset[ValueKey]
    values_shown: frozenset[ValueKey]
    region: str

    @classmethod
    def from_puts(
        cls,
        puts: Iterable[Mapping[str, Any]],
        read_items: Iterable[EspoItem],
        region: str,
    ) -> ArrayRead:
        """The read against the PUTs of one plan, in order: ``items_before`` and ``items_sent`` of each.

        Compared by value: letter case and spelling are no difference. Channels no PUT carried say nothing.
        """
        items_before: dict[Channel, list[EspoItem]] = {}
        spellings_sent: dict[Channel, list[str]] = {}
        for put in puts:
            for name, items_sent in put["items_sent"].items():
                channel = Channel(name)
                old_items = [item_from_journal(item) for item in put["items_before"] if item["channel"] == channel]
                items_before.setdefault(channel, old_items)
                spellings_sent[channel] = [item[VALUE_FIELD[channel]] for item in items_sent]
        channels = frozenset(items_before) or frozenset(Channel)
        return cls(
            frozenset(item_value_key(item, region) for items in items_before.values() for item in items),
            frozenset(
                (channel, comparable_value(channel, value, region))
                for channel, values in spellings_sent.items()
                for value in values
            ),
            frozenset(item_value_key(item, region) for item in read_items if item.channel in channels),
            region,
        )

    def change_outcome(self, channel: Channel, old: str | None, new: str | None) -> ChangeOutcome:
        """What became of a change from ``old`` to ``new``; None: nothing was to go, or to come."""
        is_added = new is None or (channel, comparable_value(channel, new, self.region)) in self.values_shown
        is_removed = old is None or self.has_left((channel, comparable_value(channel, old, self.region)))
        if is_added and is_removed:
            return ChangeOutcome.COMPLETE
        if is_added:
            return ChangeOutcome.ADDED_ONLY if new is not None else ChangeOutcome.NOTHING
        return ChangeOutcome.REMOVED_ONLY if is_removed and old is not None else ChangeOutcome.NOTHING

    def has_left(self, value: ValueKey) -> bool:
        """Whether a value left the record; one that another item took over counts as gone from this one."""
        return value not in self.values_shown or value in self.values_sent

    def missing_values(self) -> frozenset[ValueKey]:
        """The values that the PUT carried unchanged and that are not there any more."""
        return (self.values_before & self.values_sent) - self.values_shown

    def unexpected_values(self) -> frozenset[ValueKey]:
        """The values that nobody sent and that were not there before."""
        return self.values_shown - self.values_before - self.values_sent


@dataclass(frozen=True)
class PartialPut:
    """What array PUTs of ours did to a person in part, and nobody mended yet.

    ``removed_items``: by the komm_id of its row, an item that EspoCRM took without bringing its successor.
    ``added_values``: values it brought without taking what they replace.
    """

    removed_items: Mapping[int, EspoItem] = field(default_factory=dict)
    added_values: frozenset[ValueKey] = frozenset()


def item_value_key(item: EspoItem, region: str) -> ValueKey:
    """What is compared of an item."""
    return item.channel, comparable_value(item.channel, item.value, region)


def comparable_value(channel: Channel, value: str, region: str) -> str:
    """The canonical value; EspoCRM's own key of what has none."""
    return canonical(channel, value, region) or espo_key(channel, value)


def item_from_journal(record: Mapping[str, Any]) -> EspoItem:
    """An item as the journal keeps it."""
    return EspoItem(**{**record, "channel": Channel(record["channel"])})
