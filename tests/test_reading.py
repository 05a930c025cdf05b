"""Reads that overlap: who stores answers does not keep the readers waiting, and memory stays bounded."""

from __future__ import annotations

from contextlib import closing
from threading import Event

from etl.extract import BATCH
from etl.reading import AHEAD, ThreadedReads


def test_readers_go_on_while_a_batch_is_stored_but_not_without_end() -> None:
    asked: list[int] = []
    enough = Event()

    def fetch(key: int) -> int:
        asked.append(key)
        if len(asked) == BATCH + AHEAD:
            enough.set()
        return key

    with closing(ThreadedReads(fetch, range(10 * AHEAD), readers=2)) as reads:
        answers = iter(reads)
        assert [next(answers) for _ in range(BATCH)] == list(range(BATCH))
        assert enough.wait(timeout=30)
        assert len(asked) == BATCH + AHEAD
