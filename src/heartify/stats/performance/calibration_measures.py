"""Do predicted risks agree with what happened: on average, over their range, and in groups.

Calibration in the large is the intercept with logit p as an offset; the slope is that of logistic recalibration (Cox
1958; Steyerberg 2019, chapter 15). Both are maximum-likelihood fits. Groups never split
equal predictions. Keeps no row in its results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import fit_logistic
from heartify.stats.offset_intercept import fit_offset_intercept
from heartify.stats.performance.predictions import Estimate, check_risks, normal_estimate, risk_log_odds

MOST_GROUPS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Agreement of n predictions with the events observed; perfect is 1 for ratio and slope, 0 for intercepts.

    `observed_expected` is O/E with its interval on the log scale, E taken as fixed (Debray et al. 2017, BMJ 356:i6460);
    its `se` is that of ln(O/E). `in_the_large` is the intercept given slope 1; `intercept` and `slope` go together.
    """

    n: int
    events: int
    expected: float
    observed_expected: Estimate
    in_the_large: Estimate
    intercept: Estimate
    slope: Estimate


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Rows of similar predicted risk: their number, mean prediction, events, and the observed share with its interval.

    The interval is Wilson's (1927).
    """

    n: int
    mean_predicted: float
    events: int
    observed: float
    ci_low: float
    ci_high: float


def calibration(p: FloatArray, y: FloatArray) -> Calibration:
    """Compare risks p (n,), strictly between 0 and 1, with y (n,) of zeros and ones.

    Raises:
        InvalidBlockError: shapes or values are wrong.
        DegenerateOutcomeError: no events, or only events.
        RankDeficientError: all predictions are equal, so that there is no slope.
        SeparationError: the predictions separate the outcome, so that the slope is infinite.
    """
    event = check_risks(p, y)
    log_odds = risk_log_odds(p)
    fit = fit_logistic(log_odds[:, None], y, ["log odds of the prediction"])
    events, expected = int(event.sum()), float(p.sum())
    return Calibration(
        n=p.size,
        events=events,
        expected=expected,
        observed_expected=_ratio(events, expected, p.size),
        in_the_large=_in_the_large(log_odds, y),
        intercept=normal_estimate(float(fit.coef[0]), float(fit.covariance[0, 0])),
        slope=normal_estimate(float(fit.coef[1]), float(fit.covariance[1, 1])),
    )


def calibration_in_the_large(p: FloatArray, y: FloatArray) -> Estimate:
    """Return the intercept of y (n,) given logit p (n,) as an offset; defined for equal predictions too.

    Raises:
        InvalidBlockError, DegenerateOutcomeError: as `calibration`.
    """
    check_risks(p, y)
    return _in_the_large(risk_log_odds(p), y)


def calibration_groups(p: FloatArray, y: FloatArray, groups: int = MOST_GROUPS) -> tuple[CalibrationGroup, ...]:
    """Cut the rows at quantiles of p (n,) (the inverse of its distribution function) into at most `groups` groups.

    Equal predictions stay together, so there may be fewer groups; order of rows does not matter.

    Raises:
        InvalidBlockError: shapes or values are wrong, or `groups` is not between 2 and 10.
        DegenerateOutcomeError: no events, or only events.
    """
    check_risks(p, y)
    if not 2 <= groups <= MOST_GROUPS:
        raise InvalidBlockError(f"expected 2 to {MOST_GROUPS} groups, got {groups}")
    cuts = np.unique(np.quantile(p, np.arange(1, groups) / groups, method="inverted_cdf"))
    member = np.searchsorted(cuts, p, side="left")
    return tuple(_group(p[member == index], y[member == index]) for index in np.unique(member))


def _in_the_large(log_odds: FloatArray, y: FloatArray) -> Estimate:
    intercept = fit_offset_intercept(log_odds, float(y.sum()))
    return normal_estimate(intercept.value, intercept.se**2)


def _ratio(events: int, expected: float, n: int) -> Estimate:
    ratio = events / expected
    se = math.sqrt((1.0 - events / n) / events)
    return Estimate(ratio, se, ratio * math.exp(-Z_95 * se), ratio * math.exp(Z_95 * se))


def _group(p: FloatArray, y: FloatArray) -> CalibrationGroup:
    n, events = p.size, int(y.sum())
    observed = events / n
    centre = (observed + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * math.sqrt(observed * (1 - observed) / n + Z_95**2 / (4 * n**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return CalibrationGroup(n, float(p.mean()), events, observed, low, high)
