"""Explained variation of a binary outcome: Cox-Snell, Nagelkerke, McFadden and Tjur.

The first three follow from log-likelihoods, the last from mean risks. All come from sums that add up over hospitals.
For a fitted model pass its own log-likelihood: it is more exact than the one rebuilt from rounded risks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.likelihood import null_loglik
from heartify.stats.performance.brier import PredictionSums, check_varied


@dataclass(frozen=True, slots=True)
class LikelihoodR2:
    """R2 of Cox and Snell (1989), of Nagelkerke (1991), which divides it by its maximum, and of McFadden (1974)."""

    cox_snell: float
    nagelkerke: float
    mcfadden: float


@dataclass(frozen=True, slots=True)
class ExplainedVariation:
    """The three R2 of the likelihood, and Tjur's (2009): mean risk of the events less that of the non-events."""

    cox_snell: float
    nagelkerke: float
    mcfadden: float
    tjur: float


def likelihood_r2(loglik: float, null_loglik: float, n: int) -> LikelihoodR2:
    """Return the R2 of a model on n rows; `null_loglik` is that of the intercept alone.

    Raises:
        InvalidBlockError: n is not positive, or a log-likelihood is positive or not a number.
        DegenerateOutcomeError: the null log-likelihood is zero: the outcome does not vary.
    """
    if n < 1 or not loglik <= 0.0 or not -math.inf < null_loglik <= 0.0:
        raise InvalidBlockError("expected n > 0 and log-likelihoods that are not positive")
    if null_loglik == 0.0:
        raise DegenerateOutcomeError("the outcome does not vary: nothing is to be explained")
    cox_snell = -_expm1(2.0 * (null_loglik - loglik) / n)
    return LikelihoodR2(cox_snell, cox_snell / -math.expm1(2.0 * null_loglik / n), 1.0 - loglik / null_loglik)


def explained_variation(sums: PredictionSums, loglik: float | None = None) -> ExplainedVariation:
    """Return all four measures of the predictions behind the sums; `loglik` replaces the sums' own if given.

    Raises:
        DegenerateOutcomeError: no events, or only events.
        InvalidBlockError: the given log-likelihood is positive or not a number.
    """
    check_varied(sums)
    r2 = likelihood_r2(sums.loglik if loglik is None else loglik, null_loglik(sums.n, sums.events), sums.n)
    of_events = sums.expected_in_events / sums.events
    of_nonevents = (sums.expected - sums.expected_in_events) / (sums.n - sums.events)
    return ExplainedVariation(r2.cox_snell, r2.nagelkerke, r2.mcfadden, of_events - of_nonevents)


def _expm1(value: float) -> float:
    try:
        return math.expm1(value)
    except OverflowError:
        return math.inf
