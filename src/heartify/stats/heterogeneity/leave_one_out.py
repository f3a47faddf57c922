"""Leave-one-hospital-out validation: the model of the other hospitals, judged on the one that it has not seen.

Internal-external cross-validation (Royston, Parmar and Sylvester 2004; Steyerberg and Harrell 2016). The new hospital
has no intercept of its own in the model: it gets the plain mean of the others' intercepts on the log-odds scale, each
hospital counting once, as a draw from a random intercept would (one whose outcome does not vary has none, and stays
out of training). What that costs shows in calibration in the large. Results are pooled by REML with Hartung-Knapp
intervals on the scales of Snell, Debray and Riley (2018): logit C, log O/E, and the slope as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks
from heartify.stats.coding import check_term_names
from heartify.stats.errors import InvalidBlockError, StatsError
from heartify.stats.heterogeneity.meta_analysis import MetaAnalysis, random_effects
from heartify.stats.heterogeneity.validation import (
    Measure,
    logit_c,
    measure_c,
    measure_in_the_large,
    measure_log_oe,
    measure_slope,
)
from heartify.stats.logistic import PooledLogisticFit, fit_pooled_logistic

Fitter = Callable[[Sequence[CohortBlock], Sequence[str]], PooledLogisticFit]


@dataclass(frozen=True, slots=True)
class LeftOutHospital:
    """One hospital judged by the others' model; a measure is None where this hospital's patients cannot give it.

    `failure` is the name of the error class where the others' model could not be fitted; then all measures are None.
    `observed` and `expected` are numbers of events.
    """

    hospital: str
    n: int
    observed: int
    expected: float | None
    c: Measure | None
    logit_c: Measure | None
    slope: Measure | None
    in_the_large: Measure | None
    log_oe: Measure | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """All left-out hospitals, and each measure pooled over those that have it (None where fewer than two do)."""

    hospitals: tuple[LeftOutHospital, ...]
    logit_c: MetaAnalysis | None
    slope: MetaAnalysis | None
    in_the_large: MetaAnalysis | None
    log_oe: MetaAnalysis | None


def leave_one_hospital_out(
    blocks: Sequence[CohortBlock], term_names: Sequence[str], *, fit: Fitter = fit_pooled_logistic, level: float = 0.95
) -> LeaveOneOut:
    """Fit on all hospitals but one, predict that one, for each in turn; pool by REML.

    Raises:
        InvalidBlockError: fewer than two blocks, blocks or names that do not fit together.
        NotConvergedError: REML did not settle.
    """
    check_blocks(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    if len(blocks) < 2:
        raise InvalidBlockError("leaving a hospital out needs at least two")
    hospitals = tuple(_judge(blocks, out, term_names, fit) for out in range(len(blocks)))
    return LeaveOneOut(
        hospitals=hospitals,
        logit_c=_pool([found.logit_c for found in hospitals], level),
        slope=_pool([found.slope for found in hospitals], level),
        in_the_large=_pool([found.in_the_large for found in hospitals], level),
        log_oe=_pool([found.log_oe for found in hospitals], level),
    )


def _judge(blocks: Sequence[CohortBlock], out: int, term_names: Sequence[str], fit: Fitter) -> LeftOutHospital:
    block = blocks[out]
    # A hospital whose outcome does not vary has no finite intercept, and adds exactly nothing to the slopes.
    others = [other for h, other in enumerate(blocks) if h != out and 0 < other.events < other.n]
    try:
        model = fit(others, term_names)
    except StatsError as exc:
        failure = type(exc).__name__
        return LeftOutHospital(block.name, block.n, block.events, None, None, None, None, None, None, failure)
    predictor = predict_log_odds(model, block.X)
    c, log_oe = measure_c(predictor, block.y), measure_log_oe(predictor, block.y)
    return LeftOutHospital(
        hospital=block.name,
        n=block.n,
        observed=block.events,
        expected=float(expit(predictor).sum()),
        c=c,
        logit_c=logit_c(c),
        slope=measure_slope(predictor, block.y),
        in_the_large=measure_in_the_large(predictor, block.y),
        log_oe=log_oe,
        failure=None,
    )


def predict_log_odds(model: PooledLogisticFit, X: FloatArray) -> FloatArray:
    """Return the log odds (n,) of rows X (n, p) of a hospital that the model has not seen, at the mean intercept.

    Column by column, so that equal rows get equal bits and stay tied.
    """
    own = [intercept.value for intercept in model.hospital_intercepts]
    predictor = np.full(X.shape[0], sum(own) / len(own))
    for j, slope in enumerate(model.term_coef):
        predictor += X[:, j] * slope
    return predictor


def _pool(measures: Sequence[Measure | None], level: float) -> MetaAnalysis | None:
    known = [measure for measure in measures if measure is not None and measure.se > 0.0]
    if len(known) < 2:
        return None
    return random_effects([m.estimate for m in known], [m.se for m in known], level=level)
