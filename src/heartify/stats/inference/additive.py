"""Interaction on the additive scale: does a second factor add more risk to those who have the first?

From a logistic model with two binary factors and their product, odds ratios standing for risk ratios (rare outcomes).
RERI, attributable proportion and synergy index with delta-method intervals (Hosmer and Lemeshow 1992, Epidemiology
3:452; Rothman 1986). None of them is zero because the product's coefficient is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.inference.wald import positions
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import PooledLogisticFit


@dataclass(frozen=True, slots=True)
class AdditiveMeasure:
    """An estimate with its delta-method SE and 95 % interval; for synergy both are of its logarithm, bounds of it."""

    estimate: float
    se: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class AdditiveInteraction:
    """RERI = OR11 - OR10 - OR01 + 1, AP = RERI / OR11, and synergy S = (OR11 - 1) / (OR10 + OR01 - 2).

    `synergy` is None unless both its terms are positive. Where a factor protects, none of the three is meaningful until
    those at the lowest risk are the reference (Knol et al. 2011, Eur J Epidemiol 26:433).
    """

    reri: AdditiveMeasure
    attributable_proportion: AdditiveMeasure
    synergy: AdditiveMeasure | None


def additive_interaction(
    fit: PooledLogisticFit, first: str, second: str, product: str, covariance: FloatArray | None = None
) -> AdditiveInteraction:
    """Return the additive interaction of two 0/1 columns and their product; `covariance` (q, q) replaces the model's.

    Raises:
        InvalidBlockError: the names are not three distinct coefficients, or the covariance has another shape.
    """
    rows = positions(fit.names, (first, second, product))
    V = fit.covariance if covariance is None else covariance
    if V.shape != fit.covariance.shape:
        raise InvalidBlockError("the covariance has another shape than the fit's")
    V = V[np.ix_(rows, rows)]
    b = fit.coef[rows]
    or10, or01, or11 = (float(value) for value in np.exp([b[0], b[1], b.sum()]))

    reri = or11 - or10 - or01 + 1.0
    d_reri = np.array([or11 - or10, or11 - or01, or11])
    d_share = (d_reri - reri) / or11
    return AdditiveInteraction(
        reri=_measure(reri, d_reri, V),
        attributable_proportion=_measure(reri / or11, d_share, V),
        synergy=_synergy(or10, or01, or11, V),
    )


def _synergy(or10: float, or01: float, or11: float, V: FloatArray) -> AdditiveMeasure | None:
    joint, apart = or11 - 1.0, or10 + or01 - 2.0
    if joint <= 0.0 or apart <= 0.0:
        return None
    gradient = or11 / joint - np.array([or10, or01, 0.0]) / apart
    log = _measure(math.log(joint / apart), gradient, V)
    return AdditiveMeasure(math.exp(log.estimate), log.se, math.exp(log.ci_low), math.exp(log.ci_high))


def _measure(estimate: float, gradient: FloatArray, V: FloatArray) -> AdditiveMeasure:
    se = math.sqrt(float(gradient @ V @ gradient))
    return AdditiveMeasure(estimate, se, estimate - Z_95 * se, estimate + Z_95 * se)
