"""A column's ranks on the scale of a standard normal variable, with ties, and what ties do to its covariances.

A tied group (a level, a pile at zero) stands for an interval of the normal scale and gets its mean there. Such a step
function f has Hermite coefficients c[k], and two of them on a bivariate normal pair with correlation r have covariance
sum over k of c1[k] c2[k] r**k (Mehler's formula). Inverted, it gives the latent correlation of columns of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from heartify.cohort.catalogue.twin.latent_values import FloatArray

ORDERS = 20
BINS = 1000
"""Ranks are told apart to a thousandth: finer changes no second decimal of a correlation."""

LARGEST = 0.98
_HALVINGS = 30


@dataclass(frozen=True, slots=True)
class NormalScores:
    """Scores of the rows, NaN where missing (single precision: there are many), and coefficients 1 to ORDERS."""

    scores: npt.NDArray[np.float32]
    coefficients: FloatArray


def normal_scores(values: FloatArray) -> NormalScores | None:
    """Return the scores of a column's values; None when all known ones are alike."""
    known = ~np.isnan(values)
    distinct, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    if distinct.size < 2:
        return None
    n = float(counts.sum())
    middle = (np.cumsum(counts) - counts / 2) / n
    group = np.unique(np.floor(middle * BINS), return_inverse=True)[1]
    bounds = np.concatenate(([0.0], np.cumsum(np.bincount(group, weights=counts)) / n))
    bounds[-1] = 1.0
    edges = ndtri(bounds)
    densities = np.where(np.isfinite(edges), np.exp(-(np.nan_to_num(edges, posinf=0, neginf=0) ** 2) / 2), 0.0)
    densities /= np.sqrt(2 * np.pi)
    means = (densities[:-1] - densities[1:]) / np.diff(bounds)
    scores = np.full(values.size, np.nan, np.float32)
    scores[known] = means[group][inverse]
    return NormalScores(scores, _coefficients(edges, densities, means))


def latent_correlations(covariances: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Return the correlation of each pair of latent normal variables that gives the covariance of their scores.

    covariances is (p, p), coefficients (p, ORDERS). The covariance rises with the correlation, so halving finds it.
    """
    products = [np.outer(order, order) for order in coefficients.T]
    low, high = np.full_like(covariances, -LARGEST), np.full_like(covariances, LARGEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = np.zeros_like(covariances)
        for product in reversed(products):  # Horner
            reached = (reached + product) * middle
        below = reached < covariances
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def _coefficients(edges: FloatArray, densities: FloatArray, means: FloatArray) -> FloatArray:
    """Integrate mean x h[k] x density over the intervals: the integral of h[k] is -h[k-1] density / sqrt(k)."""
    finite = np.nan_to_num(edges, posinf=0.0, neginf=0.0)
    previous, current = np.zeros_like(finite), np.ones_like(finite)  # h[-1], h[0]
    found = np.empty(ORDERS)
    for order in range(1, ORDERS + 1):
        parts = current * densities
        found[order - 1] = float((means * (parts[:-1] - parts[1:])).sum()) / np.sqrt(order)
        previous, current = current, (finite * current - np.sqrt(order - 1) * previous) / np.sqrt(order)
    return found
