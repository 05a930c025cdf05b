from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.records import EspoListing
from etl.store.database import Store
from etl.store.tables.runs import start_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = "2026-08-30 10:00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, now=NOW, durable=False) as store_open:
        yield store_open


@pytest.fixture
def run_id(store: Store) -> int:
    return start_run(store, now=NOW, version="1.0", trigger="sync")


@pytest.fixture
def make_listing() -> Callable[..., EspoListing]:
    """A record as a list shows it, linked unless told otherwise."""

    def listing(entity_id: str, betnr: int | None = None, **changes: Any) -> EspoListing:
        fields: dict[str, Any] = {
            "name": entity_id.upper(),
            "status": None,
            "fingerprint": None,
            "modified_at": "2026-08-01 08:00:00",
            "modified_by": "user",
        }
        return EspoListing(entity_id, betnr, **(fields | changes))

    return listing
