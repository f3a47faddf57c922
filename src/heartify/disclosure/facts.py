"""The exact counts and spreads of a cohort that the rules judge. Confidential: facts never leave the
enclave, and have no repr that could carry them into a log.

Built here from the contributing hospitals' complete cases. Every column with two values is treated as a factor with
two levels, whatever the plan calls it, so that the small-cell rule can't be avoided by declaring a flag as a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Block(Protocol):
    """One hospital's complete cases: X (n, p) in clinical units, y (n,) of zeros and ones."""

    @property
    def name(self) -> str:
        """Return the hospital's name."""

    @property
    def X(self) -> FloatArray:  # noqa: N802 - the matrix of the cited papers
        """Return the terms (n, p)."""

    @property
    def y(self) -> FloatArray:
        """Return the outcome (n,)."""


@dataclass(frozen=True, slots=True, repr=False)
class OutcomeCount:
    """How many patients of a group there are, and how many of them have the outcome."""

    n: int
    events: int

    @property
    def non_events(self) -> int:
        """Return how many do not have the outcome."""
        return self.n - self.events


@dataclass(frozen=True, slots=True, repr=False)
class HospitalFacts:
    """A contributing hospital's complete cases."""

    name: str
    outcomes: OutcomeCount


@dataclass(frozen=True, slots=True, repr=False)
class FactorFacts:
    """A binary or categorical factor: the outcome counts of each of its levels, over the pooled rows."""

    name: str
    levels: tuple[OutcomeCount, ...]


@dataclass(frozen=True, slots=True, repr=False)
class TwoValued:
    """A column with two values: how far apart they are (clinical units), and how many rows have each."""

    spread: float
    n_low: int
    n_high: int


@dataclass(frozen=True, slots=True, repr=False)
class TermFacts:
    """A column of the model: its sample SD (divisor n - 1, clinical units, pooled) and, if so, its two values."""

    name: str
    sd: float
    two_valued: TwoValued | None = None


@dataclass(frozen=True, slots=True, repr=False)
class CohortFacts:
    """All that the rules look at before and after the fit; hospitals are the contributing ones, in fitting order."""

    hospitals: tuple[HospitalFacts, ...]
    terms: tuple[TermFacts, ...]
    factors: tuple[FactorFacts, ...]

    @property
    def pooled(self) -> OutcomeCount:
        """Return the exact pooled counts."""
        counts = [hospital.outcomes for hospital in self.hospitals]
        return OutcomeCount(sum(count.n for count in counts), sum(count.events for count in counts))

    @property
    def n_parameters(self) -> int:
        """Return the number of fitted parameters: one per term and one intercept per hospital."""
        return len(self.terms) + len(self.hospitals)


def build_cohort_facts(
    blocks: Sequence[Block], term_names: Sequence[str], categorical: Mapping[str, Sequence[object]] | None = None
) -> CohortFacts:
    """Count what the rules need from the contributing blocks.

    `categorical` gives, for each factor that enters as several dummy columns, its level in every row, in block order:
    the reference level has no column of its own and would go unchecked without it.

    Raises:
        ValueError: no blocks, or names, columns and rows do not match.
    """
    X, y = np.vstack([block.X for block in blocks]), np.concatenate([block.y for block in blocks])
    hospitals = tuple(HospitalFacts(block.name, _count(block.y)) for block in blocks)
    columns = dict(zip(term_names, X.T, strict=True))
    terms = tuple(_term_facts(name, column) for name, column in columns.items())
    flags = {term.name: columns[term.name] for term in terms if term.two_valued is not None}
    factors = [build_factor_facts(name, column.tolist(), y) for name, column in flags.items()]
    factors += [build_factor_facts(name, levels, y) for name, levels in (categorical or {}).items()]
    return CohortFacts(hospitals, terms, tuple(factors))


def build_factor_facts(name: str, levels: Sequence[object], y: FloatArray) -> FactorFacts:
    """Count a factor's levels: levels[i] is that of the row with outcome y[i].

    Raises:
        ValueError: levels and y differ in length.
    """
    counts: dict[object, list[int]] = {}
    for level, outcome in zip(levels, y.tolist(), strict=True):
        count = counts.setdefault(level, [0, 0])
        count[0] += 1
        count[1] += int(outcome)
    return FactorFacts(name, tuple(OutcomeCount(n, events) for n, events in counts.values()))


def _count(y: FloatArray) -> OutcomeCount:
    return OutcomeCount(int(y.size), int(y.sum()))


def _term_facts(name: str, column: FloatArray) -> TermFacts:
    sd = float(np.std(column, ddof=1)) if column.size > 1 else 0.0
    low, high = float(column.min()), float(column.max())
    n_low, n_high = int((column == low).sum()), int((column == high).sum())
    if low == high or n_low + n_high != column.size:
        return TermFacts(name, sd)
    return TermFacts(name, sd, TwoValued(high - low, n_low, n_high))
