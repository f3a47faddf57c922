"""The bytes of a text file, plain or compressed, that can be read again and again and must stay the same meanwhile.

What the file is compressed with is told by its first bytes, never by its name alone. Messages name the file without
its folder. Nothing is held but one block.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from heartify.cohort.sources.watched_file import WatchedFile

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
        self._raw, self._size, self._done = raw, size, 0
        self._stream = _decompress(raw)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end. Raises one of DAMAGE."""
        data = bytes(self._stream.read(size))
        self._done = self._raw.tell()
        return data

    def fraction(self) -> float:
        """Return how much of the file has been read, 0 to 1."""
        return min(1.0, self._done / self._size) if self._size else 1.0


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileBytes:
    """A file on disk. Raises InputError when it cannot be read or is no regular file."""

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._file.name

    def fingerprint(self) -> str | None:
        """Return a digest of name, size and time of change."""
        return self._file.fingerprint()

    @contextmanager
    def open(self) -> Iterator[OpenBytes]:
        """Open the file; raises InputError, at the end too, when it is not the one that it was at first."""
        self._file.check_unchanged()
        with self._file.path.open("rb") as raw:
            yield OpenBytes(raw, self._file.size)
        self._file.check_unchanged()


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


def _decompress(raw: BinaryIO) -> _Readable:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    if magic == _ZSTD:
        zstd: _Readable = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        return zstd
    return raw
