"""EspoCRM's list requests: which records, in which order, with which attributes, and what the total says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from jobs.sandbox.espocrm.refusals import html_page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from jobs.sandbox.espocrm.arrays import AddressBook
    from jobs.sandbox.espocrm.record import Record
    from jobs.sandbox.espocrm.versions import EspoVersion
    from jobs.sandbox.simulator import Json

DATE_ATTRIBUTES = frozenset(
    {"createdAt", "modifiedAt", "streamUpdatedAt", "advowareLastSync", "syncNextRetry", "syncAutoResetAt"}
)
DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?")
ALWAYS_SHOWN = ("id", "createdById", "assignedUserId", "isLocked")  # whatever is selected: to check access (fact B20)


class BadQuery(Exception):
    """The request cannot be answered: status and EspoCRM's reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request. Only `searchParams` carries conditions; a bare ``where=`` is ignored, as by the real one."""

    where: Sequence[Json]
    select: Sequence[str] | None
    order_by: str
    descending: bool
    offset: int
    max_size: int


def parse_list_query(query: str) -> ListQuery:
    """A query string as a list request, EspoCRM's defaults filled in: newest first, 200 a page."""
    query_values = {name: values[-1] for name, values in parse_qs(query).items()}
    try:
        params = {**query_values, "where": [], **json.loads(query_values.get("searchParams", "{}"))}
        size = int(params.get("maxSize", 200))
        offset = int(params.get("offset", 0))
    except (TypeError, ValueError):
        raise BadQuery(400, "Bad search params.") from None
    if size > 200:  # noqa: PLR2004  the recorded limit
        raise BadQuery(403, "Max size should not exceed 200. Use offset and limit.")
    select = params.get("select")
    descending = str(params.get("order", "asc" if params.get("orderBy") else "desc")).lower() == "desc"
    select_list = select.split(",") if isinstance(select, str) else select
    return ListQuery(params["where"], select_list, params.get("orderBy") or "createdAt", descending, offset, size)


def check_list_query(
    query: ListQuery, attributes: Collection[str], forbidden: Collection[str], version: EspoVersion
) -> None:
    """Refuse an attribute that is not there, or that the user may not read (fact B14)."""
    if query.order_by not in attributes:
        raise BadQuery(400, f"Order by non-existing field '{query.order_by}'.")
    for attribute in (leaf.get("attribute") for leaf in leaf_conditions(query.where)):
        if attribute in forbidden:
            reason = " ".join([f"Forbidden attribute '{attribute}' in where."] * version.reason_count)
            raise BadQuery(version.forbidden_status, reason)
        if attribute not in attributes:
            raise BadQuery(400, f"Not existing attribute '{attribute}' in where.")
    if version.mail_list_crashes and any(
        is_in_condition("emailAddress", leaf) for leaf in leaf_conditions(query.where)
    ):
        raise html_page(500, "Slim Application Error")  # fact B3


def leaf_conditions(conditions: Iterable[Json]) -> Iterator[Json]:
    """The conditions that speak of an attribute, groups taken apart."""
    for condition in conditions:
        if condition.get("type") in GROUPS:
            yield from leaf_conditions(condition["value"])
        else:
            yield condition


def resolve_addresses(condition: Json, phones: AddressBook, mails: AddressBook) -> Json:
    """A condition with `equals` and `in` on addresses replaced by the ids of the records that hold them."""
    if condition["type"] in GROUPS:
        parts = [resolve_addresses(part, phones, mails) for part in condition["value"]]
        if condition["type"] == "or" and all(is_in_condition("id", part) for part in parts):
            return _of_ids(entity_id for part in parts for entity_id in part["value"])
        return {**condition, "value": parts}
    if condition["type"] not in {"equals", "in"}:
        return condition
    value = condition.get("value")
    values = value if isinstance(value, list) else [value]
    ids = _holders(condition["attribute"], values, phones, mails)
    return condition if ids is None else _of_ids(ids)


def _holders(attribute: str, values: list[Any], phones: AddressBook, mails: AddressBook) -> Iterable[str] | None:
    """Who holds one of these, primary or not (fact B2); None for an attribute that is no address."""
    match attribute:
        case "phoneNumber":
            return phones.holders(values)
        case "emailAddress":
            return mails.holders(values)
        case "phoneNumberNumeric":
            return phones.holders(number for number in phones.rows if re.sub(r"\D", "", number) in set(values))
    return None


