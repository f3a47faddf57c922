"""When not to ask a collateral service: after a failure for a while, and never more often than a budget allows.

A broker is asked for keys by anybody. Without restraint every request of theirs would be one more to the service: a
service in trouble would be asked more, and made-up platforms would make the broker somebody's flood. Times are the
caller's UTC seconds; a clock that goes back only makes the wait longer by that much, up to one full wait.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from heartify.errors import ServiceError

FIRST_WAIT_SECONDS: Final = 15
LONGEST_WAIT_SECONDS: Final = 900
FETCHES_PER_MINUTE: Final = 30
_REMEMBERED_FAILURES: Final = 512


@dataclass(frozen=True, slots=True)
class _Failure:
    count: int
    failed_at: int
    message: str

    @property
    def wait_seconds(self) -> int:
        return int(min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(self.count - 1, 16)))


class FetchRestraint:
    """Remembers failures by name, and counts all fetches of the last minute."""

    def __init__(self, *, fetches_per_minute: int = FETCHES_PER_MINUTE) -> None:
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._fetches: deque[int] = deque(maxlen=fetches_per_minute)
        self._lock = threading.Lock()

    def take_turn(self, name: str, now_utc_seconds: int) -> None:
        """Count one fetch. Raises ServiceError when this name failed a moment ago, or the minute's budget is used."""
        with self._lock:
            failure = self._failures.get(name)
            if failure is not None and 0 <= now_utc_seconds - failure.failed_at < failure.wait_seconds:
                left = failure.failed_at + failure.wait_seconds - now_utc_seconds
                raise ServiceError(
                    f"{failure.message} (asked {now_utc_seconds - failure.failed_at} seconds ago)",
                    hint=f"the next try is in {left} seconds",
                )
            if len(self._fetches) == self._fetches.maxlen and 0 <= now_utc_seconds - self._fetches[0] < 60:
                raise ServiceError(
                    "collateral of too many platforms was asked for within a minute", hint="try again in a minute"
                )
            self._fetches.append(now_utc_seconds)

    def failed(self, name: str, now_utc_seconds: int, message: str) -> None:
        """Remember a failure: the wait doubles with each one in a row."""
        with self._lock:
            before = self._failures.pop(name, None)
            self._failures[name] = _Failure(1 if before is None else before.count + 1, now_utc_seconds, message)
            if len(self._failures) > _REMEMBERED_FAILURES:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget a name's failures."""
        with self._lock:
            self._failures.pop(name, None)
