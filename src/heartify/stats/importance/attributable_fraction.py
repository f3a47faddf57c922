"""Population attributable fraction: the part of events that would be absent had everybody a term's reference level.

Two estimators: from adjusted odds ratios over the cases (Bruzzi, Green, Byar, Brinton and Schairer 1985, Am J
Epidemiol 122:904; Miettinen 1974), which takes an odds ratio for a risk ratio; and g-computation from predicted risks,
which does not. Both presume that the term causes events and that the model holds. Rows count as a sample: the SE adds
the sampling of covariates to that of coefficients by influence functions (Dahlqwist, Zetterqvist, Pawitan and Sjolander
2016, Eur J Epidemiol 31:575), and the interval is made on log(1 - PAF).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.importance.refit import WeightedLogistic
from heartify.stats.importance.resampling import BootstrapSummary, bootstrap, summarise
from heartify.stats.importance.terms import Term, check_terms
from heartify.stats.intervals import check_level, normal_quantile
from heartify.stats.logistic import PooledLogisticFit, check_fit_belongs

REPLICATE_DECREMENT = 1e-6


@dataclass(frozen=True, slots=True)
class Exposure:
    """A term and its reference level: one value per column of the term, in the columns' units."""

    term: Term
    reference: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AttributableFraction:
    """A population attributable fraction (negative where the reference level is the worse), SE and interval."""

    term: str
    fraction: float
    se: float
    ci_low: float
    ci_high: float
    level: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FractionsBootstrap:
    """Both estimators of m exposures with bootstrap SE and percentile intervals, from the same replicates."""

    terms: tuple[str, ...]
    adjusted_odds_ratio: BootstrapSummary
    g_computation: BootstrapSummary


def fraction_from_odds_ratios(
    blocks: Sequence[CohortBlock], fit: PooledLogisticFit, exposure: Exposure, level: float = 0.95
) -> AttributableFraction:
    """Return 1 - mean over cases of 1 / OR(own level against reference level).

    Raises:
        InvalidBlockError: blocks are not those of the fit, the exposure does not fit the columns, or a wrong level.
    """
    _check(blocks, fit, exposure, level)
    parts = [_Rows(block, fit, h, exposure) for h, block in enumerate(blocks)]
    events = sum(part.events for part in parts)
    mean = sum(float(part.y @ part.inverse_or) for part in parts) / events
    gradient = np.zeros(fit.coef.size)
    for part in parts:
        gradient[part.columns] -= (part.y * part.inverse_or) @ part.excess / events
    pull = fit.covariance @ gradient
    square = 0.0
    for part in parts:
        influence = part.y * (part.inverse_or - mean) / events + part.scores @ pull
        square += float(influence @ influence)
    return _result(exposure, mean, math.sqrt(square), level)


def fraction_by_g_computation(
    blocks: Sequence[CohortBlock], fit: PooledLogisticFit, exposure: Exposure, level: float = 0.95
) -> AttributableFraction:
    """Return 1 - mean predicted risk with the term at its reference level / mean predicted risk.

    Raises:
        InvalidBlockError: as `fraction_from_odds_ratios`.
    """
    _check(blocks, fit, exposure, level)
    parts = [_Rows(block, fit, h, exposure) for h, block in enumerate(blocks)]
    # The mean predicted risk of a fit with intercepts is the observed one.
    events = sum(part.events for part in parts)
    ratio = sum(float(part.risk_at_reference.sum()) for part in parts) / events
    gradient = np.zeros(fit.coef.size)
    for part in parts:
        slope = part.risk_at_reference * expit(-part.reference_log_odds)
        gradient += slope @ part.design_at_reference / events
    pull = fit.covariance @ gradient
    square = 0.0
    for part in parts:
        influence = (part.risk_at_reference - ratio * part.y) / events + part.scores @ pull
        square += float(influence @ influence)
    return _result(exposure, ratio, math.sqrt(square), level)


