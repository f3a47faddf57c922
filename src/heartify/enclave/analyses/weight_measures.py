"""What [weights] measures of a fitted cohort and of each bootstrap replicate, as vectors under one another.

A measure knows the cohort's values and how to find a replicate's from its estimates and case weights. One fit a
replicate serves all measures (two where interactions keep dominance from using the plan's own model).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from heartify.enclave.analyses.exposures import ReferenceLevel
from heartify.enclave.analyses.refits import CaseWeights, CoxRefits, Estimates, Floats, LogisticRefits, Refits
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.enclave.analyses.weight_scales import WeightScales
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import StatsError
from heartify.stats.importance import Term, bootstrap

OfReplicate = Callable[[Estimates, CaseWeights], Floats]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Measure:
    """A named vector of figures: the cohort's (m,), and a replicate's."""

    name: str
    cohort: Floats
    of_replicate: OfReplicate


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
    return Measure("scales", scales.vector(refits.fit()), lambda found, _: scales.vector(found))


def share_measure(shares: ShapleyShares, main: Refits, refits: Refits) -> Measure:
    """Return the terms' shares of R2 as a measure, `shares`, of the model of main effects."""

    def of_replicate(found: Estimates, weights: CaseWeights) -> Floats:
        return shares.of_replicate(found if main is refits else main.fit(weights), weights)

    return Measure("shares", shares.share, of_replicate)


def fraction_measure(references: Sequence[ReferenceLevel], refits: Refits) -> Measure:
    """Return the attributable fractions, method by method, as a measure, `fractions`."""
    exposures = [level.exposure for level in references]

    def of_replicate(found: Estimates, weights: CaseWeights) -> Floats:
        return refits.fractions(exposures, found, weights)

    return Measure("fractions", refits.fractions(exposures, refits.fit()), of_replicate)


def draw(measures: Sequence[Measure], refits: Refits, replicates: int, random: np.random.Generator) -> Draws:
    """Draw replicates, patients within hospitals, and take every measure of each; a failed one is not drawn again."""

    def statistic(weights: CaseWeights) -> Floats:
        found = refits.fit(weights)
        return np.concatenate([measure.of_replicate(found, weights) for measure in measures])

    try:
        found = bootstrap(refits.rows, statistic, replicates, random)
    except StatsError:  # fewer than two replicates asked for, or fewer than two with estimates
        return Draws({}, replicates, 0, replicates if replicates > 1 else 0)
    ends = np.cumsum([measure.cohort.size for measure in measures])[:-1]
    parts = np.split(found.estimates, ends, axis=1)
    by_measure = {measure.name: part for measure, part in zip(measures, parts, strict=True)}
    return Draws(by_measure, replicates, found.estimates.shape[0], found.failed)
