"""The logistic likelihood of one block of rows, as sums that add up over rows, parts and hospitals.

Written on the signed predictor s = (2y - 1) eta, so that neither a probability near 0 or 1 nor its complement is ever
formed by subtraction: glm() of R fails on real, uncleaned blood pressures for want of that. Trusts that X and y were
checked by CohortBlock. Holds row-level temporaries only for one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import FloatArray

CHUNK_ROWS = 16_384  # bounds the temporaries at a few megabytes, whatever the cohort


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LikelihoodSums:
    """Hold the log-likelihood, its gradient (q,) and the Fisher information (q, q) of some rows; they add up."""

    loglik: float
    gradient: FloatArray
    information: FloatArray

    def __add__(self, other: LikelihoodSums) -> LikelihoodSums:
        return LikelihoodSums(
            self.loglik + other.loglik, self.gradient + other.gradient, self.information + other.information
        )


def empty_sums(q: int) -> LikelihoodSums:
    """Return the sums over no rows, for q parameters."""
    return LikelihoodSums(0.0, np.zeros(q), np.zeros((q, q)))


def logistic_sums(X: FloatArray, y: FloatArray, intercept: float, slopes: FloatArray) -> LikelihoodSums:
    """Return the sums of rows X (n, p), y (n,) at the given intercept and slopes (p,); q = 1 + p, intercept first.

    With s = (2y - 1)(intercept + X slopes): loglik = -sum log(1 + exp(-s)), residual y - mu = (2y - 1) expit(-s),
    weight mu (1 - mu) = expit(s) expit(-s) (McCullagh and Nelder 1989, section 4.4).
    """
    total = empty_sums(1 + X.shape[1])
    for first in range(0, X.shape[0], CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        total = total + _chunk_sums(X[rows], y[rows], intercept, slopes)
    return total


def _chunk_sums(X: FloatArray, y: FloatArray, intercept: float, slopes: FloatArray) -> LikelihoodSums:
    sign = 2.0 * y - 1.0
    signed = sign * (intercept + X @ slopes)
    tail = expit(-signed)
    residual = sign * tail
    weight = tail * expit(signed)

    gradient = np.concatenate(([residual.sum()], X.T @ residual))
    information = np.empty((gradient.size, gradient.size))
    information[0, 0] = weight.sum()
    information[0, 1:] = information[1:, 0] = X.T @ weight
    information[1:, 1:] = X.T @ (X * weight[:, None])
    return LikelihoodSums(-float(np.logaddexp(0.0, -signed).sum()), gradient, information)


def null_loglik(n: int, events: int) -> float:
    """Return the log-likelihood of the model with one common intercept alone: R's null deviance is -2 times it."""
    rest = n - events
    return float(events * np.log(events / n) + rest * np.log(rest / n)) if events and rest else 0.0
