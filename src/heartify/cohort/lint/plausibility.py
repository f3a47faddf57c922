"""Find wrong units and misplaced decimals in columns whose quantity is known by LOINC code (and in ages).

The steward declares units and nothing is ever repaired; this module only doubts. A value counts as impossible when it
is outside `protocol.plausible_ranges`, which are wide: they separate units, they do not judge patients. Every row is
looked at; the median comes from the sample. A finding never holds a value or a median.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heartify.cohort.lint.batch_view import BatchView, Mask, Numbers, Positions
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.missing_codes import MISSING_CODES
from heartify.cohort.lint.suspect_medians import find_suspect_median
from heartify.cohort.lint.watch import Seen
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plausible_ranges import (
    RANGES,
    PlausibleRange,
    declared_range,
    in_other_units,
    loinc_of,
    ranges_of,
)

MIN_VALUES = 5
"""With fewer known values a median says nothing."""
MIXED_SHARE = 0.005
"""Rows that look like another unit's: extreme but true values are rarer, a department with its own unit is not."""
MIN_MIXED_VALUES = 3
"""One or two such rows are typing errors, reported as impossible values where they are."""
PRESSURES = ("systolic blood pressure", "diastolic blood pressure")
_KPA_OR_TENTH = 8.66  # the geometric mean of 7.5 (mm[Hg] in a kPa) and 10 (mm[Hg] in a cm[Hg])

# How an impossible value may have come about.
_NEITHER, _TIMES_TEN, _TENTH = range(3)


@dataclass(frozen=True, slots=True)
class _OtherUnit:
    """Another unit of the same quantity, and the straight line from it to the declared one.

    `is_apart` says that no cohort's values look typical in both, so that typical ones show a mix.
    """

    unit: str
    scale: float
    shift: float
    is_apart: bool


