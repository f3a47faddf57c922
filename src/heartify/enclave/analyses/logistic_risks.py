"""Risks that a logistic fit gives each patient: with the intercept of the patient's own hospital.

So they are the model's for these hospitals, not for a hospital that the model hasn't seen (leave-one-hospital-out
validation is for that). Row-level: they never leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from heartify.enclave.analyses.risk_bands import Floats
from heartify.enclave.main_fit import fit_logistic_model
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.logistic import PooledLogisticFit

SMALLEST_RISK = 1e-12  # a risk of exactly 0 or 1, by rounding, would have no log odds


def complete_case_fit(data: StudyData) -> PooledLogisticFit:
    """Return the main fit, or one to the complete cases if the main fit is of imputed data.

    Raises:
        StatsError: there are no estimates.
    """
    if data.fit.logistic is not None and not data.fit.imputations:
        return data.fit.logistic
    fit = fit_logistic_model(data.blocks, data.names, data.plan.analysis).logistic
    if fit is None:
        raise TypeError("a logistic model without logistic estimates")
    return fit


def fitted_risks(fit: PooledLogisticFit, blocks: Sequence[CohortBlock]) -> Floats:
    """Return the risks (n,) of all rows of the blocks that were fitted, in order."""
    intercepts = [intercept.value for intercept in fit.hospital_intercepts]
    parts = [
        linear_predictor(block.X, np.full(block.n, intercept), fit.term_coef)
        for intercept, block in zip(intercepts, blocks, strict=True)
    ]
    return as_risks(np.concatenate(parts))


def as_risks(log_odds: Floats) -> Floats:
    """Return expit(log_odds) (n,), strictly between 0 and 1."""
    risks: Floats = np.clip(expit(log_odds), SMALLEST_RISK, 1.0 - SMALLEST_RISK)
    return risks


def linear_predictor(X: Floats, intercept: Floats, slopes: Floats) -> Floats:  # noqa: N803 - as in the papers
    """Return intercept (n,) + X slopes, column by column: BLAS may round equal rows differently, which breaks ties."""
    predictor = intercept.copy()
    for column, slope in zip(X.T, slopes, strict=True):
        predictor += column * slope
    return predictor
