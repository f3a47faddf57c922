"""The predictors of the chained equations: one matrix of intercept, hospital dummies and standardised coded columns.

Categories become dummies against their first level. Centres and scales come from the observed values and stay fixed, so
that a chain only rewrites the columns that it has imputed anew. Rows are private to the chain.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.missing.columns import Column, ColumnKind, IncompleteTable, IntArray

COLLINEAR = 1e-8  # 1 - R^2 of a predictor on the earlier ones, below which it is left out


class CodedDesign:
    """The matrix (n, 1 + hospitals - 1 + coded columns), and where each column's part of it lies."""

    def __init__(self, table: IncompleteTable, filled: list[FloatArray]) -> None:
        first = len(table.hospitals)
        widths = [max(column.levels - 1, 1) for column in table.columns]
        starts = first + np.concatenate(([0], np.cumsum(widths)))
        self.spans = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        self.matrix = np.empty((table.n, int(starts[-1])))
        self.matrix[:, 0] = 1.0
        for h in range(1, first):
            self.matrix[:, h] = table.hospital == h
        self._columns = table.columns
        self._scaling = [_scaling(column) for column in table.columns]
        for c, values in enumerate(filled):
            self.write(c, values)

    def write(self, c: int, values: FloatArray) -> None:
        """Code column c anew from complete values (n,)."""
        centre, scale = self._scaling[c]
        self.matrix[:, self.spans[c]] = (_code(self._columns[c], values) - centre) / scale

    def predictors(self, target: int, excluded: frozenset[int]) -> IntArray:
        """Return the positions of a target's predictors: everything but its own and the excluded columns' parts."""
        kept = np.ones(self.matrix.shape[1], dtype=np.bool_)
        for c in {target, *excluded}:
            kept[self.spans[c]] = False
        return np.flatnonzero(kept)


def independent(gram: FloatArray) -> NDArray[np.bool_]:
    """Return a mask (q,) of columns that are no combination of earlier ones, from their Gram matrix (q, q)."""
    rest = gram.copy()
    size = np.diag(gram).copy()
    kept = np.zeros(size.size, dtype=np.bool_)
    for j in range(size.size):
        if rest[j, j] > COLLINEAR * size[j]:
            kept[j] = True
            rest -= np.outer(rest[:, j], rest[j]) / rest[j, j]
    return kept


def _code(column: Column, values: FloatArray) -> FloatArray:
    if column.kind is ColumnKind.CONTINUOUS:
        return values[:, None]
    return np.asarray(values[:, None] == np.arange(1, column.levels), dtype=np.float64)


def _scaling(column: Column) -> tuple[FloatArray, FloatArray]:
    coded = _code(column, column.values[~column.missing])
    scale = coded.std(axis=0)
    return coded.mean(axis=0), np.where(scale > 0.0, scale, 1.0)
