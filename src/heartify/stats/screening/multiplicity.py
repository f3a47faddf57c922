"""Many tests at once: adjusted p-values, Storey's q-values, and how many independent tests a panel amounts to.

A p-value that is not a number stands for a candidate that could not be tested: it is not counted, and stays so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

Pi0Method = Literal["lambda", "smoother"]
SMOOTHER_GRID = np.arange(1, 20) / 20.0  # .05, .10, ..., .95, as the package qvalue
SMOOTHER_DF = 3.0


def _checked(p: FloatArray) -> FloatArray:
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or (p < 0).any() or (p > 1).any():
        raise InvalidBlockError("expected p-values (m,) between 0 and 1")
    return p


def adjust_bonferroni(p: FloatArray) -> FloatArray:
    """Return min(1, m p) for p-values (m,).

    Raises:
        InvalidBlockError: not a vector of values between 0 and 1.
    """
    p = _checked(p)
    return np.minimum(1.0, p * np.count_nonzero(~np.isnan(p)))


def adjust_bh(p: FloatArray) -> FloatArray:
    """Return Benjamini and Hochberg's adjusted p-values (1995, J R Stat Soc B 57:289): min_{j >= i} m p_(j) / j.

    Raises:
        InvalidBlockError: not a vector of values between 0 and 1.
    """
    return _step_up(_checked(p), 1.0)


def adjust_by(p: FloatArray) -> FloatArray:
    """Return Benjamini and Yekutieli's adjusted p-values (2001, Ann Stat 29:1165), valid under any dependence.

    Raises:
        InvalidBlockError: not a vector of values between 0 and 1.
    """
    p = _checked(p)
    m = np.count_nonzero(~np.isnan(p))
    return _step_up(p, float(np.sum(1.0 / np.arange(1, m + 1))))


def _step_up(p: FloatArray, factor: float) -> FloatArray:
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    m = order.size
    scaled = p[order] * (factor * m / np.arange(1, m + 1))
    adjusted = np.full(p.size, np.nan)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StoreyResult:
    """Hold the share pi0 of true null hypotheses and the q-values (m,)."""

    pi0: float
    q: FloatArray


def storey(
    p: FloatArray, method: Pi0Method = "lambda", at: float = 0.5, grid: FloatArray = SMOOTHER_GRID
) -> StoreyResult:
    """Return Storey's pi0 and q-values.

    "lambda": pi0 = #{p >= at} / (m (1 - at)). "smoother": a natural cubic smoothing spline with 3 degrees of freedom
    through pi0 at the grid (.05, ..., .95 if not given), read at its last point. pi0 is at most 1; q = pi0 times the
    adjusted p-value of BH.

    Source: Storey 2002, J R Stat Soc B 64:479; smoother: Storey and Tibshirani 2003, PNAS 100:9440; R's qvalue.

    Raises:
        InvalidBlockError: no p-value at all, values out of range, or an estimate of pi0 that is not positive.
    """
    p = _checked(p)
    known = p[~np.isnan(p)]
    if not known.size or not 0.0 <= at < 1.0:
        raise InvalidBlockError("Storey's q-values need p-values, and lambda in [0, 1)")
    if method == "lambda":
        pi0 = float(np.mean(known >= at) / (1.0 - at))
    else:
        curve = np.array([np.mean(known >= point) / (1.0 - point) for point in grid])
        pi0 = float(smoother_row(grid) @ curve)
    if pi0 <= 0.0:
        raise InvalidBlockError("the estimate of pi0 is not positive: no large p-values; choose another lambda")
    pi0 = min(1.0, pi0)
    return StoreyResult(pi0, pi0 * _step_up(p, 1.0))


def smoother_row(x: FloatArray) -> FloatArray:
    """Return the weights, one a point of x, with which a smoothing spline with 3 df reads its last point.

    Reinsch's form (Green and Silverman 1994, section 2.3): fit = (I + alpha Q R^-1 Q')^-1 y, alpha such that its trace
    is 3.
    """
    n, gap = x.size, np.diff(x)
    Q, R = np.zeros((n, n - 2)), np.zeros((n - 2, n - 2))
    for j in range(n - 2):
        Q[j, j], Q[j + 2, j] = 1.0 / gap[j], 1.0 / gap[j + 1]
        Q[j + 1, j] = -Q[j, j] - Q[j + 2, j]
        R[j, j] = (gap[j] + gap[j + 1]) / 3.0
        if j:
            R[j, j - 1] = R[j - 1, j] = gap[j] / 6.0
    penalty = Q @ np.linalg.solve(R, Q.T)
    values, vectors = np.linalg.eigh((penalty + penalty.T) / 2.0)
    values = np.maximum(values, 0.0)
    values[:2] = 0.0  # straight lines are not penalised
    low, high = -30.0, 30.0
    for _ in range(200):
        middle = (low + high) / 2.0
        df = float(np.sum(1.0 / (1.0 + np.exp(middle) * values)))
        low, high = (middle, high) if df > SMOOTHER_DF else (low, middle)
    shrink = 1.0 / (1.0 + np.exp((low + high) / 2.0) * values)
    row: FloatArray = (vectors[-1] * shrink) @ vectors.T
    return row


@dataclass(frozen=True, slots=True)
class EffectiveTests:
    """How many independent tests m correlated ones amount to, by two formulas."""

    li_ji: float
    galwey: float


def effective_tests(correlation: FloatArray) -> EffectiveTests:
    """Return the effective number of tests from a correlation matrix (m, m) of the candidates.

    Li and Ji 2005 (Heredity 95:221): sum of 1[x >= 1] + (x - floor x) over |eigenvalues|; Galwey 2009 (Genet Epidemiol
    33:559): (sum sqrt x)^2 / sum x over positive eigenvalues.

    Raises:
        InvalidBlockError: not a square, symmetric, finite matrix with a unit diagonal.
    """
    R = np.asarray(correlation, dtype=np.float64)
    square = R.ndim == 2 and R.shape[0] == R.shape[1] and R.size > 0
    if not square or not np.isfinite(R).all() or not np.allclose(R, R.T) or not np.allclose(np.diag(R), 1.0):
        raise InvalidBlockError("expected a symmetric correlation matrix with a unit diagonal")
    values = np.linalg.eigvalsh((R + R.T) / 2.0)
    size = np.round(np.abs(values), 9)  # an eigenvalue of 1 that comes out as 0.999... must not count twice
    li_ji = float(np.sum((size >= 1.0) + (size - np.floor(size))))
    positive = values[values > 0.0]
    return EffectiveTests(li_ji, float(np.sum(np.sqrt(positive)) ** 2 / np.sum(positive)))


def candidate_correlation(parts: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the correlations (k, k) of candidates within hospitals, and which (m,) vary; k of them do.

    parts: (n_h, m) with NaN for missing, filled with the hospital's mean. For a moderate m: the matrix is m x m.
    """
    filled = []
    for part in parts:
        known = ~np.isnan(part)
        mean = np.where(known, part, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        filled.append(np.where(known, part - mean, 0.0))
    squares = np.sum([np.sum(part**2, axis=0) for part in filled], axis=0)
    spread = np.sum([np.nansum(np.abs(part), axis=0) for part in parts], axis=0)
    varies = squares > 1e-24 * spread**2
    scaled = [part[:, varies] / np.sqrt(squares[varies]) for part in filled]
    correlation: FloatArray = np.sum([part.T @ part for part in scaled], axis=0)
    return correlation, varies