def candidate_records(where: Iterable[Json], records: Mapping[str, Record]) -> Iterable[Record]:
    """The records a condition names by id, else all."""
    for condition in where:
        if is_in_condition("id", condition):
            return [records[entity_id] for entity_id in dict.fromkeys(condition["value"]) if entity_id in records]
    return records.values()


def is_in_condition(attribute: str, condition: Json) -> bool:
    """Whether a condition lists values of the attribute."""
    return condition.get("type") == "in" and condition.get("attribute") == attribute


def _of_ids(ids: Iterable[str]) -> Json:
    return {"type": "in", "attribute": "id", "value": sorted(set(ids))}


def matching_rows(rows: Iterable[Json], query: ListQuery, where: Sequence[Json]) -> list[Json]:
    """The rows that meet every condition, in the asked order with the id as tie-break."""
    matches = [row for row in rows if all(_meets(row, condition) for condition in where)]
    return sorted(matches, key=_order_key(query.order_by), reverse=query.descending)


def list_page(rows: Sequence[Json], query: ListQuery, *, no_total: bool) -> Json:
    """One page of rows, cut down to the selected attributes, with its total (-1: more follow, -2: the last page)."""
    end = query.offset + query.max_size
    total = len(rows) if not no_total else -1 if len(rows) > end else -2
    attributes = {*query.select, *ALWAYS_SHOWN, query.order_by} if query.select else None
    page_rows = [
        {name: value for name, value in row.items() if attributes is None or name in attributes}
        for row in rows[query.offset : end]
    ]
    return {"total": total, "list": page_rows}


def _order_key(attribute: str) -> Callable[[Json], tuple[bool, Any, str]]:
    """Nulls first, as MariaDB sorts them."""
    return lambda row: (row[attribute] is not None, row[attribute] if row[attribute] is not None else "", row["id"])


def _meets(row: Json, condition: Json) -> bool:
    kind, expected = condition["type"], condition.get("value")
    if kind in GROUPS:
        return GROUPS[kind](_meets(row, part) for part in expected or [])
    stored = row[condition["attribute"]]
    if kind in {"isNull", "isNotNull"}:
        return (stored is None) is (kind == "isNull")
    if kind in {"isTrue", "isFalse"}:
        return bool(stored) is (kind == "isTrue")
    if kind not in COMPARISONS:
        raise BadQuery(400, f"Unknown where item type '{kind}'.")
    if condition["attribute"] in DATE_ATTRIBUTES and not _are_dates(expected):
        return True  # garbage as a date lets everything through (EspoCRM, Reading)
    return stored is not None and COMPARISONS[kind](_comparable(stored), expected, stored)


def _are_dates(value: object) -> bool:
    return all(DATE.fullmatch(str(item)) for item in (value if isinstance(value, list) else [value]))


def _comparable(value: object) -> str:
    """Text as MariaDB compares it, letter case aside."""
    return str(value).casefold()


def _ordering(test: Callable[[Any, Any], bool]) -> Callable[[str, Any, Any], bool]:
    def compare(text: str, expected: Any, stored: Any) -> bool:  # noqa: ANN401  values of any column
        return test(float(stored), float(expected)) if isinstance(stored, int) else test(text, _comparable(expected))

    return compare


GROUPS: dict[str, Callable[[Any], bool]] = {"and": all, "or": any}
COMPARISONS: dict[str, Callable[[str, Any, Any], bool]] = {
    # A stored null meets none of them, notEquals included: SQL's three values (EspoCRM, Reading).
    "equals":              lambda text, expected, _: text == _comparable(expected),
    "notEquals":           lambda text, expected, _: text != _comparable(expected),
    "in":                  lambda text, expected, _: text in {_comparable(item) for item in expected},
    "notIn":               lambda text, expected, _: text not in {_comparable(item) for item in expected},
    "greaterThan":         _ordering(lambda stored, expected: bool(stored > expected)),
    "greaterThanOrEquals": _ordering(lambda stored, expected: bool(stored >= expected)),
    "lessThan":            _ordering(lambda stored, expected: bool(stored < expected)),
    "lessThanOrEquals":    _ordering(lambda stored, expected: bool(stored <= expected)),
    "after":               _ordering(lambda stored, expected: bool(stored > expected)),
    "before":              _ordering(lambda stored, expected: bool(stored < expected)),
}
