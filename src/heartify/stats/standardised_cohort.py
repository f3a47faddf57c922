"""The cohort as every logistic fit sees it: standardised columns, one intercept a hospital, and sums that add up.

Inside, parameters are hospital intercepts and standardised slopes; outside, R's treatment coding in clinical units (see
coding.py). What is asked from a hospital is a sum over its rows. Holds row-level
arrays, so it is never part of a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names, parameter_names, treatment_map
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.likelihood import CHUNK_ROWS, LikelihoodSums, logistic_sums
from heartify.stats.rank import check_rank
from heartify.stats.roc import auc
from heartify.stats.separation import block_margins, check_direction


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

    def start_information(self) -> FloatArray:
        """Return the information (q, q) at `start`, where all weights are equal.

        Raises:
            RankDeficientError: a term is a combination of other terms and hospital intercepts.
        """
        information = self.sums(self.start).information
        check_rank(information)
        return information

    def check_direction(self, step: FloatArray) -> None:
        """Check that a direction (q,) of the internal parameters does not separate the outcome.

        Raises:
            SeparationError: it does.
        """
        check_direction(
            [block_margins(part.Z, part.y, float(step[part.own[0]]), step[part.own[1:]]) for part in self.hospitals]
        )

    def auc(self, parameters: FloatArray) -> float:
        """Return the apparent AUC of the predictor at internal parameters (q,), hospital intercepts included."""
        scores = [_predictor(part, parameters) for part in self.hospitals]
        return auc(np.concatenate(scores), np.concatenate([part.y for part in self.hospitals]))

    def chunks(self) -> Iterator[HospitalRows]:
        """Yield all rows in pieces of bounded size, hospital by hospital."""
        for hospital in self.hospitals:
            for first in range(0, hospital.y.size, CHUNK_ROWS):
                rows = slice(first, first + CHUNK_ROWS)
                yield HospitalRows(hospital.own, hospital.Z[rows], hospital.y[rows])


def standardise(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> StandardisedCohort:
    """Return the cohort of some hospitals, of full rank.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant, or a combination of terms and hospital intercepts.
    """
    cohort = build_cohort(blocks, term_names)
    cohort.start_information()
    return cohort


def build_cohort(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> StandardisedCohort:
    """Return the cohort of some hospitals, whose rank `start_information` will tell.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant.
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
    return StandardisedCohort(
        names=parameter_names(term_names, blocks),
        term_names=tuple(term_names),
        hospitals=hospitals,
        T=treatment_map(moments, len(blocks)),
        n=n,
        events=events,
    )


def _predictor(rows: HospitalRows, parameters: FloatArray) -> FloatArray:
    # Column by column, not Z @ slopes: BLAS may round equal rows differently, which would break ties of the AUC.
    scores = np.full(rows.y.size, float(parameters[rows.own[0]]))
    for j, slope in enumerate(parameters[rows.own[1:]]):
        scores += rows.Z[:, j] * slope
    return scores
