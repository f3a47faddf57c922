"""The scales of weights that come from estimates and their covariance alone: per SD, and partial chi-square.

One vector per fit, the cohort's or a replicate's: per-unit slopes (p,), the SD of each term's part of the predictor
(k,), and chi2 - df (k,). Terms are ranked by the second and the third; a term of one column has |slope x SD| for the
second. Trusts that terms fit the columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from heartify.enclave.analyses.refits import Estimates, Floats
from heartify.stats.importance import Term
from heartify.stats.importance.partial import wald_chi2


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class WeightScales:
    """What a vector of scales is made of: the terms, and the covariance (p, p) of the columns over the cohort."""

    terms: tuple[Term, ...]
    column_covariance: Floats

    def vector(self, found: Estimates) -> Floats:
        """Return slopes (p,), SD effects (k,), chi2 - df (k,) of a fit.

        Raises:
            RankDeficientError: the covariance of a term's estimates is singular.
        """
        excess = [wald_chi2(found.coef, found.covariance, term.columns) - len(term.columns) for term in self.terms]
        return np.concatenate([found.coef, self._spread(found.coef), excess])

    def parts(self) -> tuple[slice, slice, slice]:
        """Return where the three scales stand in the vector."""
        p, k = self.column_covariance.shape[0], len(self.terms)
        return slice(0, p), slice(p, p + k), slice(p + k, p + 2 * k)

    def _spread(self, coef: Floats) -> Floats:
        variances = [float(coef[own] @ self.column_covariance[np.ix_(own, own)] @ coef[own])
                     for own in (np.array(term.columns) for term in self.terms)]  # fmt: skip
        return np.sqrt(np.maximum(variances, 0.0))


def weight_scales(terms: Sequence[Term], matrices: Sequence[Floats]) -> WeightScales:
    """Return the scales of terms over the pooled rows of hospitals' matrices (n_h, p), divisor n - 1."""
    n = sum(X.shape[0] for X in matrices)
    mean = sum(X.sum(axis=0) for X in matrices) / n
    products = [(X - mean).T @ (X - mean) for X in matrices]
    return WeightScales(tuple(terms), np.sum(products, axis=0) / max(n - 1, 1))
