"""Limits that may stand in a public document: what is physiologically possible, or a coarse step beyond what there is.

The smallest and the largest value of a cohort belong to two patients. A limit is therefore never one of them: it is the
next of 1, 2 or 5 times a power of ten that lies strictly outside, or 0 where nothing is negative.
"""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 5.0, 10.0)


def coarse_limits(lowest: float, highest: float) -> tuple[float, float]:
    """Return limits around the values of a cohort that are neither of them."""
    low = 0.0 if lowest >= 0 else -_beyond(-lowest)
    return low, _beyond(highest) if highest > 0 else 0.0


def _beyond(value: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is larger than a positive value."""
    # Never below 10^-12: what is smaller is noise of a conversion.
    exponent = math.floor(math.log10(max(value, 1e-12)))
    candidates = (step * 10.0**power for power in (exponent - 1, exponent, exponent + 1) for step in _STEPS)
    return next(round(candidate, 12) for candidate in candidates if round(candidate, 12) > value)
