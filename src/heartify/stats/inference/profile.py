"""Profile-likelihood intervals: all values of a coefficient that a likelihood-ratio test does not reject.

The signed root r(v) = sqrt(2 (l_max - l_profile(v))) is nearly linear in v, and the constraint's multiplier is the
slope of l_profile; so Newton's steps on r, kept in a bracket, find each bound in a few constrained fits (after Venzon
and Moolgavkar 1988, Applied Statistics 37:87). R: confint() of a glm, which interpolates instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import NotConvergedError
from heartify.stats.intervals import normal_quantile
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.logistic import PooledLogisticFit, check_fit_belongs
from heartify.stats.newton import maximise
from heartify.stats.standardised_cohort import StandardisedCohort, standardise

ROOT_TOLERANCE = 1e-9  # of the signed root, which is in standard errors
MAX_EVALUATIONS = 80
FARTHEST = 1e4  # standard errors: a profile that has not fallen by then has no bound on this side


@dataclass(frozen=True, slots=True)
class ProfileInterval:
    """An interval by likelihood ratio, in the coefficient's unit; a bound may be infinite."""

    name: str
    estimate: float
    ci_low: float
    ci_high: float
    level: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConstrainedMaximum:
    """The maximum where one coefficient has a given value: parameters (q,), height, and the height's slope there."""

    parameters: FloatArray
    loglik: float
    slope: float


Profile = Callable[[float, ConstrainedMaximum, float], ConstrainedMaximum]  # (value, a neighbour, its value)


def profile_interval(
    blocks: Sequence[CohortBlock], fit: PooledLogisticFit, name: str, level: float = 0.95
) -> ProfileInterval:
    """Return the profile-likelihood interval of a coefficient of a maximum-likelihood fit on these blocks.

    Raises:
        InvalidBlockError: no such coefficient, a level outside (0, 1), or the fit is of other blocks.
        NotConvergedError: a bound was not found.
    """
    check_fit_belongs(blocks, fit)
    cohort = standardise(blocks, fit.term_names)
    index = cohort.index(name)
    contrast = cohort.T[index]
    direction = _direction(cohort, fit.covariance, index)
    tangent = null_space(contrast[None, :])

    def profile(value: float, near: ConstrainedMaximum, near_value: float) -> ConstrainedMaximum:
        origin = near.parameters + (value - near_value) * direction
        return _constrained_maximum(cohort, origin, tangent, contrast)

    peak = ConstrainedMaximum(cohort.inside(fit.coef), 0.0, 0.0)
    peak = ConstrainedMaximum(peak.parameters, cohort.sums(peak.parameters).loglik, 0.0)
    return interval_from_profile(profile, peak, name, float(fit.coef[index]), float(fit.se[index]), level)


def interval_from_profile(
    profile: Profile, peak: ConstrainedMaximum, name: str, estimate: float, se: float, level: float
) -> ProfileInterval:
    """Return the interval of a coefficient whose profile is given, from the unconstrained maximum `peak`.

    Raises:
        InvalidBlockError: a level outside (0, 1).
        NotConvergedError: a bound was not found.
    """
    drop = normal_quantile(level)
    low, high = (_bound(profile, peak, estimate, side * se, drop) for side in (-1.0, 1.0))
    return ProfileInterval(name, estimate, low, high, level)


def _bound(profile: Profile, peak: ConstrainedMaximum, estimate: float, step: float, drop: float) -> float:
    """Return where the signed root is `drop`, on the side of `step` (a standard error with a sign)."""
    near, near_at = peak, 0.0
    inner, outer, at = 0.0, math.inf, drop
    for _ in range(MAX_EVALUATIONS):
        if inner > FARTHEST:
            return math.copysign(math.inf, step)
        try:
            here = profile(estimate + at * step, near, estimate + near_at * step)
        except NotConvergedError:
            if at - inner < 1e-6 * (1.0 + at):
                raise
            outer, at = min(outer, at), (inner + at) / 2.0
            continue
        root = math.sqrt(max(2.0 * (peak.loglik - here.loglik), 0.0))
        if abs(root - drop) <= ROOT_TOLERANCE or outer - inner <= 1e-13 * (1.0 + inner):
            return estimate + at * step
        inner, outer = (at, outer) if root < drop else (inner, at)
        near, near_at = here, at
        at = _next(at, root - drop, -here.slope * step / root if root > 0.0 else 0.0, inner, outer)
    raise NotConvergedError("a bound of the profile likelihood was not found")


def _next(at: float, excess: float, slope: float, inner: float, outer: float) -> float:
    farthest = 3.0 * at
    guess = at - excess / slope if slope > 0.0 else math.inf
    if inner < guess < min(outer, farthest):
        return guess
    return farthest if math.isinf(outer) else (inner + outer) / 2.0


def _direction(cohort: StandardisedCohort, covariance: FloatArray, index: int) -> FloatArray:
    # How the other parameters follow, to first order, when the coefficient moves by one.
    return cohort.inside(covariance[:, index] / covariance[index, index])


def _constrained_maximum(
    cohort: StandardisedCohort, origin: FloatArray, tangent: FloatArray, contrast: FloatArray
) -> ConstrainedMaximum:
    def evaluate(free: FloatArray) -> LikelihoodSums:
        sums = cohort.sums(origin + tangent @ free)
        return LikelihoodSums(sums.loglik, tangent.T @ sums.gradient, tangent.T @ sums.information @ tangent)

    if tangent.shape[1] == 0:
        parameters = origin
    else:
        parameters = origin + tangent @ maximise(evaluate, np.zeros(tangent.shape[1]), _watch_nothing).parameters
    sums = cohort.sums(parameters)
    # At the constrained maximum the gradient is slope * contrast.
    return ConstrainedMaximum(parameters, sums.loglik, float(contrast @ sums.gradient / (contrast @ contrast)))


def _watch_nothing(step: FloatArray) -> None:
    """Let Newton go on: where the unconstrained maximum exists, so does every constrained one."""
