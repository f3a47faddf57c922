"""The plan's main model, fitted as `analysis` says: which estimation, which standard errors, which ties.

What the release reads of it is the same for a logistic and a Cox model. Exact numbers: they stay in the enclave.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from heartify.protocol.plan import AnalysisSpec
from heartify.protocol.plan_model import StandardErrors
from heartify.stats.blocks import CohortBlock
from heartify.stats.competing import FollowUp
from heartify.stats.discrimination import concordance, concordance_sums
from heartify.stats.errors import SeparationError
from heartify.stats.firth import FirthFit, fit_firth
from heartify.stats.inference import hospital_cluster_covariance, sandwich_covariance
from heartify.stats.logistic import HospitalIntercept, PooledLogisticFit, fit_pooled_logistic
from heartify.stats.survival import (
    BaselineHazard,
    CoxFit,
    SurvivalBlock,
    Ties,
    fit_cox,
    hospital_clusters,
    robust_covariance,
)

Floats = NDArray[np.float64]

# Errors clustered by fewer hospitals are far too small on average (Cameron and Miller 2015, J Hum Resour 50:317).
MIN_CLUSTERS = 10


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class MainFit:
    """Hold the fit of the plan's model: `term_coef` (p,), `term_covariance` (p, p) with errors of `standard_errors`.

    These are the plan's kind of errors, or the model's where the estimates are Firth's. Exactly one of `logistic` and
    `cox` is set; `firth` is set where the estimates are Firth's (they are in `logistic` too). `imputations` is 0 where
    complete cases were fitted; else coefficients, intercepts, n and indices are pooled over so many completed cohorts,
    and `logistic`, `cox` and `firth` are still the complete cases' fit, which all further analyses work on.
    """

    term_names: tuple[str, ...]
    term_coef: Floats
    term_covariance: Floats
    n: int
    events: int
    hospital_intercepts: tuple[HospitalIntercept, ...]
    auc: float | None
    concordance: float | None
    logistic: PooledLogisticFit | None
    cox: CoxFit | None
    firth: FirthFit | None = None
    imputations: int = 0
    standard_errors: StandardErrors = "model"

    @property
    def term_se(self) -> Floats:
        """Return the standard errors (p,)."""
        return np.sqrt(np.diag(self.term_covariance))


def fit_logistic_model(blocks: Sequence[CohortBlock], names: Sequence[str], analysis: AnalysisSpec) -> MainFit:
    """Fit the logistic model.

    Raises:
        StatsError: there are no estimates; SeparationError where the plan insists on maximum likelihood.
    """
    firth: FirthFit | None = None
    if analysis.estimation == "firth":
        firth = fit_firth(blocks, names)
    else:
        try:
            estimates = fit_pooled_logistic(blocks, names)
        except SeparationError:
            if analysis.estimation != "auto":
                raise
            firth = fit_firth(blocks, names)
    fit = firth.estimates if firth is not None else estimates
    # Under separation fitted risks near 0 or 1 leave no residual, and robust errors see nothing but residuals.
    errors: StandardErrors = analysis.standard_errors if firth is None else "model"
    p = len(names)
    return MainFit(
        term_names=tuple(names),
        term_coef=fit.term_coef,
        term_covariance=logistic_covariance(blocks, fit, errors)[1 : 1 + p, 1 : 1 + p],
        n=fit.n,
        events=fit.events,
        hospital_intercepts=tuple(fit.hospital_intercepts),
        auc=fit.auc,
        concordance=None,
        logistic=fit,
        cox=None,
        firth=firth,
        standard_errors=errors,
    )


def logistic_covariance(blocks: Sequence[CohortBlock], fit: PooledLogisticFit, errors: StandardErrors) -> Floats:
    """Return the covariance (q, q) of a logistic fit on these blocks with that kind of standard errors.

    Raises:
        InvalidBlockError: the fit is of other blocks, or one hospital is no clustering.
    """
    if errors == "robust":
        return sandwich_covariance(blocks, fit).covariance
    if errors == "hospital":
        return hospital_cluster_covariance(blocks, fit).covariance
    return fit.covariance


def fit_cox_model(blocks: Sequence[SurvivalBlock], names: Sequence[str], analysis: AnalysisSpec) -> MainFit:
    """Fit the Cox model, each hospital (and stratum in it) with a baseline hazard of its own.

    Raises:
        StatsError: there are no estimates.
    """
    fit = fit_cox(blocks, names, ties=Ties(analysis.ties), baseline=BaselineHazard.PER_HOSPITAL)
    return MainFit(
        term_names=tuple(names),
        term_coef=fit.coef,
        term_covariance=cox_covariance(blocks, fit, analysis),
        n=fit.n,
        events=fit.events,
        hospital_intercepts=(),
        auc=None,
        concordance=stratified_concordance(blocks, fit),
        logistic=None,
        cox=fit,
        standard_errors=analysis.standard_errors,
    )


def cox_covariance(blocks: Sequence[SurvivalBlock], fit: CoxFit, analysis: AnalysisSpec) -> Floats:
    """Return the covariance (p, p) of a Cox fit to these blocks with the plan's kind of standard errors."""
    if analysis.standard_errors == "robust":
        return robust_covariance(fit, blocks)
    if analysis.standard_errors == "hospital":
        return robust_covariance(fit, blocks, hospital_clusters(blocks))
    return fit.covariance


def stratified_concordance(blocks: Sequence[SurvivalBlock], fit: CoxFit) -> float:
    """Return Harrell's C of the linear predictor; only patients of one hospital and stratum are compared.

    Raises:
        DegenerateOutcomeError: no two patients can be compared.
    """
    parts = []
    for block in blocks:
        rows, score = FollowUp(block.time, block.event, block.entry), _linear_predictor(block.X, fit.coef)
        stratum = np.zeros(block.n, dtype=np.int64) if block.stratum is None else block.stratum
        for code in np.unique(stratum):
            mine = stratum == code
            parts.append(concordance_sums(score[mine], rows.take(mine)))
    return concordance(reduce(operator.add, parts)).c


def _linear_predictor(X: Floats, coef: Floats) -> Floats:  # noqa: N803 - the matrix of the cited papers
    # Column by column: BLAS may round equal rows differently, which would break ties of the score.
    score = np.zeros(X.shape[0])
    for column, slope in zip(X.T, coef, strict=True):
        score += column * slope
    return score
