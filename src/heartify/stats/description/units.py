"""Is a column in the unit that it is said to be in? Values outside of limits, and medians like those of another unit.

Knows no unit: limits and the medians to compare with are given. Answers are a count and a name, never a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

LIKENESS = 1.35  # medians of one quantity in one unit differ between hospitals by less than this factor


def count_outside(values: FloatArray, low: float, high: float) -> int:
    """Return how many of the values (n,) lie outside of [low, high]; missing ones do not.

    Raises:
        InvalidBlockError: low is above high.
    """
    if not low <= high:
        raise InvalidBlockError("a lower limit is not above its upper limit")
    return int(np.count_nonzero((values < low) | (values > high)))


def suspected_unit(median: float, elsewhere: float, in_other_units: Mapping[str, float]) -> str | None:
    """Return the unit that a median is in by the look of it, or None if it looks like its own.

    `elsewhere` is the median of comparable patients in the declared unit, `in_other_units` the same in each other unit.
    A unit is suspected where the median is like that unit's (within a factor of 1.35) and unlike the declared one's.
    """
    if _distance(median, elsewhere) <= math.log(LIKENESS):
        return None
    near = {unit: _distance(median, expected) for unit, expected in in_other_units.items()}
    close = {unit: distance for unit, distance in near.items() if distance <= math.log(LIKENESS)}
    return min(close, key=lambda unit: (close[unit], unit)) if close else None


def _distance(first: float, second: float) -> float:
    if not (first > 0.0 and second > 0.0):
        return 0.0 if first == second else math.inf
    return abs(math.log(first / second))
