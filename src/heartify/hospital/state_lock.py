"""Who uses the broker's keys and state, so that nobody exchanges them meanwhile: a lock on a file of the home.

The service and publications share it; a rotation of the key-encryption key and a restore have it alone. The kernel
drops it when a process dies, however it dies. It stands for processes on this machine: brokers elsewhere on the same
PostgreSQL server are safe by the transactions themselves, but must be restarted after a rotation.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from heartify.errors import UsageError

LOCK_FILE = "broker.lock"


@contextlib.contextmanager
def using_state(home: Path) -> Iterator[None]:
    """Hold the lock together with others.

    Raises:
        UsageError: a rotation or a restore is under way.
    """
    with _locked(home, fcntl.LOCK_SH, "the broker's keys or state are being exchanged", "wait until that has ended"):
        yield


@contextlib.contextmanager
def exchanging_state(home: Path) -> Iterator[None]:
    """Hold the lock alone.

    Raises:
        UsageError: the broker runs, or a publication is under way.
    """
    with _locked(
        home, fcntl.LOCK_EX, "the broker runs, or a cohort is being published", "stop the broker first, then try again"
    ):
        yield


@contextlib.contextmanager
def _locked(home: Path, kind: int, complaint: str, hint: str) -> Iterator[None]:
    with (home / LOCK_FILE).open("wb") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError(complaint, hint=hint) from exc
        yield
