"""What each term adds to a model that holds all the others: the partial Wald chi2, less its degrees of freedom.

chi2 - df compares a spline of several columns with a single column, because df is what chance alone would give
(Harrell 2015, Regression Modeling Strategies, section 5.4; R's plot(anova(fit)) of rms orders by it). Needs only the
estimates and their covariance, so that it serves logistic and Cox models alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError
from scipy.special import chdtrc

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, RankDeficientError
from heartify.stats.importance.chi_square import log10_chi2_tail
from heartify.stats.importance.terms import Term, check_terms
from heartify.stats.logistic import PooledLogisticFit
from heartify.stats.newton import solve_information


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
    chi2 = np.array([wald_chi2(coef, covariance, term.columns) for term in terms])
    df = np.array([len(term.columns) for term in terms])
    everything = [column for term in terms for column in term.columns]
    total, total_df = wald_chi2(coef, covariance, everything), len(everything)
    order = np.argsort(-(chi2 - df), kind="stable")
    rank = np.empty(df.size, dtype=np.int64)
    rank[order] = np.arange(1, df.size + 1)
    found = tuple(
        PartialTest(
            term=term.name,
            df=int(df[t]),
            chi2=float(chi2[t]),
            chi2_minus_df=float(chi2[t] - df[t]),
            p=float(chdtrc(df[t], chi2[t])),
            log10_p=log10_chi2_tail(int(df[t]), float(chi2[t])),
            share=float(chi2[t] / total) if total > 0 else 0.0,
            rank=int(rank[t]),
        )
        for t, term in enumerate(terms)
    )
    return PartialTests(found, total_df, total, float(chdtrc(total_df, total)), log10_chi2_tail(total_df, total))


def partial_tests_of_fit(fit: PooledLogisticFit, terms: Sequence[Term]) -> PartialTests:
    """Return the partial Wald tests of terms of a fitted logistic model; columns count among its terms alone.

    Raises:
        StatsError: as `partial_tests`.
    """
    kept = slice(1, 1 + len(fit.term_names))
    return partial_tests(fit.term_coef, fit.covariance[kept, kept], terms)


def wald_chi2(coef: FloatArray, covariance: FloatArray, columns: Sequence[int]) -> float:
    """Return b' V^-1 b over the given columns of coef (p,) and covariance (p, p).

    Raises:
        RankDeficientError: that part of the covariance is singular.
    """
    chosen = np.array(columns)
    part = coef[chosen]
    try:
        return float(part @ solve_information(covariance[np.ix_(chosen, chosen)], part))
    except LinAlgError as exc:
        raise RankDeficientError("the covariance of a term's estimates is singular") from exc


def _check_estimates(coef: FloatArray, covariance: FloatArray) -> None:
    if coef.ndim != 1 or covariance.shape != (coef.size, coef.size):
        raise InvalidBlockError(f"expected coef (p,) and covariance (p, p), got {coef.shape} and {covariance.shape}")
    if not np.isfinite(coef).all() or not np.isfinite(covariance).all():
        raise InvalidBlockError("estimates and covariance must be finite")
