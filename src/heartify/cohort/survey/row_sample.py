"""A uniform random sample of the rows of a stream, in random order, in bounded memory.

Each row draws a random number and the rows with the smallest ones stay, so every set of rows is equally likely and the
result does not depend on how the stream is cut into batches. It holds plaintext: never log, store or show it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import DataDictionary

MAX_SAMPLE_ROWS = 100_000
"""Rows that a sample keeps: a share of 1 % is then known to 0.06 percentage points (two standard errors)."""


class RowSample:
    """The rows with the smallest random numbers so far, without the id columns."""

    def __init__(
        self, dictionary: DataDictionary, random: np.random.Generator, *, max_rows: int = MAX_SAMPLE_ROWS
    ) -> None:
        self._names = [column.name for column in dictionary.published_columns]
        self._schema = pa.schema([field for field in table_schema(dictionary) if field.name in set(self._names)])
        self._random, self._max_rows = random, max_rows
        self._numbers: npt.NDArray[np.float64] = np.empty(0)
        self._pieces: list[pa.RecordBatch] = []
        self._limit = np.inf

    def add(self, batch: pa.RecordBatch) -> None:
        """Let the rows of a batch draw, and keep those that may stay."""
        numbers = self._random.random(batch.num_rows)
        kept = np.flatnonzero(numbers < self._limit)
        if len(kept) == 0:
            return
        self._numbers = np.concatenate([self._numbers, numbers[kept]])
        self._pieces.append(batch.select(self._names).take(pa.array(kept)))
        if len(self._numbers) > 2 * self._max_rows:
            self._pieces = self.table().to_batches()
            self._numbers = np.sort(self._numbers)[: self._max_rows]
            self._limit = self._numbers[-1]

    def table(self) -> pa.Table:
        """Return the sample in random order, in the table form of the published columns."""
        order = np.argsort(self._numbers, kind="stable")[: self._max_rows]
        return pa.Table.from_batches(self._pieces, self._schema).take(pa.array(order)).combine_chunks()
