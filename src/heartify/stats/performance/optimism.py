"""How much of a model's apparent performance is optimism, by Harrell's bootstrap of the whole pipeline.

Each replicate resamples rows with replacement within hospitals, repeats everything that led to the model (imputation,
selection, fit) on them, and compares the model's performance there with its performance on the original rows (Efron
and Gong 1983; Harrell 2015, section 5.3). The pipeline is the caller's; what it does not repeat is not corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError, NotConvergedError, StatsError
from heartify.stats.logistic import fit_logistic
from heartify.stats.performance.brier import brier_score, prediction_sums
from heartify.stats.performance.predictions import risk_log_odds
from heartify.stats.roc import auc

Rows = NDArray[np.intp]
Predictor = Callable[[Rows], FloatArray]  # original rows -> their predictions
Pipeline = Callable[[Rows], Predictor]  # rows to learn from, with repeats -> the model
Measure = Callable[[FloatArray, FloatArray], Sequence[float]]  # predictions, outcomes -> one number per name

RISK_MEASURES = ("auc", "calibration_slope", "brier", "scaled_brier")
MOST_FAILED = 0.5  # of the replicates: beyond this the pipeline itself is in doubt
NO_VARIATION = 1e-6  # over the replicates: rounding, of a measure that is fixed by the fit


@dataclass(frozen=True, slots=True)
class CorrectedMeasure:
    """One measure: apparent, its mean optimism, corrected = apparent - optimism, and a 95 % interval.

    The interval holds the 2.5 % and 97.5 % quantiles of the replicates' own apparent values, shifted by the optimism
    (Noma et al. 2021, Stat Med 40:5691); it is None for a measure whose apparent value cannot vary, such as the slope
    of a maximum-likelihood fit on its own rows. `monte_carlo_se` is that of `optimism`, from the number of replicates.
    """

    name: str
    apparent: float
    optimism: float
    corrected: float
    ci_low: float | None
    ci_high: float | None
    monte_carlo_se: float


@dataclass(frozen=True, slots=True)
class OptimismCorrection:
    """The corrected measures, the replicates asked for, and how many of them gave no model."""

    measures: tuple[CorrectedMeasure, ...]
    replicates: int
    failed: int


def risk_measures(p: FloatArray, y: FloatArray) -> tuple[float, ...]:
    """Return AUC, calibration slope, Brier score and scaled Brier score of risks p (n,) for y (n,).

    Raises:
        StatsError: one of them cannot be computed.
    """
    accuracy = brier_score(prediction_sums(p, y))
    slope = float(fit_logistic(risk_log_odds(p)[:, None], y).coef[1])
    return auc(p, y), slope, accuracy.brier, accuracy.scaled


def bootstrap_optimism(
    pipeline: Pipeline,
    y: FloatArray,
    hospital: NDArray[np.generic],
    replicates: int,
    generator: np.random.Generator,
    *,
    names: Sequence[str] = RISK_MEASURES,
    measure: Measure = risk_measures,
) -> OptimismCorrection:
    """Correct the measures of pipeline(all rows) for optimism; y (n,) and hospital labels (n,) are of all rows.

    A replicate whose pipeline or measure raises a StatsError is counted as failed and left out. The draws of a
    replicate do not depend on what failed before it.

    Raises:
        InvalidBlockError: shapes are wrong, or fewer than two replicates.
        NotConvergedError: more than half of the replicates failed.
        StatsError: the pipeline or the measure fails on the original rows.
    """
    if y.ndim != 1 or hospital.shape != y.shape or not y.size:
        raise InvalidBlockError(f"expected y (n,) and hospitals (n,), got {y.shape} and {hospital.shape}")
    if replicates < 2:
        raise InvalidBlockError(f"expected at least two replicates, got {replicates}")
    everyone = np.arange(y.size, dtype=np.intp)
    groups = hospital_rows(hospital)
    apparent = np.asarray(measure(pipeline(everyone)(everyone), y), dtype=np.float64)
    if apparent.shape != (len(names),):
        raise InvalidBlockError(f"the measure gave an array {apparent.shape} for {len(names)} names")

    pairs = []
    for _ in range(replicates):
        rows = resample_rows(groups, generator)
        try:
            predictor = pipeline(rows)
            pairs.append((measure(predictor(rows), y[rows]), measure(predictor(everyone), y)))
        except StatsError:
            continue
    failed = replicates - len(pairs)
    if len(pairs) < 2 or failed > MOST_FAILED * replicates:
        raise NotConvergedError(f"{failed} of {replicates} bootstrap replicates gave no model")
    return OptimismCorrection(_correct(names, apparent, np.array(pairs, dtype=np.float64)), replicates, failed)


def hospital_rows(hospital: NDArray[np.generic]) -> tuple[Rows, ...]:
    """Return the rows of each hospital, from labels (n,)."""
    _, code = np.unique(hospital, return_inverse=True)
    order = np.argsort(code, kind="stable")
    return tuple(np.split(order, np.cumsum(np.bincount(code))[:-1]))


def resample_rows(groups: Sequence[Rows], generator: np.random.Generator) -> Rows:
    """Draw as many rows as there are (n,), with replacement within each group."""
    return np.concatenate([rows[generator.integers(0, rows.size, rows.size)] for rows in groups])


def _correct(names: Sequence[str], apparent: FloatArray, pairs: FloatArray) -> tuple[CorrectedMeasure, ...]:
    """Return the measures from pairs (replicates, 2, k): on the rows learnt from, and on the original rows."""
    learnt, judged = pairs[:, 0], pairs[:, 1]
    optimism = (learnt - judged).mean(axis=0)
    error = (learnt - judged).std(axis=0, ddof=1) / np.sqrt(len(pairs))
    intervals = (np.quantile(learnt, (0.025, 0.975), axis=0) - optimism).T
    varies = np.ptp(learnt, axis=0) > NO_VARIATION
    return tuple(
        CorrectedMeasure(
            name=name,
            apparent=float(apparent[k]),
            optimism=float(optimism[k]),
            corrected=float(apparent[k] - optimism[k]),
            ci_low=float(intervals[k, 0]) if varies[k] else None,
            ci_high=float(intervals[k, 1]) if varies[k] else None,
            monte_carlo_se=float(error[k]),
        )
        for k, name in enumerate(names)
    )
