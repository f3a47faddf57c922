from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.disclosure import CohortFacts, FactorFacts, HospitalFacts, OutcomeCount, TermFacts, TwoValued
from heartify.stats import CohortBlock

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared"
UCI_TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


@dataclass(frozen=True)
class OwnIntercept:
    hospital: str
    value: float
    se: float


@dataclass(frozen=True)
class ExactFit:
    """A hand-written fit: what the release reads, and a covariance that it must not."""

    term_names: tuple[str, ...] = ("age", "sex")
    term_coef: np.ndarray = field(default_factory=lambda: np.array([0.025050119825404, 1.26949780472141]))
    term_se: np.ndarray = field(default_factory=lambda: np.array([0.0126283643610979, 0.251036428964203]))
    hospital_intercepts: tuple[OwnIntercept, ...] = (
        OwnIntercept("north", -2.70578761744862, 1.23297043890946),
        OwnIntercept("south", -0.01718163140670, 1.31),
    )
    n: int = 203
    events: int = 91
    auc: float = 0.905971920110738
    covariance: str = "never read"


@pytest.fixture
def exact_fit():
    return ExactFit()


@pytest.fixture
def make_fit():
    return ExactFit


@pytest.fixture
def make_intercept():
    return OwnIntercept


@pytest.fixture
def make_facts():
    def make(hospitals=((103, 41), (100, 50)), names=("north", "south"), flag=((120, 40), (83, 51)), terms=2):
        flags = tuple(OutcomeCount(*level) for level in flag)
        numbers = [TermFacts(f"number{j}", 1.0) for j in range(terms - 2)]
        return CohortFacts(
            tuple(HospitalFacts(name, OutcomeCount(*count)) for name, count in zip(names, hospitals, strict=True)),
            (TermFacts("age", 9.3849), TermFacts("sex", 0.49, TwoValued(1.0, flags[0].n, flags[1].n)), *numbers),
            (FactorFacts("sex", flags),),
        )

    return make


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    path = SHARED / "vectors" / "statistics" / "truth.json"
    if not path.exists():
        pytest.skip("reference vectors ../shared/vectors/statistics/truth.json are absent")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def uci_blocks() -> list[CohortBlock]:
    blocks = []
    for hospital in ("cleveland", "hungarian", "switzerland", "va"):
        path = SHARED / "data" / f"uci_heart_{hospital}.csv"
        if not path.exists():
            pytest.skip(f"third-party data ../shared/data/{path.name} are absent")
        with path.open(newline="") as lines:
            rows = [row | {"cp4": str(float(float(row["cp"]) == 4))} for row in csv.DictReader(lines)]
        complete = [row for row in rows if all(row[term] for term in UCI_TERMS)]
        X = np.array([[float(row[term]) for term in UCI_TERMS] for row in complete])
        blocks.append(CohortBlock(hospital, X, np.array([float(float(row["num"]) > 0) for row in complete])))
    return blocks
