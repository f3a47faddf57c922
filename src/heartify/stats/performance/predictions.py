"""Predicted risks beside what happened, checked once; and an estimate with its interval.

Every measure of performance starts here, so that the functions behind it may rely on finite doubles of one length and
a 0/1 outcome that varies. Knows nothing of where a prediction came from. Messages quote no value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.intervals import Z_95

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error, and a 95 % interval."""

    value: float
    se: float
    ci_low: float
    ci_high: float


def normal_estimate(value: float, variance: float) -> Estimate:
    """Return the estimate with its normal 95 % interval; a variance below zero by rounding counts as zero."""
    se = float(np.sqrt(max(variance, 0.0)))
    return Estimate(float(value), se, float(value) - Z_95 * se, float(value) + Z_95 * se)


def check_scores(scores: FloatArray, y: FloatArray) -> BoolArray:
    """Check scores (n,) of finite numbers against y (n,) of zeros and ones; return who had the event.

    Raises:
        InvalidBlockError: shapes differ, a score is missing or infinite, y has other values.
        DegenerateOutcomeError: no events, or only events.
    """
    if scores.ndim != 1 or scores.shape != y.shape:
        raise InvalidBlockError(f"expected predictions (n,) and y (n,), got {scores.shape} and {y.shape}")
    if not np.isfinite(scores).all() or not np.isin(y, (0.0, 1.0)).all():
        raise InvalidBlockError("predictions must be finite numbers and y zeros and ones")
    event: BoolArray = y == 1.0
    if not event.any() or event.all():
        raise DegenerateOutcomeError("performance needs at least one row with the event and one without")
    return event


def check_risks(p: FloatArray, y: FloatArray) -> BoolArray:
    """Check risks p (n,) in [0, 1] against y (n,); return who had the event.

    Raises:
        InvalidBlockError: as `check_scores`, or a risk lies outside [0, 1].
        DegenerateOutcomeError: no events, or only events.
    """
    event = check_scores(p, y)
    if (p < 0.0).any() or (p > 1.0).any():
        raise InvalidBlockError("a predicted risk lies outside [0, 1]")
    return event


def risk_log_odds(p: FloatArray) -> FloatArray:
    """Return logit p (n,).

    Raises:
        InvalidBlockError: a risk is exactly 0 or 1, whose log odds are infinite.
    """
    if (p <= 0.0).any() or (p >= 1.0).any():
        raise InvalidBlockError("a predicted risk is exactly 0 or 1, or outside: its log odds are infinite")
    log_odds: FloatArray = np.log(p) - np.log1p(-p)
    return log_odds
