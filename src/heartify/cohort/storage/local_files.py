"""Files of a local store: written whole or not at all, on disk before they have their name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from heartify.errors import UsageError

_LOCK_FILE = ".writer.lock"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write; it takes the place of `path` in one step at the end, or disappears on an error."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def put_local(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as file:
        file.write(data)


def sync_directory(path: Path) -> None:
    """Make a directory's names durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Hold the store's lock; the kernel drops it when the process dies, however it dies."""
    with (root / _LOCK_FILE).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError("another process is publishing to this store", hint="wait until it has finished") from exc
        yield
