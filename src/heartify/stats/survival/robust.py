"""Robust (sandwich) covariance of a Cox fit: over rows, or over clusters such as hospitals or families.

The rows' influences (dfbeta) are summed per cluster and their outer products added, without a small-sample factor: R's
coxph(robust = TRUE) and coxph(cluster = ). Source: Lin and Wei 1989, JASA 84:1074. With few clusters (under some 30)
it is too small; with no more clusters than terms it is singular.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import ChiSquareTest, quadratic_test
from heartify.stats.errors import InvalidBlockError
from heartify.stats.survival.blocks import IntArray, SurvivalSource
from heartify.stats.survival.cox import CoxFit
from heartify.stats.survival.residuals import dfbeta_residuals


def robust_covariance(
    fit: CoxFit, sources: Sequence[SurvivalSource], clusters: Sequence[IntArray] | None = None
) -> FloatArray:
    """Return the robust covariance (p, p); `clusters` has integer codes (n,) per block, shared over blocks.

    Without clusters every row is one.

    Raises:
        InvalidBlockError: these are not the blocks of the fit, or clusters do not have one whole number a row.
    """
    influence = np.concatenate(dfbeta_residuals(fit, sources))
    if clusters is not None:
        codes = _checked(clusters, sources)
        levels, level = np.unique(codes, return_inverse=True)
        influence = np.array([np.bincount(level, weights=line, minlength=levels.size) for line in influence.T]).T
    return influence.T @ influence


def hospital_clusters(sources: Sequence[SurvivalSource]) -> tuple[IntArray, ...]:
    """Return the cluster codes (n,) per block under which each hospital is one cluster."""
    return tuple(np.full(source.n, number) for number, source in enumerate(sources))


def robust_wald_test(fit: CoxFit, covariance: FloatArray) -> ChiSquareTest:
    """Return the Wald test of all terms under another covariance (p, p).

    Raises:
        RankDeficientError: the covariance is singular, as with fewer clusters than terms.
    """
    return quadratic_test(fit.coef, covariance)


def _checked(clusters: Sequence[IntArray], sources: Sequence[SurvivalSource]) -> IntArray:
    codes = [np.asarray(part) for part in clusters]
    if [part.shape for part in codes] != [(source.n,) for source in sources]:
        raise InvalidBlockError("clusters must have one code a row in every block")
    if any(part.dtype.kind not in "iu" for part in codes):
        raise InvalidBlockError("cluster codes must be integers")
    return np.concatenate(codes).astype(np.int64)
