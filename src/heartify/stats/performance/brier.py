"""Accuracy of predicted risks: Brier score, its scaled form, and the log loss, from sums that add up.

`PredictionSums` of parts of a hospital, or of several hospitals, may be merged in any number; the scores follow from
the sums alone. Keeps no row. Smaller is better for the Brier score and the log loss, larger for the scaled ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlog1py, xlogy

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.likelihood import null_loglik


@dataclass(frozen=True, slots=True)
class PredictionSums:
    """Hold the counts of some rows, the sums of their risks (of all, of the events), of (y - p)^2, and loglik."""

    n: int
    events: int
    expected: float
    expected_in_events: float
    squares: float
    loglik: float

    def __add__(self, other: PredictionSums) -> PredictionSums:
        return PredictionSums(
            self.n + other.n,
            self.events + other.events,
            self.expected + other.expected,
            self.expected_in_events + other.expected_in_events,
            self.squares + other.squares,
            self.loglik + other.loglik,
        )


@dataclass(frozen=True, slots=True)
class BrierScore:
    """The Brier score and log loss (per row), each beside its value when everyone gets the observed prevalence.

    `scaled` = 1 - brier / null, the index of prediction accuracy IPA (Kattan and Gerds 2018); below zero when the
    predictions are worse than the prevalence. `log_loss` is infinite if a risk of 0 or 1 was wrong.
    """

    brier: float
    null_brier: float
    scaled: float
    log_loss: float
    null_log_loss: float


def prediction_sums(p: FloatArray, y: FloatArray) -> PredictionSums:
    """Return the sums of risks p (n,) in [0, 1] and y (n,); one of the two outcomes may be absent in a part.

    Raises:
        InvalidBlockError: shapes or values are wrong.
    """
    if p.ndim != 1 or p.shape != y.shape:
        raise InvalidBlockError(f"expected risks (n,) and y (n,), got {p.shape} and {y.shape}")
    if not ((p >= 0.0) & (p <= 1.0)).all() or not np.isin(y, (0.0, 1.0)).all():
        raise InvalidBlockError("risks must lie in [0, 1] and y must be zeros and ones")
    return PredictionSums(
        n=int(y.size),
        events=int(y.sum()),
        expected=float(p.sum()),
        expected_in_events=float(p @ y),
        squares=float(((y - p) ** 2).sum()),
        loglik=float((xlogy(y, p) + xlog1py(1.0 - y, -p)).sum()),
    )


def brier_score(sums: PredictionSums) -> BrierScore:
    """Return the scores that the sums imply (Brier 1950; Steyerberg et al. 2010, Epidemiology 21:128).

    Raises:
        DegenerateOutcomeError: no events, or only events: the scaled score has no denominator.
    """
    check_varied(sums)
    prevalence = sums.events / sums.n
    null, brier = prevalence * (1.0 - prevalence), sums.squares / sums.n
    return BrierScore(
        brier, null, 1.0 - brier / null, -sums.loglik / sums.n, -null_loglik(sums.n, sums.events) / sums.n
    )


def check_varied(sums: PredictionSums) -> None:
    """Check that some rows have the event and some have not.

    Raises:
        DegenerateOutcomeError: they all have, or none has.
    """
    if sums.events in (0, sums.n):
        raise DegenerateOutcomeError("performance needs at least one row with the event and one without")
