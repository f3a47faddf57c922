"""Bayesian logistic draws for binary and categorical columns, safe under separation.

The likelihood is that of multinomial logistic regression against the first level (two levels: logistic regression). A
few pseudo-rows of small weight make its maximum finite (White, Daniel and Royston 2010, Comput Stat Data Anal 54:2267,
as mice's logreg); parameters are then drawn from the normal approximation to their posterior, for both kinds of column
(mice's polyreg does not draw them, which understates the uncertainty).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.linalg import cholesky
from scipy.special import logsumexp

from heartify.stats.blocks import FloatArray
from heartify.stats.likelihood import CHUNK_ROWS, LikelihoodSums, empty_sums
from heartify.stats.missing.columns import IntArray
from heartify.stats.newton import maximise


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WeightedRows:
    """Hold X (n, q) with the intercept first, codes (n,) 0..levels - 1, and weights (n,)."""

    X: FloatArray
    codes: IntArray
    weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LogisticEstimate:
    """Hold coef (levels - 1, q) against the first level and the covariance of its rows laid end to end."""

    coef: FloatArray
    covariance: FloatArray


def augment(rows: WeightedRows, levels: int, everyone: FloatArray) -> WeightedRows:
    """Add, for each predictor and level, two pseudo-rows half an SD either side of the mean, of total weight q.

    Means, SDs (divisor n - 1) and ranges are those of all rows of the target's predictors, X of `everyone` (N, q).
    """
    p = everyone.shape[1] - 1
    if p == 0:
        return rows
    centre, spread = everyone[:, 1:].mean(axis=0), everyone[:, 1:].std(axis=0, ddof=1)
    low, high = everyone[:, 1:].min(axis=0), everyone[:, 1:].max(axis=0)
    shifts = np.concatenate([np.diag(0.5 * spread), np.diag(-0.5 * spread)])
    one_level = np.clip(centre + shifts, low, high)
    pseudo = np.tile(one_level, (levels, 1))
    added = 2 * p * levels
    return WeightedRows(
        np.vstack([rows.X, np.column_stack([np.ones(added), pseudo])]),
        np.concatenate([rows.codes, np.repeat(np.arange(levels), 2 * p)]),
        np.concatenate([rows.weights, np.full(added, (p + 1) / added)]),
    )


def estimate_logistic(rows: WeightedRows, levels: int) -> LogisticEstimate:
    """Return the weighted maximum-likelihood estimate.

    Raises:
        NotConvergedError: no finite maximum, or collinear predictors.
    """
    q = rows.X.shape[1]
    maximum = maximise(_evaluator(rows, levels), np.zeros((levels - 1) * q), _ignore)
    return LogisticEstimate(maximum.parameters.reshape(levels - 1, q), maximum.covariance)


def draw_logistic(estimate: LogisticEstimate, rng: Generator) -> FloatArray:
    """Draw coefficients (levels - 1, q) from the normal approximation to their posterior."""
    noise: FloatArray = cholesky(estimate.covariance, lower=True) @ rng.standard_normal(estimate.coef.size)
    drawn: FloatArray = estimate.coef + noise.reshape(estimate.coef.shape)
    return drawn


def draw_codes(X: FloatArray, coef: FloatArray, shift: float, rng: Generator) -> IntArray:
    """Draw a code for each row of X (n, q); `shift` is added to the log odds of every level against the first."""
    eta = np.column_stack([np.zeros(X.shape[0]), X @ coef.T + shift])
    probability: FloatArray = np.exp(eta - np.asarray(logsumexp(eta, axis=1, keepdims=True)))
    bounds: FloatArray = np.cumsum(probability, axis=1)
    lots: FloatArray = rng.random(X.shape[:1])
    return np.asarray((lots[:, None] > bounds[:, :-1]).sum(axis=1), dtype=np.int64)


def _evaluator(rows: WeightedRows, levels: int) -> Callable[[FloatArray], LikelihoodSums]:
    def evaluate(parameters: FloatArray) -> LikelihoodSums:
        coef = parameters.reshape(levels - 1, -1)
        total = empty_sums(parameters.size)
        for first in range(0, rows.codes.size, CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            total = total + _chunk_sums(rows.X[part], rows.codes[part], rows.weights[part], coef)
        return total

    return evaluate


def _chunk_sums(X: FloatArray, codes: IntArray, weights: FloatArray, coef: FloatArray) -> LikelihoodSums:
    eta = np.column_stack([np.zeros(codes.size), X @ coef.T])
    log_probability = eta - np.asarray(logsumexp(eta, axis=1, keepdims=True))
    probability = np.exp(log_probability)
    loglik = float(weights @ log_probability[np.arange(codes.size), codes])
    others, q = coef.shape
    residual = weights[:, None] * ((codes[:, None] == np.arange(1, others + 1)) - probability[:, 1:])
    information = np.empty((others * q, others * q))
    for k in range(others):
        for other in range(k, others):
            pair = probability[:, k + 1] * probability[:, other + 1]
            # p (1 - p) as p times the sum of the rest: no cancellation where p is near 1.
            weight = probability[:, k + 1] * np.delete(probability, k + 1, 1).sum(axis=1) if k == other else -pair
            block = X.T @ (X * (weights * weight)[:, None])
            information[k * q : (k + 1) * q, other * q : (other + 1) * q] = block
            information[other * q : (other + 1) * q, k * q : (k + 1) * q] = block
    return LikelihoodSums(loglik, (residual.T @ X).ravel(), information)


def _ignore(direction: FloatArray) -> None:
    """Watch nothing: augmented rows cannot be separated."""
    del direction
