from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from heartify.stats import fit_logistic

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="session")
def referee() -> dict[str, Any]:
    return json.loads((VECTORS / "performance.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    hospital = np.array([row["hospital"] for row in rows])
    return {"hospital": hospital} | {
        name: np.array([float(row[name]) for row in rows]) for name in ("age", "male", "sbp", "chol", "smoker", "y")
    }


def _risks(cohort, terms):
    X, y = np.column_stack([cohort[term] for term in terms]), cohort["y"]
    fit = fit_logistic(X[::2], y[::2], terms)
    return expit(fit.coef[0] + X[1::2] @ fit.coef[1:])


@pytest.fixture(scope="session")
def split(cohort) -> SimpleNamespace:
    """Models learnt on the odd rows (R's numbering), their risks on the even rows: as in referee/performance.R."""
    even = {name: column[1::2] for name, column in cohort.items()}
    return SimpleNamespace(
        p_base=_risks(cohort, ("age", "male")),
        p=_risks(cohort, ("age", "male", "sbp", "chol", "smoker")),
        y=even["y"],
        rows=even,
    )
