"""Bayesian linear regression draws and predictive mean matching, for continuous columns.

A draw of (beta, sigma) under the improper prior is Rubin 1987 (p. 167), as mice::norm.draw with its ridge of 1e-5; here
columns come centred and scaled and the intercept takes no ridge, so that the ridge does not depend on units. Matching
is type 1 (van Buuren 2018, section 3.4.2): donors by their fitted value, targets by the drawn one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import RankDeficientError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearSums:
    """Hold n, X'X (q, q), X'y (q,) and y'y of some rows; they add up."""

    n: int
    gram: FloatArray
    cross: FloatArray
    square: float

    def __add__(self, other: LinearSums) -> LinearSums:
        return LinearSums(
            self.n + other.n, self.gram + other.gram, self.cross + other.cross, self.square + other.square
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearDraw:
    """Hold the ridge estimate (q,), one posterior draw (q,) around it, and the drawn residual SD."""

    coef: FloatArray
    beta: FloatArray
    sigma: float


def linear_sums(X: FloatArray, y: FloatArray) -> LinearSums:
    """Return the sums of rows X (n, q), y (n,)."""
    return LinearSums(y.size, X.T @ X, X.T @ y, float(y @ y))


def estimate_linear(sums: LinearSums, ridge: float) -> tuple[FloatArray, FloatArray, float]:
    """Return the ridge estimate (q,), its unscaled covariance (q, q), and the residual sum of squares.

    Raises:
        RankDeficientError: the ridge is too small for collinear columns.
    """
    penalty = ridge * np.diag(sums.gram)
    penalty[0] = 0.0
    try:
        factor = cho_factor(sums.gram + np.diag(penalty), lower=True)
    except LinAlgError as exc:
        raise RankDeficientError("the predictors of an imputation are collinear") from exc
    coef = cho_solve(factor, sums.cross)
    unscaled = cho_solve(factor, np.eye(coef.size))
    residual = sums.square - 2.0 * float(coef @ sums.cross) + float(coef @ sums.gram @ coef)
    return coef, (unscaled + unscaled.T) / 2.0, max(residual, 0.0)


def draw_linear(sums: LinearSums, ridge: float, rng: Generator) -> LinearDraw:
    """Draw sigma^2 = RSS / chi2(n - q) and beta ~ N(coef, sigma^2 (X'X + ridge)^-1); the first column is the intercept.

    Raises:
        RankDeficientError: as `estimate_linear`.
    """
    coef, unscaled, residual = estimate_linear(sums, ridge)
    freedom = max(sums.n - coef.size, 1)
    sigma = float(np.sqrt(residual / rng.chisquare(freedom)))
    beta = coef + sigma * (cholesky(unscaled, lower=True) @ rng.standard_normal(coef.size))
    return LinearDraw(coef, beta, sigma)


def match(fitted: FloatArray, values: FloatArray, wanted: FloatArray, donors: int, rng: Generator) -> FloatArray:
    """Return, for each wanted prediction (k,), the value of one of the nearest `donors` among fitted (n,), by lot.

    Donors at equal distance are taken at random. Fewer observed rows than donors: all of them are donors.
    """
    shuffled = rng.permutation(fitted.size)
    order = shuffled[np.argsort(fitted[shuffled], kind="stable")]
    ranked = fitted[order]
    rank = rng.integers(min(donors, fitted.size), size=wanted.size)
    above = np.searchsorted(ranked, wanted)
    below = above - 1
    chosen = np.zeros(wanted.size, dtype=np.int64)
    for step in range(min(donors, fitted.size)):
        gap_above = np.where(above < ranked.size, ranked[np.minimum(above, ranked.size - 1)] - wanted, np.inf)
        gap_below = np.where(below >= 0, wanted - ranked[np.maximum(below, 0)], np.inf)
        nearest_above = gap_above < gap_below
        tied = (gap_above == gap_below) & (above < ranked.size)
        nearest_above |= tied & (rng.random(wanted.size) < 0.5)
        taken = np.where(nearest_above, above, below)
        chosen = np.where(rank == step, taken, chosen)
        above = above + nearest_above
        below = below - ~nearest_above
    return values[order[chosen]]
