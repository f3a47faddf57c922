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

LEAST_VARIANCE = 0.05
"""A column that hardly varies where the other is known tells nothing about the pair: a value and its own gap."""

DECIMALS = 2
LEAST_EIGENVALUE = 0.01


def rounded_correlations(columns: Sequence[NormalScores]) -> FloatArray:
    """Return the rounded latent correlations (p, p) of columns of equal length."""
    if not columns:
        return np.zeros((0, 0))
    scores = np.stack([column.scores for column in columns], axis=1)
    known = ~np.isnan(scores)
    filled, shown = np.where(known, scores, np.float32(0)), known.astype(np.float32)
    pairs = (shown.T @ shown).astype(np.float64)
    safe = np.maximum(pairs, 1.0)
    means = (filled.T @ shown).astype(np.float64) / safe  # of the row's column, where the other one is known
    covariances = (filled.T @ filled).astype(np.float64) / safe - means * means.T
    within = ((filled**2).T @ shown).astype(np.float64) / safe - means**2
    variances = np.nanvar(scores, axis=0, dtype=np.float64)
    varies = within >= LEAST_VARIANCE * variances[:, None]
    identified = (pairs >= LEAST_PAIRS) & varies & varies.T
    chance = CHANCE_SE * np.sqrt(np.outer(variances, variances) / safe)
    latent = latent_correlations(covariances, np.stack([column.coefficients for column in columns]))
    correlations = np.where(identified & (np.abs(covariances) > chance), np.round(latent, DECIMALS), 0.0)
    np.fill_diagonal(correlations, 1.0)
    correlations = (correlations + correlations.T) / 2
    return np.where(identified, correlations, _through_a_third(correlations))


def _through_a_third(correlations: FloatArray) -> FloatArray:
    """Return for each pair the strongest product of correlations with a third variable.

    A gap and the value that it hides are never seen together. Without a word about them, a gap that only smokers have
    would make the matrix contradict itself, and weaken what the data do say about smokers.
    """
    off = correlations - np.eye(len(correlations))
    found = np.zeros_like(correlations)
    for row, own in enumerate(off):
        products = own[:, None] * off
        strongest = np.abs(products).argmax(axis=0)
        found[row] = np.round(products[strongest, np.arange(len(off))], DECIMALS)
    np.fill_diagonal(found, 1.0)
    return found


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
