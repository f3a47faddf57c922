"""What a published score says of each row, and the two ways from a linear predictor to a risk.

A risk is given on three scales: the risk itself, its log odds (the offset or the one column of a base model), and the
score's own linear predictor. Rows outside the score's ages are computed as well, but marked: whoever uses them,
extrapolates. Row-level by purpose: it never leaves the enclave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.scores.inputs import BoolArray

LARGEST_EXPONENT = 700.0  # exp() of more is no double; such a risk is 1 anyway


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScoreResult:
    """Hold risk (n,), its log odds (n,), the score's linear predictor (n,), and who is of an eligible age (n,).

    The linear predictor is centred as published; after a recalibration (SCORE2) it is that before it.
    """

    risk: FloatArray
    log_odds: FloatArray
    linear_predictor: FloatArray
    eligible: BoolArray


@dataclass(frozen=True, slots=True)
class AgeRange:
    """The ages of a score in completed years, both ends included; `last` is None if there is no upper end."""

    first: int
    last: int | None

    def holds(self, age_years: FloatArray) -> BoolArray:
        """Return who (n,) is within the range: 69.9 years are 69 completed years."""
        inside: BoolArray = age_years >= self.first
        return inside if self.last is None else inside & (age_years < self.last + 1)


def hazard_result(log_hazard: FloatArray, linear_predictor: FloatArray, eligible: BoolArray) -> ScoreResult:
    """Return risk = 1 - exp(-H) and log odds = ln(exp(H) - 1) from ln H (n,), H the cumulative hazard.

    Raises:
        InvalidBlockError: a hazard is zero in double precision: an input must be far out of its unit.
    """
    hazard = np.exp(np.minimum(log_hazard, LARGEST_EXPONENT))
    if (hazard <= 0.0).any():
        raise InvalidBlockError("a score's hazard vanishes; check the units of its inputs")
    log_odds = np.where(hazard > 1.0, hazard + np.log1p(-np.exp(-hazard)), np.log(np.expm1(np.minimum(hazard, 1.0))))
    return ScoreResult(-np.expm1(-hazard), log_odds, linear_predictor, eligible)


def logistic_result(linear_predictor: FloatArray, eligible: BoolArray) -> ScoreResult:
    """Return risk = expit(L) from the linear predictor L (n,), which is the log odds too."""
    return ScoreResult(expit(linear_predictor), linear_predictor, linear_predictor, eligible)
