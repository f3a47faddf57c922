"""Residuals of a Cox fit, as R's residuals.coxph defines them: martingale, Schoenfeld (scaled too), score and dfbeta.

Row-level by purpose: they serve checks, robust variances and cluster sums inside the enclave and never leave it.
Source: Therneau and Grambsch 2000, Modeling Survival Data, chapter 4 and section 4.6 (Efron's ties).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.survival.blocks import SurvivalSource
from heartify.stats.survival.cox import CoxFit
from heartify.stats.survival.cox_sums import RiskPass
from heartify.stats.survival.fitted import RiskSetMeans, fitted_rows, risk_set_means, split_by_block


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SchoenfeldResiduals:
    """Hold one row per event, by stratum and time: covariates less their mean over the risk set, in clinical units.

    `time` (E,); `stratum` (E,): its number, in order of first appearance; `row` (E,): the event's row among all rows in
    the order of the blocks; `residual` (E, p); `scaled` (E, p): residual times covariance times E, plus coefficients,
    whose mean over time traces a coefficient that changes (Grambsch and Therneau 1994, Biometrika 81:515).
    """

    time: FloatArray
    stratum: NDArray[np.intp]
    row: NDArray[np.intp]
    residual: FloatArray
    scaled: FloatArray


def martingale_residuals(fit: CoxFit, sources: Sequence[SurvivalSource]) -> tuple[FloatArray, ...]:
    """Return events less expected events (n,), one array per block.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    fitted = fitted_rows(fit, sources)
    residuals = np.zeros(fitted.design.n)
    for part, rows in zip(fitted.passes, fitted.design.rows, strict=True):
        residuals[rows] = -part.expected
        residuals[rows[part.stratum.sets.event_rows]] += 1.0
    return split_by_block(residuals, sources)


def score_residuals(fit: CoxFit, sources: Sequence[SurvivalSource]) -> tuple[FloatArray, ...]:
    """Return each row's part of the score (n, p), one array per block; all rows sum to zero.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    fitted = fitted_rows(fit, sources)
    residuals = np.zeros((fitted.design.n, fit.coef.size))
    for part, rows in zip(fitted.passes, fitted.design.rows, strict=True):
        residuals[rows] = _stratum_scores(part, risk_set_means(part)).T * fitted.design.scale
    return split_by_block(residuals, sources)


def dfbeta_residuals(fit: CoxFit, sources: Sequence[SurvivalSource]) -> tuple[FloatArray, ...]:
    """Return the approximate change of the coefficients (n, p) when a row is left out, one array per block.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    return tuple(part @ fit.covariance for part in score_residuals(fit, sources))


def schoenfeld_residuals(fit: CoxFit, sources: Sequence[SurvivalSource]) -> SchoenfeldResiduals:
    """Return the Schoenfeld residuals of all events, and the scaled ones.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    fitted = fitted_rows(fit, sources)
    pairs = list(zip(fitted.passes, fitted.design.rows, strict=True))
    parts = [event_residuals(part, risk_set_means(part)).T * fitted.design.scale for part in fitted.passes]
    residual = np.concatenate(parts)
    return SchoenfeldResiduals(
        time=np.concatenate([np.repeat(part.stratum.sets.times, part.stratum.sets.deaths) for part, _ in pairs]),
        stratum=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        row=np.concatenate([rows[part.stratum.sets.event_rows] for part, rows in pairs]),
        residual=residual,
        scaled=residual @ fit.covariance * len(residual) + fit.coef,
    )


def event_residuals(part: RiskPass, means: RiskSetMeans) -> FloatArray:
    """Return the standardised Schoenfeld residuals (p, E) of a stratum's events in order of time."""
    sets = part.stratum.sets
    residuals: FloatArray = part.stratum.Z[:, sets.event_rows] - means.mean[:, sets.event_index]
    return residuals


def _stratum_scores(part: RiskPass, means: RiskSetMeans) -> FloatArray:
    """Return (p, n) the integral of x - a(t) over a row's martingale, in standardised units and sorted order."""
    sets = part.stratum.sets
    cumulative = np.concatenate((np.zeros((len(means.hazard), 1)), np.cumsum(means.hazard, axis=1)), axis=1)
    gathered = cumulative[:, sets.last]
    if sets.first is not None:
        gathered -= cumulative[:, sets.first]
    gathered[:, sets.event_rows] -= means.shared[:, sets.event_index]
    scores: FloatArray = part.risk * gathered - part.stratum.Z * part.expected
    scores[:, sets.event_rows] += event_residuals(part, means)
    return scores
