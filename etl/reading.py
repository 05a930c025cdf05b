"""Reads that overlap: a bounded number of requests under way, answers in order, one thread that uses them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from etl.errors import PersonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from etl.run import Run

Key = TypeVar("Key")
Answer = TypeVar("Answer")


def overlapped(
    run: Run, what: str, keys: Sequence[Key], fetch: Callable[[Key], Answer], readers: int
) -> Iterator[tuple[Key, Answer | PersonError]]:
    """Fetch with up to ``readers`` requests under way, in the order of ``keys``; a person's error is its answer."""

    def one(key: Key) -> Answer | PersonError:
        try:
            return fetch(key)
        except PersonError as error:
            return error

    if readers <= 1 or len(keys) <= 1:
        for done, key in enumerate(keys):
            run.progress(what, done, len(keys))
            yield key, one(key)
        return
    with closing(ThreadedReads(one, keys, readers)) as reads:
        for done, pair in enumerate(reads):
            run.progress(what, done, len(keys))
            yield pair


class ThreadedReads:
    """A bounded pool of readers: never more than a window of answers is held, and what is not needed is cancelled.

    After the first error no further request begins: an outage is not hammered, a refused login not repeated.
    """

    def __init__(self, fetch: Callable[[Any], Any], keys: Sequence[Any], readers: int) -> None:
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        self._keys, self._window = keys, 4 * readers
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

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yield each key with its answer, in order."""
        waiting = [(key, self._pool.submit(self._fetch, key)) for key in self._keys[: self._window]]
        for upcoming in [*self._keys[self._window :], *[None] * len(waiting)]:
            key, answer = waiting.pop(0)
            if upcoming is not None:
                waiting.append((upcoming, self._pool.submit(self._fetch, upcoming)))
            yield key, answer.result()

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
