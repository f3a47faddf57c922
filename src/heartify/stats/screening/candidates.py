"""Blocks of candidate columns, hospital by hospital: what a screen reads, a few hundred columns at a time.

A block is checked for shape and type here; missing values (NaN, or -128 in int8) are legal, infinite ones are found by
the kernels, which touch every value anyway. The parts are not copied: a block may be a view of a mapped tile. Layout is
free; parts whose columns are contiguous (the transpose of a (m, n) array) are read fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

MISSING_INT8 = -128
ACCEPTED_TYPES = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int8))

CandidateArray: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CandidateBlock:
    """Hold m candidates: their names, and one part (n_h, m) for each hospital, in the order of the base blocks.

    Parts are float64, float32 (missing: NaN) or int8 (missing: -128).

    Raises:
        InvalidBlockError: no candidates, a name that is empty or occurs twice, parts of another width or type.
    """

    names: tuple[str, ...]
    parts: tuple[CandidateArray, ...]

    def __post_init__(self) -> None:
        if not self.names or not all(self.names) or len(set(self.names)) != len(self.names):
            raise InvalidBlockError("a candidate block needs distinct, non-empty names")
        if not self.parts:
            raise InvalidBlockError("a candidate block needs one part for each hospital")
        for part in self.parts:
            if part.ndim != 2 or part.shape[1] != len(self.names):
                raise InvalidBlockError(f"expected parts (n, {len(self.names)}), got {part.shape}")
            if part.dtype not in ACCEPTED_TYPES:
                raise InvalidBlockError(f"candidates are float64, float32 or int8, not {part.dtype}")

    @property
    def m(self) -> int:
        """Return the number of candidates."""
        return len(self.names)

    def take(self, columns: list[int]) -> CandidateBlock:
        """Return a block of some columns (copied)."""
        return CandidateBlock(tuple(self.names[j] for j in columns), tuple(part[:, columns] for part in self.parts))

    def slices(self, width: int) -> Iterator[CandidateBlock]:
        """Yield the block in pieces of at most `width` columns, as views."""
        for first in range(0, self.m, width):
            columns = slice(first, first + width)
            yield CandidateBlock(self.names[columns], tuple(part[:, columns] for part in self.parts))


CandidateLoader: TypeAlias = Callable[[], CandidateBlock]


def check_rows(block: CandidateBlock, rows: tuple[int, ...]) -> None:
    """Check that a candidate block has one part for each hospital, of as many rows.

    Raises:
        InvalidBlockError: it has not.
    """
    if tuple(part.shape[0] for part in block.parts) != rows:
        raise InvalidBlockError("candidate parts and base blocks differ in hospitals or rows")


def as_doubles(part: CandidateArray) -> FloatArray:
    """Return a copy of a part in float64 with NaN for missing."""
    values = np.array(part, dtype=np.float64)
    if part.dtype == np.int8:
        values[part == MISSING_INT8] = np.nan
    return values
