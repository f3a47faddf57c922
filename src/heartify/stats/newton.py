"""Newton's iteration with step-halving, for any concave log-likelihood that comes as LikelihoodSums.

Knows nothing of the model. Stops on the Newton decrement lambda^2 = g' I^-1 g, which bounds the distance to the
maximum in standard errors (Boyd and Vandenberghe 2004, section 9.5.1), not on the change of a coefficient, which
depends on its unit. Never returns a point that is not a maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import NotConvergedError
from heartify.stats.likelihood import LikelihoodSums

MAX_ITERATIONS = 60
MAX_HALVINGS = 40
DECREMENT_TOLERANCE = 1e-16  # 1e-8 standard errors before the last step, which then squares it
LOGLIK_ROUNDING = 1e-13  # of |loglik|: a decrease below this is rounding, not a wrong step
SUFFICIENT_GAIN = 0.1  # of the gain that the slope promises: a step into the likelihood's flat tail gains far less
PATIENCE = 10  # an ordinary fit needs 4 to 9 iterations; from here on each direction is shown to the watcher


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Maximum:
    """Hold the maximiser (q,), the sums at it, the inverse information (q, q) and the iterations it took."""

    parameters: FloatArray
    sums: LikelihoodSums
    covariance: FloatArray
    iterations: int


def maximise(
    evaluate: Callable[[FloatArray], LikelihoodSums], start: FloatArray, watch: Callable[[FloatArray], None]
) -> Maximum:
    """Maximise from `start` (q,); `watch` sees every late search direction and may raise a better explanation.

    Raises:
        NotConvergedError: the information became singular, no step increased the likelihood, or iterations ran out.
    """
    parameters, sums = start, evaluate(start)
    step = np.zeros_like(start)
    for iteration in range(1, MAX_ITERATIONS + 1):
        try:
            step = solve_information(sums.information, sums.gradient)
        except LinAlgError as exc:
            watch(step)
            raise NotConvergedError(f"the information is singular at iteration {iteration}") from exc
        decrement = float(sums.gradient @ step)
        if iteration > PATIENCE:
            watch(step)
        parameters, sums = _climb(evaluate, parameters, sums, step, decrement)
        if decrement <= DECREMENT_TOLERANCE:
            return Maximum(parameters, sums, invert_information(sums.information), iteration)
    raise NotConvergedError(f"no maximum within {MAX_ITERATIONS} iterations")


def _climb(
    evaluate: Callable[[FloatArray], LikelihoodSums],
    parameters: FloatArray,
    sums: LikelihoodSums,
    step: FloatArray,
    decrement: float,
) -> tuple[FloatArray, LikelihoodSums]:
    rounding = LOGLIK_ROUNDING * (1.0 + abs(sums.loglik))
    for halving in range(MAX_HALVINGS):
        share = 0.5**halving
        candidate = parameters + step * share
        reached = evaluate(candidate)
        # Armijo's rule (Boyd and Vandenberghe 2004, section 9.2), with room for rounding at the maximum.
        if reached.loglik >= sums.loglik + SUFFICIENT_GAIN * share * decrement - rounding:
            return candidate, reached
    raise NotConvergedError("no step along Newton's direction increases the likelihood")


def solve_information(information: FloatArray, right: FloatArray) -> FloatArray:
    """Solve information (q, q) x = right by Cholesky on the matrix scaled to a unit diagonal.

    Raises:
        LinAlgError: the matrix is not positive definite in double precision.
    """
    diagonal = np.diag(information)
    if not np.isfinite(information).all() or not (diagonal > 0).all():
        raise LinAlgError("a parameter carries no information")
    scale = 1.0 / np.sqrt(diagonal)
    factor = cho_factor(information * np.outer(scale, scale), lower=True)
    shaped = scale if right.ndim == 1 else scale[:, None]
    solution: FloatArray = shaped * cho_solve(factor, shaped * right)
    return solution


def invert_information(information: FloatArray) -> FloatArray:
    """Return the symmetric inverse (q, q) of the information.

    Raises:
        NotConvergedError: the matrix is singular in double precision.
    """
    try:
        inverse = solve_information(information, np.eye(information.shape[0]))
    except LinAlgError as exc:
        raise NotConvergedError("the information is singular at the maximum") from exc
    return (inverse + inverse.T) / 2.0
