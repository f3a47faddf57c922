from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock
from heartify.stats.importance import Term

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="session")
def referee() -> dict[str, Any]:
    return json.loads((VECTORS / "weights.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    data = {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "hospital"}
    data["hospital"] = np.array([row["hospital"] for row in rows])
    data["g2"], data["g3"] = (data["grade"] == 2).astype(float), (data["grade"] == 3).astype(float)
    data["sbp2"] = (data["sbp"] - 125) ** 2
    return data


@pytest.fixture(scope="session")
def names() -> tuple[str, ...]:
    return ("age", "male", "sbp", "sbp2", "chol", "smoker", "g2", "g3", "noise")


@pytest.fixture(scope="session")
def terms() -> tuple[Term, ...]:
    return (
        Term("age", (0,)),
        Term("male", (1,)),
        Term("sbp", (2, 3)),
        Term("chol", (4,)),
        Term("smoker", (5,)),
        Term("grade", (6, 7)),
        Term("noise", (8,)),
    )


@pytest.fixture(scope="session")
def blocks(cohort: dict[str, np.ndarray], names: tuple[str, ...]) -> list[CohortBlock]:
    X = np.column_stack([cohort[name] for name in names])
    return [CohortBlock(h, X[cohort["hospital"] == h], cohort["y"][cohort["hospital"] == h]) for h in "abcd"]
