"""The variance between hospitals, tau2, from estimates (k,) and their standard errors (k,).

DerSimonian-Laird (a moment, closed form), Paule-Mandel (the tau2 at which Q is its expectation), REML (the maximum of
the restricted likelihood), and the Q-profile interval. All are truncated at zero. Trusts `check_estimates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy.special import chdtri

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, NotConvergedError
from heartify.stats.intervals import Interval

MAX_ITERATIONS = 1000
MAX_HALVINGS = 60
RELATIVE_TOLERANCE = 1e-12  # of tau2 plus the typical sampling variance


class Tau2Method(StrEnum):
    """How tau2 is estimated; NONE is the fixed-effect (common-effect) model, tau2 = 0."""

    NONE = "none"
    DERSIMONIAN_LAIRD = "dersimonian-laird"
    PAULE_MANDEL = "paule-mandel"
    REML = "reml"


def check_estimates(
    estimates: FloatArray | Sequence[float], se: FloatArray | Sequence[float]
) -> tuple[FloatArray, FloatArray]:
    """Return estimates (k,) and variances (k,) as doubles.

    Raises:
        InvalidBlockError: no estimates, unequal lengths, a value that is not finite, a standard error not above zero.
    """
    y, s = np.asarray(estimates, dtype=np.float64), np.asarray(se, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape or y.size == 0:
        raise InvalidBlockError(f"expected estimates (k,) and standard errors (k,), got {y.shape} and {s.shape}")
    variances: FloatArray = s * s
    if not np.isfinite(y).all() or not np.isfinite(variances).all() or not ((s > 0) & (variances > 0)).all():
        raise InvalidBlockError("estimates must be finite and standard errors finite and above zero")
    return y, variances


def weighted_mean(y: FloatArray, weights: FloatArray) -> float:
    """Return the mean of y (k,) with the given weights (k,)."""
    return float(weights @ y / weights.sum())


def cochran_q(y: FloatArray, variances: FloatArray, tau2: float = 0.0) -> float:
    """Return sum w (y - mean)^2 with w = 1 / (variance + tau2): Cochran's Q at tau2 = 0."""
    weights = 1.0 / (variances + tau2)
    return float(weights @ (y - weighted_mean(y, weights)) ** 2)


def typical_variance(variances: FloatArray) -> float:
    """Return the typical sampling variance (k - 1) / tr(P) of Higgins and Thompson 2002, equation 9; k >= 2."""
    return float((variances.size - 1) / np.trace(projection(1.0 / variances)))


def projection(weights: FloatArray) -> FloatArray:
    """Return P (k, k) = W - W 1 1' W / sum(W); its diagonal by sums over the others, without cancellation."""
    P: FloatArray = -np.outer(weights, weights) / weights.sum()
    np.fill_diagonal(P, 0.0)
    np.fill_diagonal(P, -P.sum(axis=1))
    return P


def estimate_tau2(y: FloatArray, variances: FloatArray, method: Tau2Method) -> float:
    """Return tau2 >= 0 by the given method; zero for one estimate.

    Raises:
        NotConvergedError: Fisher scoring of REML did not settle.
    """
    if y.size < 2 or method is Tau2Method.NONE:
        return 0.0
    if method is Tau2Method.DERSIMONIAN_LAIRD:
        return _dersimonian_laird(y, variances)
    if method is Tau2Method.PAULE_MANDEL:
        return _tau2_where_q_is(y, variances, float(y.size - 1))
    return _reml(y, variances)


def q_profile_interval(y: FloatArray, variances: FloatArray, level: float) -> Interval:
    """Return the interval of tau2 at which Q(tau2) lies between the chi2 (k - 1) quantiles; (0, 0) if none does.

    Source: Viechtbauer 2007, Statistics in Medicine 26:37, section 2.4 (metafor's confint, type "QP"); k >= 2.
    """
    df, tail = y.size - 1, (1.0 - level) / 2.0
    low = _tau2_where_q_is(y, variances, float(chdtri(df, tail)))
    return Interval(low, _tau2_where_q_is(y, variances, float(chdtri(df, 1.0 - tail))))


def _dersimonian_laird(y: FloatArray, variances: FloatArray) -> float:
    # DerSimonian and Laird 1986, equation 8.
    excess = cochran_q(y, variances) - (y.size - 1)
    return max(0.0, excess * typical_variance(variances) / (y.size - 1))


def _tau2_where_q_is(y: FloatArray, variances: FloatArray, target: float) -> float:
    """Return the tau2 with Q(tau2) = target; Q falls in tau2, so that it is zero where Q(0) is below already."""
    if cochran_q(y, variances) <= target:
        return 0.0
    low, high = 0.0, float(variances.max())
    while cochran_q(y, variances, high) > target:
        low, high = high, 2.0 * high
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if cochran_q(y, variances, middle) > target else (low, middle)
    return (low + high) / 2.0


def _reml(y: FloatArray, variances: FloatArray) -> float:
    """Return REML's tau2 by Fisher scoring with step-halving, truncated at zero (Viechtbauer 2005, section 2.3)."""
    tau2, last = _dersimonian_laird(y, variances), 0.0
    for _ in range(MAX_ITERATIONS):
        step = _fisher_step(y, variances, tau2)
        # Where the expected information is half of the observed, steps turn back and forth about the maximum for ever.
        step, last = (step / 2.0 if step * last < 0.0 else step), step
        reached = _ascend(y, variances, tau2, step)
        if abs(reached - tau2) <= RELATIVE_TOLERANCE * (reached + float(variances.min())):
            return reached
        tau2 = reached
    raise NotConvergedError("REML did not settle on a variance between hospitals")


def _fisher_step(y: FloatArray, variances: FloatArray, tau2: float) -> float:
    # (y'PPy - tr P) / tr PP
    w = 1.0 / (variances + tau2)
    P = projection(w)
    residual = w * (y - weighted_mean(y, w))
    return float((residual @ residual - np.trace(P)) / np.sum(P * P))


def _ascend(y: FloatArray, variances: FloatArray, tau2: float, step: float) -> float:
    here = _restricted_loglik(y, variances, tau2)
    floor = here - 1e-13 * (1.0 + abs(here))
    for halving in range(MAX_HALVINGS):
        candidate = max(0.0, tau2 + step * 0.5**halving)
        if _restricted_loglik(y, variances, candidate) >= floor:
            return candidate
    return tau2  # no step increases the likelihood: this is the maximum


def _restricted_loglik(y: FloatArray, variances: FloatArray, tau2: float) -> float:
    total = variances + tau2
    return -0.5 * float(np.log(total).sum() + np.log((1.0 / total).sum())) - 0.5 * cochran_q(y, variances, tau2)
