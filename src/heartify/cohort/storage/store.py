"""Where dataset versions lie: a folder, memory, S3, https or IPFS, with atomic puts and bounded gets.

The location decides nothing: whoever reads verifies digests, so a store may be public and hostile. It holds ciphertext
and public documents only. A version becomes visible in one step, by its manifest. Addresses of stores that the operator
gives are opened by open_store; addresses from the chain by open_registered_store, which follows only what is allowed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from heartify.cohort.storage.failures import NO_PATIENCE, Pace, Patience, as_service_error
from heartify.cohort.storage.https_client import HttpsFiles, HttpsHost
from heartify.cohort.storage.ipfs_gateway import open_ipfs
from heartify.cohort.storage.local_files import put_local, sync_directory, writer_lock
from heartify.cohort.storage.names import check_name, version_folder
from heartify.cohort.storage.s3_client import BLOCK_BYTES, is_s3, open_s3, s3_stream
from heartify.cohort.storage.store_access import GATEWAY_VARIABLE, StoreAccess
from heartify.cohort.storage.store_url import STORE_KINDS, StoreUrl, parse_store_url
from heartify.errors import IntegrityError, UsageError
from heartify.protocol.manifest import MANIFEST_FILE

__all__ = ["STORE_KINDS", "Store", "open_registered_store", "open_store", "version_folder"]

_STAGING = re.compile(r"partial-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of files; names are relative, with `/` between folders. Build it by open_store.

    `filesystem` is an fsspec driver, or HttpsFiles for a store that can only be read.
    """

    url: str
    filesystem: Any
    root: str
    patience: Patience = field(default=NO_PATIENCE, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, where renaming is atomic."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def is_read_only(self) -> bool:
        """Whether it can only be read: https and IPFS."""
        return isinstance(self.filesystem, HttpsFiles)

    def put(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, replacing an older one.

        Raises ServiceError.
        """
        path = self.writable_path(name)
        with as_service_error(f"cannot write '{name}'"):
            if self.is_local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                put_local(Path(path), data)
                return
            # Object stores have no folders, and show an object only when it is complete.
            self.patience.run(lambda: self.filesystem.pipe_file(path, data))

    def get(self, name: str, *, max_bytes: int) -> bytes:
        """Read a file of at most `max_bytes`.

        Raises ServiceError when it cannot be read, IntegrityError when it is larger.
        """
        with as_service_error(f"cannot read '{name}'"):
            return self.patience.run(lambda: self._get_once(name, max_bytes))

    @contextlib.contextmanager
    def open_stream(self, name: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Yield a file's bytes from `start` on, in blocks of about 1 MiB, once; raises what the driver raises.

        The caller bounds how many it takes: a hostile store may send for ever.
        """
        path = self.path_of(name)
        if isinstance(self.filesystem, HttpsFiles):
            with self.filesystem.stream(path, start) as blocks:
                yield blocks
        elif is_s3(self.filesystem):
            with s3_stream(self.filesystem, path, start) as blocks:
                yield blocks
        else:
            with self.filesystem.open(path, "rb") as file:
                file.seek(start)
                yield iter(lambda: bytes(file.read(BLOCK_BYTES)), b"")

    def exists(self, name: str) -> bool:
        """Tell whether a file or folder of that name is there."""
        path = self.path_of(name)
        with as_service_error(f"cannot look for '{name}'"):
            return self.patience.run(lambda: bool(self.filesystem.exists(path)))

    def list(self, folder: str = "") -> tuple[str, ...]:
        """Return the sorted names of files and folders directly in a folder; empty when there is none.

        Raises UsageError for a kind of store that has no lists.
        """
        if self.is_read_only:
            raise UsageError("a store on https or IPFS can't be listed", hint="its versions are listed on chain")
        path = self.path_of(folder) if folder else self.root
        with as_service_error("cannot list the store"):
            if not self.filesystem.exists(path):
                return ()
            entries = self.patience.run(lambda: self.filesystem.ls(path, detail=False))
            names = (str(entry).rstrip("/").rpartition("/")[2] for entry in entries)
            return tuple(sorted(name for name in names if not name.startswith(".")))

    def remove(self, folder: str) -> None:
        """Remove a file, or a folder and all in it; nothing happens when there is none."""
        path = self.writable_path(folder)
        with as_service_error(f"cannot remove '{folder}'"):
            if self.filesystem.exists(path):
                self.filesystem.rm(path, recursive=True)

    @contextlib.contextmanager
    def staging(self) -> Iterator[str]:
        """Yield the name of a fresh folder for a version in the making; it is gone afterwards unless published.

        Raises UsageError when another process is writing to this local store.
        """
        folder = f"partial-{secrets.token_hex(16)}"
        self.writable_path(folder)
        with self.writing():
            self._remove_dead_stagings()
            try:
                yield folder
            finally:
                self.remove(folder)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer of a local store meanwhile; elsewhere nobody can tell.

        Raises UsageError when another process is.
        """
        with as_service_error("cannot create the store"):
            self.filesystem.makedirs(self.root, exist_ok=True)
        with writer_lock(Path(self.root)) if self.is_local else contextlib.nullcontext():
            yield

    def publish(self, staging: str, folder: str) -> None:
        """Give a complete staging folder its final name; readers see all of it or nothing.

        Raises UsageError when the name is taken.
        """
        if self.exists(folder):
            raise UsageError(f"the store already has '{folder}'", hint="a dataset version is immutable")
        source, target = self.path_of(staging), self.path_of(folder)
        with as_service_error(f"cannot publish '{folder}'"):
            if self.is_local:
                os.rename(source, target)  # noqa: PTH104 - the atomic rename is the point
                sync_directory(Path(self.root))
                return
            names = sorted(self.list(staging), key=lambda name: (name == MANIFEST_FILE, name))
            for name in names:
                self.filesystem.mv(f"{source}/{name}", f"{target}/{name}")

    def path_of(self, name: str) -> str:
        """Return the driver's path of a name; raises UsageError for one that leaves the store."""
        return f"{self.root.rstrip('/')}/{check_name(name)}"

    def writable_path(self, name: str) -> str:
        """Return the driver's path of a name to write or remove; raises UsageError where nothing can be written."""
        if self.is_read_only:
            raise UsageError(
                "a store on https or IPFS can only be read",
                hint="publish to a folder or to S3, then make the same files available there",
            )
        return self.path_of(name)

    def _get_once(self, name: str, max_bytes: int) -> bytes:
        data, pace = bytearray(), Pace(self.patience.clock)
        with self.open_stream(name) as blocks:
            for block in blocks:
                data += block
                if len(data) > max_bytes:
                    raise IntegrityError(f"file-size: '{name}' is larger than the {max_bytes} bytes expected")
                pace.note(len(block))
        return bytes(data)

    def _remove_dead_stagings(self) -> None:
        """Remove what a killed writer left; the lock proves that it is dead, so only a local store can tell."""
        if self.is_local:
            for name in self.list():
                if _STAGING.fullmatch(name):
                    self.remove(name)


def open_store(url: str, *, ipfs_gateway: str | None = None) -> Store:
    """Open a store whose URL or local path the operator gave; nothing is created yet.

    `ipfs_gateway` is by default what the environment names. Raises UsageError when the URL is not one of a store.
    """
    access = StoreAccess(
        local_folders=(Path("/"),),
        ipfs_gateway=ipfs_gateway or os.environ.get(GATEWAY_VARIABLE) or None,
        signed_s3=True,
    )
    return _open(url, parse_store_url(url), access, may_be_private=True)


def open_registered_store(url: str, access: StoreAccess) -> Store:
    """Open a store whose URL comes from the chain, where anybody can write one.

    Raises UsageError when it is no URL of a store, PolicyError when `access` doesn't let it be followed.
    """
    place = parse_store_url(url)
    access.check(place)
    return _open(url, place, access, may_be_private=place.host in access.private_hosts)


def _open(url: str, place: StoreUrl, access: StoreAccess, *, may_be_private: bool) -> Store:
    filesystem: Any
    if place.kind == "https":
        host = HttpsHost(place.host, place.port, may_be_private)
        filesystem, root = HttpsFiles(host, ssl.create_default_context()), place.path
    elif place.kind == "ipfs":
        filesystem, root = open_ipfs(place, access.ipfs_gateway)
    elif place.kind == "s3":
        filesystem, root = open_s3(place, signed=access.signed_s3)
    else:
        filesystem, root = fsspec.filesystem(place.kind), place.path
        if place.kind == "file":
            root = str(Path(root).absolute())
    patience = NO_PATIENCE if place.kind in {"file", "memory"} else Patience()
    return Store(url=url.rstrip("/"), filesystem=filesystem, root=root, patience=patience)
