from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    return json.loads((VECTORS / "inference.json").read_text())


@pytest.fixture(scope="session")
def rows() -> dict[str, list[dict[str, str]]]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        found = list(csv.DictReader(lines))
    return {hospital: [row for row in found if row["hospital"] == hospital] for hospital in "abcd"}


def _block(hospital: str, rows: list[dict[str, str]], terms: tuple[str, ...]) -> CohortBlock:
    X = np.array([[float(row[term]) for term in terms] for row in rows])
    return CohortBlock(hospital, X, np.array([float(row["y"]) for row in rows]))


@pytest.fixture(scope="session")
def blocks(rows: dict[str, list[dict[str, str]]]) -> list[CohortBlock]:
    """The generated cohort's four hospitals, six terms."""
    return [_block(name, part, ("age", "male", "sbp", "chol", "smoker", "noise")) for name, part in rows.items()]


@pytest.fixture(scope="session")
def separated(rows: dict[str, list[dict[str, str]]]) -> list[CohortBlock]:
    """60 rows of hospitals c and d each; nobody without the outcome smokes: quasi-complete separation."""
    parts = [_block(name, rows[name][:60], ("age", "male", "sbp", "smoker")) for name in "cd"]
    return [CohortBlock(b.name, b.X * np.column_stack([np.ones((b.n, 3)), b.y]), b.y) for b in parts]
