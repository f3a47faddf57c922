"""From decrypted columns to one hospital's complete cases: outcome vector, factor matrix, in the plan's order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartify.protocol.dictionary import Column, DataDictionary, normalise_code
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


def complete_cases(plan: Plan, dictionary: DataDictionary, columns: Columns) -> tuple[Floats, Floats]:
    """Return X (n, p) and y (n,) of the rows without a missing value in any column of the plan.

    Columns are as the cohort reader gives them: numbers with NaN for missing, categories as level indices with -1.
    """
    y = _outcome(plan.outcome, dictionary.column(plan.outcome.column), columns[plan.outcome.column])
    factors = [_factor(spec, dictionary.column(spec.column), columns[spec.column]) for spec in plan.factors]
    X = np.column_stack(factors)  # noqa: N806 - a design matrix
    complete = ~(np.isnan(y) | np.isnan(X).any(axis=1))
    return X[complete], y[complete]


def _outcome(spec: OutcomeSpec, column: Column, values: NDArray[Any]) -> Floats:
    if spec.above is not None:
        numbers = values.astype(np.float64)
        return np.where(np.isnan(numbers), np.nan, (numbers > spec.above).astype(np.float64))
    return _indicator(column, values, str(spec.equals))


def _factor(spec: FactorSpec, column: Column, values: NDArray[Any]) -> Floats:
    return values.astype(np.float64) if spec.equals is None else _indicator(column, values, spec.equals)


def _indicator(column: Column, values: NDArray[Any], level: str) -> Floats:
    if column.datatype == "category":
        codes = [normalise_code(code) for code in column.level_codes]
        missing, hit = values < 0, values == codes.index(normalise_code(level))
    else:
        missing, hit = np.isnan(values), values == float(level)
    return np.where(missing, np.nan, hit.astype(np.float64))
