"""Each term's share of the explained variation (general dominance, LMG), in the cohort and in bootstrap replicates.

In the cohort every subset of terms that counts is fitted. In replicates subsets are not fitted again, which is what
makes intervals affordable at any number of patients: a logistic model's take one Newton step from the cohort's, a Cox
model's lose what the replicate's Wald tests say, corrected by the cohort's ratio of likelihood to Wald. Beyond ten
terms, or where all subsets would be too many rows to pass, orders of terms are sampled, the same in every replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from heartify.enclave.analyses.refits import CaseWeights, Drawn, Estimates, Floats, Refits, Subset
from heartify.stats.errors import RankDeficientError
from heartify.stats.importance import Term, exact_dominance, sampled_dominance

EXACT_TERMS = 10
MAX_ROW_FITS = 100_000_000  # rows times logistic fits: less than a minute with a dozen columns
FIT_OVERHEAD_ROWS = 2_000  # what a fit costs besides its rows, in rows
MAX_ORDER_PAIRS = 200
SMALLEST_LOSS = 1e-6  # below, Wald and likelihood agree
_BATCH_CELLS = 4_000_000

Worth = Callable[[Subset], float]


class ShapleyShares:
    """The decomposition of a fitted cohort's R2 over terms; its gains and shares are (k,), in the order of `terms`."""

    def __init__(self, refits: Refits, terms: Sequence[Term], generator: Callable[[], np.random.Generator]) -> None:
        """Fit the subsets; `generator` gives the same random numbers each time that it is called.

        Raises:
            StatsError: a subset can't be fitted.
        """
        self._refits, self._terms, self._generator = refits, tuple(terms), generator
        affordable = MAX_ROW_FITS // (refits.fit_cost * (sum(refits.rows) + FIT_OVERHEAD_ROWS))
        k = len(terms)
        self.is_exact = k <= EXACT_TERMS and 2**k <= affordable
        self.order_pairs = 0 if self.is_exact else max(2, min(MAX_ORDER_PAIRS, affordable // (2 * k)))
        self._gains = self._cohort_gains()
        self._subsets = tuple(self._gains)
        self._left_out = self._left_out_columns()
        self._likelihood_per_wald = self._ratio(self._loss(refits.fit()))
        self._logliks: Floats | None = None
        general, self.total = self._decompose(lambda subset: refits.r2(self._gains[subset]))
        self.gain = general
        self.share = _share(general, self.total)

    def prepare(self, draws: Sequence[Drawn]) -> None:
        """Get ready for replicates with these case weights, which are then known by their numbers."""
        self._logliks = self._refits.replicate_logliks(self._subsets, draws)

    def of_replicate(self, number: int, found: Estimates, weights: CaseWeights) -> Floats:
        """Return the shares (k,) of a prepared replicate with these estimates.

        Raises:
            RankDeficientError: their covariance is singular.
        """
        known = self._logliks
        logliks = -self._loss(found) * self._likelihood_per_wald if known is None else known[number]
        gained = (logliks - logliks[self._subsets.index(())]).tolist()
        gains = dict(zip(self._subsets, gained, strict=True))
        general, total = self._decompose(lambda subset: self._refits.r2(gains[subset], weights))
        return _share(general, total)

    def _cohort_gains(self) -> dict[Subset, float]:
        """Return what each subset that counts gains in log-likelihood over no terms."""
        loglik, known = self._refits.subset_loglik(self._terms), dict[Subset, float]()

        def look_up(subset: Subset) -> float:
            known[subset] = loglik(subset)
            return known[subset]

        self._decompose(look_up)
        return {subset: value - known[()] for subset, value in known.items()}

    def _decompose(self, worth: Worth) -> tuple[Floats, float]:
        k = len(self._terms)
        if self.is_exact:
            exact = exact_dominance(worth, k)
            return exact.general, exact.total
        sampled = sampled_dominance(worth, k, self.order_pairs, self._generator())
        return sampled.general, sampled.total

    def _left_out_columns(self) -> Floats:
        """Return, for each subset, 1.0 at the columns (p,) of the terms that it leaves out."""
        p = max(column for term in self._terms for column in term.columns) + 1
        table = np.zeros((len(self._subsets), p))
        for row, subset in enumerate(self._subsets):
            for t in set(range(len(self._terms))) - set(subset):
                table[row, list(self._terms[t].columns)] = 1.0
        return table

    def _ratio(self, wald: Floats) -> Floats:
        """Return what leaving terms out costs the cohort's likelihood, over half of Wald's chi2 (subsets,)."""
        full = max(self._subsets, key=len)
        lost = np.array([self._gains[full] - self._gains[subset] for subset in self._subsets])
        ratio: Floats = np.divide(lost, wald, out=np.ones_like(wald), where=wald > SMALLEST_LOSS)
        return ratio

    def _loss(self, found: Estimates) -> Floats:
        """Return what leaving terms out costs (subsets,), b' V^-1 b / 2 over the columns left out: Wald's."""
        se = np.sqrt(np.diag(found.covariance))
        correlation, z = found.covariance / np.outer(se, se), found.coef / se
        size = max(1, _BATCH_CELLS // z.size**2)
        parts = [_half_chi2(self._left_out[first : first + size], correlation, z)
                 for first in range(0, len(self._subsets), size)]  # fmt: skip
        return np.concatenate(parts)


def _half_chi2(left_out: Floats, correlation: Floats, z: Floats) -> Floats:
    """Return half the chi2 of each row's columns; the columns that stay are made to solve to zero."""
    systems = correlation * left_out[:, :, None] * left_out[:, None, :]
    systems += np.eye(z.size) * (1.0 - left_out)[:, None, :]
    chosen = left_out * z
    try:
        solved = np.linalg.solve(systems, chosen[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError as exc:
        raise RankDeficientError("the covariance of the estimates is singular") from exc
    halves: Floats = (chosen * solved).sum(axis=1) / 2.0
    return halves


def _share(general: Floats, total: float) -> Floats:
    return general / total if total > 0 else np.zeros_like(general)
