"""Guess which numbers of a column mean "not known": -9, 999, and 0 where there can be none. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heartify.cohort.describing.levels import MIN_ROWS
from heartify.cohort.describing.profile import ColumnProfile

FEW_CODES = 10
"""A column of whole numbers with no more codes than this is coded, not measured."""


def missing_numbers(profile: ColumnProfile, values: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return the numbers that stand apart from a column's others and are what files use for "not known".

    `values` is a sample of the column. A number that fewer rows have than a level needs is not returned: it might be
    a patient's own value.
    """
    candidates = [code for code, count in profile.sentinels.items() if count >= MIN_ROWS and code != "0"]
    others = values[~np.isnan(values) & ~np.isin(values, [float(code) for code in candidates])]
    if not candidates or len(others) == 0:
        return ()
    is_coded = profile.is_whole and len(np.unique(others)) <= FEW_CODES
    stands_apart = _apart_from_codes if is_coded else _apart_from_measurements
    return tuple(sorted((code for code in candidates if stands_apart(float(code), others)), key=float))


def _apart_from_codes(number: float, others: npt.NDArray[np.float64]) -> bool:
    if number < 0:
        return bool(others.min() >= 0)
    return number in {9, 99, 999, 9999, 88, 888} and float(others.max()) <= number / 2


def _apart_from_measurements(number: float, others: npt.NDArray[np.float64]) -> bool:
    if number < 0:
        return bool(others.min() >= 0)
    median, high = np.quantile(others, (0.5, 0.99))
    return bool(number > high + 2 * (high - median) and number > 2 * median)
