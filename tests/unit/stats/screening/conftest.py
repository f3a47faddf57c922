from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock
from heartify.stats.screening import CandidateBlock, LogisticNull, SurvivalStratum, fit_null

ROOT = Path(__file__).resolve().parents[4]
VECTORS = ROOT / "tests" / "vectors" / "statistics"
SHARED = ROOT / ".." / "shared"
HOSPITALS = ("a", "b", "c", "d")


@pytest.fixture(scope="session")
def r() -> dict[str, Any]:
    """What R returned: tests/vectors/statistics/screening.json, with the R call beside each block of values."""
    return json.loads((VECTORS / "screening.json").read_text())


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    path = SHARED / "vectors" / "statistics" / "truth.json"
    if not path.exists():
        pytest.skip("reference vectors ../shared/vectors/statistics/truth.json are absent")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def read_columns() -> Callable[..., dict[str, np.ndarray]]:
    def read(name: str, delimiter: str = ",") -> dict[str, np.ndarray]:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"third-party data ../shared/data/{name} are absent")
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter=delimiter))
        return {key: np.array([float(row[key]) if row[key] else np.nan for row in rows]) for key in rows[0]}

    return read


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "hospital"}
    columns["hospital"] = np.array([row["hospital"] for row in rows])
    columns["g2"] = (columns["grade"] == 2).astype(float)
    columns["g3"] = (columns["grade"] == 3).astype(float)
    columns["unknown"] = (np.arange(len(rows)) * 7 % 5 == 0) | (columns["sbp"] > 150)
    return columns


@pytest.fixture(scope="session")
def null(cohort) -> LogisticNull:
    base = np.column_stack([cohort["age"], cohort["male"]])
    parts = [cohort["hospital"] == h for h in HOSPITALS]
    blocks = [CohortBlock(h, base[rows], cohort["y"][rows]) for h, rows in zip(HOSPITALS, parts, strict=True)]
    return fit_null(blocks, ["age", "male"])


@pytest.fixture(scope="session")
def strata(cohort) -> list[SurvivalStratum]:
    base = np.column_stack([cohort["age"], cohort["male"]])
    event = (cohort["status"] == 1).astype(float)
    masks = [(h, cohort["hospital"] == h) for h in HOSPITALS]
    return [SurvivalStratum(h, base[k], cohort["entry"][k], cohort["time"][k], event[k]) for h, k in masks]


@pytest.fixture(scope="session")
def candidates(cohort) -> Callable[..., CandidateBlock]:
    def build(names, *, dtype=np.float64, unknown=None) -> CandidateBlock:
        G = np.column_stack([cohort[name] for name in names]).astype(dtype)
        if unknown is not None:
            G[unknown] = np.nan
        return CandidateBlock(tuple(names), tuple(G[cohort["hospital"] == h] for h in HOSPITALS))

    return build


@pytest.fixture(scope="session")
def panel(read_columns) -> tuple[LogisticNull, CandidateBlock]:
    """The 109 admission data of the infarction panel; base AGE + SEX, outcome LET_IS > 0, rows with AGE known."""
    data = read_columns("mi_complications_1700.csv")
    names = tuple(name for name in list(data)[1:112] if name not in {"AGE", "SEX"})
    rows = ~np.isnan(data["AGE"])
    base = np.column_stack([data["AGE"], data["SEX"]])[rows]
    null = fit_null([CohortBlock("krasnoyarsk", base, (data["LET_IS"] > 0)[rows])], ["AGE", "SEX"])
    return null, CandidateBlock(names, (np.column_stack([data[name] for name in names])[rows],))
