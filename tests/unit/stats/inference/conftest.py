from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock, PooledLogisticFit, fit_pooled_logistic

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    return json.loads((VECTORS / "inference.json").read_text())


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="session")
def blocks(rows: list[dict[str, str]]) -> list[CohortBlock]:
    """The generated cohort's four hospitals, six terms."""
    return [_block(hospital, [row for row in rows if row["hospital"] == hospital]) for hospital in "abcd"]


def _block(hospital: str, rows: list[dict[str, str]]) -> CohortBlock:
    X = np.array([[float(row[term]) for term in TERMS] for row in rows])
    return CohortBlock(hospital, X, np.array([float(row["y"]) for row in rows]))


@pytest.fixture(scope="session")
def fit(blocks: list[CohortBlock]) -> PooledLogisticFit:
    return fit_pooled_logistic(blocks, TERMS)


@pytest.fixture(scope="session")
def row_clusters(rows: list[dict[str, str]]) -> list[np.ndarray]:
    """For each hospital, ids of groups of three rows that follow each other in the file: they span hospitals."""
    ids = np.arange(len(rows)) // 3
    return [ids[[row["hospital"] == hospital for row in rows]] for hospital in "abcd"]
