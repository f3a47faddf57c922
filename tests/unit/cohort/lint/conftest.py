"""Shared: cohorts of a few named columns, and the names of what the linter finds in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.lint.findings import Finding
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.table_form import table_type
from heartify.protocol.dictionary import Column, DataDictionary, Level

Planted = tuple[Column, Sequence[Any]]
Findings = Callable[..., list[Finding]]


def build_array(column: Column, values: Sequence[Any]) -> pa.Array:
    """Categories are given as positions of levels, None or NaN is missing."""
    kind = table_type(column)
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind, from_pandas=True)
    return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), pa.array(column.level_codes, pa.string()))


@pytest.fixture
def column() -> Callable[..., Column]:
    """A factor of type number unless told otherwise; levels are given as codes, or as code and label."""

    def build(name: str, *levels: str | tuple[str, str], **fields: Any) -> Column:
        pairs = [level if isinstance(level, tuple) else (level, f"label of {level}") for level in levels]
        declared = tuple(Level(code=code, label=label) for code, label in pairs)
        defaults = {"title": name, "datatype": "category" if levels else "number", "role": "factor"}
        return Column(**({"name": name, "levels": declared} | defaults | fields))

    return build


@pytest.fixture
def cohort() -> Callable[..., tuple[pa.Table, DataDictionary]]:
    def build(*planted: Planted) -> tuple[pa.Table, DataDictionary]:
        dictionary = DataDictionary(title="t", description="", columns=tuple(column for column, _ in planted))
        return pa.table({column.name: build_array(column, values) for column, values in planted}), dictionary

    return build


@pytest.fixture
def findings(cohort: Callable[..., tuple[pa.Table, DataDictionary]]) -> Findings:
    """Lint columns with their values."""

    def run(*planted: Planted, today: dt.date | None = None) -> list[Finding]:
        return list(lint_cohort(*cohort(*planted), today=today))

    return run


@pytest.fixture
def found(findings: Findings) -> Callable[..., list[str]]:
    """Lint columns with their values and return the names of findings."""

    def run(*planted: Planted, today: dt.date | None = None) -> list[str]:
        return [finding.name for finding in findings(*planted, today=today)]

    return run


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)
