"""Granted columns of an encrypted dataset version as chunks of complete cases that can be loaded again and again.

For fits over more rows than memory holds: a chunk is one row group of every column, decrypted in lockstep, so that a
few row groups are all that is ever held. All obligations of `reader` hold here too. Size, magic, key, binding, shape
and row counts are checked whenever a file is opened, values when a group is first loaded. Digests are checked on
threads of their own beside the first pass, and leaving the `with` block of `open_encrypted_rows` waits for them:
nothing that was computed inside may be released before. Later passes rely on GCM: nobody without the column's key can
make a file that opens as that part of that column of that version. Who holds the key and the host too could serve other
bytes after the first pass; a caller for whom that matters gives an `open_file` of bytes in its own memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from heartify.cohort.encrypted.encrypted_parts import (
    GrantedFiles,
    OpenFile,
    OpenPart,
    check_digest,
    open_column,
    open_part,
)
from heartify.cohort.encrypted.reader import check_request
from heartify.cohort.encrypted.stored_form import StoredArray, has_valid_values, is_missing, stored_form
from heartify.errors import IntegrityError
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ROW_GROUP_ROWS, Manifest, round_rows

MAX_STREAM_BYTES = 1024**4
UNSEEN, COMPLETE, INCOMPLETE = 0, 1, 2

RealArray: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.int32] | npt.NDArray[np.bool_]
Encode = Callable[[Mapping[str, StoredArray]], tuple[Sequence[RealArray], RealArray]]
"""From complete cases by column, as stored and read-only (categories as level indices), to terms and outcome (0/1)."""


class EncryptedRows:
    """The complete cases of one hospital's dataset version in chunks; fits `stats.streaming.ChunkedRows`.

    `rows` counts all rows of the version, complete or not. `load` may be called from several threads.
    """

    def __init__(self, name: str, granted: GrantedFiles, encode: Encode) -> None:
        self._name, self._granted, self._encode = name, granted, encode
        self.rows = _count_rows(granted)
        self._groups = [
            (part, group)
            for part, entry in enumerate(granted.manifest.files_of(granted.columns[0].name))
            for group in range(-(-entry.padded_rows // ROW_GROUP_ROWS))
        ]
        self._seen = np.full(len(self._groups), UNSEEN, np.uint8)
        self._idle: list[OpenPart] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The hospital's name."""
        return self._name

    @property
    def chunks(self) -> int:
        """The number of row groups."""
        return len(self._groups)

    def load(self, index: int) -> tuple[Sequence[RealArray], RealArray]:
        """Return the encoded complete cases of row group `index`; there may be none in it.

        Raises IntegrityError.
        """
        part, group = self._groups[index]
        opened = self._borrow(part)
        stored = opened.read_group(group, self._granted.columns)
        with self._lock:
            self._idle.append(opened)
        if self._seen[index] == UNSEEN:
            self._seen[index] = self._check_group(stored, opened.rows - group * ROW_GROUP_ROWS)
        rows = min(opened.rows - group * ROW_GROUP_ROWS, len(stored[0]))
        values = [array[:rows] for array in stored]
        if self._seen[index] == INCOMPLETE:
            values = _complete_cases(values, self._granted.columns)
        return self._encode({c.name: array for c, array in zip(self._granted.columns, values, strict=True)})

    def _borrow(self, part: int) -> OpenPart:
        """Return open files of the part for the caller alone; those of another part make way."""
        with self._lock:
            fitting = next((opened for opened in self._idle if opened.part == part), None)
            if fitting is not None:
                self._idle.remove(fitting)
                return fitting
            self._idle = []
        return open_part(self._granted, part)

    def _check_group(self, stored: list[StoredArray], rows: int) -> int:
        """Check the values of a group that is loaded for the first time, and tell whether a value is missing.

        Raises IntegrityError.
        """
        missing = False
        for values, column in zip(stored, self._granted.columns, strict=True):
            if not is_missing(values[rows:], column).all():
                raise IntegrityError("file-padding: a file's padding holds values")
            missing |= _check_values(values[:rows], column)
        return INCOMPLETE if missing else COMPLETE


@contextmanager
def open_encrypted_rows(
    name: str,
    manifest: Manifest,
    dictionary: DataDictionary,
    columns: Sequence[str],
    keys: Mapping[str, bytes],
    open_file: OpenFile,
    encode: Encode,
    *,
    hashing_threads: int = 2,
) -> Iterator[EncryptedRows]:
    """Open the columns of a hospital's version for streaming; `manifest` was verified by its id.

    Release nothing that was computed inside of the block before the block was left without an error: leaving it waits
    until the digest of every file is checked. A wrong digest is raised in place of whatever a computation made of it.
    Raises IntegrityError.
    """
    wanted = check_request(manifest, dictionary, columns, keys, max_bytes=MAX_STREAM_BYTES)
    granted = GrantedFiles(manifest, wanted, dict(keys), open_file)
    with ThreadPoolExecutor(hashing_threads) as executor:
        digests = [
            executor.submit(check_digest, granted, entry)
            for part in range(len(manifest.files_of(wanted[0].name)))
            for entry in granted.of_part(part)
        ]
        try:
            yield EncryptedRows(name, granted, encode)
        except IntegrityError:
            _cancel(digests)
            raise
        except Exception:
            _check_all(digests)
            raise
        except BaseException:
            _cancel(digests)
            raise
        _check_all(digests)


def _check_all(digests: Sequence[Future[None]]) -> None:
    try:
        for digest in digests:
            digest.result()
    finally:
        _cancel(digests)


def _cancel(digests: Sequence[Future[None]]) -> None:
    for digest in digests:
        digest.cancel()


def _count_rows(granted: GrantedFiles) -> int:
    first = granted.columns[0]
    rows = sum(open_column(granted, entry, first)[1] for entry in granted.manifest.files_of(first.name))
    if round_rows(rows) != granted.manifest.rows_rounded:
        raise IntegrityError("row-count: the files do not have the number of rows that the manifest declares")
    return rows


def _check_values(values: StoredArray, column: Column) -> bool:
    """Check that values are possible, and tell whether one is missing."""
    if not len(values):
        return False
    reserved = stored_form(column).missing
    # The smallest is not-a-number, or the reserved value, as soon as one is missing; else the extremes suffice.
    extremes = np.concatenate([values.min(keepdims=True), values.max(keepdims=True)])
    missing = bool(np.isnan(extremes[0])) if reserved is None else bool(extremes[0] == reserved)
    if not has_valid_values(values if missing else extremes, column):
        raise IntegrityError("file-values: a file holds values outside the dictionary's limits or levels")
    return missing


def _complete_cases(values: Sequence[StoredArray], columns: Sequence[Column]) -> list[StoredArray]:
    complete = np.ones(len(values[0]), np.bool_)
    for array, column in zip(values, columns, strict=True):
        complete &= ~is_missing(array, column)
    return [array[complete] for array in values]
