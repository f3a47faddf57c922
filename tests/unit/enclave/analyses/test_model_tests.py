"""Tests, profile intervals and other errors of a logistic model: R's values, before the release and on the grid after.

R's calls stand in tests/vectors/statistics/inference.json and design.json, made by referee/inference.R and design.R.
"""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import chdtrc, expit

from heartify.disclosure.tables import TABLES, release_table
from heartify.enclave.analyses.additive import ADDITIVE_INTERACTION
from heartify.enclave.analyses.analysis import AnalysisSkippedError
from heartify.enclave.analyses.model_tests import MODEL_TESTS
from heartify.enclave.analyses.profiles import PROFILES
from heartify.enclave.analyses.sensitivity import SENSITIVITY
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.study import run_study
from heartify.errors import InputError
from heartify.protocol.evidence import TeeKind
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import parse_plan_toml

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
INFERENCE = json.loads((VECTORS / "inference.json").read_text())
DESIGN = json.loads((VECTORS / "design.json").read_text())
TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


def plan(*factors: str, more: str = "") -> str:
    forms = [f if f.startswith("{") else f'{{ name = "{f}", column = "{f}" }}' for f in factors]
    return (
        'title = "Tests"\npurpose = "health-research"\noutcome = { column = "y", equals = "1" }\n'
        f"factors = [{', '.join(forms)}]\n{more}"
    )


LINEAR = plan(*TERMS)


def exact(analysis: Any, data: Any) -> list[dict[str, Any]]:
    return [dict(row) for table in analysis.run(data) for row in table.rows]


def released(analysis: Any, data: Any) -> list[dict[str, Any]]:
    tables = [release_table(table, TABLES) for table in analysis.run(data)]
    return [dict(zip(table.columns, row, strict=True)) for table in tables for row in table.rows]


def pick(rows: list[dict[str, Any]], **labels: str) -> dict[str, Any]:
    found = [row for row in rows if all(row[name] == value for name, value in labels.items())]
    assert len(found) == 1
    return found[0]


def on_grid(value: float, se: float) -> float:
    step = Decimal(f"{se:.1e}") / 10
    return float(step * (Decimal(value) / step).to_integral_value())


def shown_chi2(value: float) -> float:
    return round(np.sqrt(value) * 10) ** 2 / 100


def p_of(chi2: float, df: int) -> str:
    p = chdtrc(df, chi2)
    return "<0.001" if p < 0.001 else f"{Decimal(f'{p:.1e}'):f}"


def fake_job(data: Any) -> Any:
    """What a study reads of its job."""
    hospitals = [
        SimpleNamespace(name=c.name, grant=SimpleNamespace(datasetVersion=c.version), dictionary=data.dictionary)
        for c in data.cases
    ]
    deal = SimpleNamespace(minGrants=1, planDigest=data.plan.digest(), teeKind=int(TeeKind.SIMULATED_SGX))
    return SimpleNamespace(plan=data.plan, deal=deal, deal_id="0x" + "de" * 32, hospitals=hospitals)


@pytest.fixture(scope="module")
def together(cohort) -> dict[str, dict[str, Any]]:
    """The generated cohort as one hospital, as R's models without hospitals have it."""
    names = list(cohort)
    return {"all": {column: np.concatenate([cohort[n][column] for n in names]) for column in cohort[names[0]]}}


@pytest.fixture(scope="module")
def separated(cohort) -> dict[str, dict[str, Any]]:
    """R's separated cohort: the first 60 rows of two hospitals, where nobody who smokes is without the outcome."""
    few = {name: {column: values[:60].copy() for column, values in cohort[name].items()} for name in ("d", "c")}
    for columns in few.values():
        columns["smoker"][columns["y"] == 0] = 0.0
    return few


def test_whole_model_and_single_columns_are_tested_as_r_does(study):
    rows = exact(MODEL_TESTS, study(LINEAR))

    expected = INFERENCE["likelihood_ratio"]["all"]
    assert pick(rows, hypothesis="model", test="likelihood-ratio")["chi2"] == pytest.approx(expected["chi2"], rel=1e-9)
    assert pick(rows, hypothesis="model", test="wald")["chi2"] == pytest.approx(
        INFERENCE["wald"]["all"]["chi2"], rel=1e-7
    )
    for index, term in enumerate(TERMS, start=1):
        z = INFERENCE["model"]["coef"][index] / INFERENCE["model"]["se"][index]
        assert pick(rows, term=term, test="wald")["chi2"] == pytest.approx(z**2, rel=1e-7)


