"""Studies without a deal: a plan in TOML, hospitals' columns as the cohort reader gives them, and what comes out.

`study(plan, hospitals, dictionary)` gives the StudyData that an analysis gets; `tables(...)` runs everything that the
plan asks for and gives the released tables by name, rows as dicts. `cohort` is the generated cohort that R was run on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.enclave.cases import build_cases, category_levels
from heartify.enclave.study import prepare, run_analyses
from heartify.enclave.study_data import StudyData
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import parse_plan_toml

COHORT = Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "inputs" / "cohort.csv"
GRADES = ("1", "2", "3")
STATUSES = ("0", "1", "2")


def _category(name: str, codes: tuple[str, ...], role: Any = "factor") -> Column:
    levels = tuple(Level(code=code, label=f"{name} {code}") for code in codes)
    return Column(name=name, title=name.capitalize(), datatype="category", role=role, levels=levels)


def _number(name: str, unit: str = "1", role: Any = "factor", **limits: float) -> Column:
    return Column(name=name, title=name.capitalize(), datatype="number", role=role, unit=unit, **limits)


def _flag(name: str, role: Any = "factor") -> Column:
    return Column(name=name, title=name.capitalize(), datatype="boolean", role=role)


DICTIONARY = DataDictionary(
    title="Generated cohort",
    description="",
    columns=(
        _number("age", "a", minimum=18, maximum=89),
        _flag("male"),
        _number("sbp", "mm[Hg]", minimum=50, maximum=260),
        _number("chol", "mmol/L"),
        _flag("smoker"),
        _category("grade", GRADES),
        _number("noise"),
        _flag("y", "outcome"),
        _number("entry", "d", "time"),
        _number("time", "d", "time"),
        _category("status", STATUSES, "outcome"),
    ),
)


def _as_read(rows: list[dict[str, str]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in DICTIONARY.columns:
        values = [row[column.name] for row in rows]
        if column.datatype == "category":
            columns[column.name] = np.array([column.level_codes.index(value) for value in values], np.int32)
        else:
            columns[column.name] = np.array(values, dtype=np.float64)
    return columns


@pytest.fixture(scope="session")
def cohort() -> dict[str, dict[str, Any]]:
    """Hospital name → columns as read; copy before you change one."""
    with COHORT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["hospital"] for row in rows})
    return {name: _as_read([row for row in rows if row["hospital"] == name]) for name in names}


@pytest.fixture(scope="session")
def study(cohort):
    """Build StudyData: study(plan_toml) on the generated cohort, or study(plan_toml, hospitals, dictionary)."""

    def build(
        plan_toml: str,
        hospitals: Mapping[str, Mapping[str, Any]] | None = None,
        dictionary: DataDictionary = DICTIONARY,
    ) -> StudyData:
        plan = parse_plan_toml(plan_toml)
        levels = category_levels(plan, [dictionary])
        cases = tuple(
            build_cases(plan, dictionary, columns, levels, index=index, name=name, version=f"0x{index:064x}")
            for index, (name, columns) in enumerate((hospitals or cohort).items())
        )
        return prepare(plan, cases, levels)[0]

    return build


@pytest.fixture(scope="session")
def tables(study):
    """Run all that a plan asks for: name → rows as dicts (released, not exact); `skipped` maps analysis → reason."""

    def run(*arguments: Any) -> dict[str, Any]:
        released, skipped = run_analyses(study(*arguments))
        shown = {table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in released}
        return shown | {"skipped": {item.analysis: item.reason for item in skipped}}

    return run
