"""Many logistic fits of one cohort: with case weights, on subsets of columns, from warm starts.

Standardises once. Hospital intercepts are eliminated block-wise, so a step solves for the slopes alone: with a_h, b_h,
C the packed sums of a pass (weights, weighted columns, weighted products), the slopes' information is
C - sum b_h b_h' / a_h. A hospital whose weighted outcome does not vary adds exactly nothing to the slopes (its
intercept runs to infinity, its log-likelihood to 0), so it is left out of a pass rather than refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names
from heartify.stats.errors import (
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
)
from heartify.stats.likelihood import CHUNK_ROWS
from heartify.stats.newton import invert_information, solve_information
from heartify.stats.separation import MARGIN_TOLERANCE

MAX_PASSES = 60
MAX_HALVINGS = 30
DECREMENT = 1e-8  # before the last step, which squares it: 1e-8 standard errors, and 1e-12 of log-likelihood
PATIENCE = 5
SINGULAR = 1e-10  # of a unit diagonal, as in fit_pooled_logistic
SE_EXPLOSION = 1e4

Indices = NDArray[np.int64]


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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Pass:
    """Sums of one pass over all rows: per hospital a (H,), b (H, m), score g (H,); slopes' products C, score s."""

    loglik: float
    a: FloatArray
    b: FloatArray
    g: FloatArray
    C: FloatArray
    s: FloatArray

    def information(self) -> FloatArray:
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
        run = _Climb(self, chosen, weights, varies)
        intercepts, slopes = run.climb(*_warm_start(logit, chosen, start), cold=logit, decrement=decrement)
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

    def sums(
        self,
        intercepts: FloatArray,
        columns: Indices,
        slopes: FloatArray,
        weights: Sequence[FloatArray] | None,
        varies: NDArray[np.bool_],
    ) -> _Pass:
        """Return the sums of one pass at the given intercepts (H,) and slopes (m,)."""
        hospitals, m = len(self._Z), columns.size
        a, b, g, C, s = (
            np.zeros(hospitals),
            np.zeros((hospitals, m)),
            np.zeros(hospitals),
            np.zeros((m, m)),
            np.zeros(m),
        )
        loglik = 0.0
        for h in map(int, np.flatnonzero(varies)):
            for first in range(0, self.rows[h], CHUNK_ROWS):
                rows = slice(first, first + CHUNK_ROWS)
                Z, sign = self._Z[h][columns, rows], 2.0 * self._y[h][rows] - 1.0
                signed = sign * (intercepts[h] + slopes @ Z)
                tail = expit(-signed)
                case = 1.0 if weights is None else weights[h][rows]
                residual, weight = case * sign * tail, case * tail * expit(signed)
                loglik -= float(np.sum(case * np.logaddexp(0.0, -signed)))
                WZ = Z * weight
                a[h] += weight.sum()
                b[h] += WZ.sum(axis=1)
                g[h] += residual.sum()
                C += WZ @ Z.T
                s += Z @ residual
        return _Pass(loglik, a, b, g, C, s)

    def separates(
        self,
        intercepts: FloatArray,
        columns: Indices,
        slopes: FloatArray,
        weights: Sequence[FloatArray] | None,
        varies: NDArray[np.bool_],
    ) -> bool:
        """Tell whether a direction separates the outcome of the rows with weight (see heartify.stats.separation)."""
        largest, smallest = -np.inf, np.inf
        for h in map(int, np.flatnonzero(varies)):
            margins = (2.0 * self._y[h] - 1.0) * (intercepts[h] + slopes @ self._Z[h][columns])
            margins = margins if weights is None else margins[weights[h] > 0]
            largest, smallest = max(largest, float(margins.max())), min(smallest, float(margins.min()))
        return bool(largest > 0.0 and smallest >= -MARGIN_TOLERANCE * largest)


def _warm_start(logit: FloatArray, columns: Indices, start: Refit | None) -> tuple[FloatArray, FloatArray]:
    """Return intercepts (H,) and slopes (m,) to start from: `start` constrained to the given columns.

    Setting the slopes D that are left out to zero moves the others K to b_K - V_KD V_DD^-1 b_D, to second order.
    """
    if start is None or start.columns.size == 0:
        return logit, np.zeros(columns.size)
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


