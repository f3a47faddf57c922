"""The four UCI hospitals: who may stand alone, and the pooling of those against truth.json's own estimates.

Switzerland has 8 patients without the outcome, VA 6 women: both are hidden, so that truth.json's pooling of all four is
not what may be shown; its per-hospital estimates (R's glm) are, for Cleveland and Hungary.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.cohort.dictionary_toml import load_dictionary_toml
from heartify.disclosure.rounding import round_chi_square, round_estimate

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT / ".." / "shared"
UCI4 = ROOT / "tests" / "e2e" / "uci4"
PLAN = (UCI4 / "plan.toml").read_text(encoding="utf-8") + "\n[heterogeneity]\n[weights]\nbootstrap = 40\n"
NAMES = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")
SHOWN = ("cleveland", "hungarian")


@pytest.fixture(scope="module")
def released(tables):
    if not (SHARED / "data").is_dir():
        pytest.skip("third-party cohorts are not beside the project: ../shared is absent")
    dictionary = load_dictionary_toml(UCI4 / "dictionary.toml")
    hospitals = {name: _columns(name, dictionary) for name in (*SHOWN, "switzerland", "va")}
    return tables(PLAN, hospitals, dictionary)


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    path = SHARED / "vectors" / "statistics" / "truth.json"
    if not path.is_file():
        pytest.skip("../shared/vectors/statistics/truth.json is absent")
    return json.loads(path.read_text(encoding="utf-8"))["uci4"]


def _columns(name, dictionary):
    with (SHARED / "data" / f"uci_heart_{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, Any] = {}
    for column in (*NAMES[:2], "cp", *NAMES[3:], "num"):
        values = [row[column] for row in rows]
        described = dictionary.column(column)
        if described.datatype == "category":
            codes = {float(code): index for index, code in enumerate(described.level_codes)}
            columns[column] = np.array([codes[float(value)] if value else -1 for value in values], np.int32)
        else:
            columns[column] = np.array([float(value) if value else np.nan for value in values])
    return columns


def test_hospitals_with_small_cells_show_nothing_and_the_others_rs_estimates(released, truth):
    for row in released["hospital_estimates"]:
        if row["hospital"] not in SHOWN:
            assert (row["status"], row["estimate"], row["n"]) == ("suppressed", None, None)
            continue
        own = truth["per_hospital"][row["hospital"]]
        shown = round_estimate(own["coef"][row["factor"]], own["se"][row["factor"]])
        assert (row["status"], row["estimate"], row["se"]) == ("estimated", shown.beta, shown.se)


def test_the_pooled_estimate_is_that_of_the_shown_hospitals(released, truth):
    assert [(row["factor"], row["model"]) for row in released["meta_analysis"]] == [
        (name, "fixed effect") for name in NAMES
    ]
    for row in released["meta_analysis"]:
        own = [truth["per_hospital"][name] for name in SHOWN]
        coef = np.array([hospital["coef"][row["factor"]] for hospital in own])
        weights = np.array([hospital["se"][row["factor"]] for hospital in own]) ** -2
        mean = float(weights @ coef / weights.sum())
        shown = round_estimate(mean, float(weights.sum() ** -0.5))
        assert (row["hospitals"], row["estimate"], row["se"]) == (2, shown.beta, shown.se)
        assert row["q"] == round_chi_square(float(weights @ (coef - mean) ** 2))


def test_validation_shows_every_hospital_but_switzerland(released):
    status = {row["hospital"]: row["status"] for row in released["left_out_hospital"]}

    assert status == {
        "cleveland": "estimated",
        "hungarian": "estimated",
        "switzerland": "suppressed",
        "va": "estimated",
    }
    assert {row["hospitals"] for row in released["left_out_summary"]} == {3}


def test_weights_rank_chest_pain_among_the_first_two_on_every_scale(released, truth):
    z = {name: truth["fixed_effects"]["z"][name] for name in NAMES}

    chi2 = {row["term"]: row for row in released["partial_chi2"]}

    assert {name: row["chi2"] for name, row in chi2.items()} == {
        name: pytest.approx(round_chi_square(value**2), rel=0.006) for name, value in z.items()
    }
    for name in ("partial_chi2", "dominance", "weights_per_sd"):
        assert next(row["rank"] for row in released[name] if row["term"] == "cp4") <= 2
