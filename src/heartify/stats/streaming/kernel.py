"""The logistic sums of one chunk: few passes over a block of rows that stays in the processor's cache.

Blocks lie transposed, one row an intercept or a term, so that columns are cast and centred into place without a copy.
A block is so short that its matrix product has under a million multiplications, and it lies without gaps: only then
does OpenBLAS take its kernel for small matrices, which is three times as fast here. Products are summed in the working
precision, and add up in double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.likelihood import LikelihoodSums, empty_sums
from heartify.stats.streaming.rows import Chunk, RealArray

SMALL_PRODUCT = 700_000  # well under the million, so that two threads fit the cache of a core
MIN_PRODUCT_ROWS, MAX_PRODUCT_ROWS = 512, 8_192
Work = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Centring:
    """Hold the fixed affine map z = (x - shift) / scale, both (p,): it conditions the sums and changes no estimate."""

    shift: FloatArray
    scale: FloatArray

    def load_block(self, columns: Sequence[RealArray], rows: slice, out: Work) -> None:
        """Write z of these rows into `out` (p, m), cast to its precision after the subtraction in double."""
        for column, shift, scale, target in zip(columns, self.shift, self.scale, out, strict=True):
            if shift == 0.0:
                np.copyto(target, column[rows], casting="unsafe")
            else:
                np.subtract(column[rows], shift, out=target, casting="unsafe")
            if scale != 1.0:
                np.divide(target, scale, out=target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowSums:
    """Hold n, the events, and the sums and sums of squares (p,) of z over some rows; they add up."""

    n: int
    events: int
    total: FloatArray
    squares: FloatArray

    def __add__(self, other: RowSums) -> RowSums:
        return RowSums(
            self.n + other.n, self.events + other.events, self.total + other.total, self.squares + other.squares
        )


def empty_row_sums(p: int) -> RowSums:
    """Return the sums over no rows, for p terms."""
    return RowSums(0, 0, np.zeros(p), np.zeros(p))


def product_rows(q: int) -> int:
    """Return the number of rows of one matrix product for q parameters."""
    fitting = SMALL_PRODUCT // (q * q) // 64 * 64
    return min(MAX_PRODUCT_ROWS, max(MIN_PRODUCT_ROWS, fitting))


class Workspace:
    """Working arrays for blocks of rows: Z (q, m) with a first row of ones, and sign = 2y - 1 (m,).

    For one thread at a time, and used again from chunk to chunk: fresh memory costs more than what is done in it.
    """

    def __init__(self, q: int, precision: DTypeLike) -> None:
        self._rows = product_rows(q)
        self._all = np.empty((2, q * self._rows), precision)
        self._lines = np.empty((6, self._rows), precision)
        self._use(self._rows)

    def blocks(self, n: int) -> list[slice]:
        """Return slices of nearly one length over n rows: a short last one would cost as much as a long one."""
        count = -(-n // self._rows)
        return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]

    def load(self, columns: Sequence[RealArray], y: RealArray, rows: slice, centring: Centring) -> None:
        """Take a block in."""
        if rows.stop - rows.start != self.sign.size:
            self._use(rows.stop - rows.start)
        centring.load_block(columns, rows, self.Z[1:])
        np.multiply(y[rows], 2.0, out=self.sign, casting="unsafe")
        np.subtract(self.sign, 1.0, out=self.sign)

    def row_sums(self) -> RowSums:
        """Return the block's counts and moments."""
        if not (np.abs(self.sign, out=self._s) == 1.0).all():
            raise InvalidBlockError("the outcome has values other than 0 and 1")
        m = self.sign.size
        events = (m + round(float(self.sign.sum(dtype=np.float64)))) // 2
        Z = self.Z[1:]
        # Not by einsum, whose plain running sum costs single precision two digits.
        squares = np.dot(np.square(Z, out=self._weighted[1:]), self.Z[0])
        return RowSums(m, events, np.dot(Z, self.Z[0]).astype(np.float64), squares.astype(np.float64))

    def likelihood(self, theta: Work) -> LikelihoodSums:
        """Return the block's sums at theta (q,), in the working precision.

        With s = (2y - 1) eta and t = exp(-|s|), nothing is formed by a subtraction of nearly equal numbers:
        log expit(s) = min(s, 0) - log1p(t), expit(-s) = t / (1 + t) or 1 / (1 + t), mu (1 - mu) = t / (1 + t)^2.
        """
        sign, s, t, u, tail, weight = self.sign, self._s, self._t, self._u, self._tail, self._weight
        np.multiply(sign, np.dot(theta, self.Z), out=s)
        np.abs(s, out=t)
        np.negative(t, out=t)
        np.exp(t, out=t)
        np.add(t, 1.0, out=u)
        np.reciprocal(u, out=u)
        np.multiply(t, u, out=weight)
        np.multiply(weight, u, out=weight)
        # t or 1, by the sign of s: a second exponential is quicker than a choice element by element.
        np.maximum(s, 0.0, out=tail)
        np.negative(tail, out=tail)
        np.exp(tail, out=tail)
        np.multiply(tail, u, out=tail)

        gradient = np.dot(self.Z, np.multiply(sign, tail, out=u))
        np.multiply(self.Z, weight, out=self._weighted)
        information = np.dot(self._weighted, self.Z.T)
        np.minimum(s, 0.0, out=s)
        np.log1p(t, out=t)
        loglik = float(s.sum(dtype=np.float64)) - float(t.sum(dtype=np.float64))
        return LikelihoodSums(loglik, gradient.astype(np.float64), information.astype(np.float64))

    def margins(self, direction: Work) -> Work:
        """Return the block's margins (2y - 1) z'd (m,)."""
        margins: Work = self.sign * np.dot(direction, self.Z)
        return margins

    def _use(self, m: int) -> None:
        q = self._all.shape[1] // self._rows
        self.Z, self._weighted = (flat[: q * m].reshape(q, m) for flat in self._all)
        self.Z[0] = 1.0
        self.sign, self._s, self._t, self._u, self._tail, self._weight = self._lines[:, :m]


