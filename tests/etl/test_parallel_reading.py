"""Reads that overlap: who stores answers does not keep the readers waiting, and memory stays bounded."""

from __future__ import annotations

from contextlib import closing
from threading import Event
from typing import Any

import structlog

from etl.extract import PERSONS_PER_TRANSACTION
from etl.reading.parallel import PREFETCH_LIMIT, PrefetchPool


def test_readers_go_on_while_a_batch_is_stored_but_not_without_end() -> None:
    keys: list[int] = []
    enough = Event()

    def fetch(key: int) -> int:
        keys.append(key)
        if len(keys) == PERSONS_PER_TRANSACTION + PREFETCH_LIMIT:
            enough.set()
        return key

    with closing(PrefetchPool(fetch, range(10 * PREFETCH_LIMIT), readers=2)) as reads:
        answers = iter(reads)
        assert [next(answers) for _ in range(PERSONS_PER_TRANSACTION)] == list(range(PERSONS_PER_TRANSACTION))
        assert enough.wait(timeout=30)
        assert len(keys) == PERSONS_PER_TRANSACTION + PREFETCH_LIMIT


def test_a_reader_logs_under_the_run_that_reads() -> None:
    def logged_as(_key: int) -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    with (
        structlog.contextvars.bound_contextvars(run_id=7),
        closing(PrefetchPool(logged_as, range(3 * PREFETCH_LIMIT), readers=2)) as reads,
    ):
        assert list(reads) == [{"run_id": 7}] * 3 * PREFETCH_LIMIT
