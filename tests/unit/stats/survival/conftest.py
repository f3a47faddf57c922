from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.stats.survival import SurvivalBlock

ROOT = Path(__file__).resolve().parents[4]
TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


@pytest.fixture(scope="session")
def cox_r() -> dict[str, Any]:
    """What survival::coxph says: the calls are in the file, made by referee/cox.R."""
    return json.loads((ROOT / "tests" / "vectors" / "statistics" / "cox.json").read_text())


@pytest.fixture(scope="session")
def cohort() -> dict[str, np.ndarray]:
    with (ROOT / "tests" / "vectors" / "statistics" / "inputs" / "cohort.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        key: np.array([row[key] for row in rows]) if key == "hospital" else np.array([float(row[key]) for row in rows])
        for key in rows[0]
    }


@pytest.fixture(scope="session")
def make_blocks(cohort) -> Callable[..., list[SurvivalBlock]]:
    """One block per hospital (or one of all, in the file's order), of any terms, outcome code, entry and strata."""

    def make(terms=TERMS, *, pooled=False, delayed=True, code=1, stratum=None) -> list[SurvivalBlock]:
        X = np.column_stack([cohort[term] for term in terms])
        event = np.where(cohort["status"] == code, 1, np.where(cohort["status"] == 0, 0, 2)).astype(int)
        masks = {"all": np.ones(len(event), dtype=bool)} if pooled else {}
        masks = masks or {name: cohort["hospital"] == name for name in ("a", "b", "c", "d")}
        return [
            SurvivalBlock(
                name,
                X[own],
                cohort["time"][own],
                event[own],
                cohort["entry"][own] if delayed else None,
                cohort[stratum][own].astype(int) if stratum else None,
            )
            for name, own in masks.items()
        ]

    return make


@pytest.fixture(scope="session")
def in_file_order(cohort) -> Callable[..., np.ndarray]:
    """Bring one array per hospital back into the order of the file's rows."""

    def join(parts) -> np.ndarray:
        if len(parts) == 1:
            return parts[0]
        values = np.empty((len(cohort["hospital"]), *parts[0].shape[1:]))
        for name, part in zip(("a", "b", "c", "d"), parts, strict=True):
            values[cohort["hospital"] == name] = part
        return values

    return join


@pytest.fixture(scope="session")
def fit_arguments(make_blocks) -> Callable[[str], tuple[list[SurvivalBlock], dict[str, Any]]]:
    """The blocks and options of a fit named as in cox.json: [delayed|plain]_[strata]_[efron|breslow]."""

    def arguments(name: str):
        stratified = "strata" in name or "competing" in name
        two = "two_strata" in name
        blocks = make_blocks(
            tuple(term for term in TERMS if not (two and term == "male")),
            pooled=not stratified,
            delayed="delayed" in name or "competing" in name,
            code=2 if "competing" in name else 1,
            stratum="male" if two else None,
        )
        terms = tuple(term for term in TERMS if not (two and term == "male"))
        return blocks, {"term_names": terms, "ties": "breslow" if "breslow" in name else "efron"}

    return arguments


@pytest.fixture(scope="session")
def whas500() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    shared = ROOT / ".." / "shared"
    truth, data = shared / "vectors" / "statistics" / "truth.json", shared / "data" / "whas500.csv"
    if not truth.exists() or not data.exists():
        pytest.skip(
            "reference vectors ../shared/vectors/statistics/truth.json or ../shared/data/whas500.csv are absent"
        )
    with data.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return json.loads(truth.read_text())["whas500"], {
        key: np.array([float(row[key]) for row in rows]) for key in rows[0]
    }
