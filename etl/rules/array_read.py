"""What a read shows of an array PUT (rules.md §5, *Seen before gone*, *Unknown outcome*). Pure.

The answer to an array PUT is an echo, and EspoCRM is not transactional: it may store nothing (a field the key may not
edit), everything, or a part. So the record is read, and the PUT judged value by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item
from etl.rules.canonical import canonical
from etl.rules.items import espo_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Value = tuple[Channel, str]
"""A channel and what two spellings of a value have in common."""

VALUE_OF = {Channel.PHONE: "phoneNumber", Channel.MAIL: "emailAddress"}
"""EspoCRM's key of an item's value."""


class Stored(StrEnum):
    """What became of one change that an array PUT carried."""

    WHOLE = "whole"
    TAKEN_ONLY = "taken only"
    """The old value is gone and the new one is not there: a half-done write of ours, and nobody's deletion."""
    BROUGHT_ONLY = "brought only"
    """The new value is there and the old one still stands beside it."""
    NOTHING = "nothing"
    """Whatever was to go still stands, and what was to come is not there."""


@dataclass(frozen=True)
class ArrayRead:
    """A record's items as a read showed them, beside those before the PUT and those it sent.

    ``before`` and ``sent`` are empty for a PUT of the first edition, whose journal did not keep them.
    """

    before: frozenset[Value]
    sent: frozenset[Value]
    shown: frozenset[Value]
    region: str

    @classmethod
    def of(
        cls,
        puts: Iterable[Mapping[str, Any]],
        shown: Iterable[Item],
        region: str,
    ) -> ArrayRead:
        """The read against the PUTs of one plan, in order: ``items_before`` and ``items_sent`` of each.

        Compared by value: letter case and spelling are no difference. Channels no PUT carried say nothing.
        """
        before: dict[Channel, list[Item]] = {}
        sent: dict[Channel, list[str]] = {}
        for put in puts:
            for name, items in put["items_sent"].items():
                channel = Channel(name)
                was = [item_from(item) for item in put["items_before"] if item["channel"] == channel]
                before.setdefault(channel, was)
                sent[channel] = [item[VALUE_OF[channel]] for item in items]
        carried = frozenset(before) or frozenset(Channel)
        return cls(
            frozenset(value_of(item, region) for items in before.values() for item in items),
            frozenset((channel, key(channel, value, region)) for channel, values in sent.items() for value in values),
            frozenset(value_of(item, region) for item in shown if item.channel in carried),
            region,
        )

    def of_change(self, channel: Channel, old: str | None, new: str | None) -> Stored:
        """What became of a change from ``old`` to ``new``; None: nothing was to go, or to come."""
        came = new is None or (channel, key(channel, new, self.region)) in self.shown
        gone = old is None or self.is_gone((channel, key(channel, old, self.region)))
        if came and gone:
            return Stored.WHOLE
        if came:
            return Stored.BROUGHT_ONLY if new is not None else Stored.NOTHING
        return Stored.TAKEN_ONLY if gone and old is not None else Stored.NOTHING

    def is_gone(self, value: Value) -> bool:
        """Whether a value left the record; one that another item took over counts as gone from this one."""
        return value not in self.shown or value in self.sent

    def lacking(self) -> frozenset[Value]:
        """The values that the PUT carried unchanged and that are not there any more."""
        return (self.before & self.sent) - self.shown

    def unsent(self) -> frozenset[Value]:
        """The values that nobody sent and that were not there before."""
        return self.shown - self.before - self.sent


@dataclass(frozen=True)
class InPart:
    """What array PUTs of ours did to a person in part, and nobody mended yet.

    ``taken``: by the komm_id of its row, an item that EspoCRM took without bringing its successor. ``brought``: values
    it brought without taking what they replace.
    """

    taken: Mapping[int, Item] = field(default_factory=dict)
    brought: frozenset[Value] = frozenset()


def value_of(item: Item, region: str) -> Value:
    """What is compared of an item."""
    return item.channel, key(item.channel, item.value, region)


def key(channel: Channel, value: str, region: str) -> str:
    """The canonical value; EspoCRM's own key of what has none."""
    return canonical(channel, value, region) or espo_key(channel, value)


def item_from(record: Mapping[str, Any]) -> Item:
    """An item as the journal keeps it."""
    return Item(**{**record, "channel": Channel(record["channel"])})
