"""A model's design: terms fixed once over all hospitals, then applied to each hospital's raw columns.

A study plan gives specs (how many knots, which reference level); `fix_design` turns them into terms with knots and
levels from the pooled values. The design knows which columns each term has, so that tests of k degrees of freedom,
plots and reports speak of terms and not of column numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.design.categories import Categorical, CategoricalSpec, check_levels_occur, found_categorical
from heartify.stats.design.columns import Columns, pooled_column, raw_column
from heartify.stats.design.interactions import Interaction, Term
from heartify.stats.design.splines import Spline, SplineSpec, harrell_knots
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True)
class Linear:
    """One raw column as it is, with one coefficient per clinical unit."""

    column: str

    @property
    def label(self) -> str:
        """Return the term's name in a model."""
        return self.column

    @property
    def sources(self) -> frozenset[str]:
        """Return the raw columns that the term reads."""
        return frozenset((self.column,))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of the column."""
        return (self.column,)

    def matrix(self, columns: Columns) -> FloatArray:
        """Return the term's column (n, 1)."""
        return raw_column(columns, self.column)[:, None]


@dataclass(frozen=True, slots=True)
class InteractionSpec:
    """Ask for all products of the columns of two terms, which the design must have on their own too."""

    left: TermSpec
    right: TermSpec


TermSpec = Linear | SplineSpec | Spline | CategoricalSpec | Categorical | InteractionSpec | Interaction


@dataclass(frozen=True, slots=True)
class Design:
    """A model's terms in order, p columns in all; the intercepts are the fit's business.

    Raises:
        InvalidBlockError: no terms, two columns of one name, or an interaction without its main effects.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise InvalidBlockError("a design needs at least one term")
        if len(set(self.names)) != len(self.names):
            raise InvalidBlockError("two columns of the design have the same name")
        for term in self.terms:
            if isinstance(term, Interaction) and not {*term.left.names, *term.right.names} <= set(self.names):
                raise InvalidBlockError(f"interaction {term.label!r} stands without its main effects")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all columns (p)."""
        return tuple(name for term in self.terms for name in term.names)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Return each term's slice of the p columns, in the order of the terms."""
        ends = list(accumulate(len(term.names) for term in self.terms))
        return tuple(slice(first, end) for first, end in zip([0, *ends[:-1]], ends, strict=True))

    def slice_of(self, label: str) -> slice:
        """Return the slice of the p columns that belongs to the term of that label.

        Raises:
            InvalidBlockError: no term has that label.
        """
        for term, columns in zip(self.terms, self.slices, strict=True):
            if term.label == label:
                return columns
        raise InvalidBlockError(f"the design has no term {label!r}")

    def names_of(self, label: str) -> tuple[str, ...]:
        """Return the names of the columns of the term of that label.

        Raises:
            InvalidBlockError: no term has that label.
        """
        return self.names[self.slice_of(label)]

    def names_involving(self, column: str) -> tuple[str, ...]:
        """Return the names of all columns made from that raw column, interactions included: for its total test.

        Raises:
            InvalidBlockError: no term reads that column.
        """
        found = tuple(name for term in self.terms if column in term.sources for name in term.names)
        if not found:
            raise InvalidBlockError(f"no term of the design reads column {column!r}")
        return found

    def matrix(self, columns: Columns) -> FloatArray:
        """Return X (n, p) of one hospital's raw columns.

        Raises:
            InvalidBlockError: a column is absent or not clean, columns differ in length, a value is no level.
        """
        if len({raw_column(columns, name).size for term in self.terms for name in term.sources}) != 1:
            raise InvalidBlockError("columns differ in their number of rows")
        return np.hstack([term.matrix(columns) for term in self.terms])

    def block(self, name: str, columns: Columns, y: FloatArray) -> CohortBlock:
        """Return one hospital's block: X (n, p) of its raw columns, with its outcome y (n,).

        Raises:
            InvalidBlockError: as `matrix` and `CohortBlock`.
        """
        return CohortBlock(name, self.matrix(columns), y)


def fix_design(specs: Sequence[TermSpec], hospitals: Sequence[Columns]) -> Design:
    """Fix knots and levels over the pooled rows of all hospitals; how rows are split over them changes nothing.

    Raises:
        InvalidBlockError: a spec, a column or the whole does not fit together.
        RankDeficientError: knots tie, or a level has no row.
    """
    return Design(tuple(_fix_term(spec, hospitals) for spec in specs))


def _fix_term(spec: TermSpec, hospitals: Sequence[Columns]) -> Term:
    match spec:
        case SplineSpec(column, knots):
            return Spline(column, harrell_knots(pooled_column(hospitals, column), knots))
        case CategoricalSpec(column):
            return found_categorical(spec, pooled_column(hospitals, column))
        case Categorical(column):
            check_levels_occur(spec, pooled_column(hospitals, column))
            return spec
        case InteractionSpec(left, right):
            return Interaction(_fix_term(left, hospitals), _fix_term(right, hospitals))
        case _:
            return spec