class _Climb:
    """One Newton iteration with step-halving; holds the sums at the last point evaluated."""

    def __init__(
        self,
        design: WeightedLogistic,
        columns: Indices,
        weights: Sequence[FloatArray] | None,
        varies: NDArray[np.bool_],
    ) -> None:
        self._design, self._columns, self._weights, self._varies = design, columns, weights, varies
        self.passes = 0
        self.loglik = -np.inf
        self.here: _Pass

    def _evaluate(self, intercepts: FloatArray, slopes: FloatArray) -> _Pass:
        self.passes += 1
        return self._design.sums(intercepts, self._columns, slopes, self._weights, self._varies)

    def climb(
        self, intercepts: FloatArray, slopes: FloatArray, *, cold: FloatArray, decrement: float
    ) -> tuple[FloatArray, FloatArray]:
        self.here = self._evaluate(intercepts, slopes)
        step: tuple[FloatArray, FloatArray] = (np.zeros_like(intercepts), np.zeros_like(slopes))
        for iteration in range(MAX_PASSES):
            try:
                *step_pair, squared = self.here.step()
            except LinAlgError as exc:
                self._explain(*step, cold=cold)
                raise NotConvergedError("the information became singular") from exc
            step = (step_pair[0], step_pair[1])
            if iteration >= PATIENCE and self._design.separates(
                step[0], self._columns, step[1], self._weights, self._varies
            ):
                raise SeparationError("a linear combination of the columns separates the outcome")
            if squared <= decrement:
                # The quadratic approximation is exact to the third order here: no pass is needed at the end point.
                self.loglik = self.here.loglik + squared / 2.0
                return intercepts + step[0], slopes + step[1]
            intercepts, slopes = self._advance(intercepts, slopes, *step)
        raise NotConvergedError(f"no maximum within {MAX_PASSES} iterations")

    def _advance(
        self, intercepts: FloatArray, slopes: FloatArray, towards: FloatArray, step: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        floor = self.here.loglik - 1e-13 * (1.0 + abs(self.here.loglik))
        for halving in range(MAX_HALVINGS):
            length = 0.5**halving
            reached = self._evaluate(intercepts + length * towards, slopes + length * step)
            if reached.loglik >= floor:
                self.here = reached
                return intercepts + length * towards, slopes + length * step
        raise NotConvergedError("no step along Newton's direction increases the likelihood")

    def _explain(self, towards: FloatArray, step: FloatArray, *, cold: FloatArray) -> None:
        self.check_rank(cold)
        if self._design.separates(towards, self._columns, step, self._weights, self._varies):
            raise SeparationError("a linear combination of the columns separates the outcome")

    def check_rank(self, cold: FloatArray) -> FloatArray:
        """Return the information at slopes of zero.

        Raises:
            RankDeficientError: it is singular.
        """
        at_zero = self._evaluate(cold, np.zeros(self._columns.size))
        information, raw = at_zero.information(), np.diag(at_zero.C)
        # Scaled by the raw products: a column that only tells hospitals apart then shows as zero, not as rounding.
        scale = 1.0 / np.sqrt(np.where(raw > 0, raw, 1.0))
        if float(np.linalg.eigvalsh(information * np.outer(scale, scale))[0]) < SINGULAR:
            raise RankDeficientError("the columns are linearly dependent, given the hospitals")
        return information

    def check_covariance(self, covariance: FloatArray, cold: FloatArray) -> None:
        """Check the covariance (m, m) at the maximum; costs a pass only where a slope looks ill-determined.

        Raises:
            RankDeficientError, SeparationError: why it is.
        """
        products = np.diag(self.here.C) * np.diag(covariance)
        if not self._columns.size or products.max() < SE_EXPLOSION:
            return
        information = self.check_rank(cold)
        at_start = np.diag(invert_information(information))
        if (np.diag(covariance) > SE_EXPLOSION**2 * at_start).any():
            raise SeparationError("a standard error exploded: the outcome is separated, or nearly so")
