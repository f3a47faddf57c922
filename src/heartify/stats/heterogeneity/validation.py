"""How well a log-odds predictor made elsewhere fits one hospital: discrimination and calibration, with SEs.

C with DeLong's variance, the calibration slope, calibration in the large (the intercept at slope 1), and the ratio of
observed to expected events. Takes a predictor (n,) and an outcome (n,) that were checked. Returns sums, no rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import StatsError
from heartify.stats.logistic import fit_logistic
from heartify.stats.roc import auc

MAX_ITERATIONS = 100


@dataclass(frozen=True, slots=True)
class Measure:
    """An estimate and its standard error."""

    estimate: float
    se: float


def measure_c(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the AUC and its DeLong SE; None without two cases and two controls.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837, with placements taken from sorted scores.
    """
    cases, controls = np.sort(predictor[y == 1.0]), np.sort(predictor[y == 0.0])
    if min(cases.size, controls.size) < 2:
        return None
    above = _placements(cases, controls)
    below = 1.0 - _placements(controls, cases)
    variance = above.var(ddof=1) / cases.size + below.var(ddof=1) / controls.size
    return Measure(auc(predictor, y), math.sqrt(float(variance)))


def measure_slope(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the slope of y on the predictor (Cox 1958); None where that has no finite estimate."""
    try:
        fit = fit_logistic(predictor[:, None], y)
    except StatsError:
        return None
    return Measure(float(fit.term_coef[0]), float(fit.term_se[0]))


def measure_in_the_large(predictor: FloatArray, y: FloatArray) -> Measure | None:
    """Return the intercept of y with the predictor as offset; None where the outcome does not vary.

    The estimating equation sum(y) = sum expit(predictor + a) has a monotone right side: Newton, kept in a bracket.
    """
    events = float(y.sum())
    if events in (0.0, float(y.size)):
        return None
    target = math.log(events / (y.size - events))
    low, high = target - float(predictor.max()), target - float(predictor.min())
    a = (low + high) / 2.0
    for _ in range(MAX_ITERATIONS):
        p = expit(predictor + a)
        excess, slope = float(p.sum()) - events, float(p @ expit(-predictor - a))
        low, high = (low, a) if excess > 0 else (a, high)
        following = a - excess / slope if slope > 0 else math.nan
        following = following if low <= following <= high else (low + high) / 2.0
        if abs(following - a) <= 1e-13 * (1.0 + abs(a)):
            break
        a = following
    information = float(expit(predictor + a) @ expit(-predictor - a))
    return Measure(a, 1.0 / math.sqrt(information)) if information > 0 else None


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


def _placements(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Return, for each score, the part of the sorted others below it, ties counted half."""
    below, not_above = np.searchsorted(others, scores, "left"), np.searchsorted(others, scores, "right")
    placements: FloatArray = (below + not_above) / (2.0 * others.size)
    return placements
