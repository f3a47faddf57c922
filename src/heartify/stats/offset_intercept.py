"""The intercept of a logistic model whose predictor is given as an offset: calibration in the large, and FLIC's.

It is the shift of all log odds that makes the expected events as many as those observed. Takes predictors that were
checked; holds rows for no longer than the call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError, NotConvergedError

MAX_ITERATIONS = 200
TOLERANCE = 1e-13  # of the intercept
ROUNDING = 2.0**-52


@dataclass(frozen=True, slots=True)
class OffsetIntercept:
    """The maximum-likelihood intercept, in log odds, and its standard error."""

    value: float
    se: float


def fit_offset_intercept(log_odds: FloatArray, events: float) -> OffsetIntercept:
    """Return the intercept given log odds (n,) as the offset, from the number of events.

    The estimating equation events = sum expit(log_odds + a) has a monotone right side: Newton, kept in a bracket.

    Raises:
        DegenerateOutcomeError: no events, or only events: the intercept is infinite.
        NotConvergedError: iterations ran out, or all risks are 0 or 1 in double precision at the solution, which then
            has no standard error.
    """
    if not 0.0 < events < log_odds.size:
        raise DegenerateOutcomeError("an intercept needs at least one row with the event and one without")
    target = math.log(events / (log_odds.size - events))
    low, high = target - float(log_odds.max()), target - float(log_odds.min())
    a = (low + high) / 2.0
    step = high - low
    for _ in range(MAX_ITERATIONS):
        excess = float(expit(log_odds + a).sum()) - events
        low, high = (low, a) if excess > 0 else (a, high)
        following = _next(a, excess, _information(log_odds, a), (low, high), step)
        step = abs(following - a)
        if step <= TOLERANCE * (1.0 + abs(a)):
            break
        a = following
    else:
        raise NotConvergedError(f"no intercept gives the observed events within {MAX_ITERATIONS} iterations")
    information = _information(log_odds, a)
    if information <= ROUNDING * events:  # the sum of risks stays the same, to the last bit, a whole unit around
        raise NotConvergedError("the intercept carries no information")
    return OffsetIntercept(a, 1.0 / math.sqrt(information))


def _next(a: float, excess: float, slope: float, bracket: tuple[float, float], last_step: float) -> float:
    # Newton's step, or the middle of the bracket where Newton leaves it or does not halve the step: far out, where
    # risks are all but 0 or 1, its steps are of length one however far there is to go.
    low, high = bracket
    newton = a - excess / slope if slope > 0.0 else math.nan
    if low <= newton <= high and abs(newton - a) <= last_step / 2.0:
        return newton
    return (low + high) / 2.0


def _information(log_odds: FloatArray, a: float) -> float:
    return float(expit(log_odds + a) @ expit(-log_odds - a))
