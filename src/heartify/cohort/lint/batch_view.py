"""A batch of rows as every check reads it: each column as float64 numbers, missing ones NaN, converted once.

Categories are the position of their level, booleans 0 and 1, dates days since 1970. Ids are texts and have no numbers.
It holds plaintext: never log or store it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


class BatchView:
    """Columns of one batch, or of a sample of rows."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._numbers: dict[str, Numbers] = {}

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self._batch.num_rows)

    def numbers(self, name: str) -> Numbers:
        """Return a column of shape (rows,)."""
        if name not in self._numbers:
            self._numbers[name] = _as_numbers(self._batch.column(name))
        return self._numbers[name]

    def known(self, name: str) -> Numbers:
        """Return the values of a column that are not missing."""
        numbers = self.numbers(name)
        return numbers[~np.isnan(numbers)]

    def ids(self, name: str) -> pa.StringArray:
        """Return the ids of an id column that are neither missing nor blank, without blanks around them."""
        ids = pc.utf8_trim_whitespace(self._batch.column(name)).drop_null()
        return ids.filter(pc.not_equal(ids, ""))


def view_of_table(table: pa.Table) -> BatchView:
    """Return the view of a whole table."""
    batches = table.combine_chunks().to_batches()
    return BatchView(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema))


def _as_numbers(values: pa.Array) -> Numbers:
    if pa.types.is_dictionary(values.type):
        values = values.indices
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    elif pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
