"""Tests and intervals by Firth's penalised likelihood, to be preferred to Wald's where the outcome is separated.

The constrained model keeps the penalty of all its columns; only the tested coefficients are held at zero, or at a
value (Heinze and Schemper 2002, section 3.2; logistf). A Wald interval is symmetric where this likelihood is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import null_space

from heartify.stats.blocks import CohortBlock
from heartify.stats.chi_square import ChiSquareTest, ratio_test
from heartify.stats.firth.firth import FirthFit
from heartify.stats.firth.penalised import penalised_maximum, penalised_point
from heartify.stats.inference.profile import ConstrainedMaximum, ProfileInterval, interval_from_profile
from heartify.stats.inference.wald import positions
from heartify.stats.logistic import check_fit_belongs
from heartify.stats.newton import solve_information
from heartify.stats.standardised_cohort import standardise


def penalised_ratio_test(blocks: Sequence[CohortBlock], fit: FirthFit, names: Sequence[str]) -> ChiSquareTest:
    """Test that the named coefficients of a Firth fit on these blocks are all zero; df = their number.

    Raises:
        InvalidBlockError: names are not distinct coefficients of the fit, or the fit is of other blocks.
        NotConvergedError: the constrained maximum was not reached.
    """
    check_fit_belongs(blocks, fit.estimates)
    rows = positions(fit.estimates.names, names)
    cohort = standardise(blocks, fit.estimates.term_names)
    V, coef = fit.estimates.covariance, fit.estimates.coef
    # To first order the other coefficients follow the tested ones to zero along V.
    start = coef - V[:, rows] @ solve_information(V[np.ix_(rows, rows)], coef[rows])
    start[rows] = 0.0
    constrained = penalised_maximum(cohort, cohort.inside(start), null_space(cohort.T[rows]))
    peak = penalised_point(cohort, cohort.inside(coef))
    return ratio_test(peak.penalised, constrained.penalised, len(names))


def penalised_profile_interval(
    blocks: Sequence[CohortBlock], fit: FirthFit, name: str, level: float = 0.95
) -> ProfileInterval:
    """Return the profile-penalised-likelihood interval of a coefficient; a bound that does not exist is infinite.

    Raises:
        InvalidBlockError: no such coefficient, a level outside (0, 1), or the fit is of other blocks.
        NotConvergedError: a bound was not found.
    """
    estimates = fit.estimates
    check_fit_belongs(blocks, estimates)
    cohort = standardise(blocks, estimates.term_names)
    index = cohort.index(name)
    contrast = cohort.T[index]
    direction = cohort.inside(estimates.covariance[:, index] / estimates.covariance[index, index])
    tangent = null_space(contrast[None, :])

    def profile(value: float, near: ConstrainedMaximum, near_value: float) -> ConstrainedMaximum:
        point = penalised_maximum(cohort, near.parameters + (value - near_value) * direction, tangent)
        slope = float(contrast @ point.score / (contrast @ contrast))
        return ConstrainedMaximum(point.parameters, point.penalised, slope)

    peak = penalised_point(cohort, cohort.inside(estimates.coef))
    top = ConstrainedMaximum(peak.parameters, peak.penalised, 0.0)
    return interval_from_profile(profile, top, name, float(estimates.coef[index]), float(estimates.se[index]), level)