def chunk_likelihood(chunk: Chunk, centring: Centring, parameters: FloatArray, work: Workspace) -> LikelihoodSums:
    """Return the sums of a chunk at `parameters` (1 + p,), intercept first, for the terms z."""
    theta = parameters.astype(work.Z.dtype)
    total = empty_sums(parameters.size)
    with np.errstate(all="ignore"):  # a candidate far out may overflow; its log-likelihood is then no improvement
        for rows in work.blocks(chunk[1].size):
            work.load(*chunk, rows, centring)
            total = total + work.likelihood(theta)
    return total


def checked_chunk_sums(
    chunk: Chunk, centring: Centring, parameters: FloatArray, work: Workspace
) -> tuple[LikelihoodSums, RowSums]:
    """Return the likelihood's sums and the rows' own from one pass, which also checks the values.

    Raises:
        InvalidBlockError: y has values other than 0 and 1, or a column has missing, infinite or too large values.
    """
    theta = parameters.astype(work.Z.dtype)
    likelihood, counts = empty_sums(parameters.size), empty_row_sums(parameters.size - 1)
    with np.errstate(all="ignore"):
        for rows in work.blocks(chunk[1].size):
            work.load(*chunk, rows, centring)
            counts = counts + work.row_sums()
            likelihood = likelihood + work.likelihood(theta)
    if not np.isfinite(counts.squares).all():
        raise InvalidBlockError("a column has missing, infinite or too large values")
    return likelihood, counts


def chunk_margins(chunk: Chunk, centring: Centring, direction: FloatArray, work: Workspace) -> tuple[float, float]:
    """Return the least and largest margin of a chunk along `direction` (1 + p,); (inf, -inf) without rows."""
    least, largest = np.inf, -np.inf
    for rows in work.blocks(chunk[1].size):
        work.load(*chunk, rows, centring)
        margins = work.margins(direction.astype(work.Z.dtype))
        least, largest = min(least, float(margins.min())), max(largest, float(margins.max()))
    return least, largest
