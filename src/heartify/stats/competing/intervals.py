"""Log-log confidence intervals of a probability, and reading a right-continuous step function."""

from __future__ import annotations

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.intervals import normal_quantile

ROUNDING = 1e-12  # a sum of increments this close to 1 is 1
LARGEST_REACH = 700.0  # beyond it exp overflows, and the interval is all of (0, 1)


def log_log_interval(p: FloatArray, se: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return the interval exp(-exp(log(-log p) +- z se / (p log p))), NaN where p is 0 or 1 and no interval exists.

    Source: Kalbfleisch and Prentice 2002, section 1.4; R's survfit(conf.type = "log-log"), also for incidences.
    """
    low, high = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    inside = (p > 0.0) & (p < 1.0 - ROUNDING) & np.isfinite(se)
    log_p = np.log(p[inside])
    reach = np.minimum(normal_quantile(level) * se[inside] / (p[inside] * -log_p), LARGEST_REACH)
    low[inside] = np.exp(log_p * np.exp(reach))
    high[inside] = np.exp(log_p * np.exp(-reach))
    return low, high


def step_at(time: FloatArray, values: FloatArray, at: FloatArray, before: float) -> FloatArray:
    """Return the right-continuous step function with `values` (m,) from `time` (m,) on, at times (k,)."""
    index = np.searchsorted(time, at, side="right")
    return np.concatenate(([before], values))[index]


def step_before(time: FloatArray, values: FloatArray, at: FloatArray, before: float) -> FloatArray:
    """Return the left limit of the step function, at times (k,)."""
    index = np.searchsorted(time, at, side="left")
    return np.concatenate(([before], values))[index]
