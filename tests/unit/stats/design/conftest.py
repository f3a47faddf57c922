from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    return json.loads((VECTORS / "design.json").read_text())


@pytest.fixture(scope="session")
def hospitals() -> dict[str, dict[str, np.ndarray]]:
    """The generated cohort: hospital -> column -> values, rows in the file's order."""
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name != "hospital"]
    return {
        hospital: {name: np.array([float(row[name]) for row in rows if row["hospital"] == hospital]) for name in names}
        for hospital in ("a", "b", "c", "d")
    }


@pytest.fixture(scope="session")
def file_order() -> dict[str, np.ndarray]:
    """The generated cohort as one group of rows, in the file's order."""
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "hospital"}
