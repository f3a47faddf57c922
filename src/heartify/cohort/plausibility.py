"""Find classic wrong-unit faults: cholesterol in mmol/L declared mg/dL, height in metres declared cm, age in days.

The steward declares units and nothing is ever converted silently; this module only doubts. It looks at columns with a
LOINC code that it knows (and at ages), and compares the median and the values with wide physiological ranges for the
declared unit. A finding never holds a value or a median. Ranges are deliberately wide: they separate units, they do not
judge patients. Sources of codes and units: LOINC, HL7 FHIR vital signs value set; conversions: cholesterol 38.67,
glucose 18.016, triglycerides 88.57, creatinine 88.42, HbA1c (NGSP - 2.152) / 0.09148.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heartify.cohort.column_naming import is_age
from heartify.cohort.findings import Finding, check_accepted
from heartify.cohort.table_form import known_numbers
from heartify.protocol.dictionary import Column, DataDictionary

MIN_VALUES = 5
MAX_IMPLAUSIBLE_SHARE = 0.01

SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"


@dataclass(frozen=True, slots=True)
class PlausibleRange:
    """What a quantity looks like in one unit: where a cohort's median lies, and where single values lie."""

    quantity: str
    loincs: tuple[str, ...]
    unit: str
    median: tuple[float, float]
    value: tuple[float, float]


_AGE = ("30525-0",)
_EGFR = ("98979-8", "33914-3", "62238-1")
RANGES = (
    PlausibleRange("age", _AGE, "a", (0.5, 105), (0, 125)),
    PlausibleRange("age", _AGE, "mo", (6, 1260), (0, 1500)),
    PlausibleRange("age", _AGE, "d", (150, 38500), (0, 45700)),
    PlausibleRange("systolic blood pressure", (SYSTOLIC,), "mm[Hg]", (85, 200), (40, 350)),
    PlausibleRange("systolic blood pressure", (SYSTOLIC,), "kPa", (11.3, 27), (5, 47)),
    PlausibleRange("diastolic blood pressure", (DIASTOLIC,), "mm[Hg]", (45, 125), (10, 250)),
    PlausibleRange("diastolic blood pressure", (DIASTOLIC,), "kPa", (6, 17), (1.3, 33)),
    PlausibleRange("heart rate", ("8867-4",), "/min", (40, 160), (10, 350)),
    PlausibleRange("body weight", ("29463-7",), "kg", (30, 150), (0.3, 450)),
    PlausibleRange("body weight", ("29463-7",), "[lb_av]", (66, 330), (0.6, 1000)),
    PlausibleRange("body weight", ("29463-7",), "g", (30e3, 150e3), (300, 450e3)),
    PlausibleRange("body height", ("8302-2",), "cm", (90, 200), (25, 275)),
    PlausibleRange("body height", ("8302-2",), "m", (0.9, 2.0), (0.25, 2.75)),
    PlausibleRange("body height", ("8302-2",), "[in_i]", (35, 79), (10, 108)),
    PlausibleRange("body-mass index", ("39156-5",), "kg/m2", (14, 50), (7, 130)),
    PlausibleRange("waist circumference", ("8280-0",), "cm", (50, 150), (20, 300)),
    PlausibleRange("waist circumference", ("8280-0",), "[in_i]", (20, 59), (8, 118)),
    PlausibleRange("total cholesterol", ("2093-3",), "mg/dL", (80, 400), (15, 1500)),
    PlausibleRange("total cholesterol", ("14647-2",), "mmol/L", (2, 10.5), (0.4, 39)),
    PlausibleRange("HDL cholesterol", ("2085-9",), "mg/dL", (20, 110), (2, 250)),
    PlausibleRange("HDL cholesterol", ("14646-4",), "mmol/L", (0.5, 2.9), (0.05, 6.5)),
    PlausibleRange("LDL cholesterol", ("18262-6", "13457-7"), "mg/dL", (35, 300), (2, 1000)),
    PlausibleRange("LDL cholesterol", ("39469-2",), "mmol/L", (0.9, 7.8), (0.05, 26)),
    PlausibleRange("triglycerides", ("2571-8",), "mg/dL", (35, 600), (5, 15000)),
    PlausibleRange("triglycerides", ("14927-8",), "mmol/L", (0.4, 6.8), (0.05, 170)),
    PlausibleRange("glucose", ("2339-0", "2345-7", "1558-6"), "mg/dL", (55, 400), (5, 2500)),
    PlausibleRange("glucose", ("14749-6",), "mmol/L", (3, 22), (0.3, 140)),
    PlausibleRange("HbA1c", ("4548-4",), "%", (3.5, 14), (2, 25)),
    PlausibleRange("HbA1c", ("59261-8",), "mmol/mol", (15, 130), (0.1, 250)),
    PlausibleRange("creatinine", ("2160-0", "38483-4"), "mg/dL", (0.3, 8), (0.05, 40)),
    PlausibleRange("creatinine", ("14682-9",), "umol/L", (26, 700), (4, 3600)),
    PlausibleRange("estimated GFR", _EGFR, "mL/min/{1.73_m2}", (5, 160), (0, 300)),
    PlausibleRange("estimated GFR", _EGFR, "mL/min/1.73.m2", (5, 160), (0, 300)),
    PlausibleRange("pulse wave velocity", ("77196-4",), "m/s", (3, 25), (1, 60)),
    PlausibleRange("heart rate variability SDNN", ("80404-7",), "ms", (5, 300), (0, 1000)),
)


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
    candidates = [entry for entry in RANGES if _loinc_of(column) in entry.loincs]
    if not candidates:
        return
    declared = next((entry for entry in candidates if entry.unit == column.unit), None)
    if declared is None:
        units = " or ".join(entry.unit for entry in candidates)
        yield Finding(
            "unit-code",
            column.name,
            f"LOINC {_loinc_of(column)} ({candidates[0].quantity}) is measured in {units}, not in {column.unit}",
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


def _loinc_of(column: Column) -> str | None:
    return _AGE[0] if column.loinc is None and is_age(column) else column.loinc


def _lies_in(value: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= value <= interval[1]
