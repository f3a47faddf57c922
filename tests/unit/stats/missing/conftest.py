from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock
from heartify.stats.missing import Completed, IncompleteTable, binary, categorical, continuous

VECTORS = Path(__file__).resolve().parents[4] / "tests" / "vectors" / "statistics"
TERMS = ("age", "male", "sbp", "chol", "smoker", "grade2", "grade3")


@pytest.fixture(scope="session")
def mice() -> dict[str, Any]:
    return json.loads((VECTORS / "missing.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (VECTORS / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    column = {key: np.array([float(row[key]) for row in rows]) for key in rows[0] if key != "hospital"}
    return {**column, "hospital": np.array(["abcd".index(row["hospital"]) for row in rows])}


@pytest.fixture(scope="session")
def gappy(cohort: dict[str, np.ndarray], mice: dict[str, Any]) -> IncompleteTable:
    """The generated cohort with the gaps that referee/missing.R made."""
    chol, smoker, grade = cohort["chol"].copy(), cohort["smoker"].copy(), cohort["grade"] - 1
    chol[mice["gaps"]["chol"]] = np.nan
    smoker[mice["gaps"]["smoker"]] = -1
    grade[mice["gaps"]["grade"]] = -1
    columns = (
        continuous("age", cohort["age"]),
        binary("male", cohort["male"]),
        continuous("sbp", cohort["sbp"]),
        continuous("chol", chol),
        binary("smoker", smoker),
        categorical("grade", grade, 3),
        binary("y", cohort["y"]),
    )
    return IncompleteTable(columns, cohort["hospital"], ("a", "b", "c", "d"))


@pytest.fixture(scope="session")
def as_blocks() -> Any:
    """Turn a completed dataset into blocks with the terms of the referee's model."""

    def build(completed: Completed) -> Sequence[CohortBlock]:
        v = completed.values
        X = np.column_stack([v["age"], v["male"], v["sbp"], v["chol"], v["smoker"], v["grade"] == 1, v["grade"] == 2])
        codes = completed.hospital
        return [CohortBlock(h, X[codes == k], v["y"][codes == k]) for k, h in enumerate(completed.hospitals)]

    return build
