"""Rows that are too many to hold: a hospital's complete cases in chunks that can be loaded again and again.

A chunk comes as columns, because that is how an encrypted dataset decodes: one array a column, of any real type, never
copied into a matrix as a whole. Where the chunks come from (memory, a decrypted file) is the source's business; `load`
must be callable from several threads at once and give the same rows every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError

RealArray: TypeAlias = NDArray[Any]
"""An array of any real type: a chunk's columns keep the type that they are stored in."""

Chunk: TypeAlias = tuple[Sequence[RealArray], RealArray]
"""The p columns, each (m,), and the outcome y (m,) of zeros and ones; m may be 0."""

CHUNK_ROWS = 65_536


class ChunkedRows(Protocol):
    """One hospital's complete cases in clinical units, in a fixed number of chunks."""

    @property
    def name(self) -> str:
        """The hospital's name."""

    @property
    def chunks(self) -> int:
        """The number of chunks, at least 1."""

    def load(self, index: int) -> Chunk:
        """Return chunk `index`, 0 <= index < chunks."""


class ArrayRows:
    """A block in memory as chunks; the trivial ChunkedRows.

    Raises:
        InvalidBlockError: there is no row in a chunk.
    """

    def __init__(self, block: CohortBlock, chunk_rows: int = CHUNK_ROWS) -> None:
        if chunk_rows < 1:
            raise InvalidBlockError("a chunk needs at least one row")
        self._name, self._y, self._rows = block.name, block.y, chunk_rows
        self._columns: FloatArray = np.ascontiguousarray(block.X.T)

    @property
    def name(self) -> str:
        """The hospital's name."""
        return self._name

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return -(-self._y.size // self._rows)

    def half(self, first: int) -> ArrayRows:
        """Return every second row, from row `first` (0 or 1) on.

        Raises:
            InvalidBlockError: there is none.
        """
        return ArrayRows(CohortBlock(self._name, self._columns[:, first::2].T, self._y[first::2]), self._rows)

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self._y.size)

    def load(self, index: int) -> Chunk:
        """Return chunk `index` as views of the block."""
        rows = slice(index * self._rows, (index + 1) * self._rows)
        return list(self._columns[:, rows]), self._y[rows]


def check_sources(sources: Sequence[ChunkedRows]) -> None:
    """Check that sources can be pooled.

    Raises:
        InvalidBlockError: no sources, one without a name or a chunk, or two of one name.
    """
    if not sources:
        raise InvalidBlockError("expected at least one source of rows, got none")
    if any(not source.name or source.chunks < 1 for source in sources):
        raise InvalidBlockError("a source of rows has no name or no chunks")
    if len({source.name for source in sources}) != len(sources):
        raise InvalidBlockError("two sources of rows have the same name")


def load_checked(source: ChunkedRows, index: int, p: int) -> Chunk:
    """Load a chunk and check its shape; its values are checked where they are first summed.

    Raises:
        InvalidBlockError: the number of columns is not p, or lengths differ.
    """
    columns, y = source.load(index)
    if len(columns) != p or any(column.shape != y.shape or y.ndim != 1 for column in columns):
        raise InvalidBlockError(f"a chunk of {source.name!r} does not have {p} columns of the outcome's length")
    return columns, y
