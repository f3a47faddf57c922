"""Rubin's rules: one answer from m completed datasets.

T = W + (1 + 1/m) B, with Barnard and Rubin's degrees of freedom (1999, Biometrika 86:948), as mice::pool. Several
parameters at once: the D1 Wald statistic with Reiter's small-sample degrees of freedom (2007, Biometrika 94:502), or
those of Li, Raghunathan and Rubin (1991, JASA 86:1065) for a large complete dataset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit, fdtrc, logit, ndtr, ndtri, stdtr, stdtrit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, RankDeficientError

IMPUTATIONS_AT_LEAST = 5


@dataclass(frozen=True, slots=True)
class PooledScalar:
    """Hold one pooled estimate: variances within, between and total, df, t-based interval and p, and what was lost.

    `r` is the relative increase in variance due to missing values, `proportion` = (1 + 1/m) B / T (lambda), `fmi` the
    fraction of missing information. `p` tests the estimate against zero.
    """

    m: int
    estimate: float
    within: float
    between: float
    total: float
    se: float
    df: float
    r: float
    proportion: float
    fmi: float
    t: float
    p: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PooledVector:
    """Hold pooled estimates (q,), the matrices within, between and total (q, q), and each parameter on its own."""

    estimate: FloatArray
    within: FloatArray
    between: FloatArray
    total: FloatArray
    parameters: tuple[PooledScalar, ...]


@dataclass(frozen=True, slots=True)
class PooledWald:
    """Hold the D1 statistic F, its degrees of freedom, p, and the average relative increase in variance r."""

    f: float
    df1: int
    df2: float
    p: float
    r: float


@dataclass(frozen=True, slots=True)
class PooledProbability:
    """Hold a pooled probability-like quantity (an AUC) with its 95 % interval, and the pooled logit behind it."""

    estimate: float
    ci_low: float
    ci_high: float
    on_logit: PooledScalar


def pool_scalar(
    estimates: Sequence[float] | FloatArray,
    variances: Sequence[float] | FloatArray,
    complete_df: float = math.inf,
    confidence: float = 0.95,
) -> PooledScalar:
    """Pool estimates (m,) and their squared standard errors (m,); equals mice::pool.scalar.

    `complete_df` are the degrees of freedom that complete data would have had: n - q for a regression.

    Raises:
        InvalidBlockError: fewer than two, not as many variances, or values out of range.
    """
    q, u = np.array(estimates, dtype=np.float64), np.array(variances, dtype=np.float64)
    if q.ndim != 1 or q.shape != u.shape or q.size < 2:
        raise InvalidBlockError("expected estimates (m,) and variances (m,) of at least two imputations")
    if not np.isfinite(q).all() or not np.isfinite(u).all() or not (u > 0.0).all():
        raise InvalidBlockError("estimates must be finite and variances positive")
    if not complete_df > 0.0 or not 0.0 < confidence < 1.0:
        raise InvalidBlockError("expected positive complete-data degrees of freedom and a confidence below 1")
    m = q.size
    within, between = float(u.mean()), float(q.var(ddof=1))
    extra = (1.0 + 1.0 / m) * between
    total = within + extra
    df = barnard_rubin_df(m, extra / total, complete_df)
    r = extra / within
    estimate, se = float(q.mean()), math.sqrt(total)
    half = _t_quantile(df, 0.5 + confidence / 2.0) * se
    return PooledScalar(
        m=m,
        estimate=estimate,
        within=within,
        between=between,
        total=total,
        se=se,
        df=df,
        r=r,
        proportion=extra / total,
        fmi=(r + 2.0 / (df + 3.0)) / (r + 1.0),
        t=estimate / se,
        p=2.0 * _t_tail(df, abs(estimate) / se),
        ci_low=estimate - half,
        ci_high=estimate + half,
    )


def pool_vector(estimates: FloatArray, covariances: FloatArray, complete_df: float = math.inf) -> PooledVector:
    """Pool estimates (m, q) and covariances (m, q, q).

    Raises:
        InvalidBlockError: as `pool_scalar`.
    """
    q, u = _check_stack(estimates, covariances)
    within, between = u.mean(axis=0), np.atleast_2d(np.cov(q, rowvar=False))
    total = within + (1.0 + 1.0 / q.shape[0]) * between
    parameters = tuple(pool_scalar(q[:, j], u[:, j, j], complete_df) for j in range(q.shape[1]))
    return PooledVector(q.mean(axis=0), within, between, total, parameters)


def pool_wald(estimates: FloatArray, covariances: FloatArray, complete_df: float = math.inf) -> PooledWald:
    """Test that k parameters are all zero, from estimates (m, k) and covariances (m, k, k); equals mice::D1.

    Where k (m - 1) <= 4 Reiter's approximation does not exist, and that for a large complete dataset is used.

    Raises:
        InvalidBlockError: as `pool_scalar`.
        RankDeficientError: the average covariance is singular.
    """
    q, u = _check_stack(estimates, covariances)
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


def pool_on_logit(
    values: Sequence[float] | FloatArray, standard_errors: Sequence[float] | FloatArray, complete_df: float = math.inf
) -> PooledProbability:
    """Pool quantities between 0 and 1 (m,), such as AUCs, with their SEs (m,), on the logit scale by the delta method.

    Source: Marshall, Altman, Holder and Royston 2009, BMC Med Res Methodol 9:57 (quantities that are not normal).

    Raises:
        InvalidBlockError: a value is not strictly between 0 and 1; as `pool_scalar`.
    """
    inside, se = np.array(values, dtype=np.float64), np.array(standard_errors, dtype=np.float64)
    if inside.ndim != 1 or inside.shape != se.shape or not ((inside > 0.0) & (inside < 1.0)).all():
        raise InvalidBlockError("expected values strictly between 0 and 1, and a standard error for each")
    pooled = pool_scalar(logit(inside), (se / (inside * (1.0 - inside))) ** 2, complete_df)
    estimate, ci_low, ci_high = (float(expit(value)) for value in (pooled.estimate, pooled.ci_low, pooled.ci_high))
    return PooledProbability(estimate, ci_low, ci_high, pooled)


def barnard_rubin_df(m: int, proportion: float, complete_df: float) -> float:
    """Return the degrees of freedom of a pooled estimate; `proportion` is (1 + 1/m) B / T.

    Unlike mice, which takes a proportion below 1e-4 for 1e-4, none is altered: without missing values the degrees of
    freedom are the observed-data ones.
    """
    old = (m - 1) / proportion**2 if proportion > 0.0 else math.inf
    if math.isinf(complete_df):
        return old
    observed = (complete_df + 1.0) / (complete_df + 3.0) * complete_df * (1.0 - proportion)
    return observed if math.isinf(old) else old * observed / (old + observed)


def recommended_imputations(fmi: float) -> int:
    """Return m >= 100 x the largest fraction of missing information (White, Royston and Wood 2011, section 7.3).

    Raises:
        InvalidBlockError: fmi is not between 0 and 1.
    """
    if not 0.0 <= fmi <= 1.0:
        raise InvalidBlockError("a fraction of missing information lies between 0 and 1")
    return max(IMPUTATIONS_AT_LEAST, math.ceil(100.0 * fmi - 1e-9))


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


def _check_stack(estimates: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
    q, u = np.array(estimates, dtype=np.float64), np.array(covariances, dtype=np.float64)
    if q.ndim != 2 or q.shape[0] < 2 or not q.shape[1] or u.shape != (*q.shape, q.shape[1]):
        raise InvalidBlockError("expected estimates (m, q) and covariances (m, q, q) of at least two imputations")
    if not np.isfinite(q).all() or not np.isfinite(u).all():
        raise InvalidBlockError("estimates and covariances must be finite")
    return q, u


def _t_tail(df: float, t: float) -> float:
    return float(ndtr(-t) if math.isinf(df) else stdtr(df, -t))


def _t_quantile(df: float, level: float) -> float:
    return float(ndtri(level) if math.isinf(df) else stdtrit(df, level))
