"""One estimate from k hospitals' estimates, and how far the hospitals differ.

Inverse-variance weights 1 / (se^2 + tau2); tau2 = 0 is the fixed-effect model. Agrees with metafor's rma, confint and
predict. With few hospitals the Hartung-Knapp interval is the one to quote; the normal one stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import chi_square_test
from heartify.stats.heterogeneity.tau2 import (
    Tau2Method,
    check_estimates,
    cochran_q,
    estimate_tau2,
    q_profile_interval,
    typical_variance,
    weighted_mean,
)
from heartify.stats.intervals import Interval, check_level, normal_interval, t_interval


@dataclass(frozen=True, slots=True)
class HartungKnapp:
    """Standard errors and t (k - 1) intervals of Hartung and Knapp 2001; needs two hospitals.

    `se`, `ci`: with the factor q = sum w (y - mean)^2 / (k - 1) (metafor's test = "knha"). `adhoc_se`, `adhoc_ci`:
    with max(1, q), never narrower than the plain standard error (metafor's test = "adhoc").
    """

    se: float
    ci: Interval
    adhoc_se: float
    adhoc_ci: Interval


@dataclass(frozen=True, slots=True)
class PredictionIntervals:
    """Where the effect of a hospital not among the k would lie, with three quantiles and two standard errors.

    normal: plain SE, normal quantile (metafor's predict of a test = "z" model). hartung_knapp: Hartung-Knapp SE,
    t (k - 1) (metafor's predict of a test = "knha" model). higgins: plain SE, t (k - 2) (Higgins, Thompson and
    Spiegelhalter 2009, section 5; Riley 2011). None where there are too few hospitals.
    """

    normal: Interval
    hartung_knapp: Interval | None
    higgins: Interval | None


@dataclass(frozen=True, slots=True)
class MetaAnalysis:
    """A pooled estimate with its plain SE and normal interval, and the heterogeneity between k hospitals.

    `q`, `q_df`, `q_p`: Cochran's test that all hospitals share one effect. `i2` is a fraction between 0 and 1, `h2` is
    1 / (1 - i2); with tau2 estimated both come from tau2, and in the fixed-effect model from Q (Higgins and Thompson
    2002). `tau2_ci` is the Q-profile interval, `i2_ci` the same on the scale of I2. For k = 1 heterogeneity is unknown:
    tau2 and i2 are 0, the intervals None, q_p is 1.
    """

    method: Tau2Method
    k: int
    estimate: float
    se: float
    ci: Interval
    hartung_knapp: HartungKnapp | None
    prediction: PredictionIntervals | None
    tau2: float
    tau2_ci: Interval | None
    i2: float
    i2_ci: Interval | None
    h2: float
    q: float
    q_df: int
    q_p: float
    level: float


def fixed_effect(
    estimates: FloatArray | Sequence[float], se: FloatArray | Sequence[float], level: float = 0.95
) -> MetaAnalysis:
    """Pool estimates (k,) with standard errors (k,) by inverse variance, tau2 = 0; no prediction interval.

    Raises:
        InvalidBlockError: as `random_effects`.
    """
    return _pool(estimates, se, Tau2Method.NONE, level)


def random_effects(
    estimates: FloatArray | Sequence[float],
    se: FloatArray | Sequence[float],
    method: Tau2Method = Tau2Method.REML,
    level: float = 0.95,
) -> MetaAnalysis:
    """Pool estimates (k,) with standard errors (k,), the hospitals' true effects being normal with variance tau2.

    Raises:
        InvalidBlockError: no estimates, unequal lengths, not finite, a standard error not above zero, a wrong level.
        NotConvergedError: REML did not settle.
    """
    return _pool(estimates, se, method, level)


def _pool(
    estimates: FloatArray | Sequence[float], se: FloatArray | Sequence[float], method: Tau2Method, level: float
) -> MetaAnalysis:
    check_level(level)
    y, variances = check_estimates(estimates, se)
    k, q = y.size, cochran_q(y, variances)
    tau2 = estimate_tau2(y, variances, method)
    weights = 1.0 / (variances + tau2)
    mean, plain_se = weighted_mean(y, weights), 1.0 / math.sqrt(float(weights.sum()))
    knapp = _hartung_knapp(y, weights, mean, level) if k > 1 else None
    random = method is not Tau2Method.NONE and k > 1
    tau2_ci = q_profile_interval(y, variances, level) if k > 1 else None
    h2 = _h2(variances, q, tau2, method)
    return MetaAnalysis(
        method=method,
        k=k,
        estimate=mean,
        se=plain_se,
        ci=normal_interval(mean, plain_se, level),
        hartung_knapp=knapp,
        prediction=_predict(mean, plain_se, knapp, tau2, k, level) if random else None,
        tau2=tau2,
        tau2_ci=tau2_ci,
        i2=1.0 - 1.0 / h2,
        i2_ci=_i2_interval(tau2_ci, variances) if tau2_ci is not None else None,
        h2=h2,
        q=q,
        q_df=k - 1,
        q_p=chi_square_test(q, k - 1).p if k > 1 else 1.0,
        level=level,
    )


def _h2(variances: FloatArray, q: float, tau2: float, method: Tau2Method) -> float:
    if variances.size < 2:
        return 1.0
    if method is Tau2Method.NONE:
        return max(1.0, q / (variances.size - 1))
    return 1.0 + tau2 / typical_variance(variances)


def _i2_interval(tau2_ci: Interval, variances: FloatArray) -> Interval:
    typical = typical_variance(variances)
    return Interval(tau2_ci.low / (tau2_ci.low + typical), tau2_ci.high / (tau2_ci.high + typical))


def _hartung_knapp(y: FloatArray, weights: FloatArray, mean: float, level: float) -> HartungKnapp:
    # Hartung and Knapp 2001, Statistics in Medicine 20:3875; Sidik and Jonkman 2002, 21:3153.
    df = y.size - 1
    factor = float(weights @ (y - mean) ** 2) / df
    se, adhoc_se = (math.sqrt(scale / float(weights.sum())) for scale in (factor, max(1.0, factor)))
    return HartungKnapp(se, t_interval(mean, se, df, level), adhoc_se, t_interval(mean, adhoc_se, df, level))


def _predict(
    mean: float, se: float, knapp: HartungKnapp | None, tau2: float, k: int, level: float
) -> PredictionIntervals:
    spread = float(np.hypot(se, math.sqrt(tau2)))
    return PredictionIntervals(
        normal=normal_interval(mean, spread, level),
        hartung_knapp=t_interval(mean, math.hypot(knapp.se, math.sqrt(tau2)), k - 1, level) if knapp else None,
        higgins=t_interval(mean, spread, k - 2, level) if k > 2 else None,
    )