def test_a_released_test_is_r_s_on_the_grid_of_its_root_with_the_p_of_that(tables):
    rows = tables(LINEAR)["tests"]

    expected = shown_chi2(INFERENCE["likelihood_ratio"]["all"]["chi2"])
    whole = {
        "term": "all terms",
        "hypothesis": "model",
        "test": "likelihood-ratio",
        "chi2": expected,
        "df": 6,
        "p": "<0.001",
    }
    assert pick(rows, hypothesis="model", test="likelihood-ratio") == whole
    noise = shown_chi2((INFERENCE["model"]["coef"][6] / INFERENCE["model"]["se"][6]) ** 2)
    assert pick(rows, term="noise", test="wald")["p"] == p_of(noise, 1)


def test_a_released_wald_test_tells_no_more_than_the_weight_s_grid(study):
    data = study(LINEAR)

    rows = released(MODEL_TESTS, data)

    for term, z in zip(data.names, data.fit.term_coef / data.fit.term_se, strict=True):
        assert pick(rows, term=term, test="wald")["chi2"] == round(abs(z) * 10) ** 2 / 100


def test_a_spline_is_tested_as_a_whole_and_for_non_linearity_as_r_does(study):
    rows = exact(MODEL_TESTS, study(plan('{ name = "sbp", column = "sbp", spline = 5 }', "age")))

    for hypothesis, word in (("no association", "overall"), ("non-linearity", "nonlinear")):
        for test, kind in (("likelihood-ratio", "lr"), ("wald", "wald")):
            row, expected = pick(rows, term="sbp", hypothesis=hypothesis, test=test), DESIGN["spline"][f"{kind}_{word}"]
            assert (row["chi2"], row["df"]) == (pytest.approx(expected["chi2"], rel=1e-6), expected["df"])


def test_an_interaction_is_tested_jointly_and_a_term_together_with_its_interactions_as_rms_does(study, together):
    grade = '{ name = "grade", column = "grade", reference = "1" }'
    age = '{ name = "age", column = "age", spline = 4 }'
    data = study(plan(age, grade, "male", more='interactions = [{ first = "age", second = "grade" }]'), together)

    rows = exact(MODEL_TESTS, data)

    joint, total = DESIGN["interaction"]["joint"], DESIGN["interaction"]["total_age"]
    interaction = pick(rows, term="age:grade", test="wald")
    assert (interaction["hypothesis"], interaction["df"]) == ("no interaction", 6)
    assert interaction["chi2"] == pytest.approx(joint["chi2"], rel=1e-6)
    association = pick(rows, term="age", hypothesis="no association", test="wald")
    assert (association["chi2"], association["df"]) == (pytest.approx(total["chi2"], rel=1e-6), 9)
    assert pick(rows, term="age", hypothesis="non-linearity", test="wald")["df"] == 6


def test_the_wald_test_takes_the_plan_s_errors_and_the_likelihood_ratio_does_not(study):
    plain = exact(MODEL_TESTS, study(LINEAR))
    robust = exact(MODEL_TESTS, study(LINEAR + 'analysis = { standard_errors = "robust" }'))

    index = 1 + TERMS.index("sbp")
    hc0 = INFERENCE["hc0"]["covariance"][index][index]
    row = pick(robust, term="sbp", test="wald")
    assert row["chi2"] == pytest.approx(INFERENCE["model"]["coef"][index] ** 2 / hc0, rel=1e-6)
    same = [pick(rows, hypothesis="model", test="likelihood-ratio")["chi2"] for rows in (plain, robust)]
    assert same[0] == same[1]


def test_errors_by_four_hospitals_test_single_columns_and_leave_joint_tests_out(study):
    data = study(LINEAR + 'analysis = { standard_errors = "hospital" }')

    rows = exact(MODEL_TESTS, data)

    se = INFERENCE["by_hospital"]["se_adjusted"][1]
    assert pick(rows, term="age", test="wald")["chi2"] == pytest.approx((data.fit.term_coef[0] / se) ** 2, rel=1e-6)
    assert pick(rows, hypothesis="model", test="wald")["chi2"] is None
    assert pick(released(MODEL_TESTS, data), hypothesis="model", test="wald")["p"] is None


def penalised_loglik(coef: np.ndarray, X: np.ndarray, y: np.ndarray) -> float:
    mu = expit(X @ coef)
    information = X.T @ (X * (mu * (1 - mu))[:, None])
    return float(np.log(np.where(y == 1, mu, 1 - mu)).sum() + np.linalg.slogdet(information).logabsdet / 2)


