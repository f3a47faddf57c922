"""Read granted columns of an encrypted dataset version. Runs inside the enclave and imports no I/O library.

It trusts a manifest that the caller verified by its id (`parse_manifest`) and the column keys that the hospital's
broker released; the courier that fetches files is not believed. Obligations, in this order, for every file:
1. the dictionary is the one that the manifest commits to; 2. its declared size is the one that its rows and its form
have; 3. size and SHA-256 are the manifest's; 4. the file begins as a column file; 5. each message opens under the
column's key as that message of that part of that column of that version; 6. the row count fits the padding, padding is
missing and values are possible; 7. rows agree over columns and with the rounded number of rows.
All failures raise IntegrityError whose message starts with a short code and holds no value and no key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from heartify.cohort.encrypted.bit_planes import Workspace
from heartify.cohort.encrypted.column_crypto import KEY_BYTES, FilePlace, Key
from heartify.cohort.encrypted.column_file import (
    OpenColumnFile,
    ReadRange,
    block_count,
    block_rows,
    file_bytes,
    open_column_file,
)
from heartify.cohort.encrypted.decoding import decode_block
from heartify.cohort.encrypted.stored_form import StoredForm, stored_form
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ROW_GROUP_ROWS, ColumnFile, Manifest, round_rows

MAX_READ_BYTES = 16 * 1024**3
"""The most that all columns of one request may take as arrays."""

Fetch = Callable[[str], bytes]
ColumnArray = npt.NDArray[np.float64] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GrantedColumn:
    """A column of a request that was checked: its form, its files in order of their parts, and its key."""

    column: Column
    form: StoredForm
    files: tuple[ColumnFile, ...]
    key: Key = field(repr=False)

    @property
    def value_bytes(self) -> int:
        """The bytes that a row takes in the array that it is read into."""
        return 4 if self.column.datatype == "category" else 8

    def new_array(self, rows: int) -> ColumnArray:
        """Return an array to read so many rows into."""
        if self.column.datatype == "category":
            return np.empty(rows, np.int32)
        return np.empty(rows, np.float64)


def read_columns(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, Key],
    fetch: Fetch,
) -> dict[str, ColumnArray]:
    """Read whole columns: name -> array of shape (rows,), aligned over columns.

    Numbers, integers, booleans (0, 1) and dates (days since 1970-01-01) become float64 with NaN for missing; categories
    become int32 indices into the dictionary's levels with -1 for missing. `fetch` maps an object's name in the manifest
    to its bytes. Raises IntegrityError.
    """
    granted = check_request(manifest, dictionary, columns, keys, max_array_bytes=MAX_READ_BYTES)
    padded_rows = sum(entry.padded_rows for entry in granted[0].files)
    arrays: dict[str, ColumnArray] = {one.column.name: one.new_array(padded_rows) for one in granted}
    rows = 0
    for part in range(len(granted[0].files)):
        rows += _read_part(manifest, granted, part, fetch, {name: array[rows:] for name, array in arrays.items()})
    check_row_count(manifest, rows)
    return {name: array[:rows] for name, array in arrays.items()}


def iterate_parts(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, Key],
    fetch: Fetch,
) -> Iterator[dict[str, ColumnArray]]:
    """Yield the columns part by part in lockstep, so that memory is bounded by one part of the chosen columns.

    Raises IntegrityError; a caller must discard what it has read when a later part fails.
    """
    granted = check_request(manifest, dictionary, columns, keys)
    total = 0
    for part, entry in enumerate(granted[0].files):
        arrays: dict[str, ColumnArray] = {one.column.name: one.new_array(entry.padded_rows) for one in granted}
        rows = _read_part(manifest, granted, part, fetch, arrays)
        total += rows
        yield {name: array[:rows] for name, array in arrays.items()}
    check_row_count(manifest, total)


def check_request(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, Key],
    *,
    max_array_bytes: int | None = None,
) -> tuple[GrantedColumn, ...]:
    """Check what can be refused before any file is fetched, and return what was asked for.

    Raises IntegrityError.
    """
    if dictionary.digest() != manifest.dictionary_digest:
        raise IntegrityError("dictionary-digest: this is not the dictionary of the dataset version")
    if not columns or len(set(columns)) != len(columns):
        raise IntegrityError("column-request: ask for at least one column, and for each once")
    declared = {column.name: column for column in dictionary.published_columns}
    files = manifest.files()
    granted = []
    for name in columns:
        if name not in declared or name not in files:
            raise IntegrityError("column-unknown: the dataset version has no column of a name that was asked for")
        if len(keys.get(name, b"")) != KEY_BYTES:
            raise IntegrityError("key-missing: there is no usable key for a column that was asked for")
        form = stored_form(declared[name])
        if any(entry.size != file_bytes(entry.padded_rows, form.width_bits) for entry in files[name]):
            raise IntegrityError("file-size: a file is declared larger or smaller than its rows are")
        granted.append(GrantedColumn(declared[name], form, files[name], keys[name]))
    rows = sum(entry.padded_rows for entry in granted[0].files)
    array_bytes = rows * sum(one.value_bytes for one in granted)
    if max_array_bytes is not None and array_bytes > max_array_bytes:
        raise IntegrityError("read-size: the columns asked for are larger than a reader accepts")
    return tuple(granted)


def open_granted_file(manifest: Manifest, granted: GrantedColumn, part: int, read: ReadRange) -> OpenColumnFile:
    """Open one file of a granted column as what the manifest declares it to be; no value is decoded.

    Raises IntegrityError.
    """
    entry = granted.files[part]
    place = FilePlace(
        dataset=to_bytes(manifest.dataset),
        version_nonce=to_bytes(manifest.version_nonce),
        column=entry.column,
        part=entry.part,
        form_tag=granted.form.tag,
    )
    opened = open_column_file(read, granted.key, place, granted.form, entry.padded_rows)
    if opened.rows < entry.padded_rows and part + 1 < len(granted.files):
        raise IntegrityError("file-rows: a part before the last has padding")
    return opened


def check_row_count(manifest: Manifest, rows: int) -> None:
    """Check the true number of rows of all parts against the manifest's rounded one.

    Raises IntegrityError.
    """
    if round_rows(rows) != manifest.rows_rounded:
        raise IntegrityError("row-count: the files do not have the number of rows that the manifest declares")


def common_row_count(rows: Iterable[int]) -> int:
    """Return the number of rows that all columns of a part have.

    Raises IntegrityError when they differ.
    """
    counts = set(rows)
    if len(counts) != 1:
        raise IntegrityError("row-alignment: the columns of a part have different numbers of rows")
    return counts.pop()


def _read_part(
    manifest: Manifest,
    granted: Sequence[GrantedColumn],
    part: int,
    fetch: Fetch,
    arrays: Mapping[str, ColumnArray],
) -> int:
    """Read one part of every column to the beginning of its array, and return the number of rows."""
    return common_row_count(_read_file(manifest, one, part, fetch, arrays[one.column.name]) for one in granted)


def _read_file(manifest: Manifest, granted: GrantedColumn, part: int, fetch: Fetch, array: ColumnArray) -> int:
    """Fetch, verify, decrypt and decode one file, and return its number of rows."""
    entry = granted.files[part]
    data = memoryview(fetch(entry.object_name))
    if len(data) != entry.size:
        raise IntegrityError("file-size: a file does not have the size that the manifest declares")
    if hashlib.sha256(data).digest() != to_bytes(entry.digest):
        raise IntegrityError("file-digest: a file is not the one that the manifest declares")
    work = Workspace(block_rows(entry.padded_rows, 0), granted.form.width_bits)
    opened = open_granted_file(manifest, granted, part, lambda offset, size: data[offset : offset + size])
    for block in range(block_count(entry.padded_rows)):
        first_row, rows = block * ROW_GROUP_ROWS, opened.known_rows(block)
        packed = opened.read_block(block)
        decoded = decode_block(packed, block_rows(entry.padded_rows, block), rows, granted.form, work)
        decoded.write(array[first_row : first_row + rows])
    return opened.rows
