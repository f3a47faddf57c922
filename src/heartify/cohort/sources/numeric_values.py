"""Numbers of one column made final: converted to the declared unit, rounded or checked for decimals, held to limits.

All sources share it, so that the same value passes or fails whatever format it came in. NaN is a missing value here;
a fault is where and what was expected, never the value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from heartify.cohort.encrypted.stored_form import MAX_EXACT_INTEGER
from heartify.cohort.sources.bound_columns import BoundColumn
from heartify.protocol.dictionary import Column

Values = npt.NDArray[np.float64]
FaultsByRow = dict[int, str]
"""Index of the row in its batch, and what was expected there."""

EXPECTED_WHOLE = "expected a whole number of at most 2^53"


def finish_numbers(values: Values, bound: BoundColumn) -> tuple[Values, FaultsByRow]:
    """Return the final values, and the faults among them; `values` must be finite where they are not NaN.

    Only a converted value is rounded, to the column's declared decimals, or to a whole number of an integer column:
    a conversion makes decimals that nobody measured. An unconverted value with too many decimals is a fault.
    """
    if bound.conversion is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(bound.conversion.apply(values), dtype=np.float64)
            values = _round_values(values, bound.column)
    faults: FaultsByRow = {}
    for wrong, expected in _find_wrong(values, bound.column):
        for row in np.flatnonzero(wrong).tolist():
            faults.setdefault(row, expected)
    return values, faults


def _round_values(values: Values, column: Column) -> Values:
    decimals = 0 if column.datatype == "integer" else column.decimals
    return values if decimals is None else np.round(values, decimals)


def _find_wrong(values: Values, column: Column) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    with np.errstate(invalid="ignore", over="ignore"):
        if column.datatype == "integer":
            yield (
                (np.abs(values) > MAX_EXACT_INTEGER) | (values != np.trunc(values)) & ~np.isnan(values),
                EXPECTED_WHOLE,
            )
        else:
            yield np.isinf(values), "expected a number"
        if column.decimals is not None:
            yield _has_more_decimals(values, column.decimals), f"expected at most {column.decimals} decimal places"
        low, high = column.minimum, column.maximum
        if low is not None or high is not None:
            too_low = values < (-np.inf if low is None else low)
            too_high = values > (np.inf if high is None else high)
            yield too_low | too_high, _describe_limits(column)


def _has_more_decimals(values: Values, decimals: int) -> npt.NDArray[np.bool_]:
    # Below 2^52 units np.round finds the nearest decimal exactly; above, a float64 is coarser than the decimals anyway.
    return np.asarray((np.round(values, decimals) != values) & (np.abs(values) < 2.0**52 / 10.0**decimals))


def _describe_limits(column: Column) -> str:
    low, high = ("any" if limit is None else f"{limit:g}" for limit in (column.minimum, column.maximum))
    return f"expected a value from {low} to {high} {column.unit}"
