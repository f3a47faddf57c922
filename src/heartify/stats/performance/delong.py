"""The area under the ROC curve with DeLong's variance, for one predictor or for two on the same rows.

The structural components come from midranks, so that the whole is O(n log n) and exact under ties (DeLong et al. 1988,
Biometrics 44:837; Sun and Xu 2014, IEEE Signal Process Lett 21:1389). The test of a difference is for predictors that
are *not* nested: under the null of nested models its z is not normal (Demler et al. 2012; Pepe et al. 2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError
from heartify.stats.intervals import Z_95, log_two_sided_p
from heartify.stats.performance.predictions import BoolArray, Estimate, check_scores, normal_estimate


@dataclass(frozen=True, slots=True)
class AucEstimate:
    """An AUC with DeLong's SE, the 95 % interval on the AUC's scale (cut to [0, 1]) and the one on the logit's.

    With perfect separation (AUC 0 or 1) DeLong's SE is zero and both intervals shrink to a point: they then say
    nothing about uncertainty.
    """

    auc: float
    se: float
    ci_low: float
    ci_high: float
    logit_ci_low: float
    logit_ci_high: float
    events: int
    nonevents: int


@dataclass(frozen=True, slots=True)
class UnnestedAucComparison:
    """Two AUCs on the same rows, their difference (second less first), and DeLong's z and two-sided p."""

    first: AucEstimate
    second: AucEstimate
    difference: Estimate
    z: float
    p: float
    log10_p: float


def delong_auc(scores: FloatArray, y: FloatArray) -> AucEstimate:
    """Return the AUC of scores (n,) for y (n,) of zeros and ones, with its variance.

    Raises:
        InvalidBlockError: shapes or values are wrong.
        DegenerateOutcomeError: fewer than two rows with the event, or fewer than two without.
    """
    event = _check(scores, y)
    of_events, of_nonevents = _components(scores, event)
    return _auc_estimate(of_events, of_nonevents)


def auc_difference(scores_base: FloatArray, scores_new: FloatArray, y: FloatArray) -> Estimate:
    """Return AUC(new) - AUC(base) with the paired DeLong interval: an estimate, by design without a test.

    Scores and y are (n,) arrays of the same rows. For the test of a factor added to a model use the likelihood-ratio
    test of its coefficients.

    Raises:
        InvalidBlockError, DegenerateOutcomeError: as `delong_auc`.
    """
    event, _ = _check(scores_base, y), _check(scores_new, y)
    return _paired_difference(_components(scores_base, event), _components(scores_new, event))


def compare_unnested_aucs(scores_first: FloatArray, scores_second: FloatArray, y: FloatArray) -> UnnestedAucComparison:
    """Test whether two predictors that are not nested in one another have the same AUC (paired DeLong).

    Never for a model and its extension: the p-value is then invalid, most often far too large. Without any variance of
    the difference (two predictors that rank alike) z is 0 and p is 1.

    Raises:
        InvalidBlockError, DegenerateOutcomeError: as `delong_auc`.
    """
    event, _ = _check(scores_first, y), _check(scores_second, y)
    first, second = _components(scores_first, event), _components(scores_second, event)
    difference = _paired_difference(first, second)
    if difference.se == 0.0 and difference.value != 0.0:
        raise DegenerateOutcomeError("the difference of the AUCs has no estimable variance")
    z = difference.value / difference.se if difference.se else 0.0
    log_p = log_two_sided_p(z)
    return UnnestedAucComparison(
        _auc_estimate(*first), _auc_estimate(*second), difference, z, min(1.0, math.exp(log_p)), log_p / math.log(10.0)
    )


def _check(scores: FloatArray, y: FloatArray) -> BoolArray:
    event = check_scores(scores, y)
    if min(int(event.sum()), int((~event).sum())) < 2:
        raise DegenerateOutcomeError("DeLong's variance needs two rows with the event and two without")
    return event


def _components(scores: FloatArray, event: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return each event's share of non-events below it (n1,), each non-event's share of events above it (n0,)."""
    everyone = _midranks(scores)
    events, nonevents = int(event.sum()), int((~event).sum())
    of_events = (everyone[event] - _midranks(scores[event])) / nonevents
    of_nonevents = 1.0 - (everyone[~event] - _midranks(scores[~event])) / events
    return of_events, of_nonevents


def _midranks(scores: FloatArray) -> FloatArray:
    _, level, counts = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks: FloatArray = (below + (counts + 1) / 2.0)[level]
    return ranks


def _paired_difference(base: tuple[FloatArray, FloatArray], new: tuple[FloatArray, FloatArray]) -> Estimate:
    of_events, of_nonevents = new[0] - base[0], new[1] - base[1]
    if not of_events.any() and not of_nonevents.any():
        return Estimate(0.0, 0.0, 0.0, 0.0)
    return normal_estimate(float(of_events.mean()), _variance(of_events, of_nonevents))


def _variance(of_events: FloatArray, of_nonevents: FloatArray) -> float:
    return float(of_events.var(ddof=1) / of_events.size + of_nonevents.var(ddof=1) / of_nonevents.size)


def _auc_estimate(of_events: FloatArray, of_nonevents: FloatArray) -> AucEstimate:
    plain = normal_estimate(float(of_events.mean()), _variance(of_events, of_nonevents))
    low, high = _logit_interval(plain)
    return AucEstimate(
        auc=plain.value,
        se=plain.se,
        ci_low=max(plain.ci_low, 0.0),
        ci_high=min(plain.ci_high, 1.0),
        logit_ci_low=low,
        logit_ci_high=high,
        events=of_events.size,
        nonevents=of_nonevents.size,
    )


def _logit_interval(plain: Estimate) -> tuple[float, float]:
    auc, rest = plain.value, 1.0 - plain.value
    if not 0.0 < auc < 1.0:
        return auc, auc
    centre, half = math.log(auc / rest), Z_95 * plain.se / (auc * rest)
    return float(expit(centre - half)), float(expit(centre + half))
