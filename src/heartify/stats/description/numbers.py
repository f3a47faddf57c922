"""A column of numbers in brief: mean, SD, median, 5th and 95th percentile.

No smallest or largest value, ever: a percentile is given only where at least 10 patients lie strictly beyond it, which
no extreme has. A column with few values is summarised from the counts of its values, so that its mean can be one of
rounded counts: the exact mean of a flag is its exact count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

MIN_BEYOND = 10


@dataclass(frozen=True, slots=True, repr=False)
class NumberSummary:
    """Mean, SD (divisor n - 1) and percentiles in the column's unit; None where too few patients bear them."""

    n: int
    mean: float
    sd: float
    median: float | None
    p05: float | None
    p95: float | None


def summarise(values: FloatArray) -> NumberSummary:
    """Summarise values (n,) without gaps; percentiles as R's quantile(type = 7), the median from 20 values on.

    Raises:
        InvalidBlockError: fewer than two values, or one is missing or infinite.
    """
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        raise InvalidBlockError("a summary is of two or more finite values")
    p05, median, p95 = (float(value) for value in np.quantile(values, (0.05, 0.5, 0.95)))
    # The mean of doubles can miss their common value by a rounding; the order of rows must not show either.
    ordered = np.sort(values)
    return NumberSummary(
        n=int(values.size),
        mean=float(ordered.mean()),
        sd=float(ordered.std(ddof=1)),
        median=median if values.size >= 2 * MIN_BEYOND else None,
        p05=p05 if np.count_nonzero(values < p05) >= MIN_BEYOND else None,
        p95=p95 if np.count_nonzero(values > p95) >= MIN_BEYOND else None,
    )


def summarise_counts(values: Sequence[float], counts: Sequence[int]) -> NumberSummary:
    """Summarise a column of which `counts[i]` patients have `values[i]`; equal to `summarise` of the column.

    Raises:
        InvalidBlockError: the two differ in length, a count is negative, or they are of fewer than two patients.
    """
    if len(values) != len(counts) or min(counts, default=0) < 0:
        raise InvalidBlockError("each value needs a count of patients")
    return summarise(np.repeat(np.asarray(values, dtype=np.float64), counts))


def is_concentrated(values: FloatArray) -> bool:
    """Return whether fewer than 10 of the values (n,) differ from the most frequent one: then they speak of few."""
    counts = np.unique(values, return_counts=True)[1]
    return int(values.size - counts.max(initial=0)) < MIN_BEYOND
