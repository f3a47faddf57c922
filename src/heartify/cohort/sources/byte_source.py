"""The bytes of a text file, plain or compressed, that can be read again and again and must stay the same meanwhile.

What the file is compressed with is told by its first bytes, never by its name alone. Messages name the file without
its folder. Nothing is held but one block.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from heartify.errors import InputError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
DAMAGE = (EOFError, OSError, zlib.error, pa.ArrowException)
"""What reading a damaged compressed stream raises."""


class ByteSource(Protocol):
    """Bytes with a name, that every call of `open` gives from the beginning."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def open(self) -> AbstractContextManager[OpenBytes]:
        """Open the (decompressed) bytes at their beginning."""
        ...

    def fingerprint(self) -> str | None:
        """Return what changes when the bytes do, without reading them."""
        ...


class OpenBytes:
    """A running read: decompressed blocks, and how far it has come in the file."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._size = raw, size
        self._stream = _decompress(raw)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end. Raises one of DAMAGE."""
        return bytes(self._stream.read(size))

    def fraction(self) -> float:
        """Return how much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileBytes:
    """A file on disk. Raises InputError when it cannot be read or is no regular file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stat = self._check()

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._path.name

    def fingerprint(self) -> str | None:
        """Return a digest of name, size and time of change."""
        return digest_of_parts(self.name, str(self._stat.st_size), str(self._stat.st_mtime_ns))

    @contextmanager
    def open(self) -> Iterator[OpenBytes]:
        """Open the file; raises InputError, at the end too, when it is not the one that it was at first."""
        self._check_unchanged()
        with self._path.open("rb") as raw:
            yield OpenBytes(raw, self._stat.st_size)
        self._check_unchanged()

    def _check(self) -> os.stat_result:
        reason = None
        try:
            found = self._path.stat()
            if stat.S_ISREG(found.st_mode) and not os.access(self._path, os.R_OK):
                reason = "no permission"
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            reason = getattr(exc, "strerror", None) or "no such file"
        if reason is not None:
            raise InputError(f"{self.name}: cannot read the file: {reason}", hint="check path and permissions")
        if not stat.S_ISREG(found.st_mode):
            raise InputError(
                f"{self.name}: cannot read the file: it is no regular file",
                hint="a source is read more than once: write it to a file first",
            )
        return found

    def _check_unchanged(self) -> None:
        found = self._check()
        if (found.st_size, found.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise InputError(
                f"{self.name}: the file has changed since it was first read",
                hint="begin anew, with a file that nobody writes to",
            )


class MemoryBytes:
    """Bytes in memory."""

    def __init__(self, data: bytes, *, name: str) -> None:
        self._data, self._name = data, name

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    def fingerprint(self) -> str | None:
        """Return None: memory doesn't outlive the process."""
        return None

    @contextmanager
    def open(self) -> Iterator[OpenBytes]:
        """Read the bytes from the beginning."""
        yield OpenBytes(io.BytesIO(self._data), len(self._data))


def digest_of_parts(*parts: str) -> str:
    """Return the SHA-256 of texts, each with its length, as hexadecimal digits."""
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _decompress(raw: BinaryIO) -> _Readable:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    if magic == _ZSTD:
        zstd: _Readable = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        return zstd
    return raw
