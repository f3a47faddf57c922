"""Exact counts of one column over all batches: known values, and patients in each level.

Bounded by the number of levels that the dictionary declares. It must never keep a value.
"""

from __future__ import annotations

import numpy as np

from heartify.cohort.lint.batch_view import Numbers
from heartify.protocol.dictionary import Column

BOOLEAN_LEVELS = ("false", "true")


class ColumnCounts:
    """Known values of a column so far, and how many of them are in each level of a category or boolean."""

    def __init__(self, column: Column) -> None:
        self._codes = BOOLEAN_LEVELS if column.datatype == "boolean" else column.level_codes
        self._in_level = np.zeros(len(self._codes), np.int64)
        self.known = 0

    def add(self, known: Numbers) -> None:
        """Count the values of one batch that are not missing; a level is its position."""
        self.known += len(known)
        if len(self._codes):
            self._in_level += np.bincount(known.astype(np.int64), minlength=len(self._codes))

    def level_counts(self) -> dict[str, int]:
        """Return the number of patients in each level by its code; empty for numbers and dates."""
        return dict(zip(self._codes, self._in_level.tolist(), strict=True))
