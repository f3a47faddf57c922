"""Elastic-net logistic regression with an unpenalised intercept per hospital, by proximal Newton on additive sums.

glmnet's objective: -loglik/n + sum_j lambda v_j ((1 - alpha) b_j^2 / 2 + alpha |b_j|) with b per SD (divisor n) of the
pooled rows (Friedman, Hastie, Tibshirani 2010, J Stat Softw 33:1). Each step costs one pass over the rows, in sums that
add up over hospitals; the rest is p x p. Trusts CohortBlock for clean arrays; keeps no row in a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import CONSTANT_TOLERANCE
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, NotConvergedError, SeparationError
from heartify.stats.likelihood import LikelihoodSums, empty_sums, logistic_sums
from heartify.stats.penalised.quadratic import minimise_quadratic

MAX_ITERATIONS = 200
MAX_HALVINGS = 40
EXACT = 1e-14  # squared distance to the optimum, in standard errors, before the last step
SUPPORT_ONLY = 1e-8  # enough to know which coefficients are zero
LOGLIK_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Position:
    """Hold intercepts (hospitals,), standardised slopes (p,), and the likelihood sums there."""

    intercepts: FloatArray
    slopes: FloatArray
    sums: LikelihoodSums


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Penalty:
    """Hold the weights l1 (p,) of |b| and l2 (p,) of b^2 / 2, per observation."""

    l1: FloatArray
    l2: FloatArray

    def value(self, slopes: FloatArray) -> float:
        """Return the penalty at the slopes (p,)."""
        return float(self.l1 @ np.abs(slopes) + 0.5 * self.l2 @ slopes**2)


class PenalisedProblem:
    """Standardised blocks, and the steps over them. Columns that do not vary are set aside: their coefficient is 0.

    Raises:
        InvalidBlockError: blocks do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        SeparationError: one hospital has no events, or events only, so that its own intercept is infinite.
    """

    def __init__(self, blocks: Sequence[CohortBlock]) -> None:
        check_blocks(blocks)
        _check_outcomes(blocks)
        moments = pooled_moments(blocks)
        self.n = moments.n
        self.scale = np.sqrt(moments.squares / moments.n)
        self.varying = self.scale > CONSTANT_TOLERANCE * np.abs(moments.mean)
        self.centre = moments.mean
        kept = self.varying
        self._Z = [(block.X[:, kept] - moments.mean[kept]) / self.scale[kept] for block in blocks]
        self._y = [block.y for block in blocks]

    def start(self) -> Position:
        """Return the position of each hospital's own log odds and no slopes."""
        rates = np.array([y.mean() for y in self._y])
        return self.at(np.log(rates / (1.0 - rates)), np.zeros(self._Z[0].shape[1]))

    def at(self, intercepts: FloatArray, slopes: FloatArray) -> Position:
        """Pass once over the rows, hospital by hospital."""
        hospitals = intercepts.size
        total = empty_sums(hospitals + slopes.size)
        for h, (Z, y) in enumerate(zip(self._Z, self._y, strict=True)):
            part = logistic_sums(Z, y, float(intercepts[h]), slopes)
            own = np.concatenate(([h], np.arange(hospitals, hospitals + slopes.size)))
            gradient, information = np.zeros(total.gradient.size), np.zeros(total.information.shape)
            gradient[own] = part.gradient
            information[np.ix_(own, own)] = part.information
            total = total + LikelihoodSums(part.loglik, gradient, information)
        return Position(intercepts, slopes, total)

    def optimise(self, start: Position, penalty: Penalty, tolerance: float = EXACT) -> tuple[Position, int]:
        """Return the optimum under a penalty, and the number of steps.

        Raises:
            NotConvergedError: no optimum was reached.
        """
        position = start
        for iteration in range(1, MAX_ITERATIONS + 1):
            intercept_step, slope_step = self._direction(position, penalty)
            step = np.concatenate((intercept_step, slope_step))
            distance = float(step @ position.sums.information @ step)
            position = self._descend(position, intercept_step, slope_step, penalty)
            if distance <= tolerance:
                return position, iteration
        raise NotConvergedError(f"no penalised optimum within {MAX_ITERATIONS} iterations")

    def slope_gradient(self, position: Position) -> FloatArray:
        """Return the gradient (p,) of the log-likelihood in the slopes."""
        return position.sums.gradient[position.intercepts.size :]

    def unstandardise(self, position: Position) -> tuple[FloatArray, FloatArray]:
        """Return the hospitals' intercepts at zero of all columns, and all coefficients (p,), in clinical units."""
        coef = np.zeros(self.scale.size)
        coef[self.varying] = position.slopes / self.scale[self.varying]
        return position.intercepts - float(coef @ self.centre), coef

    def _direction(self, position: Position, penalty: Penalty) -> tuple[FloatArray, FloatArray]:
        hospitals = position.intercepts.size
        gradient, information = position.sums.gradient, position.sums.information
        own = np.diag(information)[:hospitals]
        if not (own > 0.0).all() or not np.isfinite(information).all():
            raise NotConvergedError("a hospital's rows carry no information at this penalty")
        # The hospitals' intercepts carry no penalty and meet only their own rows: they are eliminated exactly.
        cross = information[:hospitals, hospitals:]
        gram = information[hospitals:, hospitals:] - cross.T @ (cross / own[:, None])
        linear = gradient[hospitals:] - cross.T @ (gradient[:hospitals] / own) + gram @ position.slopes
        slopes = minimise_quadratic(gram / self.n, linear / self.n, penalty.l1, penalty.l2, position.slopes)
        slope_step = slopes - position.slopes
        return (gradient[:hospitals] - cross @ slope_step) / own, slope_step

    def _descend(
        self, position: Position, intercept_step: FloatArray, slope_step: FloatArray, penalty: Penalty
    ) -> Position:
        reached = self._objective(position, penalty)
        slack = LOGLIK_ROUNDING * (1.0 + abs(reached))
        for halving in range(MAX_HALVINGS):
            size = 0.5**halving
            candidate = self.at(position.intercepts + size * intercept_step, position.slopes + size * slope_step)
            if self._objective(candidate, penalty) <= reached + slack:
                return candidate
        raise NotConvergedError("no step along the proximal direction improves the objective")

    def _objective(self, position: Position, penalty: Penalty) -> float:
        return -position.sums.loglik / self.n + penalty.value(position.slopes)


