"""What a Cox model is given with beside its weights: C, kinds of errors, tests of terms and of proportional hazards."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import p_text_of_chi_square, round_chi_square
from heartify.enclave.analyses.analysis import AnalysisSkippedError
from heartify.enclave.analyses.survival_tests import run_cox_tests, run_proportional_hazards

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
FOLLOW_UP = 'follow_up = { time = "time", entry = "entry" }'
PLAN = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
%s
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp" },
  { name = "grade", column = "grade", reference = "2" },
]
interactions = [{ first = "age", second = "male" }]
analysis = { model = "cox" }
"""
COX = PLAN % FOLLOW_UP
SMALL = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
analysis = { model = "cox"%s }
"""


@pytest.fixture(scope="module")
def r():
    return json.loads((VECTORS / "survival.json").read_text())


def _chi2(rows, **wanted):
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row["chi2"]


@pytest.mark.parametrize("test", ["likelihood-ratio", "wald"])
def test_each_term_is_tested_with_its_interactions_as_r_does(study, tables, r, test):
    exact = run_cox_tests(study(COX))[0].rows
    shown = tables(COX)["tests"]

    for term, expected in r["tests"][test.replace("-", "_")].items():
        assert _chi2(exact, term=term, test=test) == pytest.approx(expected, rel=1e-6)
        (row,) = [row for row in shown if (row["term"], row["test"]) == (term, test)]
        assert row["chi2"] == round_chi_square(expected)
        assert row["p"] == p_text_of_chi_square(round_chi_square(expected), row["df"])


@pytest.mark.parametrize("test", ["likelihood-ratio", "wald", "score"])
def test_the_whole_model_is_tested_as_r_does(study, tables, r, test):
    expected = r["tests"]["model"][test.replace("-", "_")]

    exact = run_cox_tests(study(COX))[0].rows

    # R gives its Wald statistic with two decimals.
    assert _chi2(exact, hypothesis="model", test=test) == pytest.approx(expected, rel=1e-3 if test == "wald" else 1e-6)
    assert _chi2(tables(COX)["tests"], hypothesis="model", test=test) == round_chi_square(expected)


def test_a_model_of_one_column_is_its_own_test(study):
    plan = SMALL.replace(', { name = "male", column = "male" }', "") % ""

    rows = run_cox_tests(study(plan))[0].rows

    assert _chi2(rows, term="age", test="likelihood-ratio") == _chi2(rows, hypothesis="model", test="likelihood-ratio")


def test_robust_errors_are_in_the_wald_test_and_in_no_other(study):
    plain = run_cox_tests(study(SMALL % ""))[0].rows
    robust = run_cox_tests(study(SMALL % ', standard_errors = "robust"'))[0].rows

    changed = {row["test"] for row, other in zip(plain, robust, strict=True) if row["chi2"] != other["chi2"]}
    assert changed == {"wald"}


@pytest.mark.parametrize("errors", ["robust", "hospital"])
def test_errors_of_the_weights_are_those_of_r_for_the_plans_kind(study, r, errors):
    fit = study(SMALL % f', standard_errors = "{errors}"').fit

    assert fit.term_se == pytest.approx(list(r["robust_se"][errors].values()), rel=1e-6)
    assert fit.standard_errors == errors


def test_errors_by_fewer_hospitals_than_columns_leave_the_joint_wald_test_empty(study):
    rows = run_cox_tests(study(COX.replace('"cox"', '"cox", standard_errors = "hospital"')))[0].rows

    assert _chi2(rows, hypothesis="model", test="wald") is None
    assert _chi2(rows, term="sbp", test="wald") > 0


@pytest.mark.parametrize("run", [run_cox_tests, run_proportional_hazards])
def test_a_fit_that_is_no_cox_model_is_skipped(study, run):
    with pytest.raises(AnalysisSkippedError) as caught:
        run(study(COX.replace('"cox"', '"logistic"')))

    assert caught.value.reason == "not_estimable"


def test_imputed_data_have_wald_tests_only(study):
    data = study(COX)
    imputed = dataclasses.replace(data, fit=dataclasses.replace(data.fit, imputations=5))

    assert {row["test"] for row in run_cox_tests(data)[0].rows} == {"likelihood-ratio", "wald", "score"}
    assert {row["test"] for row in run_cox_tests(imputed)[0].rows} == {"wald"}


def test_the_concordance_compares_patients_of_one_hospital_and_stratum_only(study, r):
    two_strata = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry" }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox", strata = ["male"] }
"""

    assert study(COX).fit.concordance == pytest.approx(r["tests"]["concordance"], abs=1e-9)
    assert study(two_strata).fit.concordance == pytest.approx(r["concordance_two_strata"], abs=1e-9)


@pytest.mark.parametrize("transform", ["km", "identity"])
def test_proportional_hazards_are_tested_as_cox_zph_does(study, tables, r, transform):
    expected = r["zph"][transform]["chisq"]
    names = {"grade=1": "grade1", "grade=3": "grade3", "global": "GLOBAL"}

    exact = [row for row in run_proportional_hazards(study(COX))[0].rows if row["transform"] == transform]
    shown = [row for row in tables(COX)["proportional_hazards"] if row["transform"] == transform]

    assert {names.get(row["term"], row["term"]) for row in shown} == set(expected)
    for row, released in zip(exact, shown, strict=True):
        value = expected[names.get(row["term"], row["term"])]
        assert row["chi2"] == pytest.approx(value, rel=1e-5, abs=1e-9)
        assert released["chi2"] == round_chi_square(value)
        assert released["df"] == (6 if row["term"] == "global" else 1)


def test_events_at_one_time_leave_the_premise_untested_and_the_terms_tested(study, cohort):
    hospitals = {name: {**columns, "time": np.full(columns["time"].shape, 2000.0)} for name, columns in cohort.items()}
    data = study(SMALL.replace(', entry = "entry"', "") % "", hospitals)

    premise = run_proportional_hazards(data)[0].rows

    assert {row["chi2"] for row in premise} == {None}
    assert all(row["chi2"] > 0 for row in run_cox_tests(data)[0].rows)


def test_more_columns_than_the_table_has_rows_are_skipped(study):
    data = study(SMALL % "")
    wide = dataclasses.replace(data, model=dataclasses.replace(data.model, names=tuple(map(str, range(200)))))

    with pytest.raises(AnalysisSkippedError) as caught:
        run_proportional_hazards(wide)

    assert caught.value.reason == "too_many_terms"
    assert len(run_proportional_hazards(data)[0].rows) == 6


def test_a_logistic_model_has_none_of_it(tables):
    shown = tables(COX.replace('model = "cox"', 'model = "logistic"'))

    assert {"proportional_hazards", "survival"}.isdisjoint(shown)
