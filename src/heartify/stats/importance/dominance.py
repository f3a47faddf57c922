"""Each term's share of a logistic model's R2: general dominance with hospital intercepts always in the model.

Subsets of terms are refitted from the standardised design, each from the fit of a larger subset, so that most need two
passes. Up to ten terms all subsets are fitted; beyond, random orders with a Monte Carlo standard error. Columns that
belong to no term stay in every model, as the hospital intercepts do.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.importance.refit import DECREMENT, Refit, WeightedLogistic
from heartify.stats.importance.shapley import Subset, exact_dominance, sampled_dominance
from heartify.stats.importance.terms import Term, check_terms

EXACT_TERMS = 10  # 1,024 fits; beyond, orders of terms are sampled
ORDER_PAIRS = 200
KEPT_FITS = 4_096  # of small arrays; the oldest give way


class R2Measure(StrEnum):
    """Which R2 of a logistic model; each is zero for one common intercept."""

    MCFADDEN = "mcfadden"
    COX_SNELL = "cox-snell"
    NAGELKERKE = "nagelkerke"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dominance:
    """R2 gains of k terms above hospital intercepts; `gain` sums to full_r2 - base_r2, `share` (gain over it) to 1.

    `monte_carlo_se` (k,) of `gain`: None where all subsets were fitted; then `conditional` (k, k), the gain of column j
    when added to s = row others, and `complete` (k, k), i dominates j in every subset, are there.
    """

    terms: tuple[str, ...]
    measure: R2Measure
    gain: FloatArray
    share: FloatArray
    base_r2: float
    full_r2: float
    monte_carlo_se: FloatArray | None
    conditional: FloatArray | None
    complete: NDArray[np.bool_] | None


def r_squared(measure: R2Measure, loglik: float, null_loglik: float, n: float) -> float:
    """Return the R2 of a model by its log-likelihood, that of one common intercept, and the number of patients.

    McFadden 1974: 1 - l / l0. Cox and Snell 1989: 1 - exp(2 (l0 - l) / n). Nagelkerke 1991: over its largest value.
    """
    if measure is R2Measure.MCFADDEN:
        return 1.0 - loglik / null_loglik
    cox_snell = -math.expm1(2.0 * (null_loglik - loglik) / n)
    if measure is R2Measure.COX_SNELL:
        return cox_snell
    return cox_snell / -math.expm1(2.0 * null_loglik / n)


def logistic_dominance(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    terms: Sequence[Term],
    *,
    measure: R2Measure = R2Measure.MCFADDEN,
    rng: np.random.Generator | None = None,
    pairs: int = ORDER_PAIRS,
) -> Dominance:
    """Return the general dominance of terms; more than ten of them need a generator, to sample 2 x `pairs` orders.

    Raises:
        StatsError: terms do not fit the columns, more than ten terms without a generator, or the model cannot be
            fitted (as `fit_pooled_logistic`; but a hospital whose outcome does not vary is no obstacle).
    """
    worth = LogisticWorth(WeightedLogistic(blocks, term_names), terms, measure)
    return dominance_of(worth, rng=rng, pairs=pairs)


class LogisticWorth:
    """The R2 of subsets of terms, as a value function; keeps its fits, to start others from."""

    def __init__(
        self,
        design: WeightedLogistic,
        terms: Sequence[Term],
        measure: R2Measure,
        weights: Sequence[FloatArray] | None = None,
        like: LogisticWorth | None = None,
        decrement: float = DECREMENT,
    ) -> None:
        """Prepare; `like` is the same on other weights, whose fits are good places to start from.

        Raises:
            InvalidBlockError: terms do not fit the columns.
        """
        check_terms(terms, design.columns)
        covered = {column for term in terms for column in term.columns}
        self.terms, self.measure = tuple(terms), measure
        self._always = tuple(column for column in range(design.columns) if column not in covered)
        self._design, self._weights, self._like, self._decrement = design, weights, like, decrement
        self._null_loglik, self._n = design.null_loglik(weights)
        self._fits: OrderedDict[frozenset[int], Refit] = OrderedDict()

    def __call__(self, subset: Subset) -> float:
        """Return the R2 of the model with the terms of that subset.

        Raises:
            StatsError: it cannot be fitted.
        """
        return r_squared(self.measure, self.fit(subset).loglik, self._null_loglik, self._n)

    def fit(self, subset: Subset) -> Refit:
        """Return the fit with the terms of that subset.

        Raises:
            StatsError: it cannot be given.
        """
        key = frozenset(subset)
        columns = self._always + tuple(column for t in subset for column in self.terms[t].columns)
        found = self._design.fit(columns, self._weights, self._start(key), self._decrement)
        self._fits[key] = found
        if len(self._fits) > KEPT_FITS:
            self._fits.popitem(last=False)
        return found

    def kept(self, key: frozenset[int]) -> Refit | None:
        """Return a fit that was made and is still there."""
        return self._fits.get(key)

    def _start(self, key: frozenset[int]) -> Refit | None:
        start = self._like.kept(key) if self._like is not None else None
        others = (key | {t} for t in range(len(self.terms)) if t not in key)
        return start or next((fit for other in others if (fit := self._fits.get(other)) is not None), None)


def dominance_of(
    worth: LogisticWorth, *, rng: np.random.Generator | None = None, pairs: int = ORDER_PAIRS
) -> Dominance:
    """Return the dominance of the terms of a value function; exact up to ten terms.

    Raises:
        StatsError: as `logistic_dominance`.
    """
    k, names = len(worth.terms), tuple(term.name for term in worth.terms)
    if k <= EXACT_TERMS:
        exact = exact_dominance(worth, k)
        share, full = _share(exact.general, exact.total), exact.nothing + exact.total
        return Dominance(
            names, worth.measure, exact.general, share, exact.nothing, full, None, exact.conditional, exact.complete
        )
    if rng is None:
        raise InvalidBlockError(f"more than {EXACT_TERMS} terms: sampling their orders needs a random generator")
    sampled = sampled_dominance(worth, k, pairs, rng)
    share, full = _share(sampled.general, sampled.total), sampled.nothing + sampled.total
    return Dominance(
        names, worth.measure, sampled.general, share, sampled.nothing, full, sampled.monte_carlo_se, None, None
    )


def _share(gain: FloatArray, total: float) -> FloatArray:
    return gain / total if total > 0 else np.zeros_like(gain)
