"""What to do when a store fails: wait and try again, or say so in our own words.

Retries are bounded and spread by chance, so that many readers don't come back at once (Brooker, "Exponential backoff
and jitter", 2015: full jitter). A message never quotes what a driver or a server said: it may hold credentials, or text
made to steer a terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import httpx

from heartify.errors import HeartifyError, ServiceError

T = TypeVar("T")

_TRANSIENT_NUMBERS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ETIMEDOUT,
    }
)
_TRANSIENT_CODES = frozenset({"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "XAmzContentSHA256Mismatch"})
_TRANSIENT_CLASSES = frozenset(
    {
        ("aiohttp", "ClientError"),
        ("botocore", "ConnectionError"),
        ("botocore", "HTTPClientError"),
        ("botocore", "ResponseParserError"),
        ("botocore", "IncompleteReadError"),
    }
)
"""Errors of the S3 driver's libraries, by name: naming them by import would load the driver for every local store."""


class AnswerError(OSError):
    """A server answered with a status that is not success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try again; time and chance are given, so that tests need neither."""

    attempts: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.SystemRandom().random
    clock: Callable[[], float] = time.monotonic

    def wait(self, failures: int) -> None:
        """Wait after the given number of failures in a row."""
        longest = min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** (failures - 1))
        self.sleep(self.chance() * longest)

    def run(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it succeeds; a failure that won't pass, or the last one, is raised."""
        for failures in range(1, self.attempts):
            try:
                return attempt()
            except Exception as exc:
                if not is_transient(exc):
                    raise
                self.wait(failures)
        return attempt()


NO_PATIENCE = Patience(attempts=1)
"""For folders and memory, where trying again changes nothing."""


@dataclass(slots=True)
class Pace:
    """Bounds how long a transfer may take, so that a store that drips can't hold a reader for ever."""

    clock: Callable[[], float]
    grace_seconds: float = 60.0
    least_bytes_per_second: float = 16 * 1024
    _started: float = 0.0
    _received: int = 0

    def __post_init__(self) -> None:
        self._started = self.clock()

    def note(self, received: int) -> None:
        """Count received bytes.

        Raises ServiceError when the transfer is slower than the least pace.
        """
        self._received += received
        if self.clock() - self._started > self.grace_seconds + self._received / self.least_bytes_per_second:
            raise ServiceError("the store sends too slowly", hint="try again later, or fetch from another store")


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may succeed later."""
    if isinstance(error, HeartifyError):
        return False
    status, code = _answer_of(error)
    if status is not None:
        return status in {408, 425, 429} or (status >= 500 and status != 501) or code in _TRANSIENT_CODES
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return False
    if isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError)):
        return not isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
    if isinstance(error, OSError) and error.errno in _TRANSIENT_NUMBERS:
        return True
    return any((kind.__module__.partition(".")[0], kind.__name__) in _TRANSIENT_CLASSES for kind in type(error).__mro__)


@contextlib.contextmanager
def as_service_error(what: str) -> Iterator[None]:
    """Turn whatever a driver raises into a ServiceError that says what could not be done."""
    try:
        yield
    except HeartifyError:
        raise
    except Exception as exc:
        # Drivers raise what their libraries do, and not all of it is an OSError.
        raise ServiceError(f"{what}: {_reason(exc)}", hint="check the store's URL and rights") from exc


def _reason(error: Exception) -> str:
    if isinstance(error, AnswerError):
        return f"the server answered with status {error.status}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return type(error).__name__


def _answer_of(error: BaseException) -> tuple[int | None, str]:
    """Return the HTTP status and error code that lie behind an error, if there was an answer at all."""
    if isinstance(error, AnswerError):
        return error.status, ""
    for candidate in (error, error.__cause__):
        response = getattr(candidate, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status, str(response.get("Error", {}).get("Code", ""))
    return None, ""
