from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared"
UCI_TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


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
def uci_blocks(read_columns: Callable[..., dict[str, np.ndarray]]) -> list[CohortBlock]:
    """The four UCI hospitals, as in truth.json: cp4 = (cp == 4), complete cases on six terms, y = num > 0."""
    blocks = []
    for hospital in ("cleveland", "hungarian", "switzerland", "va"):
        data = read_columns(f"uci_heart_{hospital}.csv")
        data["cp4"] = np.where(np.isnan(data["cp"]), np.nan, data["cp"] == 4)
        X = np.column_stack([data[term] for term in UCI_TERMS])
        complete = ~np.isnan(X).any(axis=1)
        blocks.append(CohortBlock(hospital, X[complete], (data["num"] > 0)[complete]))
    return blocks
