"""Percentiles, mean and SD of a numeric column, and the years of a date column, as rule 11 lets them be shown.

Never a minimum or a maximum: a percentile needs 10 patients at or beyond it, and stands on a step coarse against the
column's spread. A mean of few distinct values would give their exact counts back, so it is made from rounded counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heartify.cohort.catalogue.coarse_steps import round_to_step, step_below
from heartify.disclosure.cells import Kind, round_cell
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.rounding import round_count

MEDIAN_PATIENTS = 2 * MIN_CELL
TAIL_PATIENTS = 20 * MIN_CELL
"""So many known values that a twentieth of them are 10 patients."""

FEW_DISTINCT = 10
"""A column with so few distinct values counts as levels: their shares, not their spread, decide its mean."""

STEPS_PER_SPREAD = 10
DOMINANT_SHARE = 0.90  # n-k rule (n = 2): two patients that hold so much of a total may not be told from it
DOMINANCE_REST = 0.10  # p-ratio: all the others together must hold so much of the largest

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ShownNumbers:
    """What may be shown of a numeric column; None where it may not."""

    step: float | None = None
    p05: float | None = None
    median: float | None = None
    p95: float | None = None
    mean: float | None = None
    sd: float | None = None


@np.errstate(over="ignore", invalid="ignore")  # sums of absurd sizes: they come out as not finite, and aren't shown
def show_numbers(values: FloatArray, *, least_step: float) -> ShownNumbers:
    """Summarise the known values of a column; `least_step` is the step in which its values come (0: any)."""
    if values.size < MIN_CELL:
        return ShownNumbers()
    ordered = np.sort(values)  # sums then don't depend on the order of the sample
    mean, sd = _moments(ordered)
    step = _step(ordered, least_step)
    if step is None:
        return ShownNumbers(mean=mean, sd=sd)
    p05, median, p95 = (round_to_step(float(np.quantile(ordered, share)), step) for share in (0.05, 0.5, 0.95))
    tails = ordered.size >= TAIL_PATIENTS
    if p05 == p95:
        return ShownNumbers(mean=mean, sd=sd)
    return ShownNumbers(step, p05 if tails else None, median, p95 if tails else None, mean, sd)


def show_years(days: FloatArray) -> tuple[int, int] | None:
    """Return the years before and after which fewer than 10 patients have a date (days since 1970), or None."""
    if days.size < MEDIAN_PATIENTS:
        return None
    ordered = np.sort(days).astype("datetime64[D]")
    years = ordered.astype("datetime64[Y]").astype(np.int64) + 1970
    return int(years[MIN_CELL - 1]), int(years[-MIN_CELL])


def _step(ordered: FloatArray, least_step: float) -> float | None:
    if ordered.size < MEDIAN_PATIENTS:
        return None
    p05, p25, p75, p95 = np.quantile(ordered, (0.05, 0.25, 0.75, 0.95))
    spread = float(p75 - p25) or float(p95 - p05) / 2
    return step_below(spread / STEPS_PER_SPREAD, least=least_step)


def _moments(ordered: FloatArray) -> tuple[float | None, float | None]:
    distinct, counts = np.unique(ordered, return_counts=True)
    if distinct.size <= FEW_DISTINCT:
        weights = np.array([round_count(int(count)) if count >= MIN_CELL else 0 for count in counts], np.float64)
    else:
        weights = counts.astype(np.float64)
    if np.count_nonzero(weights) < 2 or _is_dominated(ordered):
        return None, None  # all alike, or the total is one or two patients'
    n = float(weights.sum())
    mean = float((weights * distinct).sum()) / n
    sd = float(np.sqrt((weights * (distinct - mean) ** 2).sum() / (n - 1)))
    shown_mean, shown_sd = round_cell(Kind.MAGNITUDE, mean), round_cell(Kind.MAGNITUDE, sd)
    if shown_mean is None or not shown_sd:
        return None, None
    return float(shown_mean), float(shown_sd)


def _is_dominated(ordered: FloatArray) -> bool:
    """Apply the n-k rule (2, 90 %) and the p-ratio rule (10 %) to the sizes of the values."""
    sizes = np.sort(np.abs(ordered))
    total, largest, second = float(sizes.sum()), float(sizes[-1]), float(sizes[-2])
    return largest + second >= DOMINANT_SHARE * total or total - largest - second < DOMINANCE_REST * largest
