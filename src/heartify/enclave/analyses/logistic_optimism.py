"""Measures of a logistic model's risks, apparent and corrected for optimism by the bootstrap of its fit.

A replicate draws patients within hospitals, fits the plan's model again (its knots and levels fixed, as the plan fixes
its terms; Firth's estimates where the plan has them), and judges it on its own rows and on the original ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from heartify.enclave.analyses.judged import Judged, affordable_replicates, outcomes
from heartify.enclave.analyses.logistic_risks import as_risks, linear_predictor
from heartify.enclave.analyses.risk_bands import Floats
from heartify.enclave.main_fit import fit_logistic_model
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import NotConvergedError
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.newton import maximise
from heartify.stats.performance import (
    CorrectedMeasure,
    bootstrap_optimism,
    brier_score,
    explained_variation,
    prediction_sums,
)
from heartify.stats.performance.optimism import Predictor, Rows
from heartify.stats.performance.predictions import risk_log_odds
from heartify.stats.roc import auc

MEASURES = ("auc", "brier", "scaled-brier", "cox-snell-r2", "nagelkerke-r2", "mcfadden-r2", "tjur-r2", "in-the-large", "slope")  # fmt: skip  # noqa: E501


def measure_risks(p: Floats, y: Floats) -> tuple[float, ...]:
    """Return MEASURES of risks p (n,) for y (n,); rows without a risk (NaN) aren't judged.

    Raises:
        StatsError: one of them cannot be computed.
    """
    judged = ~np.isnan(p)
    p, y = p[judged], y[judged]
    sums = prediction_sums(p, y)
    accuracy, r2 = brier_score(sums), explained_variation(sums)
    log_odds = risk_log_odds(p)
    return (
        auc(p, y),
        accuracy.brier,
        accuracy.scaled,
        r2.cox_snell,
        r2.nagelkerke,
        r2.mcfadden,
        r2.tjur,
        _maximum(lambda at: _sums(log_odds, y, float(at[0]), 1.0, 1), np.zeros(1)),
        _maximum(lambda at: _sums(log_odds, y, float(at[0]), float(at[1]), 2), np.array([0.0, 1.0])),
    )


def _maximum(evaluate: Callable[[Floats], LikelihoodSums], start: Floats) -> float:
    """Return the last parameter at the maximum.

    Raises:
        StatsError: there is none.
    """
    return float(maximise(evaluate, start, lambda _: None).parameters[-1])


def _sums(log_odds: Floats, y: Floats, intercept: float, slope: float, parameters: int) -> LikelihoodSums:
    """Return the recalibration's sums for the intercept alone (1 parameter), or with the slope (2).

    As `logistic_sums` of one column, in a tenth of its time: a bootstrap asks for it thousands of times.
    """
    eta = intercept + slope * log_odds
    p = expit(eta)
    residual, weight = y - p, p * (1.0 - p)
    weighted = weight * log_odds
    gradient = np.array([residual.sum(), residual @ log_odds])
    information = np.array([[weight.sum(), weighted.sum()], [weighted.sum(), weighted @ log_odds]])
    loglik = float(y @ eta - np.logaddexp(0.0, eta).sum())
    return LikelihoodSums(loglik, gradient[:parameters], information[:parameters, :parameters])


def corrected_measures(data: StudyData, judged: Judged, replicates: int) -> dict[str, CorrectedMeasure]:
    """Return MEASURES by name, each corrected; none where there are no replicates, or most of them have no estimates.

    Raises:
        StatsError: the model has no estimates on the original rows.
    """
    replicates = affordable_replicates(replicates, judged.rows.size)
    if replicates < 2:
        return {}
    cohort = _Cohort(data, judged)
    try:
        found = bootstrap_optimism(
            cohort.learn,
            cohort.y,
            judged.hospital,
            replicates,
            data.random("performance optimism"),
            names=MEASURES,
            measure=measure_risks,
        )
    except NotConvergedError:
        return {}
    return {measure.name: measure for measure in found.measures}


@dataclasses.dataclass(slots=True, repr=False)
class _Cohort:
    """All blocks' rows in one array, so that row numbers can be drawn."""

    data: StudyData
    judged: Judged
    X: NDArray[np.float64] = dataclasses.field(init=False)
    y: Floats = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.X = np.concatenate([block.X for block in self.data.blocks])
        self.y = outcomes(self.data.blocks)

    def learn(self, rows: Rows) -> Predictor:
        fit = fit_logistic_model(self._blocks(rows), self.data.names, self.data.plan.analysis).logistic
        if fit is None:
            raise TypeError("a logistic model without logistic estimates")
        slopes, intercepts = fit.term_coef, np.array([item.value for item in fit.hospital_intercepts])

        def predict(asked: Rows) -> Floats:
            eta = linear_predictor(self.X[asked], intercepts[self.judged.hospital[asked]], slopes)
            return np.where(self.judged.rows[asked], as_risks(eta), np.nan)

        return predict

    def _blocks(self, rows: Rows) -> Sequence[CohortBlock]:
        hospital = self.judged.hospital[rows]
        parts = [rows[hospital == index] for index in range(len(self.data.blocks))]
        names = [block.name for block in self.data.blocks]
        return [CohortBlock(name, self.X[part], self.y[part]) for name, part in zip(names, parts, strict=True)]
