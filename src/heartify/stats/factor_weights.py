"""What a factor weighs: its log odds ratio per clinical unit and per standard deviation, with Wald inference.

Exact inside the enclave; the disclosure package rounds what leaves. A p-value is carried as its decimal logarithm too,
because beyond |z| = 38 the double itself underflows to zero. A weight is an association, adjusted for the other terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.intervals import Z_95, log_two_sided_p
from heartify.stats.logistic import PooledLogisticFit


@dataclass(frozen=True, slots=True)
class Effect:
    """A log odds ratio with its SE and 95 % Wald interval, and the same as an odds ratio (inf if past a double)."""

    beta: float
    se: float
    ci_low: float
    ci_high: float
    ratio: float
    ratio_ci_low: float
    ratio_ci_high: float


@dataclass(frozen=True, slots=True)
class Weight:
    """One factor: effect per clinical unit and per SD (in clinical units, divisor n - 1), z, two-sided p, log10(p).

    `p` is 0.0 only where the true value is below the smallest double; `log10_p` is right everywhere.
    """

    factor: str
    per_unit: Effect
    sd: float
    per_sd: Effect
    z: float
    p: float
    log10_p: float


def weights(fit: PooledLogisticFit, sd: FloatArray) -> tuple[Weight, ...]:
    """Return the weight of every term of the fit; sd (p,) are the SDs over the pooled complete cases.

    Raises:
        InvalidBlockError: sd does not have one positive, finite value per term.
    """
    if sd.shape != fit.term_coef.shape or not np.isfinite(sd).all() or not (sd > 0).all():
        raise InvalidBlockError("expected one positive standard deviation per term")
    rows = zip(fit.term_names, fit.term_coef, fit.term_se, sd, strict=True)
    return tuple(_weight(name, float(beta), float(se), float(scale)) for name, beta, se, scale in rows)


def build_effect(beta: float, se: float) -> Effect:
    """Return the Wald effect of a log odds ratio and its standard error."""
    low, high = beta - Z_95 * se, beta + Z_95 * se
    return Effect(beta, se, low, high, _exp(beta), _exp(low), _exp(high))


def _weight(factor: str, beta: float, se: float, sd: float) -> Weight:
    z = beta / se
    log_p = log_two_sided_p(z)
    per_sd = build_effect(beta * sd, se * sd)
    return Weight(factor, build_effect(beta, se), sd, per_sd, z, min(1.0, math.exp(log_p)), log_p / math.log(10.0))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
