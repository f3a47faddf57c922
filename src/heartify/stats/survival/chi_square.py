"""A chi-square statistic with its p-value, also in decimal logarithms for the far tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError
from scipy.special import chdtrc, gammaln

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import RankDeficientError
from heartify.stats.newton import solve_information


@dataclass(frozen=True, slots=True)
class ChiSquareTest:
    """A chi-square statistic, its degrees of freedom, p (0.0 only below the smallest double) and log10(p)."""

    statistic: float
    df: int
    p: float
    log10_p: float


def chi_square_test(statistic: float, df: int) -> ChiSquareTest:
    """Return the upper tail of a chi-square statistic; rounding below zero counts as zero."""
    value = max(statistic, 0.0)
    p = float(chdtrc(df, value))
    return ChiSquareTest(value, df, p, math.log10(p) if p > 1e-290 else _far_log10_tail(value / 2.0, df / 2.0))


def quadratic_test(vector: FloatArray, matrix: FloatArray) -> ChiSquareTest:
    """Return the test of vector' matrix^-1 vector on as many degrees of freedom as the vector (k,) is long.

    Raises:
        RankDeficientError: the matrix is not positive definite.
    """
    try:
        return chi_square_test(float(vector @ solve_information(matrix, vector)), vector.size)
    except LinAlgError as exc:
        raise RankDeficientError("the variance of a test is singular") from exc


def _far_log10_tail(x: float, a: float) -> float:
    # Gamma(a, x) = x^(a-1) e^-x (1 + (a-1)/x + (a-1)(a-2)/x^2 + ...), Abramowitz and Stegun 6.5.32; x > 600 here.
    series, term = 1.0, 1.0
    for k in range(1, 30):
        term *= (a - k) / x
        series += term
    return float((-x + (a - 1.0) * np.log(x) - gammaln(a) + np.log(series)) / np.log(10.0))
