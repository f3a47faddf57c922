"""Round values along a factor's range, and whether a percentile may be known at all (rule 11).

The range leaves out at least ten patients on either side, so that no patient's value is its limit; the points in it
are round numbers that nobody measured. No minimum and no maximum is ever looked for.
"""

from __future__ import annotations

import math

import numpy as np

from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.rounding import round_significant
from heartify.enclave.cases import Floats

OUTER = 0.05
DIGITS = 3  # of a MAGNITUDE: points must differ as they are shown
REFERENCE_DIGITS = 2
ROUNDING = 1e-9  # of a step


def enough_beyond(values: Floats, low: float, high: float) -> bool:
    """Return whether ten or more of the values (n,) lie below `low`, and above `high`."""
    return int((values < low).sum()) >= MIN_CELL and int((values > high).sum()) >= MIN_CELL


def shown_range(values: Floats) -> tuple[float, float] | None:
    """Return the 5th and 95th percentiles of the values (n,), moved inwards until ten patients lie beyond each.

    None where nothing is left between them.
    """
    ordered = np.sort(values)
    if ordered.size < 2 * MIN_CELL:
        return None
    below = ordered[ordered > ordered[MIN_CELL - 1]]
    above = ordered[ordered < ordered[-MIN_CELL]]
    if below.size == 0 or above.size == 0:
        return None
    low = max(float(np.quantile(values, OUTER)), float(below[0]))
    high = min(float(np.quantile(values, 1.0 - OUTER)), float(above[-1]))
    return (low, high) if low < high else None


def round_points(low: float, high: float, at_most: int) -> tuple[float, ...]:
    """Return the multiples of a round step (1, 2 or 5 times a power of ten) from `low` to `high`, at most so many.

    The step is such that all points differ in three significant digits.
    """
    largest = max(abs(low), abs(high))
    unit = 10.0 ** (math.floor(math.log10(largest)) - DIGITS + 1)
    power = math.floor(math.log10((high - low) / at_most))
    steps = (factor * 10.0**exponent for exponent in (power, power + 1, power + 2) for factor in (1.0, 2.0, 5.0))
    for step in (max(step, unit) for step in steps):
        # 1.4 / 0.2 is below 7 in doubles.
        first, last = math.ceil(low / step - ROUNDING), math.floor(high / step + ROUNDING)
        if last - first < at_most:
            # Through significant digits, so that 0.1 + 0.2 is 0.3.
            return tuple(round_significant(number * step, DIGITS) + 0.0 for number in range(first, last + 1))
    return ()


def round_reference(values: Floats, low: float, high: float) -> float | None:
    """Return the median of the values (n,) to two significant digits, or to three; None if that is out of the range."""
    median = float(np.median(values))
    rounded = (round_significant(median, digits) + 0.0 for digits in (REFERENCE_DIGITS, DIGITS))
    return next((value for value in rounded if low <= value <= high), None)
