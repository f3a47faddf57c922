"""Threads that change the time of a computation and nothing else.

Tasks run in any order on a few threads, results come back in the order of the tasks; whoever adds them up in that order
gets the same bits for any number of threads. BLAS should run single-threaded beside it (set its environment variable
before numpy is imported): threads inside threads slow both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from heartify.stats.errors import InvalidBlockError

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_THREADS = 64


class OrderedMap:
    """Apply a function to items on a fixed number of threads, in the items' order; see `ordered_map`."""

    def __init__(self, executor: ThreadPoolExecutor | None) -> None:
        self._executor = executor

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return [function(item) for item in items]; the first failure, in that order, is raised."""
        if self._executor is None:
            return [function(item) for item in items]
        futures = [self._executor.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


@contextmanager
def ordered_map(threads: int) -> Iterator[OrderedMap]:
    """Give an OrderedMap of so many threads; with 1 there is none but the caller's.

    Raises:
        InvalidBlockError: the number of threads is not from 1 to 64.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise InvalidBlockError(f"expected 1 to {MAX_THREADS} threads")
    if threads == 1:
        yield OrderedMap(None)
        return
    with ThreadPoolExecutor(threads) as executor:
        yield OrderedMap(executor)
