"""Each hospital's own estimates of the plan's model, as far as they may be shown.

A hospital enters only if it passes the rules alone (`sdc_gate`); what is pooled later is made of these hospitals and of
no other, so that no algebra on the pooled figures gives a hidden hospital back. A column that doesn't vary in a
hospital is "not estimable" there; whatever depends on the outcome, such as separation, is "suppressed" like a small
cell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from heartify.enclave.analyses.sdc_gate import can_show_hospital
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.firth import fit_firth
from heartify.stats.heterogeneity import (
    HospitalEstimate,
    NotEstimable,
    OwnFit,
    OwnFitter,
    estimate_per_hospital_penalised,
    fit_by_maximum_likelihood,
)
from heartify.stats.survival import BaselineHazard, SurvivalBlock, Ties, fit_cox

ESTIMATED, NOT_ESTIMABLE, SUPPRESSED = "estimated", "not estimable", "suppressed"
_OF_THE_DESIGN = frozenset({NotEstimable.CONSTANT, NotEstimable.RANK})


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class HospitalFits:
    """Own estimates by the position of the hospital, only of those that may be shown."""

    by_hospital: Mapping[int, HospitalEstimate]

    @property
    def shown(self) -> tuple[int, ...]:
        """Return the positions of the hospitals that are shown."""
        return tuple(self.by_hospital)

    def status(self, hospital: int, column: int) -> str:
        """Return the closed word for a column (of p) in a hospital."""
        found = self.by_hospital.get(hospital)
        if found is None:
            return SUPPRESSED
        return ESTIMATED if found.reasons[column] is None else NOT_ESTIMABLE


def fit_hospitals(data: StudyData) -> HospitalFits:
    """Fit every hospital that passes the rules, by the method of the plan's main fit, with model-based errors."""
    found = {h: _fit(data, h) for h in range(len(data.blocks)) if can_show_hospital(data, h)}
    return HospitalFits({h: own for h, own in found.items() if _tells_of_the_design_only(own)})


def _tells_of_the_design_only(found: HospitalEstimate) -> bool:
    """Return whether nothing about the outcome kept a column from being estimated."""
    return all(reason is None or reason in _OF_THE_DESIGN for reason in found.reasons)


def _fit(data: StudyData, hospital: int) -> HospitalEstimate:
    block = data.blocks[hospital]

    def cox(part: CohortBlock, names: Sequence[str]) -> OwnFit:
        # Columns that don't vary were left out of `part`, and no row was.
        followed: SurvivalBlock = dataclasses.replace(data.survival[hospital], X=part.X)
        fit = fit_cox([followed], names, ties=Ties(data.plan.analysis.ties), baseline=BaselineHazard.PER_HOSPITAL)
        return OwnFit(fit.coef, fit.covariance)

    logistic: OwnFitter = _firth if data.fit.firth is not None else fit_by_maximum_likelihood
    fitter = cox if data.plan.analysis.model == "cox" else logistic
    # Not the variant that drops separated columns with their patients: after the gate no single column separates.
    return estimate_per_hospital_penalised([block], data.names, fit=fitter)[0]


def _firth(part: CohortBlock, names: Sequence[str]) -> OwnFit:
    fit = fit_firth([part], names).estimates
    terms = slice(1, 1 + len(names))
    return OwnFit(np.asarray(fit.term_coef), fit.covariance[terms, terms])
