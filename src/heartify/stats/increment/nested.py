"""A logistic model and its extension by some columns, with hospital intercepts and an optional offset.

One standardised design serves both fits and the score test between them, as additive sums per hospital. The offset is
a published score's log odds: it enters with coefficient one and is not refitted. Trusts CohortBlock for clean arrays;
holds rows, and is for use inside the enclave only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError
from heartify.stats.likelihood import LikelihoodSums, empty_sums, logistic_sums
from heartify.stats.newton import Maximum, invert_information, maximise
from heartify.stats.rank import check_rank
from heartify.stats.separation import check_direction, check_standard_errors

Offsets = Sequence[FloatArray]


class NestedLogistic:
    """Blocks of base and added columns, fitted in the parameters (an intercept a hospital, base, added slopes).

    Columns are centred and scaled over all rows. `added` are the positions of the added columns, which come last in
    the parameters of the full model; `offsets` holds an array (n_h,) of log odds per block, or None.
    """

    def __init__(
        self, blocks: Sequence[CohortBlock], term_names: Sequence[str], added: Sequence[str], offsets: Offsets | None
    ) -> None:
        check_blocks(blocks)
        check_term_names(term_names, blocks[0].X.shape[1])
        _check_added(term_names, added)
        self.n, self.events = sum(block.n for block in blocks), sum(block.events for block in blocks)
        if self.events in (0, self.n):
            raise DegenerateOutcomeError("the outcome does not vary over the pooled rows")
        base = [j for j, name in enumerate(term_names) if name not in added]
        self._order = np.array([*base, *(list(term_names).index(name) for name in added)], dtype=np.intp)
        self.base_width, self.hospitals = len(base), len(blocks)

        moments = pooled_moments(blocks)
        check_scales(moments, term_names)
        self.mean, self.sd = moments.mean[self._order], moments.sd[self._order]
        self._y = [block.y for block in blocks]
        self._designs = [
            np.column_stack([offset, (block.X[:, self._order] - self.mean) / self.sd])
            for block, offset in zip(blocks, _checked_offsets(blocks, offsets), strict=True)
        ]

    def fit_base(self) -> Maximum:
        """Fit without the added columns.

        Raises:
            RankDeficientError, SeparationError, NotConvergedError: no usable maximum.
        """
        return self._fit(self.base_width)

    def fit_full(self) -> Maximum:
        """Fit with all columns.

        Raises:
            RankDeficientError, SeparationError, NotConvergedError: no usable maximum.
        """
        return self._fit(self._order.size)

    def sums_of_full(self, base: Maximum) -> LikelihoodSums:
        """Return the full model's sums where the added slopes are zero and the rest is at the base model's maximum."""
        added = np.zeros(self._order.size - self.base_width)
        return self._sums(np.concatenate((base.parameters, added)), 1.0)

    def predict(
        self, parameters: FloatArray, X: FloatArray, hospital: NDArray[np.intp], offset: FloatArray
    ) -> FloatArray:
        """Return the linear predictor (n,) of rows X (n, p) in the caller's column order, of the given hospitals."""
        slopes = parameters[self.hospitals :]
        columns = self._order[: slopes.size]
        eta = parameters[hospital] + offset
        # Column by column: BLAS may round equal rows differently, which would break ties of an AUC.
        for j, slope in zip(columns, slopes / self.sd[: slopes.size], strict=True):
            eta = eta + X[:, j] * slope
        return eta - float(self.mean[: slopes.size] @ (slopes / self.sd[: slopes.size]))

    def _fit(self, width: int) -> Maximum:
        start = np.zeros(self.hospitals + width)
        start[: self.hospitals] = np.log(self.events / (self.n - self.events))
        gram = self._sums(start, 0.0).information  # without offset all weights are equal
        check_rank(gram)
        maximum = maximise(lambda at: self._sums(at, 1.0), start, self._check_direction)
        errors = np.sqrt(np.diag(maximum.covariance))
        check_standard_errors(errors, np.sqrt(np.diag(invert_information(gram))))
        return maximum

    def _sums(self, parameters: FloatArray, offset_slope: float) -> LikelihoodSums:
        slopes = np.concatenate(([offset_slope], parameters[self.hospitals :]))
        total = empty_sums(parameters.size)
        for h, (design, y) in enumerate(zip(self._designs, self._y, strict=True)):
            part = logistic_sums(design[:, : slopes.size], y, float(parameters[h]), slopes)
            own = np.concatenate(([h], np.arange(self.hospitals, parameters.size)))
            kept = np.concatenate(([0], np.arange(2, slopes.size + 1)))  # all but the offset
            gradient, information = np.zeros(parameters.size), np.zeros((parameters.size, parameters.size))
            gradient[own] = part.gradient[kept]
            information[np.ix_(own, own)] = part.information[np.ix_(kept, kept)]
            total = total + LikelihoodSums(part.loglik, gradient, information)
        return total

    def _check_direction(self, step: FloatArray) -> None:
        slopes = step[self.hospitals :]
        pairs = zip(self._designs, self._y, strict=True)
        check_direction(
            [
                (2.0 * y - 1.0) * (step[h] + design[:, 1 : 1 + slopes.size] @ slopes)
                for h, (design, y) in enumerate(pairs)
            ]
        )


def _check_added(term_names: Sequence[str], added: Sequence[str]) -> None:
    if not added or len(set(added)) != len(added):
        raise InvalidBlockError("expected at least one added term, each once")
    if not set(added) <= set(term_names):
        raise InvalidBlockError("an added term is not among the columns")


def _checked_offsets(blocks: Sequence[CohortBlock], offsets: Offsets | None) -> list[FloatArray]:
    if offsets is None:
        return [np.zeros(block.n) for block in blocks]
    if len(offsets) != len(blocks):
        raise InvalidBlockError(f"expected one offset per block, got {len(offsets)} for {len(blocks)}")
    for block, offset in zip(blocks, offsets, strict=True):
        if offset.shape != (block.n,) or not np.isfinite(offset).all():
            raise InvalidBlockError(f"block {block.name!r}: expected one finite offset per row")
    return [np.asarray(offset, dtype=np.float64) for offset in offsets]
