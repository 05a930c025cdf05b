"""What else compares two sides with a memory: vdirsyncer on storages that do nothing; DuckDB's full join as the limit.

Needs the extra ``bench``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import adbc_driver_sqlite.dbapi as adbc
import duckdb
import pyarrow as pa
from vdirsyncer.storage.base import Storage
from vdirsyncer.sync import sync
from vdirsyncer.sync.status import SqliteStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

logging.disable(logging.INFO)

EDITED_EVERY = 100


class RivalItem:
    """An item as far as ``sync`` looks at one."""

    def __init__(self, ident: str, content: str) -> None:
        self.ident, self.hash = ident, content


class NoOpStorage(Storage):  # type: ignore[misc]  # it ships no types
    """A storage of so many items that costs nothing to ask and to write; every hundredth edited if it says so."""

    def __init__(self, items: int, *, is_edited: bool) -> None:
        super().__init__(instance_name="bench")
        self.items, self.is_edited = items, is_edited

    def etag(self, number: int) -> str:
        return "after" if self.is_edited and number % EDITED_EVERY == 0 else "before"

    async def list(self) -> AsyncIterator[tuple[str, str]]:
        for number in range(self.items):
            yield str(number), self.etag(number)

    async def get_multi(self, hrefs: Iterable[str]) -> AsyncIterator[tuple[str, RivalItem, str]]:
        for href in hrefs:
            etag = self.etag(int(href))
            yield href, RivalItem(href, etag), etag

    async def update(self, _href: str, item: RivalItem, _etag: str) -> str:
        return item.hash

    async def get(self, href: str) -> tuple[RivalItem, str]:
        raise NotImplementedError

    async def upload(self, item: RivalItem) -> tuple[str, str]:
        raise NotImplementedError

    async def delete(self, href: str, etag: str) -> None:
        raise NotImplementedError


def vdirsyncer_first(status: str, items: str) -> None:
    """Fill vdirsyncer's memory."""
    asyncio.run(sync_once(status, int(items), is_edited=False))


def vdirsyncer_again(status: str, items: str) -> None:
    """One sync with 1 % of one side edited."""
    asyncio.run(sync_once(status, int(items), is_edited=True))


async def sync_once(status: str, items: int, *, is_edited: bool) -> None:
    await sync(NoOpStorage(items, is_edited=is_edited), NoOpStorage(items, is_edited=False), SqliteStatus(status))


JOIN = """
select count(*)
from baseline
full join advo_entries using (betnr, komm_id)
full join espo_entries
    on espo_entries.entity_id = baseline.entity_id
    and espo_entries.channel = baseline.channel
    and espo_entries.canonical = baseline.espo_canonical
where advo_entries.canonical is distinct from espo_entries.canonical
"""


def duckdb_join(folder: str) -> int:
    """The comparison alone, of tables DuckDB holds already: what no reading and no deciding would leave."""
    with duckdb.connect(f"{folder}/duck.db", read_only=True) as db:
        db.execute("set threads = 1")
        row: tuple[int] = db.execute(JOIN).fetchall()[0]
        return row[0]


def fill_duckdb(path: str, folder: str) -> None:
    """The three tables as DuckDB's own."""
    with duckdb.connect(f"{folder}/duck.db") as db, adbc.connect(path) as store, store.cursor() as cursor:
        for name in ("baseline", "advo_entries", "espo_entries"):
            cursor.execute(f"select * from {name}")
            table: pa.Table = cursor.fetch_arrow_table()
            db.register("read", table)
            db.execute(f"create table {name} as select * from read")
            db.unregister("read")
