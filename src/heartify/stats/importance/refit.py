"""Many logistic fits of one cohort: with case weights, on subsets of columns, from warm starts.

Standardises once. A hospital whose weighted outcome does not vary adds exactly nothing to the slopes (its intercept
runs to infinity, its log-likelihood to 0), so it is left out of a fit rather than refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, NotConvergedError
from heartify.stats.importance.climb import Climb
from heartify.stats.importance.packed_sums import Indices, WeightedRows
from heartify.stats.newton import invert_information, solve_information

DECREMENT = 1e-8  # before the last step, which squares it: 1e-8 standard errors, and 1e-12 of log-likelihood


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Refit:
    """A maximum over columns (m,): slopes (m,) per SD, covariance (m, m), intercepts (hospitals,), log-likelihood.

    Intercepts belong to columns centred at the cohort's means; -inf or inf where a hospital's outcome did not vary,
    NaN where all its weights were zero.
    """

    columns: Indices
    slopes: FloatArray
    covariance: FloatArray
    intercepts: FloatArray
    loglik: float
    passes: int


class WeightedLogistic:
    """A cohort prepared for many weighted fits with one intercept per hospital; keeps a standardised copy."""

    def __init__(self, blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> None:
        """Prepare the blocks.

        Raises:
            InvalidBlockError: blocks or names do not fit together.
            RankDeficientError: a column is constant over all rows.
        """
        check_blocks(blocks)
        check_term_names(term_names, blocks[0].X.shape[1])
        moments = pooled_moments(blocks)
        check_scales(moments, term_names)
        self.mean, self.sd, self.rows = moments.mean, moments.sd, tuple(block.n for block in blocks)
        # Columns as rows: a subset of columns is then a copy of contiguous runs.
        self._Z = [np.ascontiguousarray(((block.X - moments.mean) / moments.sd).T) for block in blocks]
        self._y = [block.y for block in blocks]
        self._names = tuple(block.name for block in blocks)

    @property
    def columns(self) -> int:
        """Return the number of columns p."""
        return int(self.mean.size)

    def check_weights(self, weights: Sequence[FloatArray]) -> None:
        """Check case weights: one (n_h,) array of finite numbers not below zero for each hospital.

        Raises:
            InvalidBlockError: they are not.
        """
        if [part.shape for part in weights] != [(n,) for n in self.rows]:
            raise InvalidBlockError("expected one weight per row and one array per hospital")
        if not all(np.isfinite(part).all() and (part >= 0).all() for part in weights):
            raise InvalidBlockError("weights must be finite and not below zero")

    def null_loglik(self, weights: Sequence[FloatArray] | None = None) -> tuple[float, float]:
        """Return the log-likelihood of one common intercept, and the sum of weights.

        Raises:
            DegenerateOutcomeError: nobody, or everybody, with weight has the outcome.
        """
        events, totals = (float(part.sum()) for part in self._counts(weights))
        if events <= 0.0 or events >= totals:
            raise DegenerateOutcomeError("the outcome does not vary")
        rest = totals - events
        return events * math.log(events / totals) + rest * math.log(rest / totals), totals

    def fit(
        self,
        columns: Sequence[int],
        weights: Sequence[FloatArray] | None = None,
        start: Refit | None = None,
        decrement: float = DECREMENT,
    ) -> Refit:
        """Fit the outcome on the given columns and hospital intercepts, with case weights, from a warm start.

        `start` is another fit of this cohort: its slopes, and the quadratic approximation of its log-likelihood where
        it has columns that this fit has not. It changes the number of passes, not the result.

        Raises:
            DegenerateOutcomeError: the weighted outcome varies in no hospital.
            RankDeficientError: the columns are linearly dependent, given the hospitals and weights.
            SeparationError: the outcome is separated.
            NotConvergedError: no maximum was reached for another reason.
        """
        if weights is not None:
            self.check_weights(weights)
        chosen = np.array(columns, dtype=np.int64)
        events, totals = self._counts(weights)
        varies = (events > 0) & (events < totals)
        if not varies.any():
            raise DegenerateOutcomeError("the outcome varies in no hospital")
        edge = np.where(totals == 0, np.nan, np.where(events > 0, np.inf, -np.inf))
        logit = np.log(np.where(varies, events, 1.0) / np.where(varies, totals - events, 1.0))
        run = Climb(WeightedRows(self._Z, self._y, weights, chosen, varies))
        intercepts, slopes = _climb(run, logit, chosen, start, decrement)
        covariance = invert_information(run.here.information()) if chosen.size else np.zeros((0, 0))
        run.check_covariance(covariance, logit)
        return Refit(chosen, slopes, covariance, np.where(varies, intercepts, edge), run.loglik, run.passes)

    def _counts(self, weights: Sequence[FloatArray] | None) -> tuple[FloatArray, FloatArray]:
        if weights is None:
            return np.array([float(y.sum()) for y in self._y]), np.array(self.rows, dtype=np.float64)
        events = [float(w @ y) for w, y in zip(weights, self._y, strict=True)]
        # Where nobody (or everybody) with weight has the outcome, the sum is exactly zero (or the total).
        return np.array(events), np.array(
            [event + float(w @ (1.0 - y)) for event, w, y in zip(events, weights, self._y, strict=True)]
        )


def _climb(
    run: Climb, logit: FloatArray, columns: Indices, start: Refit | None, decrement: float
) -> tuple[FloatArray, FloatArray]:
    """Climb from the warm start, and should that fail, from the hospitals' log odds; explain what fails there."""
    if start is not None:
        try:
            return run.climb(*_warm_start(logit, columns, start), decrement)
        except NotConvergedError:
            run.check_rank(logit)
    try:
        return run.climb(logit, np.zeros(columns.size), decrement)
    except NotConvergedError:
        run.check_rank(logit)
        raise


def _warm_start(logit: FloatArray, columns: Indices, start: Refit) -> tuple[FloatArray, FloatArray]:
    """Return intercepts (H,) and slopes (m,) to start from: `start` constrained to the given columns.

    Setting the slopes D that are left out to zero moves the others K to b_K - V_KD V_DD^-1 b_D, to second order.
    """
    place = {int(column): at for at, column in enumerate(start.columns)}
    left_out = [at for column, at in place.items() if column not in set(columns.tolist())]
    slopes = start.slopes
    if left_out:
        part = start.covariance[np.ix_(left_out, left_out)]
        slopes = slopes - start.covariance[:, left_out] @ solve_information(part, slopes[left_out])
    known = np.array([place.get(int(column), -1) for column in columns], dtype=np.int64)
    found = np.zeros(columns.size)
    found[known >= 0] = slopes[known[known >= 0]]
    return np.where(np.isfinite(start.intercepts), start.intercepts, logit), found
