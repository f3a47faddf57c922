"""Download one file of known size and SHA-256 into a local file, going on where a broken connection stopped.

Memory is bounded by one block, disk by the declared size, time by a least pace. What an earlier try left counts only if
the whole has the digest in the end; if not, it is thrown away and everything is fetched once more.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from heartify.cohort.storage.failures import Pace, Patience, as_service_error, is_transient
from heartify.cohort.storage.names import digest_hex, object_name
from heartify.cohort.storage.s3_client import BLOCK_BYTES
from heartify.cohort.storage.store import Store
from heartify.errors import IntegrityError


def download_object(store: Store, digest: str, size: int, partial: Path, *, patience: Patience | None = None) -> None:
    """Make `partial` the whole file, verified and on disk.

    Raises IntegrityError when the store has other bytes (`partial` is then gone), ServiceError when it can't be read
    (`partial` then keeps what came).
    """
    with partial.open("r+b" if partial.exists() else "w+b") as file:
        download = _Download(store, digest_hex(digest), size, file, patience or store.patience)
        had_bytes = download.adopt()
        try:
            download.run()
            if had_bytes and not download.is_right():
                download.start_again()
                download.run()
            download.check()
        except IntegrityError:
            partial.unlink()
            raise
        file.flush()
        os.fsync(file.fileno())


@dataclass(slots=True)
class _Download:
    store: Store
    digest: str
    size: int
    file: BinaryIO
    patience: Patience
    done: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def adopt(self) -> bool:
        """Take over what an earlier try left; tell whether that was anything."""
        self.file.truncate(min(self.size, os.fstat(self.file.fileno()).st_size))
        self.file.seek(0)
        while block := self.file.read(BLOCK_BYTES):
            self._take(block)
        return self.done > 0

    def start_again(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.done, self._hash = 0, hashlib.sha256()

    def run(self) -> None:
        """Read until everything is there; failures in a row without a new byte are bounded, and so is the time."""
        failures, pace = 0, Pace(self.patience.clock)
        while self.done < self.size:
            before = self.done
            try:
                with as_service_error("cannot fetch a file of the version"):
                    self._read_on(pace)
                ended_early = self.done < self.size
            except Exception as exc:
                if not is_transient(exc.__cause__ or exc):
                    raise
                ended_early, failure = True, exc
            else:
                failure = IntegrityError("file-size: the store's file is shorter than the manifest declares")
            failures = 0 if self.done > before else failures + 1
            if ended_early:
                if failures >= self.patience.attempts:
                    raise failure
                self.patience.wait(max(1, failures))

    def is_right(self) -> bool:
        return self._hash.hexdigest() == self.digest

    def check(self) -> None:
        if not self.is_right():
            raise IntegrityError(
                "file-digest: the store's file is not the one that the manifest declares",
                hint="tell the hospital, or fetch from another store of it",
            )

    def _read_on(self, pace: Pace) -> None:
        with self.store.open_stream(object_name(self.digest), self.done) as blocks:
            for block in blocks:
                if self.done + len(block) > self.size:
                    raise IntegrityError("file-size: the store's file is longer than the manifest declares")
                self.file.write(block)
                self._take(block)
                pace.note(len(block))

    def _take(self, block: bytes) -> None:
        self._hash.update(block)
        self.done += len(block)
