"""Reads that overlap: a bounded number of requests under way, answers in order, one thread that uses them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from etl.errors import PersonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from etl.run import Run

AHEAD = 100
"""Answers that wait at most, so that readers go on while a batch is stored."""

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class Read(NamedTuple, Generic[Key, Answer]):
    """One answer, or the person's error, and when it was asked for (monotonic seconds): that is its true age."""

    key: Key
    answer: Answer | PersonError
    at: float


def stale(run: Run, read_at: float) -> bool:
    """Whether a read is too old to write upon (rules.md §5, Compare before write)."""
    return run.monotonic() - read_at > run.limits.max_staleness_seconds


def overlapped(
    run: Run, what: str, keys: Sequence[Key], fetch: Callable[[Key], Answer], readers: int
) -> Iterator[Read[Key, Answer]]:
    """Fetch with up to ``readers`` requests under way, in the order of ``keys``; ends early once all are refused."""

    def one(key: Key) -> Read[Key, Answer]:
        asked_at = run.monotonic()
        try:
            return Read(key, fetch(key), asked_at)
        except PersonError as error:
            return Read(key, error, asked_at)

    alone = readers <= 1 or len(keys) <= 1
    with nullcontext(map(one, keys)) if alone else closing(ThreadedReads(one, keys, readers)) as reads:
        for done, read in enumerate(reads):
            run.progress(what, done, len(keys))
            yield read
            run.refusals.after_read(what, read.answer)
            if run.refusals.of_everybody:
                return


class ThreadedReads:
    """A bounded pool of readers: never more than a window of answers is held, and what is not needed is cancelled.

    After the first error no further request begins: an outage is not hammered, a refused login not repeated.
    """

    def __init__(self, fetch: Callable[[Any], Any], keys: Sequence[Any], readers: int) -> None:
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        self._keys = keys
        self._ended: list[BaseException] = []

        def one(key: Any) -> Any:  # noqa: ANN401 - of any kind
            if self._ended:
                raise self._ended[0]
            try:
                return fetch(key)
            except BaseException as error:
                self._ended.append(error)
                raise

        self._fetch = one

    def __iter__(self) -> Iterator[Any]:
        """Yield the answers in the order of the keys."""
        waiting = [self._pool.submit(self._fetch, key) for key in self._keys[:AHEAD]]
        for upcoming in [*self._keys[AHEAD:], *[None] * len(waiting)]:
            answer = waiting.pop(0)
            if upcoming is not None:
                waiting.append(self._pool.submit(self._fetch, upcoming))
            yield answer.result()

    def close(self) -> None:
        """Cancel what was not begun and wait for what was."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def batches(things: Iterable[Key], size: int) -> Iterator[list[Key]]:
    """Chunks of up to ``size``."""
    batch: list[Key] = []
    for thing in things:
        batch.append(thing)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
