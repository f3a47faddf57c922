"""The rounded distribution of one column: shares of levels, or a curve through coarse quantiles.

Everything here is coarse enough to be shown: counts under 10 are left out and others rounded to 5, a quantile has 10
patients or more at or beyond it and between it and the next, and stands on a step coarse against the spread. What the
rules would hide is replaced by what the public dictionary alone allows, and then says nothing about the cohort.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from heartify.cohort.catalogue.coarse_steps import round_to_step, step_below
from heartify.cohort.catalogue.shown_numbers import FEW_DISTINCT
from heartify.cohort.catalogue.twin.latent_values import FloatArray, has_levels
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.rounding import LARGEST_MAGNITUDE, round_count
from heartify.protocol.dictionary import Column

MAX_KNOTS = 41
STEPS_PER_SPREAD = 40
LEAST_KNOWN = 3 * MIN_CELL
"""Fewer known values make no curve: 10 beyond the lowest knot, 10 beyond the highest, 10 between."""

_EPOCH = date(1970, 1, 1)
_ANY_DATES = ((date(2000, 1, 1) - _EPOCH).days, (date(2020, 12, 31) - _EPOCH).days)
_ANY_NUMBERS = 100.0


@dataclass(frozen=True, slots=True)
class LevelShares:
    """Values in the order of the latent axis, and their shares, which sum to 1. `told`: learnt from the cohort."""

    values: FloatArray
    shares: FloatArray
    told: bool

    def values_at(self, uniform: FloatArray) -> FloatArray:
        """Return the value at each cumulative share between 0 and 1."""
        bounds = np.cumsum(self.shares)[:-1]
        return np.asarray(self.values[np.searchsorted(bounds, uniform, side="right")])


@dataclass(frozen=True, slots=True)
class QuantileCurve:
    """Values at increasing cumulative shares from 0 to 1, straight lines between. `told`: learnt from the cohort."""

    shares: FloatArray
    knots: FloatArray
    told: bool

    def values_at(self, uniform: FloatArray) -> FloatArray:
        """Return the value at each cumulative share between 0 and 1."""
        return np.asarray(np.interp(uniform, self.shares, self.knots))


Marginal = LevelShares | QuantileCurve


def marginal_of(column: Column, known: FloatArray, order: FloatArray | None = None) -> Marginal:
    """Return the rounded distribution of a column's known values.

    `order` gives each level of a category its place on the latent axis; without it levels stand in their own order.
    """
    if has_levels(column) or np.unique(known).size <= FEW_DISTINCT:
        return _level_shares(column, known, order)
    if known.size < LEAST_KNOWN:
        return undisclosed_marginal(column)
    return _quantile_curve(column, np.sort(known))


def undisclosed_marginal(column: Column) -> Marginal:
    """Return a distribution made from the public dictionary alone: equal levels, or evenly between the limits."""
    if has_levels(column):
        levels = 2 if column.datatype == "boolean" else len(column.levels)
        return LevelShares(np.arange(levels, dtype=np.float64), np.full(levels, 1 / levels), told=False)
    low, high = _any_limits(column)
    return QuantileCurve(np.array([0.0, 1.0]), np.array([low, high]), told=False)


def rounded_missing_share(rows: int, missing: int) -> float:
    """Return the share of missing values from rounded counts: 0 below 10, 1 when fewer than 10 are known."""
    if rows - missing < MIN_CELL:
        return 1.0
    return 0.0 if missing < MIN_CELL else min(1.0, round_count(missing) / round_count(rows))


def _any_limits(column: Column) -> tuple[float, float]:
    if column.datatype == "date":
        return float(_ANY_DATES[0]), float(_ANY_DATES[1])
    low, high = column.minimum, column.maximum
    if low is None:
        low = 0.0 if high is None or high > 0.0 else high - _ANY_NUMBERS
    return low, low + _ANY_NUMBERS if high is None else high


def _level_shares(column: Column, known: FloatArray, order: FloatArray | None) -> Marginal:
    values, counts = np.unique(known, return_counts=True)
    kept = counts >= MIN_CELL
    if np.count_nonzero(kept) < 2 or np.abs(values).max() > LARGEST_MAGNITUDE:
        return undisclosed_marginal(column)  # nearly all alike: rule 11 doesn't let that be told; or no measurement
    values, rounded = values[kept], np.array([round_count(int(count)) for count in counts[kept]], np.float64)
    if order is not None:
        places = np.argsort(order[values.astype(np.int64)], kind="stable")
        values, rounded = values[places], rounded[places]
    return LevelShares(values, rounded / rounded.sum(), told=True)


def _quantile_curve(column: Column, ordered: FloatArray) -> Marginal:
    n = ordered.size
    number = min(MAX_KNOTS, (n - 2 * MIN_CELL) // MIN_CELL + 1)
    shares = np.linspace(MIN_CELL / n, 1 - MIN_CELL / n, number)
    if max(-ordered[0], ordered[-1]) > LARGEST_MAGNITUDE:
        return undisclosed_marginal(column)
    exact = np.quantile(ordered, shares)
    p05, p25, p75, p95 = np.quantile(ordered, (0.05, 0.25, 0.75, 0.95))
    spread = float(p75 - p25) or float(p95 - p05) / 2 or float(exact[-1] - exact[0])
    step = step_below(spread / STEPS_PER_SPREAD)
    if step is None:
        return undisclosed_marginal(column)
    knots = np.array([round_to_step(float(value), step) for value in exact])
    if knots[0] == knots[-1]:
        return undisclosed_marginal(column)
    low = knots[0] - (knots[1] - knots[0]) * shares[0] / (shares[1] - shares[0])
    high = knots[-1] + (knots[-1] - knots[-2]) * (1 - shares[-1]) / (shares[-1] - shares[-2])
    # The tails run on in a straight line; a quantity that is nowhere negative stays so.
    low = max(low, 0.0) if knots[0] >= 0.0 else low
    return QuantileCurve(np.concatenate(([0.0], shares, [1.0])), np.concatenate(([low], knots, [high])), told=True)