def bootstrap_fractions(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    exposures: Sequence[Exposure],
    *,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> FractionsBootstrap:
    """Return both estimators of every exposure with bootstrap intervals; resamples patients within hospitals.

    Raises:
        StatsError: the cohort cannot be fitted, fewer than two replicates can, or an exposure does not fit.
    """
    design = WeightedLogistic(blocks, term_names)
    for exposure in exposures:
        _check_exposure(exposure, design.columns)
    if not exposures:
        raise InvalidBlockError("expected at least one exposure, got none")
    own, m = design.fit(range(design.columns)), len(exposures)
    ones = [np.ones(n) for n in design.rows]

    def measure(weights: Sequence[FloatArray]) -> FloatArray:
        fit = design.fit(range(design.columns), weights, own, REPLICATE_DECREMENT)
        slopes = fit.slopes / design.sd
        intercepts = fit.intercepts - float(slopes @ design.mean)
        return weighted_fractions(blocks, intercepts, slopes, exposures, weights)

    draws, observed = bootstrap(design.rows, measure, replicates, rng), measure(ones)
    return FractionsBootstrap(
        tuple(exposure.term.name for exposure in exposures),
        summarise(draws, observed[:m], level, slice(0, m)),
        summarise(draws, observed[m:], level, slice(m, 2 * m)),
    )


def weighted_fractions(
    blocks: Sequence[CohortBlock],
    intercepts: FloatArray,
    slopes: FloatArray,
    exposures: Sequence[Exposure],
    weights: Sequence[FloatArray],
) -> FloatArray:
    """Return the fractions (2 m,) of m exposures with case weights: from odds ratios, then by g-computation.

    `intercepts` (H,) and `slopes` (p,) are in the columns' units; a hospital whose weighted outcome does not vary may
    have an infinite intercept. Trusts that exposures and weights fit the blocks.
    """
    events, cases, risks = 0.0, np.zeros(len(exposures)), np.zeros(len(exposures))
    for block, intercept, w in zip(blocks, intercepts, weights, strict=True):
        log_odds = intercept + block.X @ slopes
        events += float(w @ block.y)
        for e, exposure in enumerate(exposures):
            own = np.array(exposure.term.columns)
            shift = (block.X[:, own] - np.array(exposure.reference)) @ slopes[own]
            cases[e] += float((w * block.y) @ np.exp(-shift))
            risks[e] += float(w @ expit(log_odds - shift))
    return np.concatenate([1.0 - cases / events, 1.0 - risks / events])


class _Rows:
    """Row-level quantities of one hospital, which never leave this module; q = the fit's number of parameters."""

    def __init__(self, block: CohortBlock, fit: PooledLogisticFit, h: int, exposure: Exposure) -> None:
        p = len(fit.term_names)
        own = np.array(exposure.term.columns)
        self.y, self.events, self.columns = block.y, block.events, own + 1
        design = np.zeros((block.n, fit.coef.size))
        design[:, 0], design[:, 1 : 1 + p] = 1.0, block.X
        if h:
            design[:, p + h] = 1.0
        log_odds = design @ fit.coef
        self.scores = (block.y - expit(log_odds))[:, None] * design
        self.excess = block.X[:, own] - np.array(exposure.reference)
        shift = self.excess @ fit.coef[self.columns]
        self.inverse_or = np.exp(-shift)
        self.reference_log_odds = log_odds - shift
        self.risk_at_reference = expit(self.reference_log_odds)
        self.design_at_reference = design.copy()
        self.design_at_reference[:, self.columns] = exposure.reference


def _result(exposure: Exposure, complement: float, se: float, level: float) -> AttributableFraction:
    half = normal_quantile(level) * se / complement
    low, high = 1.0 - complement * math.exp(half), 1.0 - complement * math.exp(-half)
    return AttributableFraction(exposure.term.name, 1.0 - complement, se, low, high, level)


def _check_exposure(exposure: Exposure, p: int) -> None:
    check_terms([exposure.term], p)
    if len(exposure.reference) != len(exposure.term.columns) or not np.isfinite(exposure.reference).all():
        raise InvalidBlockError("an exposure needs one finite reference value per column of its term")


def _check(blocks: Sequence[CohortBlock], fit: PooledLogisticFit, exposure: Exposure, level: float) -> None:
    check_fit_belongs(blocks, fit)
    _check_exposure(exposure, len(fit.term_names))
    check_level(level)
