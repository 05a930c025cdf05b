"""Whole lists out of pages: keyset paging, and the proof that nothing is missing (rules.md §1, Completeness).

A walk is whole only when its iterator ends without an exception. Checked on the way: every page but the last is full,
keys rise strictly from record to record and from page to page, no page names a record twice. Checked at the end: at
least as many records were seen as the first page announced, or as a fresh count says where records left meanwhile.

More than announced is legal (records appear during a walk). In a walk by ``modifiedAt`` a record may come twice,
because somebody saved it meanwhile; the later one counts. Offset paging would miss rows then (espocrm-api.md, Reading).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from etl.errors import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.records import Listing

Filter: TypeAlias = "dict[str, object]"
Key: TypeAlias = "tuple[str, ...]"

MORE_FOLLOW, LAST_PAGE = -1, -2
"""``total`` under ``X-No-Total``."""


class Order(StrEnum):
    """What a walk follows. By id nothing moves; by time a walk can start at a cursor."""

    ID = "id"
    MODIFIED = "modifiedAt"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. ``answered_at`` is the server's ``Date``; ``total`` its count, or -1 or -2, or ``None``."""

    listings: tuple[Listing, ...]
    answered_at: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One page to be asked for. ``counted`` asks for the total too, ``size`` 0 for nothing but the total."""

    where: tuple[Filter, ...]
    order: Order
    size: int
    counted: bool = False


def walk(
    read: Callable[[Question], Page],
    where: Sequence[Filter],
    *,
    start: Sequence[Filter] = (),
    order: Order,
    page_size: int,
    limit: int | None = None,
) -> Iterator[Page]:
    """All records under ``where`` from ``start`` on, at most ``limit``, by pages; ``Outage`` where they do not fit.

    ``start`` bounds the first page and the counts only; later pages begin behind the last record seen.
    """
    tally = Tally(order)
    first = question = Question((*where, *start), order, _size(page_size, limit, 0), counted=True)
    expected = None
    while True:
        page = read(question)
        tally.add(page, question.size)
        if expected is None:
            expected = _announced(page)
        yield page
        if _is_last(page, question.size) or tally.listed == limit:
            break
        beyond = behind(order, page.listings[-1])
        question = Question((*where, beyond), order, _size(page_size, limit, tally.listed))
    if tally.seen < _capped(expected, limit):
        recount = read(Question(first.where, order, 0, counted=True))
        tally.confirm(expected, _announced(recount), limit)


class Tally:
    """What a walk has seen so far; refuses what cannot be part of a whole list."""

    def __init__(self, order: Order) -> None:
        self.listed = 0
        self._order = order
        self._last: Key = ()
        self._ids: set[str] = set()

    @property
    def seen(self) -> int:
        """How many different records were listed."""
        return len(self._ids) if self._order is Order.MODIFIED else self.listed

    def add(self, page: Page, size: int) -> None:
        """Count one more page; ``Outage`` when it does not continue the ones before."""
        for listing in page.listings:
            key = key_of(self._order, listing)
            if key <= self._last:
                raise incomplete(f"record {listing.entity_id} is out of order or listed twice")
            self._last = key
        ids = {listing.entity_id for listing in page.listings}
        if len(ids) != len(page.listings):
            raise incomplete("a page names a record twice")
        if len(page.listings) > size:
            raise incomplete(f"{len(page.listings)} records on a page of {size}")
        if page.total == MORE_FOLLOW and len(page.listings) < size:
            raise incomplete(f"only {len(page.listings)} records on a full page of {size}")
        self.listed += len(page.listings)
        if self._order is Order.MODIFIED:  # by id, rising keys alone prove that none comes twice
            self._ids |= ids

    def confirm(self, expected: int, recount: int, limit: int | None) -> None:
        """Fewer than announced is whole only when a fresh count agrees: the others left meanwhile."""
        if self.seen < _capped(recount, limit):
            raise incomplete(f"{self.seen} of {expected} records came, and {recount} are there now")


def behind(order: Order, listing: Listing) -> Filter:
    """The filter for everything that sorts after ``listing``."""
    later_id: Filter = {"type": "greaterThan", "attribute": "id", "value": listing.entity_id}
    if order is Order.ID:
        return later_id
    moment = listing.modified_at
    same_moment: Filter = {"type": "equals", "attribute": "modifiedAt", "value": moment}
    later: Filter = {"type": "greaterThan", "attribute": "modifiedAt", "value": moment}
    return {"type": "or", "value": [later, {"type": "and", "value": [same_moment, later_id]}]}


def key_of(order: Order, listing: Listing) -> Key:
    """What the server sorts by. Ids without regard to letter case, as its databases compare them."""
    entity_id = listing.entity_id.casefold()
    return (entity_id,) if order is Order.ID else (listing.modified_at or "", entity_id)


def incomplete(why: str) -> Outage:
    """The error for a list that is not whole."""
    return Outage("EspoCRM", f"incomplete list: {why}")


def _announced(page: Page) -> int:
    if page.total is None or page.total < 0:
        raise incomplete("it names no total")
    return page.total


def _is_last(page: Page, size: int) -> bool:
    return len(page.listings) < size or page.total in {LAST_PAGE, len(page.listings)}


def _size(page_size: int, limit: int | None, listed: int) -> int:
    return page_size if limit is None else min(page_size, limit - listed)


def _capped(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
