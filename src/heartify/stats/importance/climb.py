"""Newton's iteration with step-halving on packed sums, for fits that are made by the thousand.

Differs from heartify.stats.newton in what such fits need: a tolerance of the caller's, no pass at the end point, and
proofs of rank and separation only where the numbers look suspicious. Never returns a point that is not a maximum.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, eigvalsh

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import NotConvergedError, RankDeficientError, SeparationError
from heartify.stats.importance.packed_sums import PackedSums, WeightedRows
from heartify.stats.newton import LOGLIK_ROUNDING, invert_information

MAX_STEPS = 60
MAX_HALVINGS = 30
PATIENCE = 5  # from a warm start a fit takes 1 to 3 steps; from here on each direction is tried as a separating one
SINGULAR = 1e-10  # of a unit diagonal, as in fit_pooled_logistic
SE_EXPLOSION = 1e4
SEPARATED = "a linear combination of the columns separates the outcome: no finite estimate exists"


class Climb:
    """One iteration over fixed rows and columns; holds the sums at the last point evaluated, and counts passes."""

    def __init__(self, rows: WeightedRows) -> None:
        self._rows = rows
        self.passes = 0
        self.loglik = -np.inf
        self.here: PackedSums

    def _evaluate(self, intercepts: FloatArray, slopes: FloatArray) -> PackedSums:
        self.passes += 1
        return self._rows.sums(intercepts, slopes)

    def climb(self, intercepts: FloatArray, slopes: FloatArray, decrement: float) -> tuple[FloatArray, FloatArray]:
        """Return the maximising intercepts (H,) and slopes (m,); stop at that squared Newton decrement.

        Raises:
            SeparationError: a direction was found that separates the outcome.
            NotConvergedError: the information became singular, no step increased the likelihood, or too many steps.
        """
        self.here = self._evaluate(intercepts, slopes)
        for iteration in range(MAX_STEPS):
            try:
                towards, step, squared = self.here.step()
            except LinAlgError as exc:
                raise NotConvergedError("the information became singular") from exc
            if iteration >= PATIENCE and self._rows.separates(towards, step):
                raise SeparationError(SEPARATED)
            if squared <= decrement:
                # The quadratic approximation is exact to the third order here: no pass is needed at the end point.
                self.loglik = self.here.loglik + squared / 2.0
                return intercepts + towards, slopes + step
            intercepts, slopes = self._advance(intercepts, slopes, towards, step)
        raise NotConvergedError(f"no maximum within {MAX_STEPS} steps")

    def _advance(
        self, intercepts: FloatArray, slopes: FloatArray, towards: FloatArray, step: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        floor = self.here.loglik - LOGLIK_ROUNDING * (1.0 + abs(self.here.loglik))
        for halving in range(MAX_HALVINGS):
            length = 0.5**halving
            reached = self._evaluate(intercepts + length * towards, slopes + length * step)
            if reached.loglik >= floor:
                self.here = reached
                return intercepts + length * towards, slopes + length * step
        raise NotConvergedError("no step along Newton's direction increases the likelihood")

    def check_rank(self, cold: FloatArray) -> FloatArray:
        """Return the information at slopes of zero.

        Raises:
            RankDeficientError: it is singular.
        """
        at_zero = self._evaluate(cold, np.zeros(self._rows.columns.size))
        information, raw = at_zero.information(), np.diag(at_zero.C)
        # Scaled by the raw products: a column that only tells hospitals apart then shows as zero, not as rounding.
        scale = 1.0 / np.sqrt(np.where(raw > 0, raw, 1.0))
        if float(eigvalsh(information * np.outer(scale, scale))[0]) < SINGULAR:
            raise RankDeficientError("the columns are linearly dependent, given the hospitals")
        return information

    def check_covariance(self, covariance: FloatArray, cold: FloatArray) -> None:
        """Check the covariance (m, m) at the maximum; costs a pass only where a slope looks ill-determined.

        Raises:
            RankDeficientError, SeparationError: why it is.
        """
        products = np.diag(self.here.C) * np.diag(covariance)
        if not self._rows.columns.size or products.max() < SE_EXPLOSION:
            return
        information = self.check_rank(cold)
        at_start = np.diag(invert_information(information))
        if (np.diag(covariance) > SE_EXPLOSION**2 * at_start).any():
            raise SeparationError("a standard error exploded: the outcome is separated, or nearly so")
