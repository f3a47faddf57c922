"""A Cox plan on a real cohort, as one hospital: the Worcester Heart Attack Study's 500 patients.

Its 22 patients in shock and its 11 with complete heart block are too few for rule 4, so that the published model of
thirteen factors is withheld; the eleven others are released, equal to R's.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure import WithheldError, release_fit
from heartify.disclosure.codes import WithheldCode
from heartify.disclosure.facts import build_cohort_facts
from heartify.disclosure.rounding import round_auc, round_chi_square, round_estimate
from heartify.enclave.analyses.survival_tests import run_proportional_hazards
from heartify.enclave.main_fit import fit_cox_model
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plan import AnalysisSpec
from heartify.stats.survival import SurvivalBlock

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT.parent / "shared"
NUMBERS = ("age", "bmi", "hr", "sysbp", "diasbp")
FACTORS = ("age", "gender", "bmi", "hr", "sysbp", "diasbp", "chf", "miord", "mitype", "cvd", "afb")
RARE = ("sho", "av3")


@pytest.fixture(scope="module")
def r():
    return json.loads((ROOT / "tests" / "vectors" / "statistics" / "survival.json").read_text())["whas500"]


@pytest.fixture(scope="module")
def whas500():
    """Return the columns of the public table by name."""
    source = SHARED / "data" / "whas500.csv"
    if not source.exists():
        pytest.skip("whas500.csv lies beside the project, and is not here")
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def _dictionary():
    columns = [
        Column(name=name, title=name, datatype="number" if name in NUMBERS else "boolean", role="factor", unit="1")
        if name in NUMBERS
        else Column(name=name, title=name, datatype="boolean", role="factor")
        for name in (*FACTORS, *RARE)
    ]
    columns.append(Column(name="lenfol", title="Follow-up", datatype="number", role="time", unit="d"))
    columns.append(Column(name="fstat", title="Death", datatype="boolean", role="outcome"))
    return DataDictionary(title="WHAS500", description="", columns=tuple(columns))


def _plan(names):
    factors = ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in names)
    return f"""
title = "Death after myocardial infarction"
purpose = "health-research"
outcome = {{ column = "fstat", equals = "1" }}
follow_up = {{ time = "lenfol", horizon = 1800 }}
factors = [{factors}]
analysis = {{ model = "cox" }}
"""


def test_released_weights_are_those_of_r_on_their_grid(study, whas500, r):
    data = study(_plan(FACTORS), {"worcester": whas500}, _dictionary())
    facts = build_cohort_facts(data.blocks, data.names)

    released = release_fit(data.fit, facts, concordance=data.fit.concordance)

    for weight in released.weights:
        expected = round_estimate(r["coef"][weight.factor], r["se"][weight.factor])
        assert (weight.beta, weight.se) == (expected.beta, expected.se)
    assert released.concordance == round_auc(r["concordance"])
    assert released.auc is None


def test_proportional_hazards_are_those_of_r(study, whas500, r):
    data = study(_plan(FACTORS), {"worcester": whas500}, _dictionary())

    rows = run_proportional_hazards(data)[0].rows

    for row in rows[: len(FACTORS)]:
        assert row["chi2"] == pytest.approx(r["zph"]["chisq"][row["term"]], rel=1e-4)


def test_the_released_curve_reaches_the_horizon(tables, whas500, r):
    shown = tables(_plan(FACTORS), {"worcester": whas500}, _dictionary())

    assert shown["survival"][-1]["time"] == 1800
    (row,) = [row for row in shown["proportional_hazards"] if (row["term"], row["transform"]) == ("sysbp", "km")]
    assert row["chi2"] == round_chi_square(r["zph"]["chisq"]["sysbp"])


def test_the_model_with_two_rare_conditions_is_withheld(study, whas500):
    with pytest.raises(WithheldError) as caught:
        study(_plan((*FACTORS, *RARE)), {"worcester": whas500}, _dictionary())

    assert caught.value.code is WithheldCode.SMALL_CELL


def test_the_fit_behind_the_withheld_model_is_the_published_one(whas500):
    truth = SHARED / "vectors" / "statistics" / "truth.json"
    if not truth.exists():
        pytest.skip("truth.json lies beside the project, and is not here")
    expected = json.loads(truth.read_text())["whas500"]["efron"]
    names = list(expected["coef"])
    X = np.column_stack([whas500[name] for name in names])
    block = SurvivalBlock("worcester", X, whas500["lenfol"], whas500["fstat"].astype(np.int64))

    fit = fit_cox_model([block], names, AnalysisSpec(model="cox"))

    se = np.array([expected["se"][name] for name in names])
    coef = np.array([expected["coef"][name] for name in names])
    assert np.abs(fit.term_coef - coef).max() <= 1e-6 * se.min()
    assert fit.term_se == pytest.approx(se, rel=1e-6)
    assert fit.concordance == pytest.approx(expected["concordance"], abs=1e-9)
