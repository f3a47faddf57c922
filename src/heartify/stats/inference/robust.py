"""Covariances that stay right when the model's variance is not: Huber-White's sandwich, and by cluster.

V = B M B with B the inverse information and M the sum over rows, or over clusters, of score x score' (White 1982; Liang
and Zeger 1986; sandwich::vcovHC type "HC0", sandwich::vcovCL type "HC0"). M adds up over hospitals; score sums of a
cluster add up over its rows, wherever they are. With few clusters (below 40, say) the result is too small on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.logistic import PooledLogisticFit, check_fit_belongs
from heartify.stats.standardised_cohort import HospitalRows, StandardisedCohort, standardise


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RobustCovariance:
    """A covariance (q, q) in the order of the fit's names; `clusters` is n for HC0.

    `small_sample` says whether it was multiplied by clusters / (clusters - 1).
    """

    covariance: FloatArray
    clusters: int
    small_sample: bool

    @property
    def se(self) -> FloatArray:
        """Return the robust standard errors (q,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def sandwich_covariance(blocks: Sequence[CohortBlock], fit: PooledLogisticFit) -> RobustCovariance:
    """Return the HC0 covariance of a fit on these blocks; every row is a cluster of its own.

    Raises:
        InvalidBlockError: the fit is of other blocks.
    """
    check_fit_belongs(blocks, fit)
    cohort = standardise(blocks, fit.term_names)
    parameters = cohort.inside(fit.coef)
    meat = np.zeros((cohort.q, cohort.q))
    for rows in cohort.chunks():
        own = rows.own
        scores = _row_scores(rows, parameters)
        meat[np.ix_(own, own)] += scores.T @ scores
    return RobustCovariance(_sandwich(cohort, fit, meat), cohort.n, small_sample=False)


def hospital_cluster_covariance(
    blocks: Sequence[CohortBlock], fit: PooledLogisticFit, *, small_sample: bool = True
) -> RobustCovariance:
    """Return the covariance with each hospital as one cluster; its rank is below the number of hospitals.

    `small_sample` multiplies by G / (G - 1), as sandwich::vcovCL does with cadjust = TRUE.

    Raises:
        InvalidBlockError: the fit is of other blocks, or there are fewer than two hospitals.
    """
    ids = [np.full(block.n, index) for index, block in enumerate(blocks)]
    return cluster_covariance(blocks, fit, ids, small_sample=small_sample)


def cluster_covariance(
    blocks: Sequence[CohortBlock],
    fit: PooledLogisticFit,
    clusters: Sequence[ArrayLike],
    *,
    small_sample: bool = True,
) -> RobustCovariance:
    """Return the covariance clustered by ids, one array (n,) of integers or strings a block; an id is the same cluster
    in every block (a person seen in two hospitals, say).

    Raises:
        InvalidBlockError: ids do not fit the blocks, the fit is of other blocks, or there are fewer than two clusters.
    """
    check_fit_belongs(blocks, fit)
    codes, count = _cluster_codes(blocks, clusters)
    cohort = standardise(blocks, fit.term_names)
    parameters = cohort.inside(fit.coef)
    totals = np.zeros((count, cohort.q))
    first = 0
    for rows in cohort.chunks():
        code = codes[first : first + rows.y.size]
        first += rows.y.size
        for column, scores in zip(rows.own, _row_scores(rows, parameters).T, strict=True):
            totals[:, column] += np.bincount(code, weights=scores, minlength=count)
    factor = count / (count - 1) if small_sample else 1.0
    return RobustCovariance(_sandwich(cohort, fit, factor * (totals.T @ totals)), count, small_sample)


def _cluster_codes(blocks: Sequence[CohortBlock], clusters: Sequence[ArrayLike]) -> tuple[NDArray[np.intp], int]:
    ids = [np.asarray(part) for part in clusters]
    if len(ids) != len(blocks) or any(a.shape != (block.n,) for a, block in zip(ids, blocks, strict=True)):
        raise InvalidBlockError("expected one array of cluster ids (n,) for each block")
    if len({part.dtype.kind for part in ids}) != 1 or ids[0].dtype.kind not in "iuUS":
        raise InvalidBlockError("cluster ids must all be integers, or all be strings")
    levels, codes = np.unique(np.concatenate(ids), return_inverse=True)
    if levels.size < 2:
        raise InvalidBlockError("a cluster-robust covariance needs at least two clusters")
    return codes.astype(np.intp), int(levels.size)


def _row_scores(rows: HospitalRows, parameters: FloatArray) -> FloatArray:
    own = rows.own
    sign = 2.0 * rows.y - 1.0
    residual = sign * expit(-sign * (parameters[own[0]] + rows.Z @ parameters[own[1:]]))
    return np.column_stack([residual, rows.Z * residual[:, None]])


def _sandwich(cohort: StandardisedCohort, fit: PooledLogisticFit, meat: FloatArray) -> FloatArray:
    # theta = T beta, so that the score in theta is T'^-1 times the internal one.
    half = fit.covariance @ np.linalg.solve(cohort.T.T, np.eye(cohort.q))
    covariance: FloatArray = half @ meat @ half.T
    return (covariance + covariance.T) / 2.0
