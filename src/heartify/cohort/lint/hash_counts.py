"""Count how often each of very many things occurs, by a 64-bit hash of it, in bounded memory.

Exact up to a number of distinct hashes. Beyond it, only hashes of one half, one quarter ... of the hash space are kept:
a random sample of the distinct things, each with its exact count (distinct sampling, Gibbons, VLDB 2001). The result
does not depend on order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

MAX_DISTINCT = 1 << 22
"""Distinct hashes counted exactly, 12 bytes each."""
_MIN_MERGE = 1 << 18


class HashCounts:
    """Counts by hash so far."""

    def __init__(self, *, max_distinct: int = MAX_DISTINCT) -> None:
        self._max_distinct = max_distinct
        self._halvings = 0
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._counts: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._pending: list[Hashes] = []
        self._pending_rows = 0

    @property
    def sampling_factor(self) -> int:
        """How many distinct things each one that was counted stands for; 1 when all were counted."""
        self._merge()
        return 1 << self._halvings

    def add(self, hashes: Hashes) -> None:
        """Count hashes once more each."""
        kept = hashes[self._is_kept(hashes)]
        self._pending.append(kept)
        self._pending_rows += len(kept)
        if self._pending_rows >= max(_MIN_MERGE, len(self._hashes) // 2):
            self._merge()

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how often each distinct thing occurred, in no meaningful order."""
        self._merge()
        return self._counts.astype(np.int64)

    def _is_kept(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        kept: npt.NDArray[np.bool_] = (hashes & np.uint64((1 << self._halvings) - 1)) == 0
        return kept

    def _merge(self) -> None:
        if not self._pending:
            return
        new, counts = np.unique(np.concatenate(self._pending), return_counts=True)
        self._pending, self._pending_rows = [], 0
        places = np.searchsorted(self._hashes, new)
        known = np.zeros(len(new), np.bool_)
        inside = places < len(self._hashes)
        known[inside] = self._hashes[places[inside]] == new[inside]
        self._counts[places[known]] += counts[known].astype(np.uint32)
        self._hashes = np.insert(self._hashes, places[~known], new[~known])
        self._counts = np.insert(self._counts, places[~known], counts[~known].astype(np.uint32))
        while len(self._hashes) > self._max_distinct:
            self._halvings += 1
            kept = self._is_kept(self._hashes)
            self._hashes, self._counts = self._hashes[kept], self._counts[kept]