class UnitWatch:
    """One column of a known quantity: how many values are impossible, and what explains them."""

    def __init__(self, column: Column, declared: PlausibleRange) -> None:
        self._column, self._declared = column, declared
        self._others = tuple(_other_units(declared))
        self._known = self._zeros = self._codes = 0
        # Impossible values by unit that explains them (last: none) and by misplaced decimal that does.
        self._impossible = np.zeros((len(self._others) + 1, 3), np.int64)
        self._untypical = np.zeros(len(self._others) + 1, np.int64)
        self._log_sums = np.zeros(len(self._others) + 1)

    def add(self, batch: BatchView) -> None:
        """Count impossible and untypical values."""
        declared = self._declared
        values = batch.known(self._column.name)
        self._known += len(values)
        if declared.value[0] > 0:
            self._zeros += int(np.count_nonzero(values == 0))
            values = values[values != 0]
        values = values[~_lies_in(values, declared.median)]
        is_possible = _lies_in(values, declared.value)
        self._count_untypical(values[is_possible])
        self._count_impossible(values[~is_possible])

    def _count_untypical(self, values: Numbers) -> None:
        explained = self._explaining_unit(values, apart_only=True)
        self._untypical += np.bincount(explained, minlength=len(self._untypical))
        self._add_logs(explained, values)

    def _count_impossible(self, values: Numbers) -> None:
        is_code = np.isin(values, MISSING_CODES)
        self._codes += int(np.count_nonzero(is_code))
        values = values[~is_code]
        explained, decimal = self._explaining_unit(values), self._explaining_decimal(values)
        np.add.at(self._impossible, (explained, decimal), 1)
        self._add_logs(explained, values)

    def _add_logs(self, explained: Positions, values: Numbers) -> None:
        is_positive = values > 0
        self._log_sums += np.bincount(
            explained[is_positive], weights=np.log(values[is_positive]), minlength=len(self._log_sums)
        )

    def _explaining_unit(self, values: Numbers, *, apart_only: bool = False) -> Positions:
        """Return for each value the first other unit in which it is typical; the number of units for none."""
        explained = np.full(len(values), len(self._others))
        for number, other in reversed(list(enumerate(self._others))):
            if other.is_apart or not apart_only:
                explained[_lies_in(values * other.scale + other.shift, self._declared.median)] = number
        return explained

    def _explaining_decimal(self, values: Numbers) -> Positions:
        decimal = np.full(len(values), _NEITHER)
        decimal[_lies_in(values * 10, self._declared.median)] = _TENTH
        decimal[_lies_in(values / 10, self._declared.median)] = _TIMES_TEN
        return decimal

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield doubts about zeros, unit and impossible values."""
        declared = self._declared
        if self._known < MIN_VALUES:
            return
        if self._zeros:
            yield self._finding(
                "zero-as-missing",
                f"there are zeros, which {declared.quantity} cannot be",
                'if 0 means not known, add "0" to missing_codes',
            )
        values = seen.sample.known(self._column.name)
        values = values[values != 0] if declared.value[0] > 0 else values
        if len(values) == 0:
            return
        median = float(np.median(values))
        if not declared.median[0] <= median <= declared.median[1]:
            yield find_suspect_median(self._column.name, declared, median)
        else:
            yield from self._impossible_findings(declared, median)

    def _finding(self, code: str, message: str, hint: str) -> Finding:
        return Finding(code, self._column.name, message, hint)

    def _impossible_findings(self, declared: PlausibleRange, median: float) -> Iterator[Finding]:
        counts = self._impossible.copy()
        by_unit = counts[:-1].sum(axis=1) + self._untypical[:-1]
        is_pressure = declared.quantity in PRESSURES
        for number, other in enumerate(self._others):
            if by_unit[number] < max(MIN_MIXED_VALUES, MIXED_SHARE * self._known):
                continue
            share = describe_share(by_unit[number], self._known)
            counts[number] = 0
            if is_pressure and median / np.exp(self._log_sums[number] / by_unit[number]) > _KPA_OR_TENTH:
                counts[number, _TENTH] = by_unit[number]
                continue
            yield self._finding(
                "pressure-unit-mixed" if is_pressure else "unit-mixed",
                f"{share} that are known look like {other.unit} instead of {declared.unit}",
                f"look for rows in {other.unit} (a ward, a laboratory, a period) and convert them at the source",
            )
        yield from self._decimal_findings(declared, counts.sum(axis=0), is_pressure=is_pressure)
        unexplained = int(counts[:, _NEITHER].sum())
        if unexplained:
            yield self._finding(
                "impossible-value",
                f"{describe_share(unexplained, self._known)} hold values that are impossible "
                f"for {declared.quantity} in {declared.unit}",
                "correct them at the source, or make them missing",
            )
        if self._codes:
            yield self._finding(
                "missing-code-as-value",
                f"{describe_share(self._codes, self._known)} hold an impossible number often written for 'not known'",
                "add it to missing_codes, as the source writes it",
            )

    def _decimal_findings(self, declared: PlausibleRange, counts: Positions, *, is_pressure: bool) -> Iterator[Finding]:
        hint = "correct the decimal point at the source, or make these values missing"
        kinds = ((_TIMES_TEN, "ten times too high", "times-ten"), (_TENTH, "ten times too low", "tenth"))
        if is_pressure:
            for kind, what, suffix in kinds:
                if counts[kind]:
                    message = f"{describe_share(counts[kind], self._known)} look {what}"
                    yield self._finding(f"pressure-{suffix}", message, hint)
        elif counts[_TIMES_TEN] + counts[_TENTH]:
            share = describe_share(counts[_TIMES_TEN] + counts[_TENTH], self._known)
            message = f"{share} hold values that would be possible for {declared.quantity} with the decimal point moved"
            yield self._finding("decimal-shift", message, hint)


def build_unit_watches(dictionary: DataDictionary) -> list[UnitWatch]:
    """Return a watch for each column whose quantity is known in its unit."""
    ranges = {column: declared_range(column) for column in dictionary.published_columns}
    return [UnitWatch(column, declared) for column, declared in ranges.items() if declared is not None]


def lint_unit_codes(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each column whose LOINC code is never measured in the declared unit."""
    del seen
    for column in dictionary.published_columns:
        candidates = ranges_of(column)
        if candidates and declared_range(column) is None:
            units = " or ".join(entry.unit for entry in candidates)
            yield Finding(
                "unit-code",
                column.name,
                f"LOINC {loinc_of(column)} ({candidates[0].quantity}) is measured in {units}, not in {column.unit}",
                "correct the unit or the code",
            )


def _other_units(declared: PlausibleRange) -> Iterator[_OtherUnit]:
    """Yield each other unit whose numbers differ from the declared one's."""
    seen = {declared.unit}
    for entry in RANGES:
        if entry.quantity != declared.quantity or entry.unit in seen:
            continue
        seen.add(entry.unit)
        lines = [in_other_units(entry.quantity, entry.unit, value).get(declared.unit) for value in (0.0, 1.0)]
        if lines[0] is None or lines[1] is None or lines == [0.0, 1.0]:
            continue
        is_apart = entry.median[1] < declared.median[0] or entry.median[0] > declared.median[1]
        yield _OtherUnit(entry.unit, lines[1] - lines[0], lines[0], is_apart)


def _lies_in(values: Numbers, interval: tuple[float, float]) -> Mask:
    return (values >= interval[0]) & (values <= interval[1])
