"""Harrell's C and the slope of a Cox model, corrected for optimism by the bootstrap of its fit.

As for the logistic model: patients are drawn within hospitals, the plan's model is fitted to them, and judged there and
on the original rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.analyses.cox_risks import follow_up_of, log_hazards, strata_of
from heartify.enclave.analyses.judged import Judged, affordable_replicates
from heartify.enclave.analyses.risk_bands import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.competing.follow_up import FollowUp
from heartify.stats.discrimination import harrell_c
from heartify.stats.errors import NotConvergedError
from heartify.stats.performance import CorrectedMeasure, bootstrap_optimism
from heartify.stats.performance.optimism import Predictor, Rows
from heartify.stats.survival import SurvivalBlock, Ties, fit_cox

MEASURES = ("harrell-c", "slope")


def slope_of(score: Floats, rows: FollowUp, stratum: NDArray[np.int64]) -> tuple[float, float]:
    """Return the log hazard ratio of a score (n,) of log hazards, and its standard error, within strata (n,).

    Raises:
        StatsError: it has none.
    """
    fit = fit_cox([SurvivalBlock("all", score[:, None], rows.time, rows.event, rows.entry, stratum)], ["score"])
    return float(fit.coef[0]), float(fit.se[0])


def corrected_concordance(data: StudyData, judged: Judged, replicates: int) -> dict[str, CorrectedMeasure]:
    """Return MEASURES by name, each corrected; none where there are no replicates, or most of them have no estimates.

    Raises:
        StatsError: the model has no estimates on the original rows.
    """
    replicates = affordable_replicates(replicates, judged.rows.size)
    if replicates < 2:
        return {}
    numbers = np.arange(judged.rows.size, dtype=np.float64)
    try:
        found = bootstrap_optimism(
            _learner(data, judged),
            numbers,  # in the place of outcomes: the measure looks a row's follow-up up by its number
            judged.hospital,
            replicates,
            data.random("performance optimism"),
            names=MEASURES,
            measure=_measure(data),
        )
    except NotConvergedError:
        return {}
    return {measure.name: measure for measure in found.measures}


def _learner(data: StudyData, judged: Judged) -> Callable[[Rows], Predictor]:
    matrix = np.concatenate([block.X for block in data.survival])
    follow_up, stratum = follow_up_of(data.survival), strata_of(data.survival)
    ties = Ties(data.plan.analysis.ties)

    def learn(rows: Rows) -> Predictor:
        # Strata are distinct between hospitals, so that one block is as good as one for each.
        drawn = follow_up.take(rows)
        block = SurvivalBlock("all", matrix[rows], drawn.time, drawn.event, drawn.entry, stratum[rows])
        coef = fit_cox([block], data.names, ties=ties).coef
        return lambda asked: np.where(judged.rows[asked], log_hazards(coef, matrix[asked]), np.nan)

    return learn


def _measure(data: StudyData) -> Callable[[Floats, Floats], tuple[float, ...]]:
    follow_up, stratum = follow_up_of(data.survival), strata_of(data.survival)

    def measure(score: Floats, numbers: Floats) -> tuple[float, ...]:
        kept = ~np.isnan(score)
        rows = numbers[kept].astype(np.int64)
        chosen = follow_up.take(rows)
        c = harrell_c(score[kept], chosen, stratum=stratum[rows]).c
        return c, slope_of(score[kept], chosen, stratum[rows])[0]

    return measure
