from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from heartify.stats import CohortBlock, fit_logistic

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="session")
def referee() -> dict[str, Any]:
    return json.loads((VECTORS / "performance.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = ("age", "male", "sbp", "chol", "smoker", "grade", "y")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    columns |= {f"grade{k}": (columns["grade"] == k).astype(float) for k in (2, 3)}
    columns["score"] = -9 + 0.08 * columns["age"] + 0.02 * columns["sbp"]  # as in referee/performance.R
    return {"hospital": np.array([row["hospital"] for row in rows])} | columns


@pytest.fixture(scope="session")
def blocks_of(cohort):
    def build(*terms: str) -> list[CohortBlock]:
        X = np.column_stack([cohort[term] for term in terms])
        found = []
        for name in np.unique(cohort["hospital"]):
            rows = cohort["hospital"] == name
            found.append(CohortBlock(str(name), X[rows], cohort["y"][rows]))
        return found

    return build


def _risks(cohort, terms):
    X, y = np.column_stack([cohort[term] for term in terms]), cohort["y"]
    fit = fit_logistic(X[::2], y[::2], terms)
    return expit(fit.coef[0] + X[1::2] @ fit.coef[1:])


@pytest.fixture(scope="session")
def split(cohort) -> SimpleNamespace:
    """Models learnt on the odd rows (R's numbering), their risks on the even rows: as in referee/performance.R."""
    return SimpleNamespace(
        p_base=_risks(cohort, ("age", "male")),
        p=_risks(cohort, ("age", "male", "sbp", "chol", "smoker")),
        y=cohort["y"][1::2],
        hospital=cohort["hospital"][1::2],
    )


@pytest.fixture(scope="session")
def cardio(read_columns) -> SimpleNamespace:
    """The clean rows of cardio-70k, and the columns of truth.json's model, cholesterol last."""
    data = read_columns("cardio_train.csv", ";")
    height, weight, high, low = (data[name] for name in ("height", "weight", "ap_hi", "ap_lo"))
    keep = (height >= 140) & (height <= 210) & (weight >= 40) & (weight <= 200)
    keep &= (high >= 80) & (high <= 240) & (low >= 40) & (low <= 160) & (low < high)
    columns = {
        "age_y": data["age"] / 365.25,
        "male": data["gender"] == 2,
        "bmi": weight / (height / 100) ** 2,
        **{name: data[name] for name in ("ap_hi", "ap_lo", "smoke", "alco", "active")},
        **{f"gluc{level}": data["gluc"] == level for level in (2, 3)},
        **{f"chol{level}": data["cholesterol"] == level for level in (2, 3)},
    }
    X = np.column_stack(list(columns.values())).astype(float)[keep]
    return SimpleNamespace(X=X, y=data["cardio"][keep], id=data["id"][keep], terms=tuple(columns))


@pytest.fixture(scope="session")
def cardio_split(cardio) -> SimpleNamespace:
    """Models learnt where id %% 5 != 0, their risks where id %% 5 == 0."""
    test = cardio.id % 5 == 0
    risks = []
    for width in (cardio.X.shape[1] - 2, cardio.X.shape[1]):
        fit = fit_logistic(cardio.X[~test][:, :width], cardio.y[~test])
        risks.append(expit(fit.coef[0] + cardio.X[test][:, :width] @ fit.coef[1:]))
    return SimpleNamespace(p_base=risks[0], p_new=risks[1], y=cardio.y[test])
