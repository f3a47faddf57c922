"""Firth's penalised log-likelihood l* = l + log|I| / 2, its score, and its maximum under linear constraints.

Score: U* = sum (y - mu + h (1/2 - mu)) x, with h the diagonal of the hat matrix (Firth 1993, Biometrika 80:27; Heinze
and Schemper 2002, Stat Med 21:2409). Climbed by Fisher scoring with a bounded, halved step. Everything asked from a
hospital is a sum over its rows; row-level temporaries live for one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cholesky
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import NotConvergedError
from heartify.stats.newton import LOGLIK_ROUNDING, MAX_HALVINGS, invert_information
from heartify.stats.standardised_cohort import HospitalRows, StandardisedCohort

STEP_TOLERANCE = 1e-10  # of every internal parameter, and in its standard errors
MAX_STEP = 5.0  # of an internal parameter (log odds, or log odds per standard deviation), as in logistf
MAX_ITERATIONS = 1000  # scoring converges linearly; a separated outcome of a small hospital needs 30 to 60


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PenalisedPoint:
    """l* with its parts at internal parameters (q,): information (q, q), its inverse, and the penalised score (q,)."""

    parameters: FloatArray
    loglik: float
    penalised: float
    information: FloatArray
    covariance: FloatArray
    score: FloatArray
    iterations: int


def penalised_maximum(
    cohort: StandardisedCohort, start: FloatArray, tangent: FloatArray | None = None
) -> PenalisedPoint:
    """Maximise l* from `start` (q,), over all parameters or along the columns of `tangent` (q, q - k) only.

    The penalty is that of the full model in either case (Heinze and Schemper 2002, section 3.2).

    Raises:
        NotConvergedError: the information is singular, no step increases l*, or iterations ran out.
    """
    point = penalised_point(cohort, start)
    if tangent is not None and tangent.shape[1] == 0:
        return point
    for iteration in range(1, MAX_ITERATIONS + 1):
        step = _scoring_step(point, tangent)
        small = np.abs(step) < STEP_TOLERANCE * np.minimum(1.0, np.sqrt(np.diag(point.covariance)))
        point = _climb(cohort, point, step * min(1.0, MAX_STEP / float(np.abs(step).max(initial=1e-300))), iteration)
        if small.all():
            return point
    raise NotConvergedError(f"no maximum of the penalised likelihood within {MAX_ITERATIONS} iterations")


def penalised_point(cohort: StandardisedCohort, parameters: FloatArray) -> PenalisedPoint:
    """Return l* and its score at internal parameters (q,).

    Raises:
        NotConvergedError: the information is singular there.
    """
    point = _evaluate(cohort, parameters, 0)
    if point is None:
        raise NotConvergedError("the information is singular at these parameters")
    return point


def _evaluate(cohort: StandardisedCohort, parameters: FloatArray, iteration: int) -> PenalisedPoint | None:
    sums = cohort.sums(parameters)
    half_log_det = _half_log_determinant(sums.information)
    if half_log_det is None:
        return None
    covariance = invert_information(sums.information)
    score = sums.gradient.copy()
    for rows in cohort.chunks():
        own = rows.own
        leverage, lean = hat_diagonal(rows, parameters, covariance)
        pull = leverage * lean
        score[own[0]] += pull.sum()
        score[own[1:]] += rows.Z.T @ pull
    return PenalisedPoint(
        parameters, sums.loglik, sums.loglik + half_log_det, sums.information, covariance, score, iteration
    )


def hat_diagonal(rows: HospitalRows, parameters: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the leverages h (n,) = w x' I^-1 x, and 1/2 - mu (n,), of some rows of one hospital.

    x has no entry for other hospitals' intercepts, so one triangular product of 1 + p columns gives x' I^-1 x.
    """
    own = rows.own
    factor = cholesky(covariance[np.ix_(own, own)], lower=True, check_finite=False)
    eta = parameters[own[0]] + rows.Z @ parameters[own[1:]]
    root = factor[0] + rows.Z @ factor[1:]
    weight = expit(eta) * expit(-eta)
    return weight * np.einsum("ij,ij->i", root, root), -0.5 * np.tanh(eta / 2.0)


def _scoring_step(point: PenalisedPoint, tangent: FloatArray | None) -> FloatArray:
    if tangent is None:
        return point.covariance @ point.score
    along = invert_information(tangent.T @ point.information @ tangent)
    step: FloatArray = tangent @ (along @ (tangent.T @ point.score))
    return step


def _climb(cohort: StandardisedCohort, point: PenalisedPoint, step: FloatArray, iteration: int) -> PenalisedPoint:
    floor = point.penalised - LOGLIK_ROUNDING * (1.0 + abs(point.penalised))
    for halving in range(MAX_HALVINGS):
        reached = _evaluate(cohort, point.parameters + step * 0.5**halving, iteration)
        if reached is not None and reached.penalised >= floor:
            return reached
    raise NotConvergedError("no step along the modified score increases the penalised likelihood")


def _half_log_determinant(information: FloatArray) -> float | None:
    diagonal = np.diag(information)
    if not np.isfinite(information).all() or not (diagonal > 0).all():
        return None
    scale = 1.0 / np.sqrt(diagonal)
    try:
        factor, _ = cho_factor(information * np.outer(scale, scale), lower=True, check_finite=False)
    except LinAlgError:
        return None
    return float(np.log(np.diag(factor)).sum() + 0.5 * np.log(diagonal).sum())
