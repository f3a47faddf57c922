from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
COLUMNS = ("age", "male", "sbp", "chol", "smoker", "g2", "g3", "noise")


@pytest.fixture(scope="session")
def referee() -> dict[str, Any]:
    return json.loads((VECTORS / "meta.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    data = {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "hospital"}
    data["hospital"] = np.array([row["hospital"] for row in rows])
    data["g2"], data["g3"] = (data["grade"] == 2).astype(float), (data["grade"] == 3).astype(float)
    return data


@pytest.fixture(scope="session")
def blocks(cohort: dict[str, np.ndarray]) -> list[CohortBlock]:
    X = np.column_stack([cohort[column] for column in COLUMNS])
    return [CohortBlock(h, X[cohort["hospital"] == h], cohort["y"][cohort["hospital"] == h]) for h in "abcd"]
