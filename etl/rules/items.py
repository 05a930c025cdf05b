"""EspoCRM's arrays of items: what is sent, what it can hold, what is the same (rules.md §3 "Written to EspoCRM").

EspoCRM resets every key an item leaves out, for all records that share the address (espocrm-api.md, fact 6): items are
always sent whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from etl.records import Channel, Item
from etl.rules.canonical import EXTENSION, NO_REGION, as_sent, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ITEMS: Final = 10
"""EspoCRM refuses the 11th item of a channel, and the whole PUT with it (espocrm-api.md, fact 10)."""

_OLD_MODE_LENGTH = 36
# As narrow as EspoCRM itself: ASCII, a dot in the domain, no quoted mailbox (espocrm-api.md, fact 9).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_MAIL = re.compile(rf"(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")


def espo_key(channel: Channel, value: str) -> str:
    """Return EspoCRM's own key, which no two items of a PUT may share: the lower-cased mail, the exact phone."""
    return value.strip().lower() if channel is Channel.MAIL else value


def whole(item: Item) -> dict[str, Any]:
    """Return the item as it is sent: every key it was read with, and every key EspoCRM would reset."""
    own: dict[str, Any]
    if item.channel is Channel.MAIL:
        own = {"emailAddress": item.value, "lower": espo_key(item.channel, item.value)}
    else:
        own = {"phoneNumber": item.value, "type": item.type}
    flags = {"primary": item.primary, "optOut": item.opt_out, "invalid": item.invalid}
    return {**json.loads(item.raw), **own, **flags}


def new_item(
    channel: Channel,
    value: str,
    type: str | None,  # noqa: A002
    compared_by: str | None,
    *,
    primary: bool = False,
) -> Item:
    """Return the item for a value EspoCRM does not hold yet: phones as E.164 where nothing gets lost, mails cleaned.

    ``compared_by``: its canonical value, here and below: the store has it, so nothing is parsed while planning.
    """
    sent = as_sent(channel, value, compared_by)
    return Item(channel, sent, type if channel is Channel.PHONE else None, primary=primary)


def replaced(item: Item, value: str, compared_by: str | None) -> Item:
    """Return the item with another value; type, primary, optOut, invalid and every other key stay (Var6)."""
    sent = replace(item, value=as_sent(item.channel, value, compared_by))
    return replace(sent, raw=json.dumps(whole(sent), sort_keys=True, ensure_ascii=False))


def can_hold(channel: Channel, value: str, compared_by: str | None, *, international: bool) -> str | None:
    """Return None if EspoCRM can hold the value as a new item, else the reason in a few words.

    ``international`` is EspoCRM's setting ``phoneNumberInternational``. That an item would be the 11th
    (``MAX_ITEMS``) is for the caller to count.
    """
    sent = as_sent(channel, value, compared_by)
    if not sent:
        return "empty"
    if channel is Channel.MAIL:
        return None if _MAIL.fullmatch(sent) else "not a mail address EspoCRM accepts"
    if compared_by is None or not compared_by.startswith("+"):
        return "not a phone number" if not international else "not an international number"
    if international:
        return "EspoCRM would drop the extension" if EXTENSION in compared_by else None
    return _old_mode_reason(sent)


def same_items(expected: Sequence[Item], found: Sequence[Item]) -> bool:
    """Tell whether ``found`` is what EspoCRM makes of ``expected``: the same items in any order.

    Compared are value, type, primary, optOut and invalid. EspoCRM settles who is primary (of none the first, of
    several the last, in each channel; fact 7) and the spelling of phones that start with "+" (fact 8); letter case of
    mails is shared with other records and no difference (fact 5).
    """
    facts = Counter(map(_facts, found))
    return Counter(map(_facts, expected)) == facts or Counter(map(_facts, _settled(expected))) == facts


def _old_mode_reason(sent: str) -> str | None:
    if "/" in sent:
        return 'EspoCRM refuses "/" in a phone'
    return f"longer than {_OLD_MODE_LENGTH} characters" if len(sent) > _OLD_MODE_LENGTH else None


def _facts(item: Item) -> tuple[object, ...]:
    value = espo_key(item.channel, item.value)
    if item.channel is Channel.PHONE and value.startswith("+"):
        value = canonical(item.channel, value, NO_REGION) or value
    return item.channel, value, item.type, item.primary, item.opt_out, item.invalid


def _settled(items: Sequence[Item]) -> Iterable[Item]:
    """Yield the items with exactly one primary in each channel, the one EspoCRM makes it."""
    chosen = {item.channel: index for index, item in reversed(list(enumerate(items)))}
    chosen |= {item.channel: index for index, item in enumerate(items) if item.primary}
    for index, item in enumerate(items):
        yield replace(item, primary=index == chosen[item.channel])