def test_firth_s_estimates_come_with_penalised_ratio_tests_and_profiles(study, separated):
    data = study(plan("age", "male", "sbp", "smoker"), separated)
    X = np.vstack([np.column_stack([np.ones(b.n), b.X, np.full(b.n, float(b.name == "d"))]) for b in data.blocks])
    y = np.concatenate([block.y for block in data.blocks])
    scale = np.array([1, 0.1, 1, 0.05, 1, 1])
    free = np.array([0, 1, 2, 3, 5])  # without smoker

    tests, profiles = exact(MODEL_TESTS, data), exact(PROFILES, data)

    def constrained(part: np.ndarray) -> float:
        coef = np.zeros(6)
        coef[free] = part * scale[free]
        return -penalised_loglik(coef, X, y)

    reduced = -minimize(constrained, np.zeros(5), method="BFGS", options={"gtol": 1e-7}).fun
    top = penalised_loglik(np.array(INFERENCE["firth_separated"]["coef"]), X, y)
    row = pick(tests, term="smoker", test="penalised likelihood-ratio")
    assert row["chi2"] == pytest.approx(2 * (top - reduced), abs=1e-5)
    smoker = pick(profiles, factor="smoker")
    assert smoker["chi2"] == row["chi2"]
    assert smoker["se"] == pytest.approx(INFERENCE["firth_separated"]["se"][4], rel=1e-6)
    assert 0 < smoker["ci_low"] < smoker["estimate"] - 1.5 * smoker["se"] + 1.0 < smoker["ci_high"]


def test_under_separation_the_errors_are_the_model_s_whatever_the_plan_says_and_the_fit_says_so(study, separated):
    factors = plan("age", "male", "sbp", "smoker")
    data = study(factors + 'analysis = { standard_errors = "robust" }', separated)

    assert data.fit.firth is not None
    assert data.fit.standard_errors == "model"
    assert data.fit.term_se == pytest.approx(INFERENCE["firth_separated"]["se"][1:5], rel=1e-6)
    assert study(LINEAR + 'analysis = { standard_errors = "robust" }').fit.standard_errors == "robust"
    with pytest.raises(AnalysisSkippedError):
        SENSITIVITY.run(data)


def test_a_plan_with_firth_s_estimates_and_robust_errors_is_refused():
    with pytest.raises(InputError, match="Firth"):
        parse_plan_toml(LINEAR + 'analysis = { estimation = "firth", standard_errors = "robust" }')

    assert parse_plan_toml(LINEAR + 'analysis = { estimation = "firth" }').analysis.standard_errors == "model"


def test_profile_intervals_are_r_s_exactly_and_on_the_weight_s_grid(study):
    data = study(LINEAR)

    before, after = exact(PROFILES, data), released(PROFILES, data)

    for index, term in enumerate(TERMS, start=1):
        low, high, se = (
            INFERENCE["profile"]["low"][index],
            INFERENCE["profile"]["high"][index],
            data.fit.term_se[index - 1],
        )
        row, shown = pick(before, factor=term), pick(after, factor=term)
        assert (row["ci_low"], row["ci_high"]) == (
            pytest.approx(low, abs=1e-6 * se),
            pytest.approx(high, abs=1e-6 * se),
        )
        assert (shown["ci_low"], shown["ci_high"]) == (on_grid(low, se), on_grid(high, se))
        assert shown["estimate"] == on_grid(INFERENCE["model"]["coef"][index], se)


def test_profiles_of_too_many_columns_are_skipped_and_of_few_are_not(study, monkeypatch):
    data = study(LINEAR)
    assert len(exact(PROFILES, data)) == 6

    monkeypatch.setattr("heartify.enclave.analyses.profiles.MAX_COLUMNS", 5)

    with pytest.raises(AnalysisSkippedError) as caught:
        PROFILES.run(data)
    assert caught.value.reason == "too_many_terms"


def test_tests_that_would_take_too_many_refits_are_left_to_wald(study, monkeypatch):
    monkeypatch.setattr("heartify.enclave.analyses.model_tests.MAX_REFIT_WORK", 1e3)

    rows = exact(MODEL_TESTS, study(LINEAR))

    assert {row["test"] for row in rows} == {"wald"}
    assert len(rows) == 7


def test_robust_errors_are_r_s_beside_the_shown_weights(study):
    data = study(LINEAR)

    before, after = exact(SENSITIVITY, data), released(SENSITIVITY, data)

    assert {row["errors"] for row in before} == {"robust"}
    for index, term in enumerate(TERMS, start=1):
        se = np.sqrt(INFERENCE["hc0"]["covariance"][index][index])
        weight = on_grid(INFERENCE["model"]["coef"][index], INFERENCE["model"]["se"][index])
        assert pick(before, factor=term)["se"] == pytest.approx(se, rel=1e-6)
        assert pick(before, factor=term)["estimate"] == weight
        assert pick(after, factor=term)["estimate"] == on_grid(weight, se)


