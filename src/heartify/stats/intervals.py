"""Quantiles and tails behind intervals and z tests: the standard normal's, and Student's for few hospitals.

The p-value of a z comes as a logarithm, because beyond |z| = 38 the double itself underflows to zero. Intervals are for
use inside the enclave; the disclosure package rounds what leaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import log_ndtr, ndtri, stdtrit

from heartify.stats.errors import InvalidBlockError

Z_95 = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Interval:
    """The two ends of an interval, in the unit of what it is an interval of."""

    low: float
    high: float


def check_level(level: float) -> None:
    """Check a confidence level.

    Raises:
        InvalidBlockError: it is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise InvalidBlockError("a confidence level lies strictly between 0 and 1")


def normal_quantile(level: float) -> float:
    """Return the two-sided standard normal quantile of a confidence level.

    Raises:
        InvalidBlockError: the level is not strictly between 0 and 1.
    """
    check_level(level)
    return float(ndtri(0.5 + level / 2.0))


def normal_interval(centre: float, se: float, level: float) -> Interval:
    """Return centre -/+ the normal quantile times se.

    Raises:
        InvalidBlockError: as `normal_quantile`.
    """
    half = normal_quantile(level) * se
    return Interval(centre - half, centre + half)


def t_interval(centre: float, se: float, df: int, level: float) -> Interval:
    """Return centre -/+ Student's quantile with df degrees of freedom times se.

    Raises:
        InvalidBlockError: the level is not strictly between 0 and 1.
    """
    check_level(level)
    half = float(stdtrit(df, 0.5 + level / 2.0)) * se
    return Interval(centre - half, centre + half)


def log_two_sided_p(z: float) -> float:
    """Return the natural logarithm of 2 (1 - Phi(|z|)), accurate in the far tail."""
    return math.log(2.0) + float(log_ndtr(-abs(z)))
