"""Restricted cubic splines: cubic between knots, linear beyond the outer ones, continuous to the second derivative.

Harrell's truncated-power basis, scaled by the square of the outer knots' distance so that every column has the unit of
x (Harrell 2015, Regression Modeling Strategies, 2nd ed., section 2.4.5; Hmisc::rcspline.eval with norm = 2, rms::rcs).
Knots are fixed once over all hospitals and then hold everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.design.columns import Columns, raw_column
from heartify.stats.errors import InvalidBlockError, RankDeficientError

OUTER_QUANTILE = {3: 0.10, 4: 0.05, 5: 0.05, 6: 0.05, 7: 0.025}
SMALL_SAMPLE = 100  # below it Harrell takes the fifth smallest and fifth largest value as outer knots
KNOT_TOLERANCE = 1e-9  # of the outer knots' distance: closer knots make columns that rounding cannot tell apart


@dataclass(frozen=True, slots=True)
class SplineSpec:
    """Ask for a spline of `column` with 3 to 7 knots at Harrell's quantiles of the pooled values."""

    column: str
    knots: int

    def __post_init__(self) -> None:
        if self.knots not in OUTER_QUANTILE:
            raise InvalidBlockError(f"spline of {self.column!r}: expected 3 to 7 knots, got {self.knots}")


@dataclass(frozen=True, slots=True)
class Spline:
    """A restricted cubic spline of `column` with k given knots: k - 1 columns, the first of them linear.

    Raises:
        InvalidBlockError: fewer than 3 knots, or one is not a finite number.
        RankDeficientError: knots tie, or are not in increasing order.
    """

    column: str
    knots: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "knots", tuple(float(knot) for knot in self.knots))
        knots = np.array(self.knots)
        if knots.size < 3 or not np.isfinite(knots).all():
            raise InvalidBlockError(f"spline of {self.column!r}: expected at least 3 finite knots")
        if not (np.diff(knots) > KNOT_TOLERANCE * (knots[-1] - knots[0])).all():
            raise RankDeficientError(f"spline of {self.column!r}: knots tie; take fewer knots, or give them")

    @property
    def label(self) -> str:
        """Return the term's name in a model."""
        return f"rcs({self.column})"

    @property
    def sources(self) -> frozenset[str]:
        """Return the raw columns that the term reads."""
        return frozenset((self.column,))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns: x, x', x'', ... as rms writes them."""
        return tuple(self.column + "'" * order for order in range(len(self.knots) - 1))

    def matrix(self, columns: Columns) -> FloatArray:
        """Return the term's columns (n, k - 1)."""
        return spline_basis(raw_column(columns, self.column), np.array(self.knots))


def harrell_knots(values: FloatArray, count: int) -> tuple[float, ...]:
    """Return `count` (3 to 7) knots at Harrell's quantiles (R's type 7) of the pooled values (n,).

    Below 100 values the outer knots are the fifth smallest and the fifth largest (Harrell 2015, section 2.4.6).
    Unlike Hmisc this does not move knots when values clump at an extreme: they tie, or they stay.

    Raises:
        InvalidBlockError: another number of knots, or fewer than 10 values.
    """
    if count not in OUTER_QUANTILE:
        raise InvalidBlockError(f"expected 3 to 7 knots, got {count}")
    if values.size < 10:
        raise InvalidBlockError("a spline with knots at quantiles needs at least 10 values")
    outer = OUTER_QUANTILE[count]
    knots = np.quantile(values, np.linspace(outer, 1.0 - outer, count))
    if values.size < SMALL_SAMPLE:
        ordered = np.sort(values)
        knots[0], knots[-1] = ordered[4], ordered[-5]
    return tuple(knots.tolist())


def spline_basis(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Return the basis (n, k - 1) at x (n,) for increasing knots (k,), all in the unit of x."""
    first, before_last, last = knots[0], knots[-2], knots[-1]
    scale = (last - first) ** 2
    end, before_end = _cubed(x - last), _cubed(x - before_last)
    basis = np.empty((x.size, knots.size - 1))
    basis[:, 0] = x
    for j, knot in enumerate(knots[:-2]):
        tail = ((last - knot) * before_end - (before_last - knot) * end) / (last - before_last)
        basis[:, j + 1] = (_cubed(x - knot) - tail) / scale
    return basis


def _cubed(distance: FloatArray) -> FloatArray:
    return np.maximum(distance, 0.0) ** 3
