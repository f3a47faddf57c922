"""Many fits of one cohort, for weights and their bootstrap: resampled patients, and subsets of the model's terms.

Logistic and Cox models answer the same four questions, so that every scale of weights is written once. Maximum
likelihood on complete cases, an intercept or a baseline hazard for each hospital. Works on patients' rows: nothing here
has a repr, and nothing here leaves the enclave.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.analyses.one_step import one_step_logliks
from heartify.stats.blocks import CohortBlock
from heartify.stats.importance import Exposure, R2Measure, Term, WeightedLogistic, weighted_fractions
from heartify.stats.importance.dominance import LogisticWorth
from heartify.stats.importance.refit import DECREMENT, Refit
from heartify.stats.survival import BaselineHazard, CoxFit, SurvivalBlock, Ties, fit_cox

Floats = NDArray[np.float64]
CaseWeights = Sequence[Floats]
Drawn = Sequence[NDArray[np.uint8]]  # case weights of a replicate at an eighth of the memory
Subset = tuple[int, ...]

REPLICATE_DECREMENT = 1e-6  # 1e-6 standard errors: far below what a bootstrap can resolve


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Estimates:
    """Estimates in clinical units: coef (p,), covariance (p, p); intercepts (H,) of a logistic model, else empty."""

    coef: Floats
    covariance: Floats
    intercepts: Floats


class Refits(Protocol):
    """A cohort prepared for many fits; `rows` are its hospitals' numbers of patients.

    `fit_cost` is the time of a fit, a logistic one being 1.
    """

    rows: tuple[int, ...]
    fit_cost: int
    r2_measure: str
    fraction_methods: tuple[str, ...]

    def fit(self, weights: CaseWeights | None = None) -> Estimates:
        """Fit all columns; `weights` say how often each patient was drawn.

        Raises:
            StatsError: there are no estimates.
        """

    def subset_loglik(self, terms: Sequence[Term]) -> Callable[[Subset], float]:
        """Return the function from a subset of terms to the log-likelihood of the model with these only.

        Raises:
            StatsError: the terms don't fit the columns.
        """

    def replicate_logliks(self, subsets: Sequence[Subset], draws: Sequence[Drawn]) -> Floats | None:
        """Return the log-likelihoods (replicates, subsets) of replicates, of subsets that were fitted to the cohort.

        None where they are to be had from a replicate's own estimates only.
        """

    def r2(self, gain: float, weights: CaseWeights | None = None) -> float:
        """Return the R2 that a gain in log-likelihood over the model without terms is worth."""

    def fractions(self, exposures: Sequence[Exposure], found: Estimates, weights: CaseWeights | None = None) -> Floats:
        """Return the attributable fractions (methods x exposures,), method by method."""


class LogisticRefits:
    """A logistic cohort; R2 is McFadden's. Refits start from the cohort's own fit."""

    r2_measure = "mcfadden"
    fit_cost = 1
    fraction_methods: tuple[str, ...] = ("odds-ratio", "g-computation")

    def __init__(self, blocks: Sequence[CohortBlock], names: Sequence[str]) -> None:
        """Fit the cohort.

        Raises:
            StatsError: it can't be fitted.
        """
        self._blocks = tuple(blocks)
        self._design = WeightedLogistic(blocks, names)
        self._null_loglik = self._design.null_loglik()[0]
        self._own = self._design.fit(range(self._design.columns))
        self.rows = self._design.rows
        self._subset_fits: dict[Subset, Refit] = {}

    def fit(self, weights: CaseWeights | None = None) -> Estimates:
        """Fit all columns (see Refits)."""
        found = self._own
        if weights is not None:
            found = self._design.fit(range(self._design.columns), weights, self._own, REPLICATE_DECREMENT)
        scale = self._design.sd
        coef = found.slopes / scale
        intercepts = found.intercepts - float(coef @ self._design.mean)
        return Estimates(coef, found.covariance / np.outer(scale, scale), intercepts)

    def subset_loglik(self, terms: Sequence[Term]) -> Callable[[Subset], float]:
        """Return the log-likelihood of subsets (see Refits); each fit starts from a larger one."""
        worth = LogisticWorth(self._design, terms, R2Measure.MCFADDEN, decrement=DECREMENT)

        def loglik(subset: Subset) -> float:
            self._subset_fits[subset] = worth.fit(subset)
            return self._subset_fits[subset].loglik

        return loglik

    def replicate_logliks(self, subsets: Sequence[Subset], draws: Sequence[Drawn]) -> Floats | None:
        """Return the log-likelihoods of replicates (see Refits), by one Newton step from the cohort's subset fits."""
        return one_step_logliks(self._blocks, self._design, [self._subset_fits[subset] for subset in subsets], draws)

    def r2(self, gain: float, weights: CaseWeights | None = None) -> float:  # noqa: ARG002 - the Cox model's reads them
        """Return McFadden's R2 of a gain, on the scale of the cohort: a replicate's shares don't depend on it."""
        return gain / -self._null_loglik

    def fractions(self, exposures: Sequence[Exposure], found: Estimates, weights: CaseWeights | None = None) -> Floats:
        """Return the fractions from odds ratios, then by g-computation."""
        used = weights if weights is not None else [np.ones(n) for n in self.rows]
        return weighted_fractions(self._blocks, found.intercepts, found.coef, exposures, used)


