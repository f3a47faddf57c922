"""Open the files of one part of a dataset version for random access, each as what the manifest declares it to be.

For the enclave: sizes, magic, key, binding and row counts are checked at every opening, by the obligations of `reader`.
The digest takes a whole reading of the ciphertext and is checked apart, by `check_digest`, which may run beside the
first pass but must have succeeded before any result is released. What a part's files hold is read block by block, so
that memory is bounded by a block of each column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from heartify.cohort.encrypted.bit_planes import Workspace
from heartify.cohort.encrypted.column_file import OpenColumnFile, block_rows
from heartify.cohort.encrypted.decoding import DecodedBlock, decode_block
from heartify.cohort.encrypted.reader import GrantedColumn, common_row_count, open_granted_file
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.manifest import ColumnFile, Manifest

HASH_BLOCK_BYTES = 256 * 1024

OpenedFile: TypeAlias = BinaryIO | bytes | bytearray | memoryview
OpenFile = Callable[[str], OpenedFile]
"""Opens an object of the manifest for random access: a seekable binary file, fresh at each call, or all of its bytes.
A file is used by one thread at a time and closed after use."""


@dataclass(frozen=True, slots=True)
class GrantedFiles:
    """The granted columns of a version, whose request was checked, and how to open their files."""

    manifest: Manifest
    columns: tuple[GrantedColumn, ...]
    open_file: OpenFile = field(repr=False)

    @property
    def parts(self) -> int:
        """The number of parts."""
        return len(self.columns[0].files)


class RangedFile:
    """Ranges of an opened file of a size that was checked."""

    __slots__ = ("_opened",)

    def __init__(self, open_file: OpenFile, entry: ColumnFile) -> None:
        try:
            opened = open_file(entry.object_name)
            self._opened = memoryview(opened) if isinstance(opened, (bytes, bytearray, memoryview)) else opened
            size = self._opened.nbytes if isinstance(self._opened, memoryview) else self._opened.seek(0, 2)
        except OSError as exc:
            raise IntegrityError("file-size: a file cannot be opened") from exc
        if size != entry.size:
            self.close()
            raise IntegrityError("file-size: a file does not have the size that the manifest declares")

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Return a range; fewer bytes than asked for only at the end of the file.

        Raises IntegrityError when the file can't be read.
        """
        if isinstance(self._opened, memoryview):
            return self._opened[offset : offset + size]
        try:
            self._opened.seek(offset)
            data = self._opened.read(size)
            while len(data) < size and (more := self._opened.read(size - len(data))):
                data += more
        except OSError as exc:
            raise IntegrityError("file-digest: a file cannot be read to its end") from exc
        return data

    def close(self) -> None:
        """Close the file; bytes of the caller's stay as they are."""
        if not isinstance(self._opened, memoryview):
            self._opened.close()


@dataclass(frozen=True, slots=True)
class OpenPart:
    """The open files of one part, for one thread at a time; `rows` without padding."""

    part: int
    rows: int
    sources: tuple[RangedFile, ...] = field(repr=False)
    files: tuple[OpenColumnFile, ...] = field(repr=False)
    workspaces: tuple[Workspace, ...] = field(repr=False)

    def read_block(self, block: int) -> tuple[DecodedBlock, ...]:
        """Return the checked rows of one block of every column, good until the next block is read.

        Raises IntegrityError.
        """
        rows = block_rows(self.files[0].padded_rows, block)
        return tuple(
            decode_block(file.read_block(block), rows, file.known_rows(block), file.form, work)
            for file, work in zip(self.files, self.workspaces, strict=True)
        )

    def close(self) -> None:
        """Close all files."""
        for source in self.sources:
            source.close()


def open_part(granted: GrantedFiles, part: int) -> OpenPart:
    """Open the files of a part and check that their rows agree.

    Raises IntegrityError.
    """
    sources: list[RangedFile] = []
    try:
        files = []
        for column in granted.columns:
            sources.append(RangedFile(granted.open_file, column.files[part]))
            files.append(open_granted_file(granted.manifest, column, part, sources[-1].read))
        rows = common_row_count(file.rows for file in files)
        # One for each column: all columns of a block are there at the same time.
        workspaces = tuple(Workspace(block_rows(file.padded_rows, 0), file.form.width_bits) for file in files)
    except BaseException:
        for source in sources:
            source.close()
        raise
    return OpenPart(part, rows, tuple(sources), tuple(files), workspaces)


def count_rows(granted: GrantedFiles, part: int) -> int:
    """Return the true number of rows of a part, as its first column says.

    Raises IntegrityError.
    """
    with _opened(granted.open_file, granted.columns[0].files[part]) as source:
        return open_granted_file(granted.manifest, granted.columns[0], part, source.read).rows


def check_digest(granted: GrantedFiles, entry: ColumnFile) -> None:
    """Check the SHA-256 of a file, block by block.

    Raises IntegrityError.
    """
    digest = hashlib.sha256()
    with _opened(granted.open_file, entry) as source:
        for offset in range(0, entry.size, HASH_BLOCK_BYTES):
            digest.update(source.read(offset, min(HASH_BLOCK_BYTES, entry.size - offset)))
    if digest.digest() != to_bytes(entry.digest):
        raise IntegrityError("file-digest: a file is not the one that the manifest declares")


@contextmanager
def _opened(open_file: OpenFile, entry: ColumnFile) -> Iterator[RangedFile]:
    source = RangedFile(open_file, entry)
    try:
        yield source
    finally:
        source.close()
