"""Open the files of one part of a dataset version for random access, each as what the manifest declares it to be.

For the enclave: sizes, magic, key, binding, shape and row counts are checked at every opening, by the obligations of
`reader`. The digest takes a whole reading of the ciphertext and is checked apart, by `check_digest`, which may run
beside the first pass but must have succeeded before any result is released. What a part's files hold is read group by
group, so that memory is bounded by a row group of each column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heartify.cohort.encrypted.reader import (
    check_magic,
    check_padding,
    check_shape,
    decryption_properties,
    row_count,
)
from heartify.cohort.encrypted.stored_form import StoredArray, stored_form
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.dictionary import Column
from heartify.protocol.manifest import ROW_GROUP_ROWS, ColumnFile, Manifest

HASH_BLOCK_BYTES = 256 * 1024

OpenFile = Callable[[str], pa.NativeFile | bytes | memoryview]
"""Opens a file of the manifest for random access: a seekable pyarrow file, or all of its bytes."""


@dataclass(frozen=True, slots=True)
class GrantedFiles:
    """The granted columns of a version, whose request was checked, and how to open their files."""

    manifest: Manifest
    columns: tuple[Column, ...]
    keys: Mapping[str, bytes] = field(repr=False)
    open_file: OpenFile = field(repr=False)

    def of_part(self, part: int) -> tuple[ColumnFile, ...]:
        """Return the part's files, in the order of the columns."""
        return tuple(self.manifest.files_of(column.name)[part] for column in self.columns)


@dataclass(frozen=True, slots=True)
class OpenPart:
    """The open files of one part, for one thread at a time; `rows` without padding."""

    part: int
    rows: int
    files: tuple[pq.ParquetFile, ...] = field(repr=False)

    def read_group(self, group: int, columns: tuple[Column, ...]) -> list[StoredArray]:
        """Return the stored values of one row group, padding included, as views of what was decrypted.

        Raises IntegrityError.
        """
        try:
            return [_read(file, group, column) for file, column in zip(self.files, columns, strict=True)]
        except (OSError, MemoryError, ValueError, pa.ArrowException) as exc:
            raise IntegrityError("file-decryption: a row group does not open as a part of its file") from exc


def open_part(granted: GrantedFiles, part: int) -> OpenPart:
    """Open the files of a part and check that their rows agree.

    Raises IntegrityError.
    """
    entries = granted.of_part(part)
    opened = [open_column(granted, entry, column) for entry, column in zip(entries, granted.columns, strict=True)]
    if len({rows for _, rows in opened}) != 1:
        raise IntegrityError("row-alignment: the columns of a part have different numbers of rows")
    return OpenPart(part, opened[0][1], tuple(file for file, _ in opened))


def open_column(granted: GrantedFiles, entry: ColumnFile, column: Column) -> tuple[pq.ParquetFile, int]:
    """Open one file and return it with its true number of rows; no page is decoded.

    Raises IntegrityError.
    """
    try:
        source = _open_source(granted, entry)
        check_magic(source.read_at(4, 0), source.read_at(4, max(0, entry.size - 4)))
        properties = decryption_properties(granted.manifest, entry, granted.keys[column.name])
        # Without pre-buffering: it copies each row group once more, for the sake of stores that are far away.
        parquet = pq.ParquetFile(source, decryption_properties=properties, pre_buffer=False)
        check_shape(parquet, entry, column)
    except (OSError, MemoryError, ValueError, pa.ArrowException) as exc:
        raise IntegrityError("file-decryption: a file does not open under its key as this part of this column") from exc
    rows = row_count(parquet)
    check_padding(rows, entry)
    return parquet, rows


def check_digest(granted: GrantedFiles, entry: ColumnFile) -> None:
    """Check the SHA-256 of a file, block by block.

    Raises IntegrityError.
    """
    digest, block = hashlib.sha256(), memoryview(bytearray(HASH_BLOCK_BYTES))
    try:
        source = _open_source(granted, entry)
        while count := source.readinto(block):
            digest.update(block[:count])
    except (OSError, pa.ArrowException) as exc:
        raise IntegrityError("file-digest: a file cannot be read to its end") from exc
    if digest.digest() != to_bytes(entry.digest):
        raise IntegrityError("file-digest: a file is not the one that the manifest declares")


def _open_source(granted: GrantedFiles, entry: ColumnFile) -> pa.NativeFile:
    opened = granted.open_file(entry.object_name)
    source = opened if isinstance(opened, pa.NativeFile) else pa.BufferReader(opened)
    if source.size() != entry.size:
        raise IntegrityError("file-size: a file does not have the size that the manifest declares")
    return source


def _read(file: pq.ParquetFile, group: int, column: Column) -> StoredArray:
    chunks = file.read_row_group(group, use_threads=False).column(0).chunks
    arrays = [_view(chunk, column) for chunk in chunks]
    values = arrays[0] if len(arrays) == 1 else _join(arrays)
    if len(values) != min(ROW_GROUP_ROWS, file.metadata.row_group(group).num_rows):
        raise IntegrityError("file-rows: a row group does not have the rows that its footer states")
    return values


def _join(arrays: list[StoredArray]) -> StoredArray:
    joined = np.empty_like(arrays[0], shape=sum(len(array) for array in arrays))
    np.concatenate(arrays, out=joined)
    return joined


def _view(chunk: pa.Array, column: Column) -> StoredArray:
    # Not by to_numpy(), which imports pandas where there is one: 90 MB of memory and a second.
    kind = np.dtype(stored_form(column).arrow_type.to_pandas_dtype())
    if chunk.null_count or chunk.type != stored_form(column).arrow_type:
        raise IntegrityError("file-schema: a file's column has another type than the dictionary declares, or nulls")
    values: StoredArray = np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind.itemsize)
    return values
