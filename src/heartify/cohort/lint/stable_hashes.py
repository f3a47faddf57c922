"""64-bit hashes of ids and of rows, for counting what occurs twice; equal things have equal hashes, always.

The same cohort must give the same findings in every run, also where only a part of the hashes is counted, so the hashes
have no random key. They are therefore as confidential as the values: they stay in memory and are dropped with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.hash_counts import Hashes

_MISSING = np.uint64(0x7FF8_0000_0000_0001)  # one pattern for every NaN
_ONE, _SHIFT = np.uint64(1), np.uint64(32)
# SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the step, and the finaliser that mixes all bits.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FINAL = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


def hash_texts(texts: pa.StringArray) -> Hashes:
    """Return a hash of each text; there must be no missing and no empty one.

    The sum of each byte times a number that belongs to its place: multilinear hashing (Lemire, Kaser, Comput. J. 2014).
    Two texts collide with a probability of about 2^-60, so all of 4 million ids differ with 99.999 %.
    """
    if len(texts) == 0:
        return np.empty(0, np.uint64)
    _, offset_buffer, data = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    letters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    starts = offsets[:-1] - offsets[0]
    places = np.arange(len(letters)) - np.repeat(starts, np.diff(offsets))
    return _mix(np.add.reduceat((letters + _ONE) * _multipliers(int(places.max()) + 1)[places], starts))


class RowHasher:
    """Hashes of some columns of each row together; which columns and in which order is part of the hash."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._multipliers = _multipliers(len(self._names))

    def hash_rows(self, batch: BatchView) -> Hashes:
        """Return a hash for each row, of shape (rows,)."""
        hashes: Hashes = np.zeros(batch.rows, np.uint64)
        for name, multiplier in zip(self._names, self._multipliers, strict=True):
            numbers = batch.numbers(name)
            bits = (numbers + 0.0).view(np.uint64)  # adding 0 makes -0.0 the same as 0.0
            bits[np.isnan(numbers)] = _MISSING
            hashes = (hashes ^ bits) * multiplier
            hashes ^= hashes >> _SHIFT
        return _mix(hashes)


def _multipliers(count: int) -> Hashes:
    """Return the odd number that belongs to each place."""
    return _mix((np.arange(count, dtype=np.uint64) + _ONE) * _STEP) | _ONE


def _mix(hashes: Hashes) -> Hashes:
    for shift, factor in _FINAL:
        hashes = (hashes ^ (hashes >> shift)) * factor
    return hashes ^ (hashes >> _SHIFT)
