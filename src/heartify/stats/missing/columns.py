"""A cohort with gaps: named columns of numbers or of category codes, and each row's hospital.

Checked once, here, and read-only from then on. A missing number is NaN; a missing category is -1 on the way in and NaN
inside, so that one rule finds every gap. Nothing here prints or quotes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

IntArray = NDArray[np.int64]


class ColumnKind(Enum):
    """What a column holds, which decides how it is imputed."""

    CONTINUOUS = "continuous"
    BINARY = "binary"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column:
    """Hold values (n,): numbers, 0/1, or codes 0..levels - 1; NaN where missing. Built by the functions below."""

    name: str
    kind: ColumnKind
    values: FloatArray
    levels: int

    def __post_init__(self) -> None:
        values = _as_frozen_doubles(self.values, self.name)
        if not self.name or self.levels < 0:
            raise InvalidBlockError("a column needs a name and its number of levels")
        if values.ndim != 1 or np.isinf(values).any():
            raise InvalidBlockError(f"column {self.name!r}: expected finite numbers or NaN, of shape (n,)")
        if self.kind is not ColumnKind.CONTINUOUS:
            observed = values[~np.isnan(values)]
            if self.levels < 2 or not np.isin(observed, np.arange(self.levels)).all():
                raise InvalidBlockError(
                    f"column {self.name!r}: codes must be whole numbers below its {self.levels} levels"
                )
        object.__setattr__(self, "values", values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return the mask (n,) of missing values."""
        return np.isnan(self.values)


def continuous(name: str, values: ArrayLike) -> Column:
    """Return a column of numbers (n,), NaN where missing.

    Raises:
        InvalidBlockError: an infinite value, another shape, or no numbers.
    """
    return Column(name, ColumnKind.CONTINUOUS, _as_frozen_doubles(values, name), 0)


def binary(name: str, values: ArrayLike) -> Column:
    """Return a column of zeros and ones (n,), missing as NaN or -1.

    Raises:
        InvalidBlockError: any other value.
    """
    return Column(name, ColumnKind.BINARY, _with_gaps(values, name), 2)


def categorical(name: str, codes: ArrayLike, levels: int) -> Column:
    """Return a column of codes 0..levels - 1 (n,), missing as NaN or -1.

    Raises:
        InvalidBlockError: any other value, or fewer than two levels.
    """
    return Column(name, ColumnKind.CATEGORICAL, _with_gaps(codes, name), levels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IncompleteTable:
    """Hold columns of n rows, the hospital code (n,) of each row, and the hospitals' names.

    Raises:
        InvalidBlockError: no columns or rows, unequal lengths, a name twice, or a hospital without a row.
    """

    columns: tuple[Column, ...]
    hospital: IntArray
    hospitals: tuple[str, ...]

    def __post_init__(self) -> None:
        hospital = np.array(self.hospital, dtype=np.int64)
        hospital.setflags(write=False)
        names = [column.name for column in self.columns]
        if not names or hospital.ndim != 1 or not hospital.size:
            raise InvalidBlockError("expected at least one column and one row")
        if any(column.values.shape != hospital.shape for column in self.columns):
            raise InvalidBlockError("columns differ in their number of rows")
        if len(set(names)) != len(names) or len(set(self.hospitals)) != len(self.hospitals):
            raise InvalidBlockError("two columns or two hospitals have the same name")
        if not np.array_equal(np.unique(hospital), np.arange(len(self.hospitals))):
            raise InvalidBlockError("hospital codes must be 0, 1, ... one for each named hospital, none without rows")
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "hospital", hospital)

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.hospital.size)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns' names."""
        return tuple(column.name for column in self.columns)

    def keep(self, rows: IntArray) -> IncompleteTable:
        """Return the table of some rows; hospitals that lose all rows disappear."""
        present, codes = np.unique(self.hospital[rows], return_inverse=True)
        columns = [Column(c.name, c.kind, c.values[rows], c.levels) for c in self.columns]
        return IncompleteTable(tuple(columns), codes, tuple(self.hospitals[h] for h in present))


def find(table: IncompleteTable, names: Sequence[str]) -> list[int]:
    """Return the positions of named columns.

    Raises:
        InvalidBlockError: the table has no such column.
    """
    unknown = [name for name in names if name not in table.names]
    if unknown:
        raise InvalidBlockError(f"no such column: {', '.join(unknown)}")
    return [table.names.index(name) for name in names]


def _with_gaps(values: ArrayLike, name: str) -> FloatArray:
    doubles = np.array(_as_frozen_doubles(values, name))
    doubles[doubles == -1.0] = np.nan
    return doubles


def _as_frozen_doubles(values: ArrayLike, name: str) -> FloatArray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"column {name!r} does not hold numbers ({type(exc).__name__})") from None
    array.setflags(write=False)
    return array
