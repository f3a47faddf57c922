"""Bootstrap replicates of many logistic fits at once: their log-likelihoods by one Newton step from the cohort's fits.

At a fit's own estimates a replicate's log-likelihood and score are sums weighted by how often each patient was drawn:
a product of matrices serves all replicates. The step adds half of score' information^-1 score, with the cohort's
information; what that neglects is of the third order in the replicate's deviation. Row-level temporaries live for one
chunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from heartify.stats.blocks import CohortBlock
from heartify.stats.importance import Refit, WeightedLogistic

Floats = NDArray[np.float64]
CHUNK_ROWS = 4_096


def one_step_logliks(
    blocks: Sequence[CohortBlock],
    design: WeightedLogistic,
    fits: Sequence[Refit],
    draws: Sequence[Sequence[NDArray[np.uint8]]],
) -> Floats:
    """Return (replicates, fits) the maximised log-likelihoods of replicates whose case weights are `draws`."""
    found = np.zeros((len(draws), len(fits)))
    scores = [np.zeros((fit.columns.size, len(draws))) for fit in fits]
    for h, block in enumerate(blocks):
        own = [_HospitalSums(fit, len(draws)) for fit in fits]
        for first in range(0, block.n, CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            lines = ((block.X[rows] - design.mean) / design.sd).T
            cases = np.stack([draw[h][rows] for draw in draws], axis=1).astype(np.float64)
            for fit, sums in zip(fits, own, strict=True):
                sums.add(lines[fit.columns], block.y[rows], float(fit.intercepts[h]), cases)
        for number, sums in enumerate(own):
            found[:, number] += sums.loglik + sums.intercept_gain()
            scores[number] += sums.profiled_score()
    for number, (fit, score) in enumerate(zip(fits, scores, strict=True)):
        found[:, number] += ((fit.covariance @ score) * score).sum(axis=0) / 2.0
    return found


class _HospitalSums:
    """One hospital's sums at one fit: of all replicates log-likelihood and score, of the cohort the information."""

    def __init__(self, fit: Refit, replicates: int) -> None:
        self._slopes, m = fit.slopes, fit.columns.size
        self.loglik, self._intercept_score = np.zeros(replicates), np.zeros(replicates)
        self._score, self._weight, self._weighted = np.zeros((m, replicates)), 0.0, np.zeros(m)

    def add(self, Z: Floats, y: Floats, intercept: float, cases: Floats) -> None:  # noqa: N803 - the usual matrix
        """Add rows Z (m, n), y (n,) with case weights (n, replicates); an infinite intercept adds nothing."""
        if not np.isfinite(intercept):
            return
        signed = (2.0 * y - 1.0) * (intercept + self._slopes @ Z)
        tail = expit(-signed)
        residual, weight = (2.0 * y - 1.0) * tail, tail * expit(signed)
        sums = np.vstack([-np.logaddexp(0.0, -signed), residual, Z * residual]) @ cases
        self.loglik += sums[0]
        self._intercept_score += sums[1]
        self._score += sums[2:]
        self._weight += float(weight.sum())
        self._weighted += Z @ weight

    def intercept_gain(self) -> Floats:
        """Return half the squared score of the intercept over its information, for each replicate."""
        return self._intercept_score**2 / (2.0 * self._weight) if self._weight > 0 else np.zeros_like(self.loglik)

    def profiled_score(self) -> Floats:
        """Return the score of the slopes (m, replicates), the intercept being profiled out."""
        if not self._weight > 0:
            return self._score
        return self._score - np.outer(self._weighted, self._intercept_score) / self._weight
