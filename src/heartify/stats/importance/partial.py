"""What each term adds to a model that holds all the others: the partial Wald chi2, less its degrees of freedom.

chi2 - df compares a spline of several columns with a single column, because df is what chance alone would give
(Harrell 2015, Regression Modeling Strategies, section 5.4; R's plot(anova(fit)) of rms orders by it). Needs only the
estimates and their covariance, so that it serves logistic and Cox models alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import ChiSquareTest, chi_square_test, quadratic_form
from heartify.stats.errors import InvalidBlockError
from heartify.stats.importance.terms import Term, check_terms
from heartify.stats.logistic import PooledLogisticFit


@dataclass(frozen=True, slots=True)
class PartialTest:
    """One term's Wald chi2 given all other terms, its df, chi2 - df, p, log10(p), and rank by chi2 - df (1 = most).

    `share` is chi2 over the joint chi2 of all terms ("proportion chisq" of rms): shares need not add up to 1.
    """

    term: str
    df: int
    chi2: float
    chi2_minus_df: float
    p: float
    log10_p: float
    share: float
    rank: int


@dataclass(frozen=True, slots=True)
class PartialTests:
    """The partial tests of all terms, in the order given, and the joint test of them all (rms: TOTAL)."""

    terms: tuple[PartialTest, ...]
    total_df: int
    total_chi2: float
    total_p: float
    total_log10_p: float


def partial_tests(coef: FloatArray, covariance: FloatArray, terms: Sequence[Term]) -> PartialTests:
    """Return the partial Wald tests of terms over estimates coef (p,) with covariance (p, p), intercepts left out.

    Raises:
        InvalidBlockError: shapes or terms do not fit together, or a value is not finite.
        RankDeficientError: the covariance of a term's estimates is singular.
    """
    _check_estimates(coef, covariance)
    check_terms(terms, coef.size)
    tests = [_test(coef, covariance, term.columns) for term in terms]
    total = _test(coef, covariance, [column for term in terms for column in term.columns])
    order = np.argsort([test.df - test.statistic for test in tests], kind="stable")
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(1, order.size + 1)
    found = tuple(
        PartialTest(
            term=term.name,
            df=test.df,
            chi2=test.statistic,
            chi2_minus_df=test.statistic - test.df,
            p=test.p,
            log10_p=test.log10_p,
            share=test.statistic / total.statistic if total.statistic > 0 else 0.0,
            rank=int(rank[t]),
        )
        for t, (term, test) in enumerate(zip(terms, tests, strict=True))
    )
    return PartialTests(found, total.df, total.statistic, total.p, total.log10_p)


def partial_tests_of_fit(fit: PooledLogisticFit, terms: Sequence[Term]) -> PartialTests:
    """Return the partial Wald tests of terms of a fitted logistic model; columns count among its terms alone.

    Raises:
        StatsError: as `partial_tests`.
    """
    kept = slice(1, 1 + len(fit.term_names))
    return partial_tests(fit.term_coef, fit.covariance[kept, kept], terms)


def _test(coef: FloatArray, covariance: FloatArray, columns: Sequence[int]) -> ChiSquareTest:
    return chi_square_test(wald_chi2(coef, covariance, columns), len(columns))


def wald_chi2(coef: FloatArray, covariance: FloatArray, columns: Sequence[int]) -> float:
    """Return b' V^-1 b over the given columns of coef (p,) and covariance (p, p).

    Raises:
        RankDeficientError: that part of the covariance is singular.
    """
    chosen = np.array(columns)
    return quadratic_form(coef[chosen], covariance[np.ix_(chosen, chosen)])


def _check_estimates(coef: FloatArray, covariance: FloatArray) -> None:
    if coef.ndim != 1 or covariance.shape != (coef.size, coef.size):
        raise InvalidBlockError(f"expected coef (p,) and covariance (p, p), got {coef.shape} and {covariance.shape}")
    if not np.isfinite(coef).all() or not np.isfinite(covariance).all():
        raise InvalidBlockError("estimates and covariance must be finite")
