"""One hospital's decrypted columns as the plan sees them: outcome, follow-up, factors, and which rows are complete.

Missing values stay NaN here, because describing, imputing and screening need them; `complete` marks the rows without a
gap in any column of the model. Rows never leave: nothing here has a repr.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartify.protocol.dictionary import Column, DataDictionary, normalise_code
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Levels = Mapping[str, tuple[str, ...]]
"""For each category of the plan its level codes over all hospitals: a category's value is an index into these."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class HospitalCases:
    """One hospital's rows (n of them, complete or not), in the order in which they were read.

    `factors` maps a factor's name to its raw values (n,): a number, a 0/1 flag, or an index into `Levels`. `outcome`,
    `competing`: 1, 0 or NaN. `time`, `entry` in the dictionary's unit, `strata` (n,) codes; None where the plan has
    none. `columns` are all columns that were read, numbers as they are. `index` is the grant's place in the deal.
    """

    index: int
    name: str
    version: str
    factors: Mapping[str, Floats]
    outcome: Floats
    competing: Floats | None
    time: Floats | None
    entry: Floats | None
    strata: Floats | None
    columns: Columns
    dictionary: DataDictionary
    complete: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Return the number of rows read."""
        return int(self.outcome.size)

    @property
    def n(self) -> int:
        """Return the number of complete cases."""
        return int(self.complete.sum())

    @property
    def y(self) -> Floats:
        """Return the outcome (n complete cases,)."""
        return self.outcome[self.complete]

    @property
    def event(self) -> NDArray[np.int64]:
        """Return event codes (rows,): 0 censored, 1 the outcome, 2 the competing event; a missing outcome counts 0."""
        codes = np.nan_to_num(self.outcome).astype(np.int64)
        if self.competing is not None:
            codes[(codes == 0) & (np.nan_to_num(self.competing) == 1.0)] = 2
        return codes

    @property
    def has_outcome(self) -> NDArray[np.bool_]:
        """Return which rows (rows,) are complete but for their factors: outcome, follow-up and strata are known."""
        optional = (self.competing, self.time, self.entry, self.strata)
        needed = [self.outcome, *(values for values in optional if values is not None)]
        known: NDArray[np.bool_] = ~np.logical_or.reduce([np.isnan(values) for values in needed])
        return known if self.time is None else known & _followed(self.time, self.entry)

    def complete_factors(self) -> dict[str, Floats]:
        """Return the factors' values of the complete cases."""
        return {name: values[self.complete] for name, values in self.factors.items()}


def category_levels(plan: Plan, dictionaries: Sequence[DataDictionary]) -> Levels:
    """Return the level codes of the plan's categorical factors over all hospitals, in order of appearance.

    Hospitals may list the same levels in another order; `check_compatible` has made sure that codes mean the same.
    """
    names = [factor.column for factor in plan.factors if factor.reference is not None]
    levels: dict[str, tuple[str, ...]] = {}
    for name in names:
        columns = [dictionary.column(name) for dictionary in dictionaries]
        codes = [normalise_code(code) for column in columns for code in column.level_codes]
        if codes:
            levels[name] = tuple(dict.fromkeys(codes))
    return levels


def build_cases(
    plan: Plan, dictionary: DataDictionary, columns: Columns, levels: Levels, *, index: int, name: str, version: str
) -> HospitalCases:
    """Build one hospital's cases from columns as the cohort reader gives them.

    Numbers come with NaN for missing, categories as level indices with -1.
    """

    def event(spec: OutcomeSpec) -> Floats:
        return _event(spec, dictionary.column(spec.column), columns[spec.column])

    factors = {spec.name: _factor(spec, dictionary.column(spec.column), columns[spec.column], levels)
               for spec in plan.factors}  # fmt: skip
    follow_up = plan.follow_up
    outcome = event(plan.outcome)
    competing = event(follow_up.competing) if follow_up and follow_up.competing else None
    time = columns[follow_up.time].astype(np.float64) if follow_up else None
    entry = columns[follow_up.entry].astype(np.float64) if follow_up and follow_up.entry else None
    strata = _strata([_plain(dictionary.column(s), columns[s]) for s in plan.analysis.strata])
    needed = [outcome, *(item for item in (competing, time, entry, strata) if item is not None), *factors.values()]
    complete = ~np.logical_or.reduce([np.isnan(values) for values in needed])
    if time is not None:
        complete &= _followed(time, entry)
    return HospitalCases(
        index=index,
        name=name,
        version=version,
        factors=factors,
        outcome=outcome,
        competing=competing,
        time=time,
        entry=entry,
        strata=strata,
        columns=columns,
        dictionary=dictionary,
        complete=complete,
    )


def _followed(time: Floats, entry: Floats | None) -> NDArray[np.bool_]:
    """Return which patients were at risk at all: prevalent cases (time 0, or not after entry) are none."""
    with np.errstate(invalid="ignore"):
        return time > (np.maximum(entry, 0.0) if entry is not None else 0.0)


def _event(spec: OutcomeSpec, column: Column, values: NDArray[Any]) -> Floats:
    if spec.above is not None:
        numbers = values.astype(np.float64)
        return np.where(np.isnan(numbers), np.nan, (numbers > spec.above).astype(np.float64))
    return indicator(column, values, str(spec.equals))


def _factor(spec: FactorSpec, column: Column, values: NDArray[Any], levels: Levels) -> Floats:
    if spec.equals is not None:
        return indicator(column, values, spec.equals)
    return _coded(column, values, levels[spec.column] if spec.reference is not None else None)


def _coded(column: Column, values: NDArray[Any], codes: tuple[str, ...] | None) -> Floats:
    """Return a category as indices into the codes of all hospitals, and anything else as it is."""
    if codes is None or column.datatype != "category":
        return values.astype(np.float64)
    own = np.array([codes.index(normalise_code(code)) for code in column.level_codes], dtype=np.float64)
    return np.where(values < 0, np.nan, own[np.maximum(values, 0)])


def _plain(column: Column, values: NDArray[Any]) -> Floats:
    numbers = values.astype(np.float64)
    return np.where(numbers < 0, np.nan, numbers) if column.datatype == "category" else numbers


def _strata(columns: Sequence[Floats]) -> Floats | None:
    """Return one code for each combination of the strata (rows,), NaN where one is missing.

    Codes hold within a hospital only: each hospital has baseline hazards of its own anyway.
    """
    if not columns:
        return None
    table = np.column_stack(columns)
    known = ~np.isnan(table).any(axis=1)
    codes = np.full(table.shape[0], np.nan)
    codes[known] = np.unique(table[known], axis=0, return_inverse=True)[1].reshape(-1)
    return codes


def indicator(column: Column, values: NDArray[Any], level: str) -> Floats:
    """Return 1 where a column as read (n,) has the level (or code), 0 where it has another, NaN where it is missing."""
    if column.datatype == "category":
        codes = [normalise_code(code) for code in column.level_codes]
        missing, hit = values < 0, values == codes.index(normalise_code(level))
    else:
        missing, hit = np.isnan(values), values == float(level)
    return np.where(missing, np.nan, hit.astype(np.float64))
