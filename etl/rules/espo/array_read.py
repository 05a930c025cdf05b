"""What a read shows of an array PUT (rules §5, *Seen before gone*, *Unknown outcome*). Pure.

The answer to an array PUT is only an echo, and EspoCRM is not transactional: it may store nothing (as in a field the
API user may not edit), everything, or a part. So the record is read, and the PUT is judged value by value.
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
"""A channel, and what all spellings of a value have in common."""

VALUE_FIELD = {Channel.PHONE: "phoneNumber", Channel.MAIL: "emailAddress"}
"""The key under which EspoCRM keeps the value of an item."""


class ChangeOutcome(StrEnum):
    """What became of one change that an array PUT carried."""

    COMPLETE = "whole"
    REMOVED_ONLY = "taken only"
    """The old value is gone and the new one is missing: a half-done write of ours, not somebody's deletion."""
    ADDED_ONLY = "brought only"
    """The new value is there, but the old one still is, too."""
    NOTHING = "nothing"
    """The old value is still there and the new one is not."""


@dataclass(frozen=True)
class ArrayRead:
    """The values of a record as a read showed them, those before the PUT, and those it sent.

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
        """Compare a read with the PUTs of one plan, in order; each has ``items_before`` and ``items_sent``.

        Letter case and spelling make no difference. Channels that no PUT carried are left out.
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
        """What became of a change from ``old`` (None: an addition) to ``new`` (None: a removal)."""
        is_added = new is None or (channel, comparable_value(channel, new, self.region)) in self.values_shown
        is_removed = old is None or self.has_left((channel, comparable_value(channel, old, self.region)))
        if is_added and is_removed:
            return ChangeOutcome.COMPLETE
        if is_added:
            return ChangeOutcome.ADDED_ONLY if new is not None else ChangeOutcome.NOTHING
        return ChangeOutcome.REMOVED_ONLY if is_removed and old is not None else ChangeOutcome.NOTHING

    def has_left(self, value: ValueKey) -> bool:
        """Whether a value left the record, or only went over to another item of it."""
        return value not in self.values_shown or value in self.values_sent

    def missing_values(self) -> frozenset[ValueKey]:
        """The values that the PUT sent unchanged and that are gone."""
        return (self.values_before & self.values_sent) - self.values_shown

    def unexpected_values(self) -> frozenset[ValueKey]:
        """The values that were neither sent nor there before."""
        return self.values_shown - self.values_before - self.values_sent


@dataclass(frozen=True)
class PartialPut:
    """What array PUTs of ours did to a person only in part, and what is not repaired yet.

    ``removed_items``: items, by the komm_id of their row, that EspoCRM removed without adding their successor.
    ``added_values``: values that it added without removing what they replace.
    """

    removed_items: Mapping[int, EspoItem] = field(default_factory=dict)
    added_values: frozenset[ValueKey] = frozenset()


def item_value_key(item: EspoItem, region: str) -> ValueKey:
    """What an item is compared by."""
    return item.channel, comparable_value(item.channel, item.value, region)


def comparable_value(channel: Channel, value: str, region: str) -> str:
    """The canonical value; for a value without one, EspoCRM's own key."""
    return canonical(channel, value, region) or espo_key(channel, value)


def item_from_journal(record: Mapping[str, Any]) -> EspoItem:
    """An item as the journal keeps it."""
    return EspoItem(**{**record, "channel": Channel(record["channel"])})
