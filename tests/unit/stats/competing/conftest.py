from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@dataclass(frozen=True)
class Cohort:
    """The generated cohort that R ran on; hospitals a, b, c, d are codes 0 to 3."""

    columns: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @property
    def X(self) -> np.ndarray:
        return np.column_stack([self[name] for name in ("age", "male", "sbp", "smoker")])

    @property
    def untied(self) -> np.ndarray:
        return self["time"] + np.arange(1, self["time"].size + 1) * 1e-4


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "hospital"}
    columns["hospital"] = np.array(["abcd".index(row["hospital"]) for row in rows])
    return Cohort(columns)


@pytest.fixture(scope="session")
def r() -> dict[str, Any]:
    """What referee/competing.R wrote; each block quotes its R call."""
    return json.loads((VECTORS / "competing.json").read_text())
