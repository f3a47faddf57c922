"""Plausibility and unit audit: hospitals' numbers against physiological limits, and against each other.

A finding is a word of a closed list, decided on at least 20 values: neither a value nor a median is ever shown, and
fewer than 10 implausible values give the same finding as none. Only columns whose quantity and unit are known (LOINC
code, or an age) are audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plausible_ranges import PlausibleRange, declared_range, in_other_units, ranges_of
from heartify.stats.description import count_outside, suspected_unit

NOTHING, TOO_FEW = "no finding", "too few values"
OUTSIDE = "values outside plausible limits"
MEDIAN = "median not plausible in this unit"
LOOKS_LIKE = "values look like {unit}"
Row = Mapping[str, Cell]


def plausibility(data: StudyData) -> ExactTable:
    """Return one row for each audited column and hospital."""
    rows: list[Row] = []
    for name in _audited_columns(data):
        column = data.dictionary.column(name)
        declared = declared_range(column)
        if declared is None:
            continue
        values = [_known(case.columns[name]) for case in data.cases]
        own = list(_column_rows(data, name, declared, ranges_of(column), values))
        rows += own if len(rows) + len(own) <= TABLES["plausibility"].max_rows else []
    return ExactTable("plausibility", rows)


def _audited_columns(data: StudyData) -> tuple[str, ...]:
    """Return the plan's numeric columns, each once: those that go into the model as numbers."""
    names = [factor.column for factor in data.plan.factors if factor.equals is None and factor.reference is None]
    return tuple(
        name for name in dict.fromkeys(names) if data.dictionary.column(name).datatype in {"number", "integer"}
    )


def _known(values: Floats) -> Floats:
    numbers = values.astype(np.float64)
    return numbers[~np.isnan(numbers)]


def _column_rows(
    data: StudyData,
    name: str,
    declared: PlausibleRange,
    ranges: Sequence[PlausibleRange],
    values: Sequence[Floats],
) -> Iterator[Row]:
    medians = [float(np.median(part)) if part.size >= MIN_ROWS_PER_HOSPITAL else None for part in values]
    for index, case in enumerate(data.cases):
        outside = count_outside(values[index], *declared.value)
        others = [median for other, median in enumerate(medians) if other != index and median is not None]
        yield {
            "hospital": case.name,
            "column": name,
            "unit": declared.unit,
            "finding": _finding(medians[index], others, declared, ranges, outside),
            "n": outside if can_show(outside) else None,
        }


def _finding(
    median: float | None,
    others: Sequence[float],
    declared: PlausibleRange,
    ranges: Sequence[PlausibleRange],
    outside: int,
) -> str:
    if median is None:
        return TOO_FEW
    unit = _other_unit(median, others, declared, ranges)
    if unit is not None:
        return LOOKS_LIKE.format(unit=unit)
    if not declared.median[0] <= median <= declared.median[1]:
        return MEDIAN
    return OUTSIDE if can_show(outside) else NOTHING


def _other_unit(
    median: float, others: Sequence[float], declared: PlausibleRange, ranges: Sequence[PlausibleRange]
) -> str | None:
    """Return the unit that a hospital's median is in by the look of it.

    By the other hospitals' medians where those are plausible themselves, else by the ranges of the other units.
    """
    plausible = [other for other in others if declared.median[0] <= other <= declared.median[1]]
    if plausible:
        elsewhere = float(np.median(plausible))
        unit = suspected_unit(median, elsewhere, in_other_units(declared.quantity, declared.unit, elsewhere))
        if unit is not None:
            return unit
    if declared.median[0] <= median <= declared.median[1]:
        return None
    # Another code of the same quantity (mmol/L has LOINC codes of its own) has no entry here, but a conversion.
    fits = [
        entry.unit for entry in ranges if entry.unit != declared.unit and entry.median[0] <= median <= entry.median[1]
    ]
    return fits[0] if fits else _by_conversion(median, declared)


def _by_conversion(median: float, declared: PlausibleRange) -> str | None:
    low = in_other_units(declared.quantity, declared.unit, declared.median[0])
    high = in_other_units(declared.quantity, declared.unit, declared.median[1])
    return next((unit for unit in low if low[unit] <= median <= high[unit]), None)
