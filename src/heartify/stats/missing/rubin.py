"""Rubin's rules: one answer from m completed datasets.

T = W + (1 + 1/m) B, with Barnard and Rubin's degrees of freedom (1999, Biometrika 86:948), as mice::pool. Takes what
each completed data set gave, and no row of them. Tests of several parameters at once are in pooled_wald.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

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
    q, u = check_stack(estimates, covariances)
    within, between = u.mean(axis=0), np.atleast_2d(np.cov(q, rowvar=False))
    total = within + (1.0 + 1.0 / q.shape[0]) * between
    parameters = tuple(pool_scalar(q[:, j], u[:, j, j], complete_df) for j in range(q.shape[1]))
    return PooledVector(q.mean(axis=0), within, between, total, parameters)


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


def check_stack(estimates: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return estimates (m, q) and covariances (m, q, q) as finite doubles.

    Raises:
        InvalidBlockError: shapes do not fit, fewer than two imputations, or a value is not finite.
    """
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
