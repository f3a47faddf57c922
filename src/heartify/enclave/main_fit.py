"""The plan's main model, fitted as `analysis` says: which estimation, which standard errors, which ties.

What the release reads of it is the same for a logistic and a Cox model. Exact numbers: they stay in the enclave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.protocol.plan import AnalysisSpec
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import SeparationError
from heartify.stats.firth import FirthFit, fit_firth
from heartify.stats.inference import hospital_cluster_covariance, sandwich_covariance
from heartify.stats.logistic import HospitalIntercept, PooledLogisticFit, fit_pooled_logistic
from heartify.stats.survival import BaselineHazard, CoxFit, SurvivalBlock, Ties, fit_cox

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class MainFit:
    """Hold the fit of the plan's model: `term_coef` (p,), `term_covariance` (p, p) with the plan's kind of errors.

    Exactly one of `logistic` and `cox` is set; `firth` is set where the estimates are Firth's (they are in `logistic`
    too). `imputations` is 0 where complete cases were fitted.
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
    p = len(names)
    return MainFit(
        term_names=tuple(names),
        term_coef=fit.term_coef,
        term_covariance=_covariance(blocks, fit, analysis)[1 : 1 + p, 1 : 1 + p],
        n=fit.n,
        events=fit.events,
        hospital_intercepts=tuple(fit.hospital_intercepts),
        auc=fit.auc,
        concordance=None,
        logistic=fit,
        cox=None,
        firth=firth,
    )


def _covariance(blocks: Sequence[CohortBlock], fit: PooledLogisticFit, analysis: AnalysisSpec) -> Floats:
    if analysis.standard_errors == "robust":
        return sandwich_covariance(blocks, fit).covariance
    if analysis.standard_errors == "hospital":
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
        term_covariance=fit.covariance,
        n=fit.n,
        events=fit.events,
        hospital_intercepts=(),
        auc=None,
        concordance=0.5,
        logistic=None,
        cox=fit,
    )
