"""A folder that keeps downloaded files by their SHA-256, each verified before it is there and again at every use.

Several processes may share it: a file gets its name by renaming, downloads of one file wait for each other, and a file
that is in use stays readable when it is evicted. The folder is not believed either: a file whose bytes changed on the
disk is thrown away and fetched again. It keeps at most `max_bytes`, without what was not used for longest; a file that
is larger alone is fetched and not kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from heartify.cohort.storage.download import download_object
from heartify.cohort.storage.failures import Patience, as_service_error
from heartify.cohort.storage.names import digest_hex
from heartify.cohort.storage.s3_client import BLOCK_BYTES
from heartify.cohort.storage.store import Store
from heartify.errors import UsageError

_LOCKS = "locks"
_FILES = "files"
_PARTIALS = "partial"


@dataclass(frozen=True, slots=True)
class VerifiedCache:
    """The cache in a folder, which is made at first use. `patience` replaces the store's own."""

    folder: Path
    max_bytes: int
    patience: Patience | None = None

    def __post_init__(self) -> None:
        if self.max_bytes < 0:
            raise UsageError("a cache can't have a negative size")

    def open_object(self, store: Store, digest: str, size: int) -> BinaryIO:
        """Return a file of the store, open for reading from any place and verified; close it after use.

        Raises IntegrityError when the store has other bytes, ServiceError when it or the cache's disk fails.
        """
        name = digest_hex(digest)
        with as_service_error("cannot use the cache of downloaded files"), self._lock(name[:2]):
            path = self._path(_FILES, name)
            return _open_verified(path, name, size) or self._fetch(store, name, size)

    def read_object(self, store: Store, digest: str, size: int) -> bytes:
        """Return all bytes of a file of the store; raises like open_object."""
        with self.open_object(store, digest, size) as file:
            data = file.read(size)
        if hashlib.sha256(data).hexdigest() == digest_hex(digest):
            return data
        # Somebody wrote into the file between the check and the reading.
        self.forget(digest)
        with self.open_object(store, digest, size) as file:
            return file.read(size)

    def forget(self, digest: str) -> None:
        """Remove a file from the cache, if it is there."""
        self._path(_FILES, digest_hex(digest)).unlink(missing_ok=True)

    def _fetch(self, store: Store, name: str, size: int) -> BinaryIO:
        partial, path = self._path(_PARTIALS, name), self._path(_FILES, name)
        self._make_room(size, keep=name)
        download_object(store, name, size, partial, patience=self.patience)
        file = partial.open("rb")
        if size > self.max_bytes:
            partial.unlink()  # the open file stays readable
        else:
            partial.rename(path)
            self._make_room(size, keep=name)  # others may have downloaded meanwhile
        return file

    def _make_room(self, size: int, *, keep: str) -> None:
        """Remove what was not used for longest until `size` more bytes fit; unfinished downloads count too."""
        with self._lock("room"):
            entries = sorted(self._entries(), key=lambda entry: entry.used)
            total = sum(entry.size for entry in entries if entry.path.name != keep) + size
            for entry in entries:
                if total <= self.max_bytes:
                    return
                if entry.path.name != keep and self._remove(entry.path, keep):
                    total -= entry.size

    def _remove(self, path: Path, keep: str) -> bool:
        """Remove one file unless it is being downloaded just now."""
        prefix = path.name[:2]
        with contextlib.ExitStack() as stack:
            if prefix != keep[:2]:  # that lock is ours already
                try:
                    stack.enter_context(self._lock(prefix, wait=False))
                except BlockingIOError:
                    return False
            path.unlink(missing_ok=True)
        return True

    def _entries(self) -> Iterator[_Entry]:
        for folder in (_FILES, _PARTIALS):
            with os.scandir(self._path(folder, "x").parent) as found:
                for entry in found:
                    with contextlib.suppress(FileNotFoundError):  # another process removed it
                        status = entry.stat()
                        yield _Entry(Path(entry.path), status.st_size, status.st_mtime)

    @contextlib.contextmanager
    def _lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Hold one of the cache's locks; the kernel drops it when the process dies."""
        with self._path(_LOCKS, name).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def _path(self, folder: str, name: str) -> Path:
        place = self.folder / folder
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place / name


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int
    used: float


def _open_verified(path: Path, name: str, size: int) -> BinaryIO | None:
    """Return a cached file that has its digest, None when there is none; one that hasn't is removed."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if os.fstat(file.fileno()).st_size != size or _digest_of(file) != name:
        file.close()
        path.unlink(missing_ok=True)
        return None
    file.seek(0)
    os.utime(path)  # used just now
    return file


def _digest_of(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        found.update(block)
    return found.hexdigest()
