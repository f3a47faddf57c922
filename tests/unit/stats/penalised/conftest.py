from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock

VECTORS = Path(__file__).resolve().parents[4] / "tests" / "vectors" / "statistics"


@pytest.fixture(scope="session")
def glmnet() -> dict[str, Any]:
    return json.loads((VECTORS / "penalised.json").read_text())


@pytest.fixture(scope="session")
def cohort(glmnet: dict[str, Any]) -> list[CohortBlock]:
    """The generated cohort, a block a hospital, with the eight terms of referee/penalised.R."""
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    column = {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "hospital"}
    column["grade2"], column["grade3"] = column["grade"] == 2, column["grade"] == 3
    X = np.column_stack([column[name] for name in glmnet["terms"]])
    hospital = np.array([row["hospital"] for row in rows])
    return [CohortBlock(name, X[hospital == name], column["y"][hospital == name]) for name in "abcd"]


@pytest.fixture(scope="session")
def folds(cohort: list[CohortBlock]) -> list[np.ndarray]:
    """The folds of referee/penalised.R: row number within hospital and outcome, modulo 5."""
    found = []
    for block in cohort:
        fold = np.zeros(block.n, dtype=np.int64)
        for outcome in (0.0, 1.0):
            rows = np.flatnonzero(block.y == outcome)
            fold[rows] = np.arange(rows.size) % 5
        found.append(fold)
    return found
