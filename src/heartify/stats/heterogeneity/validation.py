"""How well a log-odds predictor made elsewhere fits one hospital: discrimination and calibration, with SEs.

C with DeLong's variance, the calibration slope, calibration in the large (the intercept at slope 1), and the ratio of
observed to expected events. Takes a predictor (n,) and an outcome (n,) that were checked. Returns sums, no rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import StatsError
from heartify.stats.logistic import fit_logistic
from heartify.stats.offset_intercept import fit_offset_intercept
from heartify.stats.performance.delong import delong_auc


@dataclass(frozen=True, slots=True)
class Measure:
    """An estimate and its standard error."""

    estimate: float
    se: float


def measure_c(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the AUC and its DeLong SE; None without two cases and two controls."""
    try:
        found = delong_auc(predictor, y)
    except StatsError:
        return None
    return Measure(found.auc, found.se)


def measure_slope(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the slope of y on the predictor (Cox 1958); None where that has no finite estimate."""
    try:
        fit = fit_logistic(predictor[:, None], y)
    except StatsError:
        return None
    return Measure(float(fit.term_coef[0]), float(fit.term_se[0]))


def measure_in_the_large(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the intercept of y with the predictor as offset; None where that has no finite estimate."""
    try:
        found = fit_offset_intercept(predictor, float(y.sum()))
    except StatsError:
        return None
    return Measure(found.value, found.se)


def measure_log_oe(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return log(observed / expected events), SE sqrt((1 - O / n) / O) (Debray and others 2017, BMJ 356:i6460).

    None where nobody, or everybody, has the outcome: the variance would be infinite, or zero.
    """
    observed, expected = float(y.sum()), float(expit(predictor).sum())
    if observed in (0.0, float(y.size)) or expected <= 0.0:
        return None
    return Measure(math.log(observed / expected), math.sqrt((1.0 - observed / y.size) / observed))


def logit_c(c: Measure | None) -> Measure | None:
    """Return C on the log-odds scale, SE by the delta method; None where C is 0 or 1, or its SE is zero."""
    if c is None or not 0.0 < c.estimate < 1.0 or c.se <= 0.0:
        return None
    spread = c.estimate * (1.0 - c.estimate)
    return Measure(math.log(c.estimate / (1.0 - c.estimate)), c.se / spread)
