"""How columns and their gaps go together: one rounded correlation for each pair of latent normal variables.

A pair needs 50 patients in whom both are known, and a correlation beyond what chance gives; it is rounded to 2
decimals, and only then is the matrix made positive definite, so nothing finer than the rounded numbers is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.cohort.catalogue.twin.latent_values import FloatArray
from heartify.cohort.catalogue.twin.normal_scores import NormalScores, latent_correlations

LEAST_PAIRS = 50
CHANCE_SE = 2.0
"""A correlation within two standard errors of 0 counts as 0."""

DECIMALS = 2
LEAST_EIGENVALUE = 0.01


def rounded_correlations(columns: Sequence[NormalScores]) -> FloatArray:
    """Return the rounded latent correlations (p, p) of columns of equal length."""
    if not columns:
        return np.zeros((0, 0))
    scores = np.stack([column.scores for column in columns], axis=1)
    known = ~np.isnan(scores)
    filled, shown = np.where(known, scores, 0.0).astype(np.float32), known.astype(np.float32)
    pairs = (shown.T @ shown).astype(np.float64)
    safe = np.maximum(pairs, 1.0)
    sums = (filled.T @ shown).astype(np.float64)
    covariances = (filled.T @ filled).astype(np.float64) / safe - (sums / safe) * (sums.T / safe)
    spreads = np.sqrt(np.nanvar(scores, axis=0))
    chance = CHANCE_SE * np.outer(spreads, spreads) / np.sqrt(safe)
    told = (pairs >= LEAST_PAIRS) & (np.abs(covariances) > chance)
    latent = latent_correlations(covariances, np.stack([column.coefficients for column in columns]))
    correlations = np.where(told, np.round(latent, DECIMALS), 0.0)
    np.fill_diagonal(correlations, 1.0)
    return np.asarray((correlations + correlations.T) / 2)


def positive_definite(correlations: FloatArray) -> FloatArray:
    """Return the nearby correlation matrix whose eigenvalues are all at least about 0.01."""
    if correlations.size == 0:
        return correlations
    values, vectors = np.linalg.eigh(correlations)
    if values[0] >= LEAST_EIGENVALUE:
        return correlations
    raised = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(raised))
    return np.asarray(raised * np.outer(scale, scale))
