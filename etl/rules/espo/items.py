"""EspoCRM's items: what is sent, what it can hold, what counts as equal (rules §3 "Written to EspoCRM").

EspoCRM resets every key that an item leaves out, for all records that share the address (EspoCRM fact A6). So items
are always sent whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, EspoItem
from etl.rules.values.canonical import EXTENSION, NO_REGION, canonical, spelling_to_send

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_PHONE_LENGTH = 36
# As narrow as EspoCRM itself: ASCII, a dot in the domain, no quoted mailbox (EspoCRM fact A9).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_MAIL = re.compile(rf"(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")


def espo_key(channel: Channel, value: str) -> str:
    """Return EspoCRM's own key, which no two items of a PUT may share: the lower-cased mail, the exact phone."""
    return value.strip().lower() if channel is Channel.MAIL else value


def item_payload(item: EspoItem) -> dict[str, Any]:
    """Return the item as it is sent: every key it was read with, and every key EspoCRM would reset."""
    value_fields: dict[str, Any]
    if item.channel is Channel.MAIL:
        value_fields = {"emailAddress": item.value, "lower": espo_key(item.channel, item.value)}
    else:
        value_fields = {"phoneNumber": item.value, "type": item.type}
    flags = {"primary": item.primary, "optOut": item.opt_out, "invalid": item.invalid}
    return {**json.loads(item.raw), **value_fields, **flags}


def new_item(
    channel: Channel,
    value: str,
    type: str | None,  # noqa: A002
    canonical_value: str | None,
) -> EspoItem:
    """Return the item for a value EspoCRM does not hold yet: phones as E.164 where nothing gets lost, mails cleaned.

    ``canonical_value``, here and below, comes from the store, so that planning parses nothing.
    """
    spelling = spelling_to_send(channel, value, canonical_value)
    return EspoItem(channel, spelling, type if channel is Channel.PHONE else None)


def with_value(item: EspoItem, value: str, canonical_value: str | None) -> EspoItem:
    """Return the item with another value; type, primary, optOut, invalid and every other key stay (Var6)."""
    changed = replace(item, value=spelling_to_send(item.channel, value, canonical_value))
    return replace(changed, raw=json.dumps(item_payload(changed), sort_keys=True, ensure_ascii=False))


def rejection_reason(channel: Channel, value: str, canonical_value: str | None, *, international: bool) -> str | None:
    """Return None if EspoCRM can hold the value as a new item, else the reason in a few words.

    ``international`` is EspoCRM's setting ``phoneNumberInternational``. The caller counts how many items fit.
    """
    spelling = spelling_to_send(channel, value, canonical_value)
    if not spelling:
        return "empty"
    if channel is Channel.MAIL:
        return None if _MAIL.fullmatch(spelling) else "not a mail address EspoCRM accepts"
    if canonical_value is None or not canonical_value.startswith("+"):
        return "not a phone number" if not international else "not an international number"
    if international:
        return "EspoCRM would drop the extension" if EXTENSION in canonical_value else None
    return _non_international_reason(spelling)


def has_same_items(expected: Sequence[EspoItem], actual: Sequence[EspoItem]) -> bool:
    """Tell whether ``actual`` is what EspoCRM makes of ``expected``: the same items in any order.

    Compared are value, type, primary, optOut and invalid. EspoCRM decides which item is primary (if none is, the first,
    if several are, the last, in each channel; fact A7) and spells phones that start with "+" (fact A8); mails share
    their letter case with other records, so it makes no difference (fact A5).
    """
    actual_counts = Counter(map(_comparison_key, actual))
    return (
        Counter(map(_comparison_key, expected)) == actual_counts
        or Counter(map(_comparison_key, _with_one_primary(expected))) == actual_counts
    )


def _non_international_reason(spelling: str) -> str | None:
    if "/" in spelling:
        return 'EspoCRM refuses "/" in a phone'
    return f"longer than {_MAX_PHONE_LENGTH} characters" if len(spelling) > _MAX_PHONE_LENGTH else None


def _comparison_key(item: EspoItem) -> tuple[object, ...]:
    value = espo_key(item.channel, item.value)
    if item.channel is Channel.PHONE and value.startswith("+"):
        value = canonical(item.channel, value, NO_REGION) or value
    return item.channel, value, item.type, item.primary, item.opt_out, item.invalid


def _with_one_primary(items: Sequence[EspoItem]) -> Iterable[EspoItem]:
    """Yield the items with exactly one primary in each channel, the one that EspoCRM would choose."""
    primary_index = {item.channel: index for index, item in reversed(list(enumerate(items)))}
    primary_index |= {item.channel: index for index, item in enumerate(items) if item.primary}
    for index, item in enumerate(items):
        yield replace(item, primary=index == primary_index[item.channel])
