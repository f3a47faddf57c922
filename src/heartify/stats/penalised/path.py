"""The coefficients along a sequence of penalties, from the one that allows nothing downwards, each started at the last.

One fit of this kind is a selection or a prediction device: its coefficients are shrunk and have no standard errors.
Unlike glmnet, penalty factors are not rescaled, so lambda means the same with and without unpenalised columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.coding import check_term_names
from heartify.stats.errors import InvalidBlockError, RankDeficientError
from heartify.stats.likelihood import null_loglik
from heartify.stats.penalised.elastic_net import (
    EXACT,
    PenalisedProblem,
    Penalty,
    Position,
    build_penalty,
    check_alpha,
    check_factors,
)

LAMBDAS = 100
RIDGE_ALPHA = 1e-3  # stands for alpha = 0 where a first lambda is wanted, as in glmnet: ridge never reaches zero
FORBIDDEN = 1e100  # a penalty that keeps a coefficient at zero
UNASSOCIATED = 1e-12  # a gradient per row that is rounding, columns being standardised
SATURATED = 0.999  # of the null deviance explained: below that penalty the path only grows coefficients


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PenalisedPath:
    """Hold coef (L, p) per clinical unit and each hospital's own intercept (L, hospitals) for lambdas (L,), decreasing.

    `scale` (p,) are the SDs (divisor n) that the penalty applied to: coef * scale are the penalised coefficients.
    `null_loglik` is that of one common intercept. `passes` counts the passes over the rows.
    """

    term_names: tuple[str, ...]
    hospitals: tuple[str, ...]
    alpha: float
    lambdas: FloatArray
    coef: FloatArray
    intercepts: FloatArray
    scale: FloatArray
    loglik: FloatArray
    null_loglik: float
    n: int
    events: int
    passes: int

    @property
    def n_selected(self) -> NDArray[np.int64]:
        """Return the number of coefficients (L,) that are not zero."""
        return np.asarray(np.count_nonzero(self.coef, axis=1), dtype=np.int64)

    @property
    def deviance_ratio(self) -> FloatArray:
        """Return the part (L,) of the null deviance that is explained."""
        ratio: FloatArray = 1.0 - self.loglik / self.null_loglik
        return ratio

    def predictor(self, X: FloatArray, hospital: str) -> FloatArray:
        """Return the log odds (n, L) of rows X (n, p) of one of the fitted hospitals.

        Raises:
            InvalidBlockError: the hospital has no intercept here, or X has another width.
        """
        if hospital not in self.hospitals or X.ndim != 2 or X.shape[1] != self.coef.shape[1]:
            raise InvalidBlockError("expected rows (n, p) of a hospital that the path was fitted on")
        h = self.hospitals.index(hospital)
        scores = np.repeat(self.intercepts[:, h][None, :], X.shape[0], axis=0)
        # Column by column: equal rows must get equal scores, or an AUC would see ties broken by rounding.
        for j in np.flatnonzero(self.coef.any(axis=0)):
            scores += X[:, j : j + 1] * self.coef[:, j]
        return scores


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PenalisedFit:
    """Hold one point of a path: coef (p,) per clinical unit, each hospital's own intercept (hospitals,), at `lam`."""

    term_names: tuple[str, ...]
    hospitals: tuple[str, ...]
    alpha: float
    lam: float
    coef: FloatArray
    intercepts: FloatArray
    scale: FloatArray
    loglik: float
    null_loglik: float

    @property
    def selected(self) -> tuple[str, ...]:
        """Return the names of the terms whose coefficient is not zero."""
        return tuple(name for name, value in zip(self.term_names, self.coef, strict=True) if value != 0.0)


