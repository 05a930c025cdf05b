"""Read in parallel: a bounded number of requests under way, answers in order, and one thread that uses them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from etl.errors import PersonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from etl.context import RunContext

PREFETCH_LIMIT = 100
"""At most this many answers wait, so that readers can go on while a batch is stored."""

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class Read(NamedTuple, Generic[Key, Answer]):
    """One answer, or the person's error, and when it was asked for (monotonic seconds), which tells its true age."""

    key: Key
    answer: Answer | PersonError
    at: float


def is_stale(run: RunContext, read_at: float) -> bool:
    """Whether a read is too old to base a write on (rules §5, Compare before write)."""
    return run.monotonic() - read_at > run.limits.max_staleness_seconds


def fetch_in_parallel(
    run: RunContext, what: str, keys: Sequence[Key], fetch: Callable[[Key], Answer], readers: int
) -> Iterator[Read[Key, Answer]]:
    """Fetch with up to ``readers`` requests under way; answers in the order of ``keys``; ends once all are refused."""

    def read_key(key: Key) -> Read[Key, Answer]:
        started_at = run.monotonic()
        try:
            return Read(key, fetch(key), started_at)
        except PersonError as error:
            return Read(key, error, started_at)

    is_serial = readers <= 1 or len(keys) <= 1
    with nullcontext(map(read_key, keys)) if is_serial else closing(PrefetchPool(read_key, keys, readers)) as reads:
        for count, read in enumerate(reads):
            run.progress(what, count, len(keys))
            yield read
            run.refusals.record_read(what, read.answer)
            if run.refusals.affects_everybody:
                return


class PrefetchPool:
    """A bounded pool of readers: it holds a limited number of answers, and cancels what is no longer needed.

    After the first error no further request begins: an outage is not hammered, a refused login not repeated. What a
    reader logs names the run and the firm, like the lines of its caller.
    """

    def __init__(self, fetch: Callable[[Any], Any], keys: Sequence[Any], readers: int) -> None:
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        self._keys = keys
        self._errors: list[BaseException] = []

        def fetch_until_error(key: Any) -> Any:  # noqa: ANN401 - of any kind
            if self._errors:
                raise self._errors[0]
            try:
                return fetch(key)
            except BaseException as error:
                self._errors.append(error)
                raise

        self._fetch = fetch_until_error

    def __iter__(self) -> Iterator[Any]:
        """Yield the answers in the order of the keys."""
        futures = [self._submit(key) for key in self._keys[:PREFETCH_LIMIT]]
        for next_key in [*self._keys[PREFETCH_LIMIT:], *[None] * len(futures)]:
            future = futures.pop(0)
            if next_key is not None:
                futures.append(self._submit(next_key))
            yield future.result()

    def _submit(self, key: Any) -> Future[Any]:  # noqa: ANN401 - of any kind
        return self._pool.submit(copy_context().run, self._fetch, key)

    def close(self) -> None:
        """Cancel requests that have not begun and wait for those that have."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def chunks(items: Iterable[Key], size: int) -> Iterator[list[Key]]:
    """Yield the items in lists of up to ``size``."""
    chunk: list[Key] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
