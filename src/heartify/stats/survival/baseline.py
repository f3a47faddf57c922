"""Cumulative baseline hazard of each stratum, and survival at given covariates, with standard errors.

At all covariates zero, as R's basehaz(centered = FALSE): Breslow's increments d / S0, or sum_l 1 / S0_l under Efron's
ties. Survival is exp(-H) as R's survfit.coxph gives it, with the variance of Andersen and Gill 1982 (Ann Stat 10:1100):
that of the hazard at known coefficients, plus that of the coefficients. A curve steps at patients' event times: only
disclosure decides on which grid it may leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.intervals import Z_95
from heartify.stats.survival.blocks import SurvivalSource
from heartify.stats.survival.cox import CoxFit
from heartify.stats.survival.fitted import fitted_rows, risk_set_means


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StratumBaseline:
    """Hold one stratum's baseline: `hazard` (K,) is the cumulative hazard at covariates `reference` (p,), not at zero.

    `times` (K,): event times. `variance` (K,): of the cumulative hazard at known coefficients; `means` (p, K): the
    cumulative sum of risk-set means (less the reference) times hazard increments. Far covariates overflow at zero, so
    sums are kept at the stratum's mean covariates.
    """

    hospital: str
    stratum: int
    times: FloatArray
    hazard: FloatArray
    variance: FloatArray
    means: FloatArray
    reference: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SurvivalCurve:
    """Hold cumulative hazard (t,), its standard error, survival and its 95 % interval (of type "log") at times (t,)."""

    times: FloatArray
    cumulative_hazard: FloatArray
    se: FloatArray
    survival: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray


def baseline_hazards(fit: CoxFit, sources: Sequence[SurvivalSource]) -> tuple[StratumBaseline, ...]:
    """Return the baseline of every stratum that has an event; `hospital` is "" when hospitals share one.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    fitted = fitted_rows(fit, sources)
    found = []
    for part in fitted.passes:
        hazard, (hospital, stratum) = part.hazard, part.stratum.label
        means = risk_set_means(part).hazard * fitted.design.scale[:, None]
        found.append(
            StratumBaseline(
                hospital,
                stratum,
                part.stratum.sets.times,
                np.cumsum(hazard.increments),
                np.cumsum(hazard.square / hazard.S0**2),
                np.cumsum(means, axis=1),
                part.stratum.mean,
            )
        )
    return tuple(found)


def cumulative_baseline_hazard(fit: CoxFit, baseline: StratumBaseline, times: FloatArray) -> FloatArray:
    """Return the cumulative hazard (t,) at times (t,) of a person whose covariates are all zero.

    Raises:
        InvalidBlockError: a time is missing.
    """
    return survival_curve(fit, baseline, np.zeros(fit.coef.size), times).cumulative_hazard


def survival_curve(fit: CoxFit, baseline: StratumBaseline, x: FloatArray, times: FloatArray) -> SurvivalCurve:
    """Return the survival curve at covariates x (p,), in clinical units, at times (t,) in any order.

    Beyond the stratum's last follow-up a curve merely stays level; that is the caller's to cut.

    Raises:
        InvalidBlockError: covariates do not fit the model, or a value is missing.
    """
    if x.shape != fit.coef.shape or not np.isfinite(x).all():
        raise InvalidBlockError("expected one finite covariate per term")
    if times.ndim != 1 or np.isnan(times).any():
        raise InvalidBlockError("expected times (t,) without missing values")
    place = np.searchsorted(baseline.times, times, side="right")
    hazard, variance = (np.concatenate(([0.0], part))[place] for part in (baseline.hazard, baseline.variance))
    means = np.concatenate((np.zeros((x.size, 1)), baseline.means), axis=1)[:, place]
    offset = x - baseline.reference
    risk = float(np.exp(offset @ fit.coef))
    spread = means - np.outer(offset, hazard)
    se = risk * np.sqrt(variance + np.einsum("it,ij,jt->t", spread, fit.covariance, spread))
    cumulative = hazard * risk
    low, high = np.exp(-cumulative - Z_95 * se), np.minimum(np.exp(-cumulative + Z_95 * se), 1.0)
    return SurvivalCurve(times, cumulative, se, np.exp(-cumulative), low, high)
