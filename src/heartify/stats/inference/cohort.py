"""The cohort as every inference sees it: standardised columns, one intercept a hospital, and sums that add up.

The same parametrisation as `fit_pooled_logistic` (see coding.py): inside, hospital intercepts and standardised slopes;
outside, R's treatment coding in clinical units. What is asked from a hospital is a sum over its rows. Holds row-level
arrays, so it is never part of a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh, solve

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names, parameter_names, treatment_map
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, RankDeficientError
from heartify.stats.likelihood import CHUNK_ROWS, LikelihoodSums, logistic_sums
from heartify.stats.logistic import RANK_TOLERANCE, PooledLogisticFit


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HospitalRows:
    """Some rows of one hospital: Z (n, p) standardised, y (n,), and the indices `own` (1 + p,) of its parameters."""

    own: NDArray[np.intp]
    Z: FloatArray
    y: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StandardisedCohort:
    """Hold the standardised hospitals and T (q, q): treatment-coded parameters = T @ internal ones."""

    names: tuple[str, ...]
    term_names: tuple[str, ...]
    hospitals: tuple[HospitalRows, ...]
    T: FloatArray
    n: int
    events: int

    @property
    def q(self) -> int:
        """Return the number of parameters: hospitals + p."""
        return len(self.names)

    @property
    def start(self) -> FloatArray:
        """Return the parameters (q,) of the model without factors: the pooled log odds, and slopes of zero."""
        start = np.zeros(self.q)
        start[: len(self.hospitals)] = np.log(self.events / (self.n - self.events))
        return start

    def index(self, name: str) -> int:
        """Return the position of a treatment-coded parameter.

        Raises:
            InvalidBlockError: no parameter has that name.
        """
        if name not in self.names:
            raise InvalidBlockError(f"the model has no coefficient {name!r}")
        return self.names.index(name)

    def inside(self, coef: FloatArray) -> FloatArray:
        """Return the internal parameters (q,) of treatment-coded ones."""
        inside: FloatArray = solve(self.T, coef)
        return inside

    def sums(self, parameters: FloatArray) -> LikelihoodSums:
        """Return the likelihood sums of all rows at internal parameters (q,)."""
        loglik, gradient, information = 0.0, np.zeros(self.q), np.zeros((self.q, self.q))
        for hospital in self.hospitals:
            own = hospital.own
            part = logistic_sums(hospital.Z, hospital.y, float(parameters[own[0]]), parameters[own[1:]])
            loglik += part.loglik
            gradient[own] += part.gradient
            information[np.ix_(own, own)] += part.information
        return LikelihoodSums(loglik, gradient, information)

    def chunks(self) -> Iterator[HospitalRows]:
        """Yield all rows in pieces of bounded size, hospital by hospital."""
        for hospital in self.hospitals:
            for first in range(0, hospital.y.size, CHUNK_ROWS):
                rows = slice(first, first + CHUNK_ROWS)
                yield HospitalRows(hospital.own, hospital.Z[rows], hospital.y[rows])


def standardise(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> StandardisedCohort:
    """Return the cohort of some hospitals.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant, or a combination of terms and hospital intercepts.
    """
    check_blocks(blocks)
    p = blocks[0].X.shape[1]
    check_term_names(term_names, p)
    n, events = sum(block.n for block in blocks), sum(block.events for block in blocks)
    if events in (0, n):
        raise DegenerateOutcomeError("the outcome does not vary over the pooled rows")
    moments = pooled_moments(blocks)
    check_scales(moments, term_names)
    slopes = np.arange(len(blocks), len(blocks) + p)
    hospitals = tuple(
        HospitalRows(np.append(h, slopes), (block.X - moments.mean) / moments.sd, block.y)
        for h, block in enumerate(blocks)
    )
    cohort = StandardisedCohort(
        names=parameter_names(term_names, blocks),
        term_names=tuple(term_names),
        hospitals=hospitals,
        T=treatment_map(moments, len(blocks)),
        n=n,
        events=events,
    )
    _check_rank(cohort)
    return cohort


def check_fit_belongs(blocks: Sequence[CohortBlock], fit: PooledLogisticFit) -> None:
    """Check that a fit was made on these blocks, as far as its counts can tell.

    Raises:
        InvalidBlockError: hospitals, rows, events or columns differ.
    """
    check_blocks(blocks)
    same = (
        {block.name: block.n for block in blocks} == fit.n_by_block
        and {block.name: block.events for block in blocks} == fit.events_by_block
        and [block.name for block in blocks] == list(fit.n_by_block)
        and blocks[0].X.shape[1] == len(fit.term_names)
    )
    if not same:
        raise InvalidBlockError("the fit was made on other blocks")


def _check_rank(cohort: StandardisedCohort) -> None:
    # All weights are equal at the start, so this is the Gram matrix of the design.
    information = cohort.sums(cohort.start).information
    scale = 1.0 / np.sqrt(np.diag(information))
    if float(eigvalsh(information * np.outer(scale, scale))[0]) < RANK_TOLERANCE:
        raise RankDeficientError("a term is a linear combination of other terms and hospital intercepts")
