"""Find classic wrong-unit faults: cholesterol in mmol/L declared mg/dL, height in metres declared cm, age in days.

The steward declares units and nothing is ever converted silently; this module only doubts. It looks at columns with a
LOINC code that it knows (and at ages), and compares the median and the values with wide physiological ranges for the
declared unit (`protocol.plausible_ranges`). A finding never holds a value or a median.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heartify.cohort.lint.findings import Finding, check_accepted
from heartify.cohort.table_form import known_numbers
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plausible_ranges import DIASTOLIC, RANGES, SYSTOLIC, PlausibleRange, loinc_of, ranges_of

MIN_VALUES = 5
MAX_IMPLAUSIBLE_SHARE = 0.01


def check_plausible(table: pa.Table, dictionary: DataDictionary, *, accept_findings: Collection[str] = ()) -> None:
    """Check that declared units are plausible, except for findings accepted by name.

    Raises InputError listing the findings.
    """
    check_accepted(lint_units(table, dictionary), accept_findings)


def lint_units(table: pa.Table, dictionary: DataDictionary) -> tuple[Finding, ...]:
    """Return the findings on units, zeros and swapped blood pressures; at most three for each column."""
    findings: list[Finding] = []
    for column in dictionary.published_columns:
        if column.datatype in {"number", "integer"}:
            findings += _lint_column(column, known_numbers(table.column(column.name)))
    findings += _lint_pressures(table, dictionary)
    return tuple(findings)


def _lint_column(column: Column, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    candidates = ranges_of(column)
    if not candidates:
        return
    declared = next((entry for entry in candidates if entry.unit == column.unit), None)
    if declared is None:
        units = " or ".join(entry.unit for entry in candidates)
        yield Finding(
            "unit-code",
            column.name,
            f"LOINC {loinc_of(column)} ({candidates[0].quantity}) is measured in {units}, not in {column.unit}",
            "correct the unit or the code",
        )
        return
    if len(values) < MIN_VALUES:
        return
    yield from _lint_zeros(column, declared, values)
    values = values[values != 0] if declared.value[0] > 0 else values
    if len(values) == 0:
        return
    if not _lies_in(float(np.median(values)), declared.median):
        yield _median_finding(column, declared, float(np.median(values)))
    elif np.mean((values < declared.value[0]) | (values > declared.value[1])) > MAX_IMPLAUSIBLE_SHARE:
        yield Finding(
            "unit-mixed",
            column.name,
            f"more than 1 % of the values are impossible for {declared.quantity} in {column.unit}",
            "look for rows in another unit, and set limits",
        )


def _lint_zeros(column: Column, declared: PlausibleRange, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    if declared.value[0] > 0 and np.any(values == 0):
        yield Finding(
            "zero-as-missing",
            column.name,
            f"there are zeros, which {declared.quantity} cannot be",
            'if 0 means not known, add "0" to missing_codes',
        )


def _median_finding(column: Column, declared: PlausibleRange, median: float) -> Finding:
    others = [
        entry.unit
        for entry in RANGES
        if entry.quantity == declared.quantity and entry.unit != column.unit and _lies_in(median, entry.median)
    ]
    hint = f"the values look like {' or '.join(others)}" if others else "check the unit"
    return Finding(
        "unit-suspect",
        column.name,
        f"the median is not plausible for {declared.quantity} in {column.unit} "
        f"(expected {declared.median[0]:g} to {declared.median[1]:g})",
        hint,
    )


def _lint_pressures(table: pa.Table, dictionary: DataDictionary) -> Iterator[Finding]:
    """Compare systolic with diastolic pressures where each is declared once and in the same unit."""
    systolic = [column for column in dictionary.published_columns if column.loinc == SYSTOLIC]
    diastolic = [column for column in dictionary.published_columns if column.loinc == DIASTOLIC]
    if len(systolic) != 1 or len(diastolic) != 1 or systolic[0].unit != diastolic[0].unit:
        return
    high = table.column(systolic[0].name).to_numpy().astype(np.float64)
    low = table.column(diastolic[0].name).to_numpy().astype(np.float64)
    both = ~(np.isnan(high) | np.isnan(low))
    if both.sum() >= MIN_VALUES and np.mean(low[both] > high[both]) > MAX_IMPLAUSIBLE_SHARE:
        yield Finding(
            "pressure-swapped",
            systolic[0].name,
            f"in more than 1 % of the rows it is lower than the diastolic pressure '{diastolic[0].name}'",
            "look for exchanged columns or rows",
        )


def _lies_in(value: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= value <= interval[1]
