"""The chi-square tail that every test of k degrees of freedom ends in, carried as a decimal logarithm too.

A cohort of 70,000 gives p-values far below the smallest double; the logarithm stays right there. Likelihood-ratio tests
and tests of a quadratic form (Wald, score) start from what a fit holds. Pure functions of numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.linalg import LinAlgError
from scipy.special import gammainc, gammaincc, gammaln

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, RankDeficientError
from heartify.stats.newton import solve_information

LEAST_DIRECT = 1e-280  # below it gammaincc nears underflow; the continued fraction takes over
FRACTION_TERMS = 500
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class ChiSquareTest:
    """A chi-square statistic on `df` degrees of freedom; `p` may underflow to 0.0, `log10_p` is right everywhere."""

    statistic: float
    df: int
    p: float
    log10_p: float


def chi_square_test(statistic: float, df: int) -> ChiSquareTest:
    """Return the test whose statistic is chi-square with df degrees of freedom under the null hypothesis.

    Raises:
        InvalidBlockError: df below 1, or a statistic that is negative or not a number.
    """
    log_p = log_chi_square_sf(statistic, df)
    return ChiSquareTest(float(statistic), df, float(gammaincc(df / 2.0, statistic / 2.0)), log_p / math.log(10.0))


def ratio_test(loglik: float, reduced_loglik: float, df: int) -> ChiSquareTest:
    """Return the likelihood-ratio test of a model against one with df parameters less; below zero counts as zero.

    Raises:
        InvalidBlockError: df below 1, or a log-likelihood that is not a number.
    """
    return chi_square_test(max(2.0 * (loglik - reduced_loglik), 0.0), df)


def quadratic_test(vector: FloatArray, matrix: FloatArray) -> ChiSquareTest:
    """Return the test of vector' matrix^-1 vector on as many degrees of freedom as the vector (k,) is long.

    Raises:
        RankDeficientError: the matrix is not positive definite.
    """
    return chi_square_test(quadratic_form(vector, matrix), vector.size)


def quadratic_form(vector: FloatArray, matrix: FloatArray) -> float:
    """Return vector' matrix^-1 vector of a vector (k,) and its variance (k, k); below zero counts as zero.

    Raises:
        RankDeficientError: the matrix is not positive definite.
    """
    try:
        return max(float(vector @ solve_information(matrix, vector)), 0.0)
    except LinAlgError as exc:
        raise RankDeficientError("the variance of a test is singular") from exc


def log_chi_square_sf(statistic: float, df: int) -> float:
    """Return log P(chi2_df > statistic), by Legendre's continued fraction in the far tail (Abramowitz-Stegun 6.5.31).

    Raises:
        InvalidBlockError: as `chi_square_test`.
    """
    if df < 1 or math.isnan(statistic) or statistic < 0.0:
        raise InvalidBlockError("a chi-square test needs df of at least 1 and a statistic that is not negative")
    a, x = df / 2.0, statistic / 2.0
    direct = float(gammaincc(a, x))
    if direct > 0.5:
        return math.log1p(-float(gammainc(a, x)))
    if direct > LEAST_DIRECT:
        return math.log(direct)
    if math.isinf(x):
        return -math.inf
    return -x + a * math.log(x) - float(gammaln(a)) + math.log(_upper_fraction(a, x))


def _upper_fraction(a: float, x: float) -> float:
    # Modified Lentz: Gamma(a, x) = exp(-x) x^a / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), quick where x >> a.
    b = x + 1.0 - a
    c, d = 1.0 / TINY, 1.0 / b
    value = d
    for i in range(1, FRACTION_TERMS):  # pragma: no branch - where x is large the terms shrink at once
        numerator = -i * (i - a)
        b += 2.0
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value
