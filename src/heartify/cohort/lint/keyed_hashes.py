"""Keyed 64-bit hashes of ids and of rows, for counting what occurs twice; equal things have equal hashes.

The key is fresh for each survey and never kept, so that hashes can't be compared with a list of patients. Two different
things among 4 million collide with a probability of about 1 in 2 million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.hash_counts import Hashes

KEY_BYTES = 16
_MISSING = np.uint64(0x7FF8_0000_0000_0001)  # one pattern for every NaN
_SHIFT = np.uint64(32)
# The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
_FINAL = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


def hash_texts(texts: Iterable[str], key: bytes) -> Hashes:
    """Return the keyed BLAKE2b hash (RFC 7693) of each text, cut to 64 bits."""
    digests = b"".join([hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts])
    return np.frombuffer(digests, np.uint64)


class RowHasher:
    """Hashes of some columns of each row together; which columns and in which order is part of the hash."""

    def __init__(self, names: Sequence[str], key: bytes) -> None:
        self._names = tuple(names)
        self._multipliers = hash_texts((f"column {number}" for number in range(len(self._names))), key) | np.uint64(1)

    def hash_rows(self, batch: BatchView) -> Hashes:
        """Return a hash for each row, of shape (rows,)."""
        hashes: Hashes = np.zeros(batch.rows, np.uint64)
        for name, multiplier in zip(self._names, self._multipliers, strict=True):
            numbers = batch.numbers(name)
            bits = (numbers + 0.0).view(np.uint64)  # adding 0 makes -0.0 the same as 0.0
            bits[np.isnan(numbers)] = _MISSING
            hashes = (hashes ^ bits) * multiplier
            hashes ^= hashes >> _SHIFT
        for shift, factor in _FINAL:
            hashes = (hashes ^ (hashes >> shift)) * factor
        return hashes ^ (hashes >> _SHIFT)
