"""Exact counts of one column over all batches: known values, and patients in each level.

Bounded by the number of levels that the dictionary declares. It must never keep a value.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heartify.protocol.dictionary import Column

BOOLEAN_LEVELS = ("false", "true")


class ColumnCounts:
    """Known values of a column so far, and how many of them are in each level of a category or boolean."""

    def __init__(self, column: Column) -> None:
        self._codes = BOOLEAN_LEVELS if column.datatype == "boolean" else column.level_codes
        self._in_level = np.zeros(len(self._codes), np.int64)
        self.known = 0

    def add(self, values: pa.Array) -> None:
        """Count the values of one batch."""
        self.known += len(values) - values.null_count
        if len(self._codes) == 0:
            return
        indices = values.indices if pa.types.is_dictionary(values.type) else pc.cast(values, pa.int8())
        known = indices.drop_null().to_numpy(zero_copy_only=False)
        self._in_level += np.bincount(known, minlength=len(self._codes))

    def level_counts(self) -> dict[str, int]:
        """Return the number of patients in each level by its code; empty for numbers and dates."""
        return dict(zip(self._codes, self._in_level.tolist(), strict=True))