class CoxRefits:
    """A Cox cohort; R2 is that of O'Quigley, Xu and Stare 2005 (Statistics in Medicine 24:479): per event, not patient.

    A replicate's rows are repeated as often as they were drawn: ties with oneself are then ties like any other.
    """

    r2_measure = "o'quigley-xu-stare"
    fit_cost = 3
    fraction_methods: tuple[str, ...] = ("hazard-ratio",)

    def __init__(self, blocks: Sequence[SurvivalBlock], names: Sequence[str], ties: str) -> None:
        """Fit the cohort.

        Raises:
            StatsError: it can't be fitted.
        """
        self._blocks, self._names, self._ties = tuple(blocks), tuple(names), Ties(ties)
        self.rows = tuple(block.n for block in blocks)
        fit = self._fit(self._blocks, self._names)
        self._own, self._null_loglik = Estimates(fit.coef, fit.covariance, np.zeros(0)), fit.null_loglik

    def fit(self, weights: CaseWeights | None = None) -> Estimates:
        """Fit all columns (see Refits)."""
        if weights is None:
            return self._own
        drawn = [_draw(block, case) for block, case in zip(self._blocks, weights, strict=True)]
        fit = self._fit(drawn, self._names)
        return Estimates(fit.coef, fit.covariance, np.zeros(0))

    def subset_loglik(self, terms: Sequence[Term]) -> Callable[[Subset], float]:
        """Return the log partial likelihood of subsets (see Refits)."""
        return lambda subset: self._loglik([column for t in subset for column in terms[t].columns])

    def replicate_logliks(self, subsets: Sequence[Subset], draws: Sequence[Drawn]) -> Floats | None:  # noqa: ARG002 - as Refits
        """Return None: a partial likelihood is no sum over patients that case weights could weigh."""
        return None

    def r2(self, gain: float, weights: CaseWeights | None = None) -> float:
        """Return 1 - exp(-2 gain / events)."""
        return -math.expm1(-2.0 * gain / self._events(weights))

    def fractions(self, exposures: Sequence[Exposure], found: Estimates, weights: CaseWeights | None = None) -> Floats:
        """Return 1 - mean over cases of 1 / HR(own level against reference level): Bruzzi's, with hazard ratios."""
        total, cases = self._events(weights), np.zeros(len(exposures))
        for h, block in enumerate(self._blocks):
            is_event = block.event == 1
            drawn = np.ones(int(is_event.sum())) if weights is None else weights[h][is_event]
            for e, exposure in enumerate(exposures):
                own = np.array(exposure.term.columns)
                excess = block.X[np.ix_(is_event, own)] - np.array(exposure.reference)
                cases[e] += float(drawn @ np.exp(-(excess @ found.coef[own])))
        return 1.0 - cases / total

    def _events(self, weights: CaseWeights | None) -> float:
        if weights is None:
            return float(sum(block.events for block in self._blocks))
        return sum(float(case[block.event == 1].sum()) for block, case in zip(self._blocks, weights, strict=True))

    def _loglik(self, columns: Sequence[int]) -> float:
        if not columns:
            return self._null_loglik
        part = [dataclasses.replace(block, X=block.X[:, columns]) for block in self._blocks]
        return self._fit(part, [self._names[column] for column in columns]).loglik

    def _fit(self, blocks: Sequence[SurvivalBlock], names: Sequence[str]) -> CoxFit:
        return fit_cox(blocks, names, ties=self._ties, baseline=BaselineHazard.PER_HOSPITAL)


def _draw(block: SurvivalBlock, case: Floats) -> SurvivalBlock:
    rows = np.repeat(np.arange(block.n), case.astype(np.int64))
    return SurvivalBlock(
        block.name,
        block.X[rows],
        block.time[rows],
        block.event[rows],
        None if block.entry is None else block.entry[rows],
        None if block.stratum is None else block.stratum[rows],
    )
