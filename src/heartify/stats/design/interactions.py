"""Interactions: the products of all columns of one term with all columns of another.

In the order of R's model.matrix: the left term's columns run fastest. A product of a spline and a factor thus lets the
whole curve differ between levels, and its joint test has (k - 1)(levels - 1) degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.design.columns import Columns
from heartify.stats.errors import InvalidBlockError


class Term(Protocol):
    """What a model is made of: a group of columns that belong together, computed from raw columns row by row."""

    @property
    def label(self) -> str:
        """Return the term's name in a model."""

    @property
    def sources(self) -> frozenset[str]:
        """Return the raw columns that the term reads."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the term's k columns."""

    def matrix(self, columns: Columns) -> FloatArray:
        """Return the term's columns (n, k)."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """The products of the columns of `left` (k) and `right` (m): k m columns named "left:right".

    Raises:
        InvalidBlockError: the terms share a raw column.
    """

    left: Term
    right: Term

    def __post_init__(self) -> None:
        if self.left.sources & self.right.sources:
            raise InvalidBlockError(f"interaction {self.label!r}: a column cannot interact with itself")

    @property
    def label(self) -> str:
        """Return the term's name in a model."""
        return f"{self.left.label}:{self.right.label}"

    @property
    def sources(self) -> frozenset[str]:
        """Return the raw columns that the term reads."""
        return self.left.sources | self.right.sources

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, the left term's running fastest."""
        return tuple(f"{a}:{b}" for b in self.right.names for a in self.left.names)

    def matrix(self, columns: Columns) -> FloatArray:
        """Return the term's columns (n, k m)."""
        left, right = self.left.matrix(columns), self.right.matrix(columns)
        products: FloatArray = np.einsum("ia,ib->iba", left, right).reshape(left.shape[0], -1)
        return products
