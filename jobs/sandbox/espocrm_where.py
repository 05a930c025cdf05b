"""EspoCRM's list requests: which records, in which order, with which attributes, and what the total says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from jobs.sandbox.espocrm_refusals import html_page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from jobs.sandbox.simulator import Json

DATES = frozenset(
    {"createdAt", "modifiedAt", "streamUpdatedAt", "advowareLastSync", "syncNextRetry", "syncAutoResetAt"}
)
DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?")
ALWAYS = ("id", "createdById", "assignedUserId")  # shown whatever is selected: EspoCRM needs them to check access


class BadQuery(Exception):
    """The request cannot be answered: status and EspoCRM's reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Query:
    """A list request. Only `searchParams` carries conditions; a bare ``where=`` is ignored, as by the real one."""

    where: Sequence[Json]
    select: Sequence[str] | None
    order_by: str
    descending: bool
    offset: int
    max_size: int


def read_query(query: str) -> Query:
    """A query string as a list request, EspoCRM's defaults filled in: newest first, 200 a page."""
    plain = {name: values[-1] for name, values in parse_qs(query).items()}
    try:
        params = {**plain, "where": [], **json.loads(plain.get("searchParams", "{}"))}
        size = int(params.get("maxSize", 200))
        offset = int(params.get("offset", 0))
    except (TypeError, ValueError):
        raise BadQuery(400, "Bad search params.") from None
    if size > 200:  # noqa: PLR2004  the recorded limit
        raise BadQuery(403, "Max size should not exceed 200. Use offset and limit.")
    select = params.get("select")
    descending = str(params.get("order", "asc" if params.get("orderBy") else "desc")).lower() == "desc"
    chosen = select.split(",") if isinstance(select, str) else select
    return Query(params["where"], chosen, params.get("orderBy") or "createdAt", descending, offset, size)


def check(query: Query, attributes: Collection[str], forbidden: Collection[str], version: str) -> None:
    """Refuse an attribute that is not there, or that the user may not read (² 14, said twice by 9.2)."""
    if query.order_by not in attributes:
        raise BadQuery(400, f"Order by non-existing field '{query.order_by}'.")
    for attribute in (leaf.get("attribute") for leaf in leaves(query.where)):
        if attribute in forbidden:
            raise BadQuery(400, " ".join([f"Forbidden attribute '{attribute}' in where."] * 2))
        if attribute not in attributes:
            raise BadQuery(400, f"Not existing attribute '{attribute}' in where.")
    if version.startswith("8.") and any(is_in("emailAddress", leaf) for leaf in leaves(query.where)):
        raise html_page(500, "Slim Application Error")  # ² 3


def leaves(conditions: Iterable[Json]) -> Iterator[Json]:
    """The conditions that speak of an attribute, groups taken apart."""
    for condition in conditions:
        if condition.get("type") in GROUPS:
            yield from leaves(condition["value"])
        else:
            yield condition


def looked_up(condition: Json, holders: Callable[[str, list[Any]], Iterable[str] | None]) -> Json:
    """A condition with `equals` and `in` on addresses replaced by the ids of the records that hold them."""
    if condition["type"] in GROUPS:
        parts = [looked_up(part, holders) for part in condition["value"]]
        if condition["type"] == "or" and all(is_in("id", part) for part in parts):
            return _of_ids(one for part in parts for one in part["value"])
        return {**condition, "value": parts}
    if condition["type"] not in {"equals", "in"}:
        return condition
    wanted = condition.get("value")
    found = holders(condition["attribute"], wanted if isinstance(wanted, list) else [wanted])
    return condition if found is None else _of_ids(found)


def is_in(attribute: str, condition: Json) -> bool:
    """Whether a condition lists values of the attribute."""
    return condition.get("type") == "in" and condition.get("attribute") == attribute


def _of_ids(ids: Iterable[str]) -> Json:
    return {"type": "in", "attribute": "id", "value": sorted(set(ids))}


def matching(rows: Iterable[Json], query: Query, where: Sequence[Json]) -> list[Json]:
    """The rows that meet every condition, in the asked order with the id as tie-break."""
    found = [row for row in rows if all(_holds(row, condition) for condition in where)]
    return sorted(found, key=_order_key(query.order_by), reverse=query.descending)


def page(rows: Sequence[Json], query: Query, *, no_total: bool) -> Json:
    """One page of rows, cut down to the selected attributes, with its total (-1: more follow, -2: the last page)."""
    end = query.offset + query.max_size
    total = len(rows) if not no_total else -1 if len(rows) > end else -2
    shown = {*query.select, *ALWAYS, query.order_by} if query.select else None
    cut = [
        {name: value for name, value in row.items() if shown is None or name in shown}
        for row in rows[query.offset : end]
    ]
    return {"total": total, "list": cut}


def _order_key(attribute: str) -> Callable[[Json], tuple[bool, Any, str]]:
    """Nulls first, as MariaDB sorts them."""
    return lambda row: (row[attribute] is not None, row[attribute] if row[attribute] is not None else "", row["id"])


def _holds(row: Json, condition: Json) -> bool:
    kind, wanted = condition["type"], condition.get("value")
    if kind in GROUPS:
        return GROUPS[kind](_holds(row, part) for part in wanted or [])
    stored = row[condition["attribute"]]
    if kind in {"isNull", "isNotNull"}:
        return (stored is None) is (kind == "isNull")
    if kind not in COMPARISONS:
        raise BadQuery(400, f"Unknown where item type '{kind}'.")
    if condition["attribute"] in DATES and not _are_dates(wanted):
        return True  # garbage as a date lets everything through (espocrm-api.md, Reading)
    return stored is not None and COMPARISONS[kind](_comparable(stored), wanted, stored)


def _are_dates(wanted: object) -> bool:
    return all(DATE.fullmatch(str(one)) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _comparable(value: object) -> str:
    """Text as MariaDB compares it, letter case aside."""
    return str(value).casefold()


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[str, Any, Any], bool]:
    def compare(text: str, wanted: Any, stored: Any) -> bool:  # noqa: ANN401  values of any column
        return test(float(stored), float(wanted)) if isinstance(stored, int) else test(text, _comparable(wanted))

    return compare


GROUPS: dict[str, Callable[[Any], bool]] = {"and": all, "or": any}
COMPARISONS: dict[str, Callable[[str, Any, Any], bool]] = {
    # A stored null meets none of them, notEquals included: SQL's three values (espocrm-api.md, Reading).
    "equals":              lambda text, wanted, _: text == _comparable(wanted),
    "notEquals":           lambda text, wanted, _: text != _comparable(wanted),
    "in":                  lambda text, wanted, _: text in {_comparable(one) for one in wanted},
    "notIn":               lambda text, wanted, _: text not in {_comparable(one) for one in wanted},
    "greaterThan":         _ordered(lambda stored, wanted: bool(stored > wanted)),
    "greaterThanOrEquals": _ordered(lambda stored, wanted: bool(stored >= wanted)),
    "lessThan":            _ordered(lambda stored, wanted: bool(stored < wanted)),
    "lessThanOrEquals":    _ordered(lambda stored, wanted: bool(stored <= wanted)),
    "after":               _ordered(lambda stored, wanted: bool(stored > wanted)),
    "before":              _ordered(lambda stored, wanted: bool(stored < wanted)),
}
