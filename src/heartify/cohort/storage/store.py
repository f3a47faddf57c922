"""Where dataset versions lie: any fsspec URL (file, s3, memory...), with atomic puts and bounded gets.

The location decides nothing: whoever reads verifies digests, so a store may be public and hostile. It holds ciphertext
and public documents only. A version becomes visible in one step: on a local folder by renaming its directory, elsewhere
by moving the manifest last. One writer at a time works on a local store, and removes what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from heartify.errors import HeartifyError, IntegrityError, ServiceError, UsageError
from heartify.protocol.manifest import MANIFEST_FILE

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}")
_STAGING = re.compile(r"partial-[0-9a-f]{32}")
_LOCK_FILE = ".writer.lock"

STORE_KINDS = frozenset({"file", "memory", "s3", "https", "ipfs"})
"""Kinds of store URL. The address of a store comes from the chain, where anybody can write one: drivers that read from
archives, repositories, shells or plain http hosts inside a network are not for the reader to be sent to."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of files; names are relative, with `/` between folders. Build it by open_store."""

    url: str
    filesystem: fsspec.AbstractFileSystem
    root: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, where renaming is atomic."""
        return isinstance(self.filesystem, LocalFileSystem)

    def put(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, replacing an older one.

        Raises ServiceError.
        """
        path = self._path(name)
        with _as_service_error(f"cannot write '{name}'"):
            self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self.is_local:
                _put_local(Path(path), data)
            else:
                self.filesystem.pipe_file(path, data)  # object stores show an object only when it is complete

    def get(self, name: str, *, max_bytes: int) -> bytes:
        """Read a file of at most `max_bytes`.

        Raises ServiceError when it cannot be read, IntegrityError when it is larger.
        """
        path = self._path(name)
        with _as_service_error(f"cannot read '{name}'"), self.filesystem.open(path, "rb") as file:
            data = bytes(file.read(max_bytes + 1))
        if len(data) > max_bytes:
            raise IntegrityError(f"file-size: '{name}' is larger than the {max_bytes} bytes expected")
        return data

    def exists(self, name: str) -> bool:
        """Tell whether a file or folder of that name is there."""
        with _as_service_error(f"cannot look for '{name}'"):
            return bool(self.filesystem.exists(self._path(name)))

    def list(self, folder: str = "") -> tuple[str, ...]:
        """Return the sorted names of files and folders directly in a folder; empty when there is none."""
        path = self._path(folder) if folder else self.root
        with _as_service_error("cannot list the store"):
            if not self.filesystem.exists(path):
                return ()
            names = (str(entry).rstrip("/").rpartition("/")[2] for entry in self.filesystem.ls(path, detail=False))
            return tuple(sorted(name for name in names if not name.startswith(".")))

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it; nothing happens when there is none."""
        path = self._path(folder)
        with _as_service_error(f"cannot remove '{folder}'"):
            if self.filesystem.exists(path):
                self.filesystem.rm(path, recursive=True)

    @contextlib.contextmanager
    def staging(self) -> Iterator[str]:
        """Yield the name of a fresh folder for a version in the making; it is gone afterwards unless published.

        Raises UsageError when another process is writing to this local store.
        """
        with _as_service_error("cannot create the store"):
            self.filesystem.makedirs(self.root, exist_ok=True)
        with _writer_lock(Path(self.root)) if self.is_local else contextlib.nullcontext():
            self._remove_dead_stagings()
            folder = f"partial-{secrets.token_hex(16)}"
            try:
                yield folder
            finally:
                self.remove(folder)

    def publish(self, staging: str, folder: str) -> None:
        """Give a complete staging folder its final name; readers see all of it or nothing.

        Raises UsageError when the name is taken.
        """
        if self.exists(folder):
            raise UsageError(f"the store already has '{folder}'", hint="a dataset version is immutable")
        source, target = self._path(staging), self._path(folder)
        with _as_service_error(f"cannot publish '{folder}'"):
            if self.is_local:
                os.rename(source, target)  # noqa: PTH104 - the atomic rename is the point
                _sync_directory(Path(self.root))
                return
            names = sorted(self.list(staging), key=lambda name: (name == MANIFEST_FILE, name))
            for name in names:
                self.filesystem.mv(f"{source}/{name}", f"{target}/{name}")

    def _remove_dead_stagings(self) -> None:
        """Remove what a killed writer left; the lock proves that it is dead, so only a local store can tell."""
        if self.is_local:
            for name in self.list():
                if _STAGING.fullmatch(name):
                    self.remove(name)

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise UsageError("a name in the store may have letters, digits, . _ - and / between folders only")
        return f"{self.root.rstrip('/')}/{name}"


def open_store(url: str) -> Store:
    """Open a store by URL or local path; nothing is created yet.

    Raises UsageError when the URL's kind is not one of STORE_KINDS or its driver is not installed.
    """
    kinds = ", ".join(sorted(STORE_KINDS))
    if fsspec.core.split_protocol(url)[0] not in {None, *STORE_KINDS} or "::" in url:
        raise UsageError("this kind of store URL is not supported", hint=f"a folder, or one of {kinds}")
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except Exception as exc:
        # Not only ValueError and ImportError: each driver raises its own on an address that it doesn't like.
        raise UsageError("this store URL can't be opened here", hint=f"known kinds: {kinds}; s3 needs s3fs") from exc
    return Store(url=url.rstrip("/"), filesystem=filesystem, root=str(root))


def version_folder(version_id: str) -> str:
    """Return the folder of a version in a store: its id without 0x."""
    return version_id.removeprefix("0x")


def _put_local(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writer_lock(root: Path) -> Iterator[None]:
    """Hold the store's lock; the kernel drops it when the process dies, however it dies."""
    with (root / _LOCK_FILE).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise UsageError("another process is publishing to this store", hint="wait until it has finished") from exc
        yield


@contextlib.contextmanager
def _as_service_error(what: str) -> Iterator[None]:
    try:
        yield
    except HeartifyError:
        raise
    except Exception as exc:
        # Drivers raise what their libraries do, and not all of it is an OSError.
        reason = (exc.strerror if isinstance(exc, OSError) else None) or type(exc).__name__
        raise ServiceError(f"{what}: {reason}", hint="check the store's URL and rights") from exc