def fit_path(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    *,
    alpha: float = 1.0,
    lambdas: FloatArray | None = None,
    factors: FloatArray | None = None,
) -> PenalisedPath:
    """Fit the elastic net at each lambda; equals R's glmnet(standardize = TRUE) with hospital dummies at factor 0.

    Without lambdas: 100 on a log scale, from the least that forbids every penalised term, down to 1e-4 of it (1e-2
    where n <= p), ending early where 99.9 % of the deviance is explained. `factors` (p,) multiply the penalty by
    column: 0 for adjustment variables that always stay.

    Raises:
        InvalidBlockError: blocks, names, alpha, lambdas or factors do not fit.
        DegenerateOutcomeError, SeparationError: as `PenalisedProblem`.
        RankDeficientError: a column is constant over all rows.
        NotConvergedError: an optimum was not reached; collinear columns without a penalty do that.
    """
    problem = PenalisedProblem(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    if not problem.varying.all():
        constant = [name for name, varies in zip(term_names, problem.varying, strict=True) if not varies]
        raise RankDeficientError(f"constant over all rows: {', '.join(constant)}")
    return path_of(problem, blocks, term_names, alpha=alpha, lambdas=lambdas, factors=factors)


def path_of(
    problem: PenalisedProblem,
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    *,
    alpha: float,
    lambdas: FloatArray | None = None,
    factors: FloatArray | None = None,
) -> PenalisedPath:
    """Fit as `fit_path`, but give a column that does not vary in these rows the coefficient 0 (parts of a cohort)."""
    check_alpha(alpha)
    weights = check_factors(factors, problem.scale.size)[problem.varying]
    grid = None if lambdas is None else check_lambdas(lambdas)
    n, events = sum(block.n for block in blocks), sum(block.events for block in blocks)
    null = null_loglik(n, events)
    rows: list[tuple[float, FloatArray, FloatArray, float]] = []
    passes = 0
    for lam, position, steps in walk(problem, weights, alpha, grid):
        intercepts, coef = problem.unstandardise(position)
        passes += steps
        rows.append((lam, intercepts, coef, position.sums.loglik))
        if grid is None and position.sums.loglik > null * (1.0 - SATURATED):
            break
    return PenalisedPath(
        term_names=tuple(term_names),
        hospitals=tuple(block.name for block in blocks),
        alpha=alpha,
        lambdas=np.array([row[0] for row in rows]),
        intercepts=np.array([row[1] for row in rows]),
        coef=np.array([row[2] for row in rows]),
        loglik=np.array([row[3] for row in rows]),
        scale=problem.scale,
        null_loglik=null,
        n=n,
        events=events,
        passes=passes,
    )


def fit_elastic_net(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    lam: float,
    *,
    alpha: float = 1.0,
    factors: FloatArray | None = None,
) -> PenalisedFit:
    """Fit at one lambda.

    Raises:
        StatsError: as `fit_path`.
    """
    path = fit_path(blocks, term_names, alpha=alpha, lambdas=np.array([lam]), factors=factors)
    return fit_at(path, 0)


def fit_at(path: PenalisedPath, index: int) -> PenalisedFit:
    """Return the fit at one index of the path."""
    return PenalisedFit(
        term_names=path.term_names,
        hospitals=path.hospitals,
        alpha=path.alpha,
        lam=float(path.lambdas[index]),
        coef=path.coef[index],
        intercepts=path.intercepts[index],
        scale=path.scale,
        loglik=float(path.loglik[index]),
        null_loglik=path.null_loglik,
    )


def walk(
    problem: PenalisedProblem,
    weights: FloatArray,
    alpha: float,
    lambdas: FloatArray | None,
    tolerance: float = EXACT,
) -> Iterator[tuple[float, Position, int]]:
    """Yield (lambda, optimum, passes) down the given or the automatic lambdas; weights are those of varying columns."""
    frozen = Penalty(np.where(weights > 0.0, FORBIDDEN, 0.0), np.zeros(weights.size))
    position, _ = problem.optimise(problem.start(), frozen)
    if lambdas is None:
        lambdas = _automatic(_lambda_max(problem, position, weights, alpha), problem.n, weights.size)
    for lam in lambdas:
        position, passes = problem.optimise(position, build_penalty(weights, float(lam), alpha), tolerance)
        yield float(lam), position, passes


def check_lambdas(lambdas: FloatArray) -> FloatArray:
    """Return the lambdas (L,) as doubles.

    Raises:
        InvalidBlockError: none, not positive and finite, or not strictly decreasing.
    """
    grid = np.array(lambdas, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or not (grid > 0.0).all():
        raise InvalidBlockError("expected positive, finite lambdas (L,)")
    if not (np.diff(grid) < 0.0).all():
        raise InvalidBlockError("lambdas must decrease strictly")
    return grid


def _lambda_max(problem: PenalisedProblem, null: Position, weights: FloatArray, alpha: float) -> float:
    penalised = weights > 0.0
    pull = np.abs(problem.slope_gradient(null))[penalised] / (problem.n * weights[penalised])
    return float(pull.max(initial=0.0)) / max(alpha, RIDGE_ALPHA)


def _automatic(largest: float, n: int, p: int) -> FloatArray:
    if largest <= UNASSOCIATED:
        largest = 1.0  # no penalised column goes with the outcome at all: nothing enters, whatever lambda
    # The first lambda is a hair above the exact one, so that rounding does not let a coefficient in.
    return largest * (1.0 + 1e-12) * np.geomspace(1.0, 1e-4 if n > p else 1e-2, LAMBDAS)
