"""Net benefit of acting on a predicted risk, against acting on everyone and on no one.

NB(t) = TPR prevalence - FPR (1 - prevalence) t / (1 - t), in true positives per patient (Vickers and Elkin 2006). The
variance is analytic: of a mean over a cohort, or over separately sampled events and non-events when the prevalence is
given (Marsh, Janes, Pepe 2020, Biostatistics 21:524; Sande et al. 2020). "Positive" means risk >= threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.performance.predictions import BoolArray, Estimate, check_risks, normal_estimate


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """Net benefits at one threshold; that of treating no one is 0 everywhere.

    `standardised` is the net benefit divided by the prevalence, its largest possible value.
    """

    threshold: float
    model: Estimate
    standardised: Estimate
    treat_all: float
    treat_none: float


@dataclass(frozen=True, slots=True)
class NetBenefitDifference:
    """The net benefit of new risks less that of base risks at one threshold, the two treated as paired."""

    threshold: float
    base: float
    new: float
    difference: Estimate


def decision_curve(
    p: FloatArray, y: FloatArray, thresholds: Sequence[float], prevalence: float | None = None
) -> tuple[DecisionPoint, ...]:
    """Return a point per threshold for risks p (n,) and y (n,); `prevalence` replaces the cohort's own if given.

    Raises:
        InvalidBlockError: shapes or values are wrong; a threshold or the prevalence is not strictly between 0 and 1.
        DegenerateOutcomeError: no events, or only events.
    """
    event = check_risks(p, y)
    check_fractions(thresholds, prevalence)
    return tuple(_point(p, event, threshold, prevalence) for threshold in thresholds)


def net_benefit_differences(
    p_base: FloatArray, p_new: FloatArray, y: FloatArray, thresholds: Sequence[float], prevalence: float | None = None
) -> tuple[NetBenefitDifference, ...]:
    """Return NB(new) - NB(base) per threshold for risks (n,), (n,) of the same rows.

    Raises:
        InvalidBlockError, DegenerateOutcomeError: as `decision_curve`.
    """
    event, _ = check_risks(p_base, y), check_risks(p_new, y)
    check_fractions(thresholds, prevalence)
    return tuple(_difference(p_base, p_new, event, threshold, prevalence) for threshold in thresholds)


def check_fractions(thresholds: Sequence[float], prevalence: float | None) -> None:
    """Check that there are thresholds, and that they and the prevalence lie strictly between 0 and 1.

    Raises:
        InvalidBlockError: they do not.
    """
    if not thresholds or not all(0.0 < threshold < 1.0 for threshold in thresholds):
        raise InvalidBlockError("thresholds must be risks strictly between 0 and 1, at least one")
    if prevalence is not None and not 0.0 < prevalence < 1.0:
        raise InvalidBlockError("a prevalence must lie strictly between 0 and 1")


def _point(p: FloatArray, event: BoolArray, threshold: float, prevalence: float | None) -> DecisionPoint:
    positive = (p >= threshold).astype(np.float64)
    share = float(event.mean()) if prevalence is None else prevalence
    return DecisionPoint(
        threshold=threshold,
        model=_net_benefit(positive, event, threshold, prevalence),
        standardised=_standardised(positive, event, threshold, prevalence),
        treat_all=share - (1.0 - share) * _odds(threshold),
        treat_none=0.0,
    )


def _difference(
    p_base: FloatArray, p_new: FloatArray, event: BoolArray, threshold: float, prevalence: float | None
) -> NetBenefitDifference:
    base, new = (p_base >= threshold).astype(np.float64), (p_new >= threshold).astype(np.float64)
    return NetBenefitDifference(
        threshold,
        _net_benefit(base, event, threshold, prevalence).value,
        _net_benefit(new, event, threshold, prevalence).value,
        _net_benefit(new - base, event, threshold, prevalence),
    )


def _net_benefit(action: FloatArray, event: BoolArray, threshold: float, prevalence: float | None) -> Estimate:
    """Return the mean gain of actions (n,): 1, or 0, or the difference of two such, in units of a true positive."""
    gain = np.where(event, action, -_odds(threshold) * action)
    if prevalence is None:
        return normal_estimate(float(gain.mean()), float(gain.var()) / gain.size)
    of_events, of_nonevents = gain[event], gain[~event]
    value = prevalence * of_events.mean() + (1.0 - prevalence) * of_nonevents.mean()
    variance = prevalence**2 * of_events.var() / of_events.size
    variance += (1.0 - prevalence) ** 2 * of_nonevents.var() / of_nonevents.size
    return normal_estimate(float(value), float(variance))


def _standardised(action: FloatArray, event: BoolArray, threshold: float, prevalence: float | None) -> Estimate:
    benefit = _net_benefit(action, event, threshold, prevalence)
    if prevalence is not None:
        return normal_estimate(benefit.value / prevalence, (benefit.se / prevalence) ** 2)
    share = float(event.mean())
    value = benefit.value / share
    influence = (np.where(event, action, -_odds(threshold) * action) - value * event) / share
    return normal_estimate(value, float(influence.var()) / influence.size)


def _odds(threshold: float) -> float:
    return threshold / (1.0 - threshold)
