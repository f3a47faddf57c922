"""Increments and performance on real frames: cholesterol in cardio-70k, and new factors over Framingham's BMI score."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_significant
from heartify.disclosure.tables import TABLES, release_table
from heartify.enclave.analyses.increment import INCREMENT
from heartify.enclave.analyses.performance import PERFORMANCE
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import parse_plan_toml
from heartify.protocol.plan_check import check_plan_fits
from heartify.stats import CohortBlock, fit_pooled_logistic

SHARED = Path(__file__).resolve().parents[5] / "shared"


def _frame(name, delimiter=","):
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"third-party data ../shared/data/{name} are absent")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    values = np.array([[float(cell) if cell not in ("", "NA") else np.nan for cell in row] for row in rows])
    return dict(zip(header, values.T, strict=True))


def _column(name, datatype="number", unit="1", role="factor", levels=()):
    return Column(
        name=name,
        title=name,
        datatype=datatype,
        unit=unit,
        role=role,
        levels=tuple(Level(code=code, label=f"level {code}") for code in levels),
    )


CARDIO = DataDictionary(
    title="cardio-70k",
    description="",
    columns=(
        *(_column(name) for name in ("age_y", "bmi", "ap_hi", "ap_lo")),
        *(_column(name, "boolean") for name in ("male", "smoke", "alco", "active")),
        *(_column(name, "category", levels=("1", "2", "3")) for name in ("cholesterol", "gluc")),
        _column("cardio", "boolean", role="outcome"),
    ),
)
CARDIO_PLAN = """
title = "Cholesterol"
purpose = "health-research"
outcome = { column = "cardio", equals = "1" }
factors = [
  { name = "age", column = "age_y" }, { name = "male", column = "male" }, { name = "bmi", column = "bmi" },
  { name = "ap_hi", column = "ap_hi" }, { name = "ap_lo", column = "ap_lo" },
  { name = "gluc", column = "gluc", reference = "1" }, { name = "smoke", column = "smoke" },
  { name = "alco", column = "alco" }, { name = "active", column = "active" },
  { name = "cholesterol", column = "cholesterol", reference = "1" },
]
[increment]
factors = ["cholesterol"]
[performance]
optimism = 0
"""
FRAMINGHAM = DataDictionary(
    title="Framingham",
    description="",
    columns=(
        _column("age", unit="a"),
        _column("sysBP", unit="mm[Hg]"),
        _column("BMI", unit="kg/m2"),
        _column("heartRate", unit="/min"),
        _column("glucose", unit="mg/dL"),
        *(_column(name, "boolean") for name in ("male", "currentSmoker", "BPMeds", "diabetes")),
        _column("TenYearCHD", "boolean", role="outcome"),
    ),
)
FRAMINGHAM_PLAN = """
title = "Beyond the Framingham score"
purpose = "health-research"
outcome = { column = "TenYearCHD", equals = "1" }
factors = [{ name = "heart_rate", column = "heartRate" }, { name = "glucose", column = "glucose" }]
[increment]
factors = ["heart_rate", "glucose"]
cutoffs = [0.1, 0.2]
[increment.score]
name = "framingham-2008-bmi"
[increment.score.inputs]
age = "age"
male = "male"
sbp = "sysBP"
bp_treated = "BPMeds"
smoker = "currentSmoker"
diabetes = "diabetes"
bmi = "BMI"
"""


def _released(exact):
    tables = [release_table(table, TABLES) for table in exact if table.rows]
    return {table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}


@pytest.fixture(scope="module")
def cardio():
    """All clean rows of cardio-70k (truth.json says which) as one hospital, with its derived columns."""
    data = _frame("cardio_train.csv", ";")
    height, weight, high, low = (data[name] for name in ("height", "weight", "ap_hi", "ap_lo"))
    keep = (height >= 140) & (height <= 210) & (weight >= 40) & (weight <= 200)
    keep &= (high >= 80) & (high <= 240) & (low >= 40) & (low <= 160) & (low < high)
    columns = {name: data[name] for name in ("ap_hi", "ap_lo", "smoke", "alco", "active", "cardio")}
    columns |= {"age_y": data["age"] / 365.25, "male": (data["gender"] == 2) * 1.0}
    columns |= {"bmi": weight / (height / 100) ** 2}
    columns |= {name: (data[name] - 1).astype(np.int32) for name in ("cholesterol", "gluc")}
    return {"all": {name: values[keep] for name, values in columns.items()}}


@pytest.fixture(scope="module")
def framingham():
    """framingham_4240 as two hospitals: the odd rows and the even ones."""
    data = _frame("framingham_4240.csv")
    return {name: {key: values[first::2] for key, values in data.items()} for first, name in enumerate(("odd", "even"))}


def test_cholesterol_adds_what_r_says_to_the_other_factors_of_cardio(study, cardio):
    expected = json.loads((SHARED / "vectors" / "statistics" / "truth.json").read_text(encoding="utf-8"))
    chi_square = expected["cardio70k"]["increment_chol"]["LR_chisq_clean_all"]

    found = INCREMENT.run(study(CARDIO_PLAN, cardio, CARDIO))
    exact = {table.name: table.rows for table in found}
    shown = _released(found)

    assert exact["increment_tests"][0]["chi2"] == pytest.approx(chi_square, rel=1e-8)
    (ratio, _) = shown["increment_tests"]
    assert (ratio["chi2"], ratio["df"], ratio["p"]) == (round_significant(chi_square, 3), 2, "<0.001")
    (_, new) = shown["increment_discrimination"]
    assert (new["model"], new["value"]) == ("new", round(expected["cardio70k"]["clean_bmi"]["auc"], 2))


def test_performance_of_cardio_is_the_reference_fit(study, cardio):
    expected = json.loads((SHARED / "vectors" / "statistics" / "truth.json").read_text(encoding="utf-8"))

    found = {table.name: table.rows for table in PERFORMANCE.run(study(CARDIO_PLAN, cardio, CARDIO))}

    assert found["discrimination"][0]["value"] == pytest.approx(expected["cardio70k"]["clean_bmi"]["auc"], abs=1e-9)
    assert len(found["roc"]) == 20
    assert len(found["calibration_groups"]) == 10


def _framingham_bmi(columns):
    """The log odds of the BMI model (D'Agostino et al. 2008) written out once more; NaN where an input is missing."""
    male = (3.11296, 0.79277, 1.85508, 1.92672, 0.70953, 0.53160, 23.9388, 0.88431)
    female = (2.72107, 0.51125, 2.81291, 2.88267, 0.61868, 0.77763, 26.0145, 0.94833)
    b = np.where(columns["male"][:, None] == 1, male, female).T
    predictor = b[0] * np.log(columns["age"]) + b[1] * np.log(columns["BMI"])
    predictor += np.where(columns["BPMeds"] == 1, b[3], b[2]) * np.log(columns["sysBP"])
    predictor += b[4] * columns["currentSmoker"] + b[5] * columns["diabetes"] - b[6]
    risk = 1 - b[7] ** np.exp(predictor)
    return np.where(np.isnan(columns["BPMeds"]), np.nan, np.log(risk / (1 - risk)))


def test_new_factors_over_the_framingham_score_are_tested_on_the_patients_who_have_it(study, framingham):
    check_plan_fits(parse_plan_toml(FRAMINGHAM_PLAN), FRAMINGHAM)
    blocks, complete = [], 0
    for name, columns in framingham.items():
        log_odds = _framingham_bmi(columns)
        rows = ~np.isnan(columns["heartRate"] + columns["glucose"])
        complete += int(rows.sum())
        rows &= ~np.isnan(log_odds) & (columns["age"] >= 30) & (columns["age"] < 75)
        X = np.column_stack([log_odds, columns["heartRate"], columns["glucose"]])[rows]
        blocks.append(CohortBlock(name, X, columns["TenYearCHD"][rows]))
    base = fit_pooled_logistic([CohortBlock(b.name, b.X[:, :1], b.y) for b in blocks], ["score"])
    full = fit_pooled_logistic(blocks, ["score", "heart_rate", "glucose"])
    n = sum(block.n for block in blocks)

    found = INCREMENT.run(study(FRAMINGHAM_PLAN, framingham, FRAMINGHAM))
    exact, shown = {table.name: table.rows for table in found}, _released(found)

    test = exact["increment_tests"][0]
    assert (test["baseline"], test["df"]) == ("score-recalibrated", 2)
    assert test["chi2"] == pytest.approx(2 * (full.loglik - base.loglik), rel=1e-8)
    assert [row["n"] for row in exact["increment_cohort"]] == [n, complete - n]
    assert {row["measure"] for row in shown["score_calibration"]} == {"observed-expected", "in-the-large", "slope"}


def test_the_framingham_score_is_calibrated_as_published(study, framingham):
    exact = {table.name: table.rows for table in INCREMENT.run(study(FRAMINGHAM_PLAN, framingham, FRAMINGHAM))}
    observed = expected = 0.0
    for columns in framingham.values():
        log_odds = _framingham_bmi(columns)
        rows = ~np.isnan(columns["heartRate"] + columns["glucose"] + log_odds)
        observed += columns["TenYearCHD"][rows].sum()
        expected += (1 / (1 + np.exp(-log_odds[rows]))).sum()

    (ratio, _, _) = exact["score_calibration"]

    assert ratio["estimate"] == pytest.approx(observed / expected, rel=1e-9)
