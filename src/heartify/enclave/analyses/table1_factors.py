"""The plan's factors as Table 1 counts them: each with its levels, or its few values, by hospital and outcome group.

Complete cases of the contributing hospitals only. Counts are exact and stay inside. Flags of one column (`cp` is 1,
`cp` is 2) are judged by all of them together, so that their remainder can't be had by subtraction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.cases import Floats, HospitalCases
from heartify.enclave.study_data import StudyData
from heartify.protocol.dictionary import normalise_code
from heartify.protocol.plan import FactorSpec
from heartify.stats.description import count_levels

Codes = NDArray[np.int64]
MAX_FEW_VALUES = 10  # a column with so few values is one of levels, whatever the dictionary calls it
_LONGEST_LABEL = 80
FLAG_LABELS = ("no", "yes")
TWO_VALUES_LABELS = ("lower value", "higher value")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class DescribedFactor:
    """One factor. `levels` are shown names; a number has none, and `values` if they are few.

    `codes[h]` (n_h,) is each patient's level or few value; `judged[h]` the cell that disclosure judges, of `cells`.
    """

    name: str
    levels: tuple[str, ...]
    values: tuple[float, ...]
    codes: tuple[Codes, ...]
    judged: tuple[Codes, ...]
    cells: int
    numbers: tuple[Floats, ...]

    @property
    def is_number(self) -> bool:
        """Return whether it has a mean, and not levels to count."""
        return not self.levels


def describe_factors(data: StudyData) -> tuple[DescribedFactor, ...]:
    """Return the plan's factors in the plan's order."""
    return tuple(_described(data, factor) for factor in data.plan.factors)


def cell_counts(groups: Sequence[Codes], codes: Sequence[Codes], shape: tuple[int, int]) -> tuple[Codes, ...]:
    """Return each hospital's exact counts (outcome groups, cells)."""
    return tuple(count_levels(group, code, shape) for group, code in zip(groups, codes, strict=True))


def _described(data: StudyData, factor: FactorSpec) -> DescribedFactor:
    numbers = tuple(case.factors[factor.name][case.complete] for case in data.cases)
    present = tuple(float(value) for value in np.unique(np.concatenate(numbers)))
    few = present if len(present) <= MAX_FEW_VALUES else ()
    if factor.reference is not None:
        return _of_levels(factor, numbers, present, _level_labels(data, factor, present))
    column = data.dictionary.column(factor.column)
    if factor.equals is not None or column.datatype == "boolean":
        described = _of_levels(factor, numbers, (0.0, 1.0), FLAG_LABELS)
        return _judged_with_its_sisters(described, data, factor)
    if len(present) == 2:
        return _of_levels(factor, numbers, present, TWO_VALUES_LABELS)
    codes = _codes(numbers, few) if few else tuple(np.zeros(values.size, np.int64) for values in numbers)
    return DescribedFactor(factor.name, (), few, codes, codes, max(len(few), 1), numbers)


def _of_levels(
    factor: FactorSpec, numbers: tuple[Floats, ...], values: tuple[float, ...], labels: tuple[str, ...]
) -> DescribedFactor:
    codes = _codes(numbers, values)
    return DescribedFactor(factor.name, labels, (), codes, codes, len(values), numbers)


def _codes(numbers: Sequence[Floats], values: Sequence[float]) -> tuple[Codes, ...]:
    return tuple(np.searchsorted(np.asarray(values), column).astype(np.int64) for column in numbers)


def _judged_with_its_sisters(described: DescribedFactor, data: StudyData, factor: FactorSpec) -> DescribedFactor:
    sisters = [other.name for other in data.plan.factors if other.column == factor.column and other.equals is not None]
    if len(sisters) < 2:
        return described
    judged = tuple(_which_of(case, sisters) for case in data.cases)
    used = np.unique(np.concatenate(judged))
    compact = tuple(np.searchsorted(used, codes).astype(np.int64) for codes in judged)
    return dataclasses.replace(described, judged=compact, cells=used.size)


def _which_of(case: HospitalCases, flags: Sequence[str]) -> Codes:
    """Return which of the flags each complete case has, counted from 1; 0 for none of them."""
    table = np.column_stack([case.factors[name][case.complete] for name in flags])
    return np.where(table.any(axis=1), table.argmax(axis=1) + 1, 0).astype(np.int64)


def _level_labels(data: StudyData, factor: FactorSpec, present: Sequence[float]) -> tuple[str, ...]:
    known: dict[str, str] = {}
    for case in data.cases:
        for level in case.dictionary.column(factor.column).levels:
            known.setdefault(normalise_code(level.code), level.label)
    codes = data.levels.get(factor.column)
    if codes is None:
        return TWO_VALUES_LABELS if len(present) == 2 else tuple(f"level {index + 1}" for index in range(len(present)))
    labels = [_shown(known[codes[int(value)]], int(value)) for value in present]
    # Two codes of one label would be one row twice.
    return tuple(labels if len(set(labels)) == len(labels) else [f"level {int(value) + 1}" for value in present])


def _shown(label: str, number: int) -> str:
    return label if len(label) <= _LONGEST_LABEL and label.isprintable() else f"level {number + 1}"
