"""Find rows in which two quantities stand in each other's place: systolic and diastolic pressure, height and weight.

Every row is looked at, because one row is enough to show the fault. Rows whose values are impossible for another reason
(a misplaced decimal, a code) are left to `plausibility`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heartify.cohort.lint.batch_view import BatchView, Mask, Numbers
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.watch import Seen
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plausible_ranges import UNITS, PlausibleRange, declared_range

TALLER_THAN_HEAVY_CM, HEAVIER_THAN_TALL_KG = 120.0, 130.0
"""Nobody is at most 120 cm tall and weighs 130 kg or more; exchanged, it is a common adult."""


@dataclass(slots=True)
class _Pair:
    first: PlausibleRange
    second: PlausibleRange
    first_name: str
    second_name: str
    swapped: int = 0
    known: int = 0

    def values(self, batch: BatchView) -> tuple[Numbers, Numbers, Mask]:
        first, second = batch.numbers(self.first_name), batch.numbers(self.second_name)
        possible = (first >= self.first.value[0]) & (first <= self.first.value[1])
        possible &= (second >= self.second.value[0]) & (second <= self.second.value[1])
        self.known += int(np.count_nonzero(~np.isnan(first) & ~np.isnan(second)))
        return first, second, possible


class PressureOrderWatch:
    """Count rows whose systolic pressure is below the diastolic one."""

    def __init__(self, dictionary: DataDictionary) -> None:
        pair = _find_pair(dictionary, "systolic blood pressure", "diastolic blood pressure")
        self._pair = pair if pair is not None and pair.first.unit == pair.second.unit else None

    def add(self, batch: BatchView) -> None:
        """Count swapped rows."""
        if self._pair is not None:
            systolic, diastolic, possible = self._pair.values(batch)
            self._pair.swapped += int(np.count_nonzero(possible & (systolic < diastolic)))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield one when there is such a row."""
        del seen
        if self._pair is not None and self._pair.swapped:
            yield Finding(
                "pressure-swapped",
                self._pair.first_name,
                f"in {describe_share(self._pair.swapped, self._pair.known)} it is lower than the diastolic pressure "
                f"'{self._pair.second_name}'",
                "look for exchanged columns or rows",
            )


class HeightWeightWatch:
    """Count rows whose height looks like a weight while their weight looks like a height."""

    def __init__(self, dictionary: DataDictionary) -> None:
        self._pair = _find_pair(dictionary, "body height", "body weight")

    def add(self, batch: BatchView) -> None:
        """Count swapped rows."""
        if self._pair is None:
            return
        height, weight, possible = self._pair.values(batch)
        height_cm = _in_unit("body height", height, self._pair.first.unit, "cm")
        weight_kg = _in_unit("body weight", weight, self._pair.second.unit, "kg")
        swapped = (height_cm <= TALLER_THAN_HEAVY_CM) & (weight_kg >= HEAVIER_THAN_TALL_KG)
        self._pair.swapped += int(np.count_nonzero(possible & swapped))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield one when there is such a row."""
        del seen
        if self._pair is not None and self._pair.swapped:
            yield Finding(
                "height-weight-swapped",
                self._pair.first_name,
                f"in {describe_share(self._pair.swapped, self._pair.known)} it looks like a weight, "
                f"and '{self._pair.second_name}' like a height",
                "look for exchanged columns or rows",
            )


def _find_pair(dictionary: DataDictionary, first: str, second: str) -> _Pair | None:
    """Return the pair where each quantity has exactly one column, in a unit that is known for it."""
    found: dict[str, list[tuple[Column, PlausibleRange]]] = {first: [], second: []}
    for column in dictionary.published_columns:
        declared = declared_range(column)
        if declared is not None and declared.quantity in found:
            found[declared.quantity].append((column, declared))
    if len(found[first]) != 1 or len(found[second]) != 1:
        return None
    (first_column, first_range), (second_column, second_range) = found[first][0], found[second][0]
    return _Pair(first_range, second_range, first_column.name, second_column.name)


def _in_unit(quantity: str, values: Numbers, unit: str, wanted: str) -> Numbers:
    (scale, shift), (wanted_scale, wanted_shift) = UNITS[quantity][unit], UNITS[quantity][wanted]
    return (values - shift) / scale * wanted_scale + wanted_shift
