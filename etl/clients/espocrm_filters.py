"""EspoCRM's own filters: what a list is asked for (espocrm-api.md, Reading)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from etl.clients.espocrm_payload import ARRAYS
from etl.records import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from etl.clients.listing import Filter, Question

    Value = tuple[Channel, str]

LONGEST: Final = 6000
"""Signs of a filter in an address of 8 kB (espocrm-api.md ², 4): about 45 mails, or 200 numbers."""


def compare(kind: str, attribute: str, value: object) -> Filter:
    """One condition."""
    return {"type": kind, "attribute": attribute, "value": value}


def as_params(search: Mapping[str, object]) -> dict[str, str]:
    """The query of a list; a bare ``where=`` would be ignored, and everything come."""
    return {"searchParams": json.dumps(search, ensure_ascii=False, separators=(",", ":"))}


def page_of(question: Question, shown: Sequence[str]) -> dict[str, object]:
    """What one page of a walk is asked with."""
    if question.size == 0:
        return {"where": question.where, "maxSize": 0}
    return {
        "where": question.where,
        "select": shown,
        "orderBy": question.order,
        "order": "asc",
        "maxSize": question.size,
    }


def asking(fields: Mapping[str, str], now: str, syncing_before: str) -> Filter:
    """Records whose status asks for a look (``EspoCrm.due``)."""
    status = fields["sync_status"]
    waiting = [
        ("failed",             fields["next_retry"], now),
        ("permanently_failed", fields["auto_reset"], now),
        ("syncing",            "modifiedAt",         syncing_before),
    ]
    cases = [compare("in", status, ["pending_sync", "dirty"])]
    for name, moment, until in waiting:
        both = [compare("equals", status, name), compare("lessThanOrEquals", moment, until)]
        cases.append({"type": "and", "value": both})
    return {"type": "or", "value": cases}


def any_of(values: Iterable[Value]) -> Iterator[Filter]:
    """Filters for records with any of these numbers and mails, as few as fit into addresses."""
    asked: list[Value] = []
    for value in values:
        if asked and len(quote(json.dumps(with_any([*asked, value])))) > LONGEST:
            yield with_any(asked)
            asked = []
        asked.append(value)
    if asked:
        yield with_any(asked)


def with_any(values: Sequence[Value]) -> Filter:
    """One filter. Mails one by one: EspoCRM 8 answers 500 to ``in`` by mail (espocrm-api.md ², 3)."""
    numbers = [value for channel, value in values if channel is Channel.PHONE]
    mails = [value for channel, value in values if channel is Channel.MAIL]
    asked = [compare("in", ARRAYS[Channel.PHONE][1], numbers)] if numbers else []
    asked += [compare("equals", ARRAYS[Channel.MAIL][1], mail) for mail in mails]
    return {"type": "or", "value": asked}
