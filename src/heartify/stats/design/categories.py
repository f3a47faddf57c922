"""Categorical factors in treatment coding: one 0/1 column for every level but the reference.

Levels are codes (numbers), fixed once over all hospitals; a hospital may lack one, but may not bring another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.design.columns import Columns, raw_column
from heartify.stats.errors import InvalidBlockError, RankDeficientError

MAX_LEVELS = 100  # found levels beyond this mean that a measurement was declared a category


@dataclass(frozen=True, slots=True)
class CategoricalSpec:
    """Ask for a factor of `column` whose levels are those found in the pooled values, in increasing order."""

    column: str
    reference: float


@dataclass(frozen=True, slots=True)
class Categorical:
    """A factor of `column` with its levels in their order; the columns are those of all levels but the reference.

    Raises:
        InvalidBlockError: fewer than two levels, a level twice or not a finite number, a reference that is no level.
    """

    column: str
    levels: tuple[float, ...]
    reference: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        if len(self.levels) < 2 or len(set(self.levels)) != len(self.levels) or not np.isfinite(self.levels).all():
            raise InvalidBlockError(f"factor {self.column!r}: expected at least two distinct, finite levels")
        if self.reference not in self.levels:
            raise InvalidBlockError(f"factor {self.column!r}: the reference is not one of the levels")

    @property
    def label(self) -> str:
        """Return the term's name in a model."""
        return self.column

    @property
    def sources(self) -> frozenset[str]:
        """Return the raw columns that the term reads."""
        return frozenset((self.column,))

    @property
    def contrasts(self) -> tuple[float, ...]:
        """Return the levels that have a column, in order."""
        return tuple(level for level in self.levels if level != self.reference)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns: "grade=2", as rms writes them."""
        return tuple(f"{self.column}={_level_text(level)}" for level in self.contrasts)

    def matrix(self, columns: Columns) -> FloatArray:
        """Return the term's columns (n, levels - 1) of zeros and ones.

        Raises:
            InvalidBlockError: a value is none of the levels.
        """
        values = raw_column(columns, self.column)
        if not np.isin(values, self.levels).all():
            raise InvalidBlockError(f"factor {self.column!r} has values outside its levels")
        indicators: FloatArray = (values[:, None] == np.array(self.contrasts)).astype(np.float64)
        return indicators


def found_categorical(spec: CategoricalSpec, values: FloatArray) -> Categorical:
    """Return the factor whose levels are the distinct pooled values (n,).

    Raises:
        InvalidBlockError: more than 100 distinct values, or the reference is none of them.
        RankDeficientError: there is one value only.
    """
    levels = np.unique(values)
    if levels.size > MAX_LEVELS:
        raise InvalidBlockError(f"factor {spec.column!r} has more than {MAX_LEVELS} levels")
    if levels.size < 2:
        raise RankDeficientError(f"factor {spec.column!r} has one level only over all rows")
    return Categorical(spec.column, tuple(levels.tolist()), spec.reference)


def check_levels_occur(factor: Categorical, values: FloatArray) -> None:
    """Check that the pooled values (n,) have every level of the factor, and no other.

    Raises:
        InvalidBlockError: a value is none of the levels.
        RankDeficientError: a level has no row in any hospital, so that its column, or the reference, is empty.
    """
    if not np.isin(values, factor.levels).all():
        raise InvalidBlockError(f"factor {factor.column!r} has values outside its levels")
    absent = [_level_text(level) for level in factor.levels if not (values == level).any()]
    if absent:
        raise RankDeficientError(f"factor {factor.column!r}: no row has level {', '.join(absent)}")


def _level_text(level: float) -> str:
    return str(int(level)) if level.is_integer() else repr(level)
