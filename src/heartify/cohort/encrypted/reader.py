"""Read granted columns of an encrypted dataset version. Runs inside the enclave and imports no I/O library.

It trusts a manifest that the caller verified by its id (`parse_manifest`) and the column keys that the hospital's
broker released; the courier that fetches files is not believed. Obligations, in this order, for every file:
1. the dictionary is the one that the manifest commits to; 2. size and SHA-256 are the manifest's; 3. the file is an
encrypted Parquet file (`PARE`), never a plaintext one; 4. it opens under the column's key as that part of that column
of that version; 5. its shape is the declared one and nothing in it can expand; 6. rows agree over columns and values
are possible. All failures raise IntegrityError whose message starts with a short code and holds no value and no key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from heartify.cohort.encrypted.column_crypto import KEY_BYTES, file_aad_prefix
from heartify.cohort.encrypted.stored_form import (
    ROWS_DIGITS,
    ROWS_FIELD,
    StoredArray,
    has_valid_values,
    is_missing,
    max_file_bytes,
    stored_schema,
)
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import PADDING_ROWS, ROW_GROUP_ROWS, ColumnFile, Manifest, round_rows

ENCRYPTED_MAGIC = b"PARE"
MAX_READ_BYTES = 8 * 1024**3

Fetch = Callable[[str], bytes]
ColumnArray = npt.NDArray[np.float64] | npt.NDArray[np.int32]


def read_columns(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, bytes],
    fetch: Fetch,
) -> dict[str, ColumnArray]:
    """Read whole columns: name -> array of shape (rows,), aligned over columns.

    Numbers, integers, booleans (0, 1) and dates (days since 1970-01-01) become float64 with NaN for missing; categories
    become int32 indices into the dictionary's levels with -1 for missing. `fetch` maps a file name of the manifest to
    its bytes. Raises IntegrityError.
    """
    parts = list(iterate_parts(manifest, dictionary, columns, keys, fetch))
    rows = sum(len(next(iter(part.values()))) for part in parts)
    if round_rows(rows) != manifest.rows_rounded:
        raise IntegrityError("row-count: the files do not have the number of rows that the manifest declares")
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in columns}


def iterate_parts(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, bytes],
    fetch: Fetch,
) -> Iterator[dict[str, ColumnArray]]:
    """Yield the columns part by part in lockstep, so that memory is bounded by one part of the chosen columns.

    Raises IntegrityError; a caller must discard what it has read when a later part fails.
    """
    wanted = check_request(manifest, dictionary, columns, keys)
    for part in range(len(manifest.files_of(columns[0]))):
        arrays: dict[str, ColumnArray] = {}
        row_counts: set[int] = set()
        for column in wanted:
            entry = manifest.files_of(column.name)[part]
            values = _read_file(manifest, entry, column, keys[column.name], fetch)
            arrays[column.name] = _to_numeric(values, column)
            row_counts.add(len(values))
        if len(row_counts) != 1:
            raise IntegrityError("row-alignment: the columns of a part have different numbers of rows")
        yield arrays


def check_request(
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, bytes],
    *,
    max_bytes: int = MAX_READ_BYTES,
) -> tuple[Column, ...]:
    """Check what can be refused before any file is fetched, and return the dictionary's columns.

    Raises IntegrityError.
    """
    if dictionary.digest() != manifest.dictionary_digest:
        raise IntegrityError("dictionary-digest: this is not the dictionary of the dataset version")
    if not columns or len(set(columns)) != len(columns):
        raise IntegrityError("column-request: ask for at least one column, and for each once")
    declared = {column.name: column for column in dictionary.published_columns}
    total_bytes = 0
    for name in columns:
        if name not in declared or not manifest.files_of(name):
            raise IntegrityError("column-unknown: the dataset version has no column of a name that was asked for")
        if len(keys.get(name, b"")) != KEY_BYTES:
            raise IntegrityError("key-missing: there is no usable key for a column that was asked for")
        for entry in manifest.files_of(name):
            if entry.size > max_file_bytes(declared[name], entry.padded_rows):
                raise IntegrityError("file-size: a file is declared larger than its rows can be")
            total_bytes += entry.size
    if total_bytes > max_bytes:
        raise IntegrityError("read-size: the columns asked for are larger than a reader accepts")
    return tuple(declared[name] for name in columns)


def _read_file(manifest: Manifest, entry: ColumnFile, column: Column, key: bytes, fetch: Fetch) -> StoredArray:
    """Fetch, verify and decrypt one file, and return the stored values without padding."""
    data = fetch(entry.object_name)
    if len(data) != entry.size:
        raise IntegrityError("file-size: a file does not have the size that the manifest declares")
    if hashlib.sha256(data).digest() != to_bytes(entry.digest):
        raise IntegrityError("file-digest: a file is not the one that the manifest declares")
    check_magic(data[:4], data[-4:])
    properties = decryption_properties(manifest, entry, key)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data), decryption_properties=properties)
        check_shape(parquet, entry, column)
        values = parquet.read(use_threads=False).column(0).to_numpy()
    except (OSError, MemoryError, ValueError, pa.ArrowException) as exc:
        # The library's text stays in the cause: it is not ours to vouch that it holds no value.
        raise IntegrityError("file-decryption: a file does not open under its key as this part of this column") from exc
    return _without_padding(values, row_count(parquet), entry, column)


def check_magic(first: bytes, last: bytes) -> None:
    """Check a file's first and last four bytes: pyarrow has accepted plaintext in spite of decryption properties.

    Raises IntegrityError.
    """
    if first != ENCRYPTED_MAGIC or last != ENCRYPTED_MAGIC:
        raise IntegrityError("file-plaintext: a file is not an encrypted Parquet file")


def decryption_properties(manifest: Manifest, entry: ColumnFile, key: bytes) -> pe.FileDecryptionProperties:
    """Return what opens a file as this part of this column of this version, and as nothing else."""
    prefix = file_aad_prefix(
        dataset=to_bytes(manifest.dataset),
        version_nonce=to_bytes(manifest.version_nonce),
        column=entry.column,
        part=entry.part,
    )
    return pe.create_decryption_properties(key, aad_prefix=prefix, allow_plaintext_files=False)


def check_shape(parquet: pq.ParquetFile, entry: ColumnFile, column: Column) -> None:
    """Check the decrypted footer before any page is decoded: nothing may expand beyond the declared rows.

    Raises IntegrityError.
    """
    metadata = parquet.metadata
    if not parquet.schema_arrow.equals(stored_schema(column)):
        raise IntegrityError("file-schema: a file's column has another name or type than the dictionary declares")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = [group.num_rows for group in groups]
    full, rest = divmod(entry.padded_rows, ROW_GROUP_ROWS)
    if sizes != [ROW_GROUP_ROWS] * full + [rest] * (rest > 0):
        raise IntegrityError("file-rows: a file does not have the row groups that the manifest implies")
    for group in groups:
        chunk = group.column(0)
        if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page or chunk.is_stats_set:
            raise IntegrityError("file-encoding: a file is compressed, dictionary-encoded or has statistics")
        if not set(chunk.encodings) <= {"PLAIN", "RLE"}:
            raise IntegrityError("file-encoding: a file uses an encoding that the format does not allow")


def row_count(parquet: pq.ParquetFile) -> int:
    """Return the part's true number of rows, as the decrypted footer states it.

    Raises IntegrityError.
    """
    text = (parquet.metadata.metadata or {}).get(ROWS_FIELD, b"")
    if len(text) != ROWS_DIGITS or not text.isdigit():
        raise IntegrityError("file-rows: a file does not say how many rows it has")
    return int(text)


def check_padding(rows: int, entry: ColumnFile) -> None:
    """Check that padding fills at most one step: less, unless the version is empty.

    Raises IntegrityError.
    """
    if not entry.padded_rows - PADDING_ROWS <= rows <= entry.padded_rows:
        raise IntegrityError("file-rows: a file's row count does not fit its padding")


def _without_padding(values: StoredArray, rows: int, entry: ColumnFile, column: Column) -> StoredArray:
    """Return the true rows; padding must fill less than one step (all of it only when the version is empty)."""
    if len(values) != entry.padded_rows:
        raise IntegrityError("file-rows: a file's row count does not fit its padding")
    check_padding(rows, entry)
    if not is_missing(values[rows:], column).all():
        raise IntegrityError("file-padding: a file's padding holds values")
    if not has_valid_values(values, column):
        raise IntegrityError("file-values: a file holds values outside the dictionary's limits or levels")
    return values[:rows]


def _to_numeric(values: StoredArray, column: Column) -> ColumnArray:
    if column.datatype == "category":
        return values.astype(np.int32)
    numbers = np.array(values, dtype=np.float64)
    if column.datatype != "number":
        numbers[is_missing(values, column)] = np.nan
    return numbers
