"""Multiple imputation of the main fit: R's mice on the same gaps, Rubin's rules, and what the tables may tell."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit

from heartify.disclosure import WithheldCode, WithheldError, release_fit
from heartify.disclosure.rounding import p_text_of_log, round_estimate, round_significant
from heartify.enclave.analyses.missing_data import missing_tables, pattern_rows, pooled_row
from heartify.enclave.imputation import imputation_spec
from heartify.enclave.imputation_table import build_imputation_table
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.stats.missing import JointPattern, pool_scalar

ROOT = Path(__file__).resolve().parents[4]
COHORT = ROOT / "tests" / "vectors" / "statistics" / "inputs" / "cohort.csv"
PLAN = """
title = "Imputed"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp" },
  { name = "chol", column = "chol" },
  { name = "smoker", column = "smoker" },
  { name = "grade", column = "grade", reference = "1" },
]
[missing]
method = "multiple-imputation"
imputations = 10
iterations = 5
"""
COX = PLAN.replace(
    'outcome = { column = "y", equals = "1" }',
    'outcome = { column = "status", equals = "1" }\n'
    'follow_up = { time = "time", competing = { column = "status", equals = "2" } }\n'
    'analysis = { model = "cox", strata = ["male"] }',
).replace('  { name = "male", column = "male" },\n', "")


@pytest.fixture(scope="module")
def mice():
    return json.loads((ROOT / "tests" / "vectors" / "statistics" / "missing.json").read_text())


@pytest.fixture(scope="module")
def gappy(cohort, mice):
    """The cohort with the gaps that referee/missing.R made."""
    with COHORT.open(newline="", encoding="utf-8") as file:
        hospital = np.array([row["hospital"] for row in csv.DictReader(file)])
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    for column in ("chol", "smoker", "grade"):
        gap = np.isin(np.arange(hospital.size), mice["gaps"][column])
        for name, columns in hospitals.items():
            missing = -1 if columns[column].dtype == np.int32 else np.nan
            columns[column] = np.where(gap[hospital == name], missing, columns[column]).astype(columns[column].dtype)
    return hospitals


@pytest.fixture(scope="module")
def imputed(study, gappy):
    return study(PLAN, gappy)


@pytest.fixture(scope="module")
def shown(tables, gappy):
    return tables(PLAN, gappy)


def test_pooled_weights_agree_with_mice_within_simulation_error(imputed, mice):
    # mice(a, m=120, ...); summary(pool(glm(y ~ age + male + sbp + chol + smoker + grade + hospital, binomial)))
    expected = mice["imputation"]
    terms = slice(1, 8)

    estimate, se = imputed.fit.term_coef, imputed.fit.term_se

    np.testing.assert_allclose((estimate - expected["estimate"][terms]) / expected["se"][terms], 0, atol=0.4)
    np.testing.assert_allclose(se, expected["se"][terms], rtol=0.2)


def test_main_fit_is_of_all_patients_with_an_outcome(imputed):
    assert (imputed.fit.n, imputed.fit.imputations) == (1200, 10)
    assert sum(block.n for block in imputed.blocks) < 600
    assert imputed.fit.logistic.n == sum(block.n for block in imputed.blocks)
    assert len(imputed.fit.hospital_intercepts) == 4
    assert 0.6 < imputed.fit.auc < 0.8


def test_pooled_fit_passes_the_release_with_the_facts_of_the_completed_cohort(imputed):
    released = release_fit(imputed.fit, imputed.imputation.facts)

    assert released.n == sum(5 * ((case.rows + 2) // 5) for case in imputed.cases) == 1195
    assert [weight.factor for weight in released.weights] == list(imputed.names)


def test_table_of_the_pooled_weights_has_t_intervals_of_the_shown_numbers(shown, imputed):
    for row, pooled in zip(shown["imputation"], imputed.imputation.parameters, strict=True):
        expected = round_estimate(pooled.estimate, pooled.se)
        half = stdtrit(pooled.df, 0.975) * expected.se

        assert (row["estimate"], row["se"], row["imputations"]) == (expected.beta, expected.se, 10)
        assert row["ci_high"] - row["estimate"] == pytest.approx(half, abs=expected.se / 19)
        assert row["df"] == round_significant(pooled.df, 3)
        assert row["p"] == p_text_of_log(math.log(2 * stdtr(pooled.df, -abs(expected.z))))


def test_factor_with_the_most_gaps_loses_the_most_information(shown):
    lost = {row["factor"]: row["missing_information"] for row in shown["imputation"]}

    assert max(lost, key=lost.get) == "chol"
    assert lost["age"] < 0.1 < lost["chol"]


def test_degrees_of_freedom_rest_on_shown_counts(imputed):
    parameters = imputed.imputation.parameters
    shown_df = sum(5 * ((case.rows + 2) // 5) for case in imputed.cases) - 7 - 4

    assert max(item.df for item in parameters) < shown_df


def test_complete_cases_are_the_fit_without_imputation(shown, study, gappy):
    alone = study(PLAN.replace("multiple-imputation", "complete-case"), gappy).fit

    for row, coef, se in zip(shown["complete_cases"], alone.term_coef, alone.term_se, strict=True):
        expected = round_estimate(float(coef), float(se))
        assert (row["estimate"], row["se"]) == (expected.beta, expected.se)


def test_patterns_add_up_to_all_patients(shown):
    rows = {row["missing"]: row["n"] for row in shown["missing_patterns"]}

    assert rows["no gap"] == 500
    assert abs(sum(rows.values()) - 1200) <= 2 * len(rows)


def test_chains_of_incomplete_factors_are_told(shown):
    rhat = {row["factor"]: row["rhat"] for row in shown["chains"]}

    assert set(rhat) == {"chol", "smoker", "grade"}
    assert all(0.7 < value < 1.5 for value in rhat.values())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("", 500), ("a", 40), ("b", 20)], {"no gap": 500, "a": 40, "b": 20}),
        ([("", 500), ("a", 40), ("b", 6), ("c", 5)], {"no gap": 500, "a": 40, "other patterns": 11}),
        ([("", 500), ("a", 40), ("b", 12), ("c", 3)], {"no gap": 500, "a": 40, "other patterns": 15}),
        ([("", 500), ("a", 12), ("b", 3)], {"no gap": 500, "other patterns": 15}),
        ([("a", 40), ("", 4), ("b", 10)], {"a": 40, "other patterns": 14}),
    ],
)
def test_rare_patterns_are_put_together_so_that_none_is_a_difference(rows, expected):
    found = pattern_rows([JointPattern((name,) if name else (), count) for name, count in rows])

    assert {row["missing"]: row["n"] for row in found} == expected


def test_patterns_of_many_factors_or_beyond_thirty_are_put_together():
    many = JointPattern(tuple("abcdef"), 50)
    others = [JointPattern((f"f{k}",), 100 - k) for k in range(40)]

    found = pattern_rows([*others, many])

    assert len(found) == 31
    assert found[-1] == {"missing": "other patterns", "n": 50 + sum(100 - k for k in range(30, 40))}


@pytest.mark.parametrize(("gaps", "imputations"), [(9, 0), (10, 3)])
def test_fewer_than_ten_incomplete_patients_are_left_out_and_not_imputed(study, tables, cohort, gaps, imputations):
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    hospitals["a"]["chol"] = np.where(np.arange(hospitals["a"]["chol"].size) < gaps, np.nan, hospitals["a"]["chol"])
    plan = PLAN.replace("imputations = 10", "imputations = 3").replace("iterations = 5", "iterations = 2")

    data, found = study(plan, hospitals), tables(plan, hospitals)

    assert data.fit.imputations == imputations
    assert data.fit.n == (1200 if imputations else 1191)
    assert found["skipped"].get("missing") == (None if imputations else "small_cell")
    assert ("complete_cases" in found) == bool(imputations)


def test_patients_without_an_outcome_are_not_imputed(study, gappy):
    hospitals = {name: dict(columns) for name, columns in gappy.items()}
    hospitals["b"]["y"] = np.where(np.arange(hospitals["b"]["y"].size) < 30, np.nan, hospitals["b"]["y"])

    data = study(PLAN.replace("imputations = 10", "imputations = 2"), hospitals)

    assert data.fit.n == 1170


def test_completed_cohort_with_a_small_cell_is_withheld_although_the_complete_cases_pass(study, gappy):
    # Grade 3 never occurs among complete cases without the outcome, but in a few patients with a gap.
    hospitals = {name: dict(columns) for name, columns in gappy.items()}
    for columns in hospitals.values():
        gap = np.isnan(columns["chol"]) | np.isnan(columns["smoker"])
        columns["grade"] = np.where((columns["grade"] == 2) & (columns["y"] == 0) & ~gap, 1, columns["grade"])
        stays = (np.cumsum((columns["grade"] == 2) & (columns["y"] == 0)) <= 1) & gap
        columns["grade"] = np.where((columns["grade"] == 2) & (columns["y"] == 0) & ~stays, 1, columns["grade"])
        columns["grade"] = np.where(columns["grade"] < 0, 0, columns["grade"]).astype(np.int32)
    assert study(PLAN.replace("multiple-imputation", "complete-case"), hospitals).fit.n > 100

    with pytest.raises(WithheldError) as refused:
        study(PLAN, hospitals)

    assert refused.value.code is WithheldCode.SMALL_CELL


def test_cox_model_is_pooled_and_close_to_the_fit_without_gaps(study, gappy, cohort):
    data = study(COX, gappy)

    full = study(COX.replace("multiple-imputation", "complete-case"), cohort).fit
    assert (data.fit.n, data.fit.events) == (1200, full.events)
    assert data.fit.auc is None
    assert 0.5 < data.fit.concordance < 0.7
    assert (np.abs(data.fit.term_coef - full.term_coef) < 1.5 * full.term_se).all()
    assert data.fit.cox.n == sum(block.n for block in data.blocks) < 600


def test_imputation_of_a_cox_model_sees_events_hazards_and_strata(study, gappy):
    data = study(COX.replace("imputations = 10", "imputations = 2").replace("iterations = 5", "iterations = 1"), gappy)

    table = build_imputation_table(data.plan, data.model, data.cases)

    kinds = {column.name: column.kind.value for column in table.table.columns if column.name in table.outcome}
    assert list(kinds.values()) == ["binary", "continuous", "binary", "continuous", "categorical"]


@pytest.mark.parametrize(("share", "is_drawn"), [(0.35, False), (0.45, True)])
def test_numbers_missing_in_two_fifths_are_drawn_and_not_matched(study, cohort, share, is_drawn):
    rng = np.random.default_rng(1)
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    for columns in hospitals.values():
        columns["chol"] = np.where(rng.random(columns["chol"].size) < share, np.nan, columns["chol"])
    data = study(PLAN.replace("multiple-imputation", "complete-case"), hospitals)
    table = build_imputation_table(data.plan, data.model, data.cases)

    spec = imputation_spec(data.plan, table)

    assert spec.gaussian == (frozenset({"chol"}) if is_drawn else frozenset())
    assert spec.outcome == table.outcome


def test_equal_questions_are_imputed_equally(imputed, study, gappy):
    again = study(PLAN, gappy)

    np.testing.assert_array_equal(again.fit.term_coef, imputed.fit.term_coef)


def test_weight_of_absurd_size_has_no_figures():
    row = pooled_row("x", pool_scalar([1e13, 1e13 + 1], [1.0, 1.0]))

    assert (row["estimate"], row["p"], row["ci_low"]) == (None, None, None)


FRAMINGHAM = ROOT / ".." / "shared" / "data" / "framingham_4240.csv"


@pytest.fixture(scope="module")
def framingham():
    if not FRAMINGHAM.exists():
        pytest.skip("third-party data ../shared/data/framingham_4240.csv are absent")
    with FRAMINGHAM.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) if row[key] else np.nan for row in rows]) for key in rows[0]}


def test_glucose_of_framingham_is_imputed(study, framingham):
    names = ("male", "age", "currentSmoker", "totChol", "sysBP", "glucose")
    columns = tuple(Column(name=n, title=n, datatype="number", role="factor", unit="1") for n in (*names, "TenYearCHD"))
    factors = ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in names)
    plan = PLAN[: PLAN.index("factors")].replace('"y"', '"TenYearCHD"') + f"factors = [{factors}]\n"
    plan += PLAN[PLAN.index("[missing]") :].replace("iterations = 5", "iterations = 3")
    dictionary = DataDictionary(title="Framingham", description="", columns=columns)

    data = study(plan, {"framingham": framingham}, dictionary)

    rows = {table.name: table.rows for table in missing_tables(data.imputation)}
    gaps = {row["missing"]: row["n"] for row in rows["missing_patterns"]}
    complete = data.imputation.complete
    assert gaps["glucose"] + gaps["totChol + glucose"] == 388
    assert (data.fit.n, complete.n) == (4240, gaps["no gap"])
    assert (data.fit.term_se[[1, 2, 4]] < complete.term_se[[1, 2, 4]]).all()
    assert (np.abs(data.fit.term_coef - complete.term_coef) < complete.term_se).all()
