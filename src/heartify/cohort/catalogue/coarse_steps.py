"""Steps of 1, 2 or 5 times a power of ten, and values rounded to them in exact decimal arithmetic.

A percentile is shown on a step that is coarse against the spread of the column, so that it is no patient's value.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

_LEADING = (5, 2, 1)


def step_below(size: float, *, least: float = 0.0) -> float | None:
    """Return the largest step not above `size`, but at least `least` (a step itself or 0); None without a size."""
    if not (math.isfinite(size) and size > 0.0):
        return None
    exponent = math.floor(math.log10(size))
    # One decade up and down, as the logarithm of a power of ten may come out a little off.
    steps = [float(Decimal(lead).scaleb(e)) for e in (exponent + 1, exponent, exponent - 1) for lead in _LEADING]
    return max(next(step for step in steps if step <= size), least)


def is_step(step: float) -> bool:
    """Return whether it is 1, 2 or 5 times a power of ten."""
    return step_below(step) == step


def round_to_step(value: float, step: float) -> float:
    """Return the multiple of the step nearest to a finite value; never minus zero."""
    exact = Decimal(repr(step))
    return float((Decimal(value) / exact).to_integral_value(ROUND_HALF_EVEN) * exact) + 0.0
