"""The weights of terms with bootstrap intervals and intervals of ranks, on every scale, from the same replicates.

Each replicate is one weighted refit from the cohort's own estimates (and one per subset of terms, where shares of R2
are asked for). chi2 of a resampled cohort is about one df per df too high, for every term alike: its interval tells
the order of terms, it is no interval for a population's chi2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, pooled_moments
from heartify.stats.importance.dominance import LogisticWorth, R2Measure, dominance_of
from heartify.stats.importance.partial import wald_chi2
from heartify.stats.importance.ranks import RankSummary, summarise_ranks
from heartify.stats.importance.refit import Refit, WeightedLogistic
from heartify.stats.importance.resampling import BootstrapDraws, BootstrapSummary, bootstrap, summarise
from heartify.stats.importance.terms import Term, check_terms

REPLICATE_DECREMENT = 1e-6  # 1e-6 standard errors after the last step: far below what a bootstrap can resolve


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ranked:
    """One scale of k terms: estimates with SE and percentile interval, and their ranks."""

    values: BootstrapSummary
    ranks: RankSummary


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WeightsBootstrap:
    """Weights of p columns and k terms, over one set of replicates.

    per_unit (p,), per_sd (p,): signed log odds ratios per clinical unit, and per SD of the cohort. sd_effect (k,): SD
    of a term's part of the log odds over the cohort, which for a single column is |per_sd|. chi2_minus_df (k,). share
    (k,): of the R2 above hospital intercepts, None where not asked for.
    """

    terms: tuple[str, ...]
    per_unit: BootstrapSummary
    per_sd: BootstrapSummary
    sd_effect: Ranked
    chi2_minus_df: Ranked
    share: Ranked | None


def bootstrap_weights(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    terms: Sequence[Term],
    *,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
    share_of: R2Measure | None = None,
) -> WeightsBootstrap:
    """Refit the cohort `replicates` times; with `share_of`, also the shares of that R2, at 2^k fits per replicate.

    Raises:
        StatsError: the cohort itself cannot be fitted, or fewer than two replicates can.
        InvalidBlockError: terms do not fit the columns; more than ten terms with `share_of`.
    """
    check_terms(terms, blocks[0].X.shape[1] if blocks else 0)
    scales = _Scales(blocks, term_names, terms, share_of)
    draws = bootstrap(scales.design.rows, scales.measure, replicates, rng)
    return _collect(scales.observed, draws, terms, len(term_names), level)


class _Scales:
    """The statistic of a replicate: per-SD slopes (p,), then SD effects (k,), chi2 - df (k,), and shares (k,)."""

    def __init__(
        self,
        blocks: Sequence[CohortBlock],
        term_names: Sequence[str],
        terms: Sequence[Term],
        share_of: R2Measure | None,
    ) -> None:
        self.design = WeightedLogistic(blocks, term_names)
        self._terms, self._share_of = tuple(terms), share_of
        self._correlation = _correlation(blocks)
        self._columns = range(self.design.columns)
        self._own = self.design.fit(self._columns)
        self._worth = LogisticWorth(self.design, terms, share_of) if share_of is not None else None
        parts = [self._describe(self._own)]
        if self._worth is not None:
            parts.append(dominance_of(self._worth).share)
        self.observed = _Observed(np.concatenate(parts), self.design.sd)

    def measure(self, weights: Sequence[FloatArray]) -> FloatArray:
        fit = self.design.fit(self._columns, weights, self._own, REPLICATE_DECREMENT)
        described = self._describe(fit)
        if self._worth is None or self._share_of is None:
            return described
        worth = LogisticWorth(self.design, self._terms, self._share_of, weights, self._worth, REPLICATE_DECREMENT)
        return np.concatenate([described, dominance_of(worth).share])

    def _describe(self, fit: Refit) -> FloatArray:
        spread, excess = np.empty(len(self._terms)), np.empty(len(self._terms))
        for t, term in enumerate(self._terms):
            own = np.array(term.columns)
            variance = fit.slopes[own] @ self._correlation[np.ix_(own, own)] @ fit.slopes[own]
            spread[t] = np.sqrt(max(0.0, float(variance)))
            excess[t] = wald_chi2(fit.slopes, fit.covariance, term.columns) - own.size
        return np.concatenate([fit.slopes, spread, excess])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Observed:
    values: FloatArray
    sd: FloatArray


def _correlation(blocks: Sequence[CohortBlock]) -> FloatArray:
    moments = pooled_moments(blocks)
    total = np.zeros((moments.mean.size, moments.mean.size))
    for block in blocks:
        Z = (block.X - moments.mean) / moments.sd
        total += Z.T @ Z
    return total / max(moments.n - 1, 1)


def _collect(
    observed: _Observed, draws: BootstrapDraws, terms: Sequence[Term], p: int, level: float
) -> WeightsBootstrap:
    k, values = len(terms), observed.values
    per_unit = BootstrapDraws(draws.estimates[:, :p] / observed.sd, draws.replicates, draws.failures)

    def ranked(first: int) -> Ranked:
        columns = slice(first, first + k)
        summary = summarise(draws, values[columns], level, columns)
        return Ranked(summary, summarise_ranks(values[columns], draws.estimates[:, columns], level))

    return WeightsBootstrap(
        terms=tuple(term.name for term in terms),
        per_unit=summarise(per_unit, values[:p] / observed.sd, level),
        per_sd=summarise(draws, values[:p], level, slice(0, p)),
        sd_effect=ranked(p),
        chi2_minus_df=ranked(p + k),
        share=ranked(p + 2 * k) if values.size > p + 2 * k else None,
    )