def test_a_plan_with_robust_errors_gets_the_model_s_as_its_sensitivity(study):
    rows = exact(SENSITIVITY, study(LINEAR + 'analysis = { standard_errors = "robust" }'))

    assert {row["errors"] for row in rows} == {"model"}
    assert pick(rows, factor="age")["se"] == pytest.approx(INFERENCE["model"]["se"][1], rel=1e-7)


def test_with_ten_hospitals_errors_by_hospital_are_given_too(study, together):
    parts = {f"h{i}": {name: values[i::10] for name, values in together["all"].items()} for i in range(10)}
    data = study(plan("age", "male"), parts)
    X = np.vstack([np.column_stack([b.X, np.eye(10)[np.full(b.n, i)]]) for i, b in enumerate(data.blocks)])
    y = np.concatenate([block.y for block in data.blocks])
    mu = expit(X @ np.append(data.fit.term_coef, [h.value for h in data.fit.hospital_intercepts]))
    bread = np.linalg.inv(X.T @ (X * (mu * (1 - mu))[:, None]))
    first = np.cumsum([0, *(block.n for block in data.blocks)])
    scores = np.array([(X * (y - mu)[:, None])[a:b].sum(axis=0) for a, b in itertools.pairwise(first)])
    clustered = bread @ (scores.T @ scores) @ bread * 10 / 9

    rows = exact(SENSITIVITY, data)

    assert [row["errors"] for row in rows] == ["robust"] * 2 + ["hospital"] * 2
    assert [row["se"] for row in rows[2:]] == pytest.approx(np.sqrt(np.diag(clustered)[:2]), rel=1e-6)


@pytest.mark.parametrize(("hospitals", "fails"), [(9, True), (10, False)])
def test_errors_by_hospital_need_ten_contributing_hospitals_or_the_plan_is_at_fault(study, together, hospitals, fails):
    parts = {f"h{i}": {n: v[i::hospitals] for n, v in together["all"].items()} for i in range(hospitals)}
    data = study(plan("age", "male", more='analysis = { standard_errors = "hospital" }'), parts)
    job = fake_job(data)

    if fails:
        with pytest.raises(StudyFailedError) as caught:
            run_study(job, data.cases, data.levels)
        assert caught.value.code is FailureCode.PLAN_INVALID
        return
    assert run_study(job, data.cases, data.levels).result.standard_errors == "hospital"


def test_the_result_says_that_errors_are_the_model_s_where_separation_made_them_so(study, separated):
    data = study(plan("age", "male", "sbp", "smoker", more='analysis = { standard_errors = "robust" }'), separated)

    result = run_study(fake_job(data), data.cases, data.levels).result

    assert (result.estimation, result.standard_errors) == ("firth", "model")
    assert {item.analysis: item.reason for item in result.skipped}["robust"] == "not_estimable"
    assert result.table("profile_intervals") is not None


def test_additive_interaction_of_two_flags_is_r_s(study):
    data = study(plan("male", "smoker", "age", more='interactions = [{ first = "male", second = "smoker" }]'))

    before, after = exact(ADDITIVE_INTERACTION, data), released(ADDITIVE_INTERACTION, data)

    measures = (
        "relative excess risk due to interaction",
        "attributable proportion due to interaction",
        "log synergy index",
    )
    for measure, key in zip(measures, ("reri", "share", "log_synergy"), strict=True):
        expected, row = INFERENCE["additive"][key], pick(before, measure=measure)
        assert (row["estimate"], row["se"]) == (
            pytest.approx(expected["estimate"], rel=1e-6),
            pytest.approx(expected["se"], rel=1e-6),
        )
        assert pick(after, measure=measure)["estimate"] == on_grid(expected["estimate"], expected["se"])


@pytest.mark.parametrize(
    "pairs",
    [
        '{ first = "male", second = "age" }',
        '{ first = "male", second = "smoker" }, { first = "male", second = "age" }',
    ],
)
def test_there_is_no_additive_interaction_with_a_number_nor_at_zero_of_one(study, tables, pairs):
    text = plan("male", "smoker", "age", more=f"interactions = [{pairs}]")

    assert exact(ADDITIVE_INTERACTION, study(text)) == []
    assert "additive_interaction" not in tables(text)
