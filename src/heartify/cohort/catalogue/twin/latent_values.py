"""Table columns as plain numbers and back: what the twin's model is made of, whatever the datatype.

A number is itself, a date its days since 1970, a boolean 0 or 1, a category the position of its level; missing is NaN.
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.protocol.dictionary import Column, normalise_code

FloatArray = npt.NDArray[np.float64]
MAX_DECIMALS = 12
EXCEPTIONS = 10
"""So many values may have more decimals than the rest before they count."""

UNITS_PER_SPREAD = 1000
"""Finer than this against the spread of a column, decimals are noise of a calculation."""

_FIRST_DAY, _LAST_DAY = (dt.date.min - dt.date(1970, 1, 1)).days, (dt.date.max - dt.date(1970, 1, 1)).days


def values_of(column: Column, values: pa.ChunkedArray) -> FloatArray:
    """Return a column of the table form as float64, NaN where missing."""
    if column.datatype == "category":
        indices = [chunk.indices for chunk in values.chunks]
        values = pa.chunked_array(indices, pa.int32())
    elif column.datatype in {"boolean", "date"}:
        values = pc.cast(values, pa.int8() if column.datatype == "boolean" else pa.int32())
    numbers = pc.fill_null(pc.cast(values, pa.float64(), safe=False), math.nan).to_numpy()
    return np.asarray(numbers, dtype=np.float64)


def has_levels(column: Column) -> bool:
    """Tell whether the values are levels by declaration."""
    return column.datatype in {"category", "boolean"}


def unit_step(column: Column, known: FloatArray) -> float:
    """Return the step in which values are written: 1 for whole numbers, else a power of ten.

    Where the dictionary doesn't say how many decimals a number has, the fewest that hold nearly all known values.
    """
    if column.datatype != "number":
        return 1.0
    if column.decimals is not None:
        return float(10.0**-column.decimals)
    low, high = np.quantile(known, (0.05, 0.95))
    fine_enough = float(high) / UNITS_PER_SPREAD - float(low) / UNITS_PER_SPREAD
    for decimals in range(MAX_DECIMALS):
        off = np.abs(known - np.round(known, decimals)) > 1e-9 * np.abs(known)
        if np.count_nonzero(off) < EXCEPTIONS or 10.0**-decimals <= fine_enough:
            return float(10.0**-decimals)
    return float(10.0**-MAX_DECIMALS)


def fit_to_column(column: Column, values: FloatArray, unit: float) -> FloatArray:
    """Round values to their unit, within the dictionary's limits, positive for a follow-up time, off missing codes."""
    low, high = _limits(column, unit)
    # 1 / unit is a whole number, so that the quotient is the double nearest to the short decimal.
    steps = np.round(values / unit)
    fitted = np.clip(steps, low, high)
    moved = _off_missing_codes(column, fitted, unit, (low, high))
    return np.asarray(moved / round(1 / unit) + 0.0, dtype=np.float64)


def _limits(column: Column, unit: float) -> tuple[float, float]:
    """Return the least and greatest whole number of units."""
    if column.datatype == "date":
        return _FIRST_DAY, _LAST_DAY
    low = -math.inf if column.minimum is None else math.ceil(column.minimum / unit - 1e-9)
    high = math.inf if column.maximum is None else math.floor(column.maximum / unit + 1e-9)
    if column.role == "time" and column.datatype in {"number", "integer"}:
        low = max(low, 1.0)
    return low, max(low, high)


def _off_missing_codes(column: Column, steps: FloatArray, unit: float, limits: tuple[float, float]) -> FloatArray:
    """Move values that would be read as missing to the next one that isn't."""
    codes = {round(number / unit) for number in _numbers_among(column.missing_codes)}
    if not codes or column.datatype not in {"number", "integer"}:
        return steps
    free = (value for distance in range(1, len(codes) + 2) for value in (distance, -distance))
    moves = tuple(free)
    for code in codes:
        target = next((code + m for m in moves if code + m not in codes and limits[0] <= code + m <= limits[1]), None)
        # Without a free value within the limits the column can't hold anything there: it is written as missing.
        steps = np.where(steps == code, math.nan if target is None else float(target), steps)
    return steps


def _numbers_among(codes: tuple[str, ...]) -> list[float]:
    numbers = []
    for code in codes:
        try:
            number = float(normalise_code(code))
        except ValueError:
            continue
        if math.isfinite(number):
            numbers.append(number)
    return numbers
