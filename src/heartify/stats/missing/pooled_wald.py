"""Wald tests of several parameters over multiply imputed data: the D1 statistic with Reiter's degrees of freedom.

Reiter's (2007, Biometrika 94:502) are for small samples; for a large complete data set they are those of Li,
Raghunathan and Rubin (1991, JASA 86:1065). Takes what each completed data set
gave, and no row of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import fdtrc

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, RankDeficientError
from heartify.stats.missing.rubin import check_stack


@dataclass(frozen=True, slots=True)
class PooledWald:
    """Hold the D1 statistic F, its degrees of freedom, p, and the average relative increase in variance r."""

    f: float
    df1: int
    df2: float
    p: float
    r: float


def pool_wald(estimates: FloatArray, covariances: FloatArray, complete_df: float = math.inf) -> PooledWald:
    """Test that k parameters are all zero, from estimates (m, k) and covariances (m, k, k); equals mice::D1.

    Where k (m - 1) <= 4 Reiter's approximation does not exist, and that for a large complete dataset is used.

    Raises:
        InvalidBlockError: as `pool_scalar`.
        RankDeficientError: the average covariance is singular.
    """
    q, u = check_stack(estimates, covariances)
    if not complete_df > 0.0:
        raise InvalidBlockError("expected positive complete-data degrees of freedom")
    m, k = q.shape
    mean, between = q.mean(axis=0), np.atleast_2d(np.cov(q, rowvar=False))
    try:
        factor = cho_factor(u.mean(axis=0))
    except LinAlgError as exc:
        raise RankDeficientError("the average covariance of the tested parameters is singular") from exc
    r = (1.0 + 1.0 / m) * float(np.trace(cho_solve(factor, between))) / k
    f = float(mean @ cho_solve(factor, mean)) / (k * (1.0 + r))
    df2 = _wald_df(k, m, r, complete_df)
    return PooledWald(f, k, df2, float(fdtrc(k, min(df2, 1e10), f)), r)


def _wald_df(k: int, m: int, r: float, complete_df: float) -> float:
    t = k * (m - 1)
    if r == 0.0 and math.isinf(complete_df):
        return math.inf
    if t <= 4:
        return t * (1.0 + 1.0 / k) * (1.0 + 1.0 / r) ** 2 / 2.0 if r > 0.0 else complete_df
    if math.isinf(complete_df):
        return 4.0 + (t - 4) * (1.0 + (1.0 - 2.0 / t) / r) ** 2
    return _reiter_df(t, r, complete_df)


def _reiter_df(t: int, r: float, complete_df: float) -> float:
    """Return Reiter's (2007) denominator degrees of freedom, equation (2) there, with its nu* and nu_f."""
    a = r * t / (t - 2)
    full = complete_df * (complete_df + 1.0) / (complete_df + 3.0)
    c0, c1, c2 = 1.0 / (t - 4), full - 2.0 * (1.0 + a), full - 4.0 * (1.0 + a)
    if c2 <= 0.0:
        raise InvalidBlockError("too few complete-data degrees of freedom for the variance that missing values add")
    z = 1.0 / c2 + c0 * (
        a**2 * c1 / ((1.0 + a) ** 2 * c2)
        + 8.0 * a**2 * c1 / ((1.0 + a) * c2**2)
        + 4.0 * a**2 / ((1.0 + a) * c2)
        + 4.0 * a**2 / (c2 * c1)
        + 16.0 * a**2 * c1 / c2**3
        + 8.0 * a**2 / c2**2
    )
    return 4.0 + 1.0 / z
