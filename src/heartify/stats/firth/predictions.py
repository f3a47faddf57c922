"""Firth estimates whose predicted risks are right on average: FLIC and FLAC (Puhr et al. 2017, Stat Med 36:2302).

Firth's penalty pulls predictions towards one half, which matters for rare events. FLIC moves the intercept alone; FLAC
fits by maximum likelihood the data augmented with the penalty's pseudo-observations, told apart by a column of their
own. Use them for predictions; effects and intervals stay those of the Firth fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.firth.firth import FirthFit
from heartify.stats.firth.penalised import hat_diagonal
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.logistic import check_fit_belongs
from heartify.stats.newton import invert_information, maximise
from heartify.stats.offset_intercept import fit_offset_intercept
from heartify.stats.standardised_cohort import HospitalRows, StandardisedCohort, standardise


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PredictionCoefficients:
    """Coefficients (q,) for predicted risks, in the names' order and clinical units; no inference belongs to them."""

    names: tuple[str, ...]
    coef: FloatArray


def flic(blocks: Sequence[CohortBlock], fit: FirthFit) -> PredictionCoefficients:
    """Return the Firth coefficients with the common intercept moved so that mean risk equals the event rate.

    Contrasts between hospitals stay as they are, as in logistf::flic with hospital dummies.

    Raises:
        InvalidBlockError: the fit is of other blocks.
        NotConvergedError: no intercept was found.
    """
    check_fit_belongs(blocks, fit.estimates)
    coef = fit.estimates.coef
    predictors = []
    for index, block in enumerate(blocks):
        own = coef[0] + (coef[len(fit.estimates.term_names) + index] if index else 0.0)
        predictors.append(own + block.X @ fit.estimates.term_coef)
    moved = coef.copy()
    moved[0] += fit_offset_intercept(np.concatenate(predictors), fit.estimates.events).value
    return PredictionCoefficients(fit.estimates.names, moved)


def flac(blocks: Sequence[CohortBlock], fit: FirthFit) -> PredictionCoefficients:
    """Return the coefficients of maximum likelihood on the data augmented as Firth's penalty implies.

    Every row comes a second time with weight h/2 as an event and h/2 as none, marked by a column that is not returned;
    h are the leverages of the Firth fit.

    Raises:
        InvalidBlockError: the fit is of other blocks.
        NotConvergedError: no maximum was reached.
    """
    check_fit_belongs(blocks, fit.estimates)
    cohort = standardise(blocks, fit.estimates.term_names)
    parameters = cohort.inside(fit.estimates.coef)
    covariance = invert_information(cohort.sums(parameters).information)
    parts = [(rows, hat_diagonal(rows, parameters, covariance)[0]) for rows in cohort.chunks()]

    def evaluate(free: FloatArray) -> LikelihoodSums:
        return _augmented_sums(cohort, parts, free)

    maximum = maximise(evaluate, np.append(parameters, 0.0), _watch_nothing)
    return PredictionCoefficients(fit.estimates.names, cohort.T @ maximum.parameters[:-1])


def _augmented_sums(
    cohort: StandardisedCohort, parts: list[tuple[HospitalRows, FloatArray]], free: FloatArray
) -> LikelihoodSums:
    q = cohort.q
    loglik, gradient, information = 0.0, np.zeros(q + 1), np.zeros((q + 1, q + 1))
    for rows, leverage in parts:
        real, pseudo = rows.own, np.append(rows.own, q)
        Z = np.column_stack([np.ones(rows.y.size), rows.Z])
        marked = np.column_stack([Z, np.ones(rows.y.size)])
        for own, X, events, weight in (
            (real, Z, rows.y, np.ones(rows.y.size)),
            (pseudo, marked, 0.5 * leverage, leverage),
        ):
            part = _weighted_sums(X, events, weight, free[own])
            loglik += part.loglik
            gradient[own] += part.gradient
            information[np.ix_(own, own)] += part.information
    return LikelihoodSums(loglik, gradient, information)


def _weighted_sums(X: FloatArray, events: FloatArray, weight: FloatArray, parameters: FloatArray) -> LikelihoodSums:
    eta = X @ parameters
    loglik = float(-(events * np.logaddexp(0.0, -eta) + (weight - events) * np.logaddexp(0.0, eta)).sum())
    residual = events * expit(-eta) - (weight - events) * expit(eta)
    curvature = weight * expit(eta) * expit(-eta)
    return LikelihoodSums(loglik, X.T @ residual, X.T @ (X * curvature[:, None]))


def _watch_nothing(step: FloatArray) -> None:
    """Let Newton go on: the pseudo-observations have both outcomes in every row, so a maximum exists."""
