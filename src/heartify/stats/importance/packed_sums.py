"""One pass of a weighted logistic likelihood with hospital intercepts, packed so that the intercepts are eliminated.

With a_h, b_h, C the sums of weights, weighted columns and weighted products, the slopes' information is
C - sum b_h b_h' / a_h: a step solves for the slopes alone, however many hospitals there are. Trusts that rows were
checked and standardised. Row-level temporaries live for one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from heartify.stats.blocks import FloatArray
from heartify.stats.likelihood import CHUNK_ROWS
from heartify.stats.newton import solve_information
from heartify.stats.separation import MARGIN_TOLERANCE

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PackedSums:
    """Sums of one pass over all rows: per hospital a (H,), b (H, m), score g (H,); slopes' products C, score s."""

    loglik: float
    a: FloatArray
    b: FloatArray
    g: FloatArray
    C: FloatArray
    s: FloatArray

    def information(self) -> FloatArray:
        """Return the slopes' information (m, m), given the intercepts."""
        used = self.a > 0
        return self.C - (self.b[used] / self.a[used, None]).T @ self.b[used]

    def step(self) -> tuple[FloatArray, FloatArray, float]:
        """Return Newton's step of the intercepts (H,) and the slopes (m,), and the squared decrement."""
        used = self.a > 0
        ratio = np.zeros_like(self.g)
        ratio[used] = self.g[used] / self.a[used]
        reduced = self.s - ratio @ self.b
        slopes = solve_information(self.information(), reduced) if reduced.size else reduced
        intercepts = ratio.copy()
        intercepts[used] -= (self.b[used] @ slopes) / self.a[used]
        return intercepts, slopes, float(self.g @ ratio + reduced @ slopes)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WeightedRows:
    """Rows to sum over: per hospital the chosen columns come from Z (p, n_h), y (n_h,) and case weights (n_h,).

    `varies` (H,) tells the hospitals whose weighted outcome varies: only these are summed.
    """

    Z: Sequence[FloatArray]
    y: Sequence[FloatArray]
    weights: Sequence[FloatArray] | None
    columns: Indices
    varies: NDArray[np.bool_]

    def sums(self, intercepts: FloatArray, slopes: FloatArray) -> PackedSums:
        """Return the sums of one pass at the given intercepts (H,) and slopes (m,)."""
        hospitals, m = len(self.Z), self.columns.size
        a, b, g, C, s = (
            np.zeros(hospitals),
            np.zeros((hospitals, m)),
            np.zeros(hospitals),
            np.zeros((m, m)),
            np.zeros(m),
        )
        loglik = 0.0
        for h in map(int, np.flatnonzero(self.varies)):
            for first in range(0, self.y[h].size, CHUNK_ROWS):
                rows = slice(first, first + CHUNK_ROWS)
                Z, sign = self.Z[h][self.columns, rows], 2.0 * self.y[h][rows] - 1.0
                signed = sign * (intercepts[h] + slopes @ Z)
                tail = expit(-signed)
                case = 1.0 if self.weights is None else self.weights[h][rows]
                residual, weight = case * sign * tail, case * tail * expit(signed)
                loglik -= float(np.sum(case * np.logaddexp(0.0, -signed)))
                WZ = Z * weight
                a[h] += weight.sum()
                b[h] += WZ.sum(axis=1)
                g[h] += residual.sum()
                C += WZ @ Z.T
                s += Z @ residual
        return PackedSums(loglik, a, b, g, C, s)

    def separates(self, intercepts: FloatArray, slopes: FloatArray) -> bool:
        """Tell whether a direction separates the outcome of the rows with weight (see heartify.stats.separation)."""
        largest, smallest = -np.inf, np.inf
        for h in map(int, np.flatnonzero(self.varies)):
            margins = (2.0 * self.y[h] - 1.0) * (intercepts[h] + slopes @ self.Z[h][self.columns])
            margins = margins if self.weights is None else margins[self.weights[h] > 0]
            largest, smallest = max(largest, float(margins.max())), min(smallest, float(margins.min()))
        return bool(largest > 0.0 and smallest >= -MARGIN_TOLERANCE * largest)
