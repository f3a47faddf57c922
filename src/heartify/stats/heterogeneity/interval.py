"""An interval, and the quantiles that intervals over few hospitals are made of."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

from heartify.stats.errors import InvalidBlockError


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
        raise InvalidBlockError("a confidence level lies between 0 and 1")


def normal_interval(centre: float, se: float, level: float) -> Interval:
    """Return centre -/+ the normal quantile times se."""
    half = float(ndtri(0.5 + level / 2.0)) * se
    return Interval(centre - half, centre + half)


def t_interval(centre: float, se: float, df: int, level: float) -> Interval:
    """Return centre -/+ Student's quantile with df degrees of freedom times se."""
    half = float(stdtrit(df, 0.5 + level / 2.0)) * se
    return Interval(centre - half, centre + half)
