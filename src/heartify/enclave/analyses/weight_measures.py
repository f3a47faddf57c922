"""What [weights] measures of a fitted cohort and of each bootstrap replicate, as vectors under one another.

A measure knows the cohort's values and how to find a replicate's from its estimates and case weights. One fit a
replicate serves all measures (two where interactions keep dominance from using the plan's own model).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.analyses.exposures import ReferenceLevel
from heartify.enclave.analyses.refits import CaseWeights, CoxRefits, Drawn, Estimates, Floats, LogisticRefits, Refits
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.enclave.analyses.weight_scales import WeightScales
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import StatsError
from heartify.stats.importance import Term, bootstrap, draw_weights

OfReplicate = Callable[[int, Estimates, CaseWeights], Floats]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Measure:
    """A named vector of figures: the cohort's (m,), and a replicate's by its number, estimates and case weights.

    `prepare` is given all replicates' weights first.
    """

    name: str
    cohort: Floats
    of_replicate: OfReplicate
    prepare: Callable[[Sequence[Drawn]], None] | None = None


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Draws:
    """The replicates' figures by measure (B', m); `asked` and `failed` count replicates."""

    by_measure: dict[str, Floats]
    asked: int
    used: int
    failed: int

    def of(self, name: str, fewest: int) -> Floats | None:
        """Return a measure's draws (B', m), or None where it has fewer than that."""
        return self.by_measure.get(name) if self.used >= fewest else None


def terms_of(data: StudyData, names: Sequence[str]) -> tuple[Term, ...]:
    """Return terms of the model with their columns."""
    return tuple(Term(name, data.model.columns_of(name)) for name in names)


def build_refits(data: StudyData, columns: Sequence[int]) -> Refits:
    """Prepare the plan's model with some of its columns.

    Raises:
        StatsError: it can't be fitted.
    """
    names, chosen = [data.names[column] for column in columns], list(columns)
    if data.plan.analysis.model == "cox":
        survival = [dataclasses.replace(block, X=block.X[:, chosen]) for block in data.survival]
        return CoxRefits(survival, names, data.plan.analysis.ties)
    return LogisticRefits([CohortBlock(block.name, block.X[:, chosen], block.y) for block in data.blocks], names)


def scale_measure(scales: WeightScales, refits: Refits) -> Measure:
    """Return slopes, SD effects and chi2 - df as one measure, `scales`."""
    return Measure("scales", scales.vector(refits.fit()), lambda _number, found, _weights: scales.vector(found))


def share_measure(shares: ShapleyShares, main: Refits, refits: Refits) -> Measure:
    """Return the terms' shares of R2 as a measure, `shares`, of the model of main effects."""

    def of_replicate(number: int, found: Estimates, weights: CaseWeights) -> Floats:
        return shares.of_replicate(number, found if main is refits else main.fit(weights), weights)

    return Measure("shares", shares.share, of_replicate, shares.prepare)


def fraction_measure(references: Sequence[ReferenceLevel], refits: Refits) -> Measure:
    """Return the attributable fractions, method by method, as a measure, `fractions`."""
    exposures = [level.exposure for level in references]

    def of_replicate(_number: int, found: Estimates, weights: CaseWeights) -> Floats:
        return refits.fractions(exposures, found, weights)

    return Measure("fractions", refits.fractions(exposures, refits.fit()), of_replicate)


def draw(
    measures: Sequence[Measure], refits: Refits, replicates: int, generator: Callable[[], np.random.Generator]
) -> Draws:
    """Draw replicates, patients within hospitals, and take every measure of each; a failed one is not drawn again.

    `generator` gives the same random numbers each time that it is called.
    """
    numbers = itertools.count()
    if replicates > 1 and any(measure.prepare for measure in measures):
        random = generator()
        draws = [_compact(draw_weights(refits.rows, random)) for _ in range(replicates)]
        for prepare in [measure.prepare for measure in measures if measure.prepare is not None]:
            prepare(draws)

    def statistic(weights: CaseWeights) -> Floats:
        number, found = next(numbers), refits.fit(weights)
        return np.concatenate([measure.of_replicate(number, found, weights) for measure in measures])

    try:
        found = bootstrap(refits.rows, statistic, replicates, generator())
    except StatsError:  # fewer than two replicates asked for, or fewer than two with estimates
        return Draws({}, replicates, 0, replicates if replicates > 1 else 0)
    ends = np.cumsum([measure.cohort.size for measure in measures])[:-1]
    parts = np.split(found.estimates, ends, axis=1)
    by_measure = {measure.name: part for measure, part in zip(measures, parts, strict=True)}
    return Draws(by_measure, replicates, found.estimates.shape[0], found.failed)


def _compact(weights: CaseWeights) -> list[NDArray[np.uint8]]:
    """Return case weights as bytes: nobody is drawn 256 times out of n draws from n."""
    return [case.astype(np.uint8) for case in weights]
