"""Granted columns of an encrypted dataset version as chunks of complete cases that can be loaded again and again.

For fits over more rows than memory holds: a chunk is one block of every column, decrypted in lockstep, so that a few
blocks are all that is ever held. All obligations of `reader` hold here too. Size, magic, key, binding and row counts
are checked whenever a file is opened, values whenever a block is loaded. Digests are checked on threads of their own
beside the first pass, and leaving the `with` block of `open_encrypted_rows` waits for them: nothing that was computed
inside may be released before. Later passes rely on GCM: nobody without the column's key can make a file that opens as
that part of that column of that version. Who holds the key and the host too could serve other bytes after the first
pass; a caller for whom that matters gives an `open_file` of bytes in its own memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heartify.cohort.encrypted.column_file import block_count
from heartify.cohort.encrypted.decoding import DecodedBlock
from heartify.cohort.encrypted.encrypted_parts import (
    GrantedFiles,
    OpenFile,
    OpenPart,
    check_digest,
    count_rows,
    open_part,
)
from heartify.cohort.encrypted.reader import GrantedColumn, check_request, check_row_count
from heartify.cohort.encrypted.stored_form import StoredForm
from heartify.errors import IntegrityError
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import Manifest

HASHING_THREADS = 2

RealArray: TypeAlias = npt.NDArray[Any]
RealType: TypeAlias = type[np.float64] | type[np.float32]
Encode = Callable[[Mapping[str, RealArray]], tuple[Sequence[RealArray], RealArray]]
"""From complete cases by column to terms and outcome (0/1). Numbers come in the real type that was asked for, whole
numbers, booleans (0, 1), dates (days since 1970-01-01) and categories (level indices) in a signed integer type that
holds all that the dictionary allows; arrays may be read-only."""


class EncryptedRows:
    """The complete cases of one hospital's dataset version in chunks; fits `stats.streaming.ChunkedRows`.

    `rows` counts all rows of the version, complete or not. `load` may be called from several threads.
    """

    def __init__(self, name: str, granted: GrantedFiles, encode: Encode, real_type: RealType) -> None:
        self._name, self._granted, self._encode = name, granted, encode
        self._types = [_array_type(column, real_type) for column in granted.columns]
        self.rows = sum(count_rows(granted, part) for part in range(granted.parts))
        check_row_count(granted.manifest, self.rows)
        self._blocks = [
            (part, block)
            for part, entry in enumerate(granted.columns[0].files)
            for block in range(block_count(entry.padded_rows))
        ]
        self._idle: list[OpenPart] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The hospital's name."""
        return self._name

    @property
    def chunks(self) -> int:
        """The number of blocks."""
        return len(self._blocks)

    def load(self, index: int) -> tuple[Sequence[RealArray], RealArray]:
        """Return the encoded complete cases of block `index`; there may be none in it.

        Raises IntegrityError.
        """
        part, block = self._blocks[index]
        opened = self._borrow(part)
        try:
            decoded = _complete_cases(opened.read_block(block))
            arrays = list(map(_to_array, decoded, self._types))
        except BaseException:
            opened.close()
            raise
        self._give_back(opened)
        names = (granted.column.name for granted in self._granted.columns)
        return self._encode(dict(zip(names, arrays, strict=True)))

    def close(self) -> None:
        """Close the files that no thread is using."""
        with self._lock:
            idle, self._idle = self._idle, []
        for opened in idle:
            opened.close()

    def _borrow(self, part: int) -> OpenPart:
        """Return open files of the part for the caller alone; those of another part make way."""
        with self._lock:
            fitting = next((opened for opened in self._idle if opened.part == part), None)
            if fitting is not None:
                self._idle.remove(fitting)
                return fitting
        self.close()
        return open_part(self._granted, part)

    def _give_back(self, opened: OpenPart) -> None:
        with self._lock:
            self._idle.append(opened)


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
    real_type: RealType = np.float64,
) -> Iterator[EncryptedRows]:
    """Open the columns of a hospital's version for streaming; `manifest` was verified by its id.

    Release nothing that was computed inside of the block before the block was left without an error: leaving it waits
    until the digest of every file is checked. A wrong digest is raised in place of whatever a computation made of it.
    `real_type` float32 spares a fit in single precision the way through float64.
    Raises IntegrityError.
    """
    granted = GrantedFiles(manifest, check_request(manifest, dictionary, columns, keys), open_file)
    with ThreadPoolExecutor(HASHING_THREADS) as executor:
        digests = [
            executor.submit(check_digest, granted, column.files[part])
            for part in range(granted.parts)
            for column in granted.columns
        ]
        try:
            rows = EncryptedRows(name, granted, encode, real_type)
            with closing(rows):
                yield rows
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


def _complete_cases(blocks: tuple[DecodedBlock, ...]) -> tuple[DecodedBlock, ...]:
    incomplete = [block.is_missing() for block in blocks if block.has_missing]
    if not incomplete:
        return blocks
    complete = ~np.logical_or.reduce(incomplete)
    return tuple(block.keep(complete) for block in blocks)


def _array_type(granted: GrantedColumn, real_type: RealType) -> np.dtype[Any]:
    if granted.column.datatype == "number":
        return np.dtype(real_type)
    return _integer_type(granted.form)


def _integer_type(form: StoredForm) -> np.dtype[Any]:
    kinds = (np.int8, np.int16, np.int32)
    fitting = (kind for kind in kinds if np.iinfo(kind).min <= form.low and form.high <= np.iinfo(kind).max)
    return np.dtype(next(fitting, np.int64))


def _to_array(block: DecodedBlock, kind: np.dtype[Any]) -> RealArray:
    if block.raw.dtype == kind:
        return block.raw
    array = np.empty(len(block.raw), kind)
    if kind.kind == "f":
        block.write_real(array)
    else:
        block.write_integers(array)
    return array
