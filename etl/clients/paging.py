"""Whole lists out of pages: keyset paging, and the proof that nothing is missing (rules §1, Completeness).

A walk is whole only when its iterator ends without an exception. Checked on the way: every page but the last is full,
keys rise strictly from record to record and from page to page, no page names a record twice. Checked at the end: at
least as many records were seen as the first page announced, or as a fresh count says where records left meanwhile.

More than announced is legal (records appear during a walk). In a walk by ``modifiedAt`` a record may come twice,
because somebody saved it meanwhile; the later one counts. Offset paging would miss rows then (EspoCRM, Reading).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from etl.errors import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.records import EspoListing

Filter: TypeAlias = "dict[str, object]"
Key: TypeAlias = "tuple[str, ...]"

TOTAL_HAS_MORE, TOTAL_LAST_PAGE = -1, -2
"""``total`` under ``X-No-Total``."""


class SortOrder(StrEnum):
    """What a walk follows. By id nothing moves; by time a walk can start at a cursor."""

    ID = "id"
    MODIFIED = "modifiedAt"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. ``answered_at`` is the server's ``Date``; ``total`` its count, or -1 or -2, or ``None``."""

    listings: tuple[EspoListing, ...]
    answered_at: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page to be asked for. ``with_total`` asks for the total too, ``size`` 0 for nothing but the total."""

    where: tuple[Filter, ...]
    order: SortOrder
    size: int
    with_total: bool = False


def iter_pages(
    fetch_page: Callable[[PageRequest], Page],
    where: Sequence[Filter],
    *,
    start: Sequence[Filter] = (),
    order: SortOrder,
    page_size: int,
    limit: int | None = None,
) -> Iterator[Page]:
    """All records under ``where`` from ``start`` on, at most ``limit``, by pages; ``Outage`` where they do not fit.

    ``start`` bounds the first page and the counts only; later pages begin behind the last record seen.
    """
    check = CompletenessCheck(order)
    first_request = page_request = PageRequest(
        (*where, *start), order, _size_of_page(page_size, limit, 0), with_total=True
    )
    expected_total = None
    while True:
        page = fetch_page(page_request)
        check.add_page(page, page_request.size)
        if expected_total is None:
            expected_total = _total_of(page)
        yield page
        if _is_last_page(page, page_request.size) or check.listed_count == limit:
            break
        next_filter = after_filter(order, page.listings[-1])
        page_request = PageRequest((*where, next_filter), order, _size_of_page(page_size, limit, check.listed_count))
    if check.record_count < _at_most(expected_total, limit):
        recount = fetch_page(PageRequest(first_request.where, order, 0, with_total=True))
        check.check_total(expected_total, _total_of(recount), limit)


class CompletenessCheck:
    """What a walk has seen so far; refuses what cannot be part of a whole list."""

    def __init__(self, order: SortOrder) -> None:
        self.listed_count = 0
        self._order = order
        self._last: Key = ()
        self._ids: set[str] = set()

    @property
    def record_count(self) -> int:
        """How many different records were listed."""
        return len(self._ids) if self._order is SortOrder.MODIFIED else self.listed_count

    def add_page(self, page: Page, size: int) -> None:
        """Count one more page; ``Outage`` when it does not continue the ones before."""
        for listing in page.listings:
            key = sort_key(self._order, listing)
            if key <= self._last:
                raise incomplete_list_error(f"record {listing.entity_id} is out of order or listed twice")
            self._last = key
        ids = {listing.entity_id for listing in page.listings}
        if len(ids) != len(page.listings):
            raise incomplete_list_error("a page names a record twice")
        if len(page.listings) > size:
            raise incomplete_list_error(f"{len(page.listings)} records on a page of {size}")
        if page.total == TOTAL_HAS_MORE and len(page.listings) < size:
            raise incomplete_list_error(f"only {len(page.listings)} records on a full page of {size}")
        self.listed_count += len(page.listings)
        if self._order is SortOrder.MODIFIED:  # by id, rising keys alone prove that none comes twice
            self._ids |= ids

    def check_total(self, expected: int, recount: int, limit: int | None) -> None:
        """Fewer than announced is whole only when a fresh count agrees: the others left meanwhile."""
        if self.record_count < _at_most(recount, limit):
            raise incomplete_list_error(f"{self.record_count} of {expected} records came, and {recount} are there now")


def after_filter(order: SortOrder, listing: EspoListing) -> Filter:
    """The filter for everything that sorts after ``listing``."""
    has_later_id: Filter = {"type": "greaterThan", "attribute": "id", "value": listing.entity_id}
    if order is SortOrder.ID:
        return has_later_id
    moment = listing.modified_at
    is_same_moment: Filter = {"type": "equals", "attribute": "modifiedAt", "value": moment}
    is_later: Filter = {"type": "greaterThan", "attribute": "modifiedAt", "value": moment}
    return {"type": "or", "value": [is_later, {"type": "and", "value": [is_same_moment, has_later_id]}]}


def sort_key(order: SortOrder, listing: EspoListing) -> Key:
    """What the server sorts by. Ids without regard to letter case, as its databases compare them."""
    entity_id = listing.entity_id.casefold()
    return (entity_id,) if order is SortOrder.ID else (listing.modified_at or "", entity_id)


def incomplete_list_error(reason: str) -> Outage:
    """The error for a list that is not whole."""
    return Outage("EspoCRM", f"incomplete list: {reason}")


def _total_of(page: Page) -> int:
    if page.total is None or page.total < 0:
        raise incomplete_list_error("it names no total")
    return page.total


def _is_last_page(page: Page, size: int) -> bool:
    return len(page.listings) < size or page.total in {TOTAL_LAST_PAGE, len(page.listings)}


def _size_of_page(page_size: int, limit: int | None, listed: int) -> int:
    return page_size if limit is None else min(page_size, limit - listed)


def _at_most(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