def build_penalty(factors: FloatArray, lam: float, alpha: float) -> Penalty:
    """Return the penalty at lambda and alpha; factors (p,) are the columns' own multipliers, 0 for no penalty."""
    return Penalty(lam * alpha * factors, lam * (1.0 - alpha) * factors)


def check_alpha(alpha: float) -> None:
    """Check the mixture of the penalty.

    Raises:
        InvalidBlockError: alpha is not between 0 (ridge) and 1 (lasso).
    """
    if not 0.0 <= alpha <= 1.0:
        raise InvalidBlockError("alpha must be between 0 (ridge) and 1 (lasso)")


def check_factors(factors: FloatArray | None, p: int) -> FloatArray:
    """Return the penalty factors (p,), ones if none are given; unlike glmnet's they are not rescaled.

    Raises:
        InvalidBlockError: their number is not p, one is negative or not finite, or all are zero.
    """
    if factors is None:
        return np.ones(p)
    checked = np.array(factors, dtype=np.float64)
    if checked.shape != (p,) or not np.isfinite(checked).all() or (checked < 0.0).any() or not checked.any():
        raise InvalidBlockError(f"expected {p} penalty factors that are not negative and not all zero")
    return checked


def _check_outcomes(blocks: Sequence[CohortBlock]) -> None:
    events, n = sum(block.events for block in blocks), sum(block.n for block in blocks)
    if events in (0, n):
        raise DegenerateOutcomeError("the outcome does not vary over the pooled rows")
    flat = [block.name for block in blocks if block.events in (0, block.n)]
    if flat:
        raise SeparationError(
            f"the outcome does not vary in: {', '.join(flat)}; its intercept is infinite, so leave it out"
        )
