"""A keyed digest of each row's published values, for many rows at once.

Every value becomes a word of 64 bits, every row a message of as many words as all others, and the digest is its
AES-256-CBC-MAC: pseudo-random for messages of one length (Bellare, Kilian, Rogaway 2000, J Comput Syst Sci 61:362).
Its key is derived from the columns' declarations, so a key never sees two lengths, and digests compare between versions
that declare the same, and only those. It computes all rows' blocks in step: 64 Ki rows need a few calls of AES.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from heartify.cohort.changes.keys import derive_key
from heartify.protocol.canonical import digest_of, to_bytes
from heartify.protocol.dictionary import Column, DataDictionary

Words = npt.NDArray[np.uint64]
_BITS = 64


def declaration_digest(dictionary: DataDictionary) -> str:
    """Return the digest of what gives published values their form: names, datatypes, units, places, and levels.

    Where two versions differ in it, all rows may look altered without any patient having changed.
    """
    declared = [
        [
            column.name,
            column.datatype,
            column.unit,
            -1 if column.decimals is None else column.decimals,
            column.precision,
            sorted([level.code, level.label] for level in column.levels),
        ]
        for column in _in_order(dictionary)
    ]
    return digest_of(declared)


class ContentDigester:
    """Digests of rows of one dictionary under one ledger key."""

    def __init__(self, ledger_key: bytes, dictionary: DataDictionary) -> None:
        self._columns = _in_order(dictionary)
        declared = to_bytes(declaration_digest(dictionary))
        self._key = derive_key(ledger_key, b"heartify/change-ledger/contents/v1" + declared)
        self._levels = {c.name: _level_words(c, self._key) for c in self._columns if c.datatype == "category"}

    def digests(self, batch: pa.RecordBatch) -> Words:
        """Return 8 bytes for each row of a batch in table form."""
        # A block cipher used as such, not a mode of encryption: CBC-MAC is built on it below.
        cipher = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305
        state = np.zeros((batch.num_rows, 2), np.uint64)
        for first, second in _pairs(self._words(batch)):
            state[:, 0] ^= first
            state[:, 1] ^= second
            state = np.frombuffer(bytearray(cipher.update(state.tobytes())), np.uint64).reshape(-1, 2)
        return np.ascontiguousarray(state[:, 0])

    def _words(self, batch: pa.RecordBatch) -> Iterable[Words]:
        """Yield a word for each column, then the words that say, bit by bit, which of the columns are missing."""
        missing = np.zeros((-(-len(self._columns) // _BITS), batch.num_rows), np.uint64)
        for number, column in enumerate(self._columns):
            words, gaps = _column_words(batch.column(column.name), column, self._levels.get(column.name))
            missing[number // _BITS] |= gaps.astype(np.uint64) << np.uint64(number % _BITS)
            yield words
        yield from missing


def _in_order(dictionary: DataDictionary) -> tuple[Column, ...]:
    """Return the published columns by name: a version that only orders them differently has the same contents."""
    return tuple(sorted(dictionary.published_columns, key=lambda column: column.name))


def _level_words(column: Column, key: bytes) -> Words:
    """Return a word for each level's code: the order of levels in a dictionary doesn't matter."""
    digests = (hashlib.blake2b(code.encode(), key=key, digest_size=8).digest() for code in column.level_codes)
    return np.frombuffer(b"".join(digests), np.uint64)


def _column_words(values: pa.Array, column: Column, levels: Words | None) -> tuple[Words, npt.NDArray[np.bool_]]:
    gaps: npt.NDArray[np.bool_] = np.asarray(pc.is_null(values, nan_is_null=True))
    if levels is not None:
        codes = np.asarray(pc.fill_null(values.indices, 0))
        words = levels[codes]
    elif column.datatype == "number":
        words = _published_numbers(values, column).view(np.uint64)
    else:
        kind = pa.int32() if column.datatype == "date" else pa.int64()
        words = np.asarray(pc.fill_null(values.cast(kind), 0)).astype(np.int64).view(np.uint64)
    return np.where(gaps, np.uint64(0), words), gaps


def _published_numbers(values: pa.Array, column: Column) -> npt.NDArray[np.float64]:
    """Return numbers as they are published: what is rounded away there can't be a change, nor can the sign of 0."""
    numbers = np.asarray(pc.fill_null(values, 0.0), np.float64)
    if column.decimals is not None:
        numbers = np.rint(numbers * 10**column.decimals)
    elif column.precision == "single":
        numbers = numbers.astype(np.float32).astype(np.float64)
    return numbers + 0.0  # -0.0 + 0.0 is 0.0


def _pairs(words: Iterable[Words]) -> Iterable[tuple[Words, Words]]:
    """Yield words two by two, which are blocks of AES; an odd last one beside zeros."""
    waiting: Words | None = None
    for word in words:
        if waiting is None:
            waiting = word
        else:
            yield waiting, word
            waiting = None
    if waiting is not None:
        yield waiting, np.zeros_like(waiting)
