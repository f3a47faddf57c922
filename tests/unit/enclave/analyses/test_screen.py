"""The screen through the release: R's score tests on their grids, hospitals' agreement, refits, families, real data."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import chdtrc, ndtri

from heartify.disclosure.rounding import p_text, p_text_of_chi_square, round_estimate, round_significant
from heartify.enclave.analyses.screen_candidates import judge_candidate
from heartify.enclave.analyses.screen_null import build_null
from heartify.enclave.analyses.screen_tests import run_tests
from heartify.protocol.dictionary import Column, DataDictionary

ROOT = Path(__file__).resolve().parents[4]
NAMES = ("sbp", "chol", "smoker", "noise")
PLAN = """
title = "Screen"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "male", column = "male" }]
[screen]
candidates = ["sbp", "chol", "smoker", "noise"]
families = { panel = ["sbp", "chol", "noise"], flag = ["smoker"] }
fdr = 0.999
"""
COX = PLAN.replace(
    'outcome = { column = "y", equals = "1" }',
    'outcome = { column = "status", equals = "1" }\nfollow_up = { time = "time", entry = "entry" }\n'
    'analysis = { model = "cox", ties = "efron" }',
)


@pytest.fixture(scope="module")
def r():
    return json.loads((ROOT / "tests" / "vectors" / "statistics" / "screening.json").read_text())


@pytest.fixture(scope="module")
def shown(tables):
    return tables(PLAN)


def of_r(values, names):
    return dict(zip(names, values, strict=True))


def score_tests(data, refits=None):
    judged = [judge_candidate(data, name, [True] * len(data.blocks)) for name in data.plan.screen.candidates]
    assert all(item.refused is None for item in judged)
    return run_tests(data, build_null(data), judged, refits)


def test_score_tests_equal_those_of_r_on_their_grids(shown, r):
    # glm.scoretest(glm(y ~ age + male + hospital, binomial), g)
    u, V = (of_r(r["logistic"][key], r["logistic"]["names"]) for key in ("u", "V"))

    rows = {row["candidate"]: row for row in shown["screen_hits"]}

    assert set(rows) == set(NAMES)
    for name, row in rows.items():
        expected = round_estimate(u[name] / V[name], V[name] ** -0.5)
        assert (row["estimate"], row["se"]) == (expected.beta, expected.se)
        assert row["p"] == p_text(row["estimate"] / row["se"])


def test_hits_come_with_the_smallest_p_first(shown, r):
    z = of_r(r["logistic"]["z"], r["logistic"]["names"])

    order = [row["candidate"] for row in shown["screen_hits"]]

    assert order == sorted(NAMES, key=lambda name: -abs(z[name]))


def test_only_candidates_below_the_false_discovery_rate_are_named(tables):
    found = tables(PLAN.replace("fdr = 0.999", "fdr = 0.01"))

    assert [row["candidate"] for row in found["screen_hits"]] == ["chol", "smoker"]
    assert {row["measure"]: row["number"] for row in found["screen_summary"]}["hits"] == 2


def test_joint_tests_of_families_equal_those_of_r(shown, r):
    # anova(base, update(base, . ~ . + sbp + chol + noise), test = 'Rao')
    panel = next(row for row in shown["screen_families"] if row["family"] == "panel")
    expected = r["families"]["panel"]

    assert panel["chi2"] == pytest.approx(round(math.sqrt(expected["chi2"]), 1) ** 2)
    assert (panel["df"], panel["candidates"]) == (expected["df"], 3)
    assert panel["p"] == p_text_of_chi_square(panel["chi2"], 3)


def test_refit_of_a_hit_equals_that_of_r(shown, r):
    # glm(y ~ age + male + sbp + hospital, binomial)
    sbp = next(row for row in shown["screen_hits"] if row["candidate"] == "sbp")
    expected = round_estimate(r["refit"]["beta"], r["refit"]["se"])

    assert (sbp["refit"], sbp["refit_estimate"], sbp["refit_se"]) == ("maximum-likelihood", expected.beta, expected.se)


def test_scores_on_own_rows_equal_those_of_r(study, cohort, r):
    # glm.scoretest(glm(y ~ age + male + hospital, binomial, known rows), g[known])
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    everyone = np.concatenate([columns["sbp"] for columns in hospitals.values()])
    unknown = unknown_rows(cohort)
    assert unknown.size == everyone.size
    start = 0
    for columns in hospitals.values():
        own = unknown[start : start + columns["sbp"].size]
        start += columns["sbp"].size
        for name in NAMES:
            columns[name] = np.where(own, np.nan, columns[name])

    found = score_tests(study(PLAN, hospitals))

    expected = of_r(r["missing"]["z"], r["missing"]["names"])
    np.testing.assert_allclose(found.z, [expected[name] for name in NAMES], atol=1e-6)
    assert not found.is_approximate.any()


def unknown_rows(cohort):
    """The referee's rule, in the file's order of rows, returned hospital by hospital."""
    path = ROOT / "tests" / "vectors" / "statistics" / "inputs" / "cohort.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sbp = np.array([float(row["sbp"]) for row in rows])
    unknown = (np.arange(len(rows)) * 7 % 5 == 0) | (sbp > 150)
    hospital = np.array([row["hospital"] for row in rows])
    return np.concatenate([unknown[hospital == name] for name in cohort])


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_score_tests_equal_those_of_r(study, r, ties):
    # coxph(Surv(entry, time, status == 1) ~ age + male + strata(hospital)) and its score at one more column
    found = score_tests(study(COX.replace("efron", ties)))

    expected = of_r(r["cox"][ties]["chi2"], r["cox"]["names"])
    np.testing.assert_allclose(found.z**2, [expected[name] for name in NAMES], rtol=1e-7)


def test_cox_hits_are_refitted_by_cox(tables, study):
    rows = {row["candidate"]: row for row in tables(COX)["screen_hits"]}

    factors = '{ name = "male", column = "male" }, { name = "chol", column = "chol" }'
    full = study(COX.replace('{ name = "male", column = "male" }', factors).replace('"sbp", "chol", "noise"', '"sbp"')
                 .replace('"sbp", "chol", "smoker"', '"sbp", "smoker"'))  # fmt: skip
    expected = round_estimate(full.fit.term_coef[2], full.fit.term_se[2])
    assert (rows["chol"]["refit_estimate"], rows["chol"]["refit_se"]) == (expected.beta, expected.se)


def test_strata_of_a_cox_model_are_put_together_by_hospital(tables):
    plan = COX.replace('ties = "efron"', 'strata = ["male"]').replace(', { name = "male", column = "male" }', "")

    rows = tables(plan)["screen_hits"]

    assert {row["hospitals"] for row in rows} <= {3, 4}


def test_qq_plot_is_computed_from_shown_z(shown):
    p_of_z = {round_significant(-math.log10(math.erfc(k / 10 / math.sqrt(2))), 3) + 0.0 for k in range(1, 200)}

    observed = {row["observed"] for row in shown["screen_qq"]}

    assert observed <= p_of_z | {0.0}
    assert len(shown["screen_qq"]) == len(NAMES)


def test_q_values_are_those_of_shown_z(shown):
    z = sorted((abs(row["estimate"] / row["se"]) for row in shown["screen_hits"]), reverse=True)
    p = [math.erfc(value / math.sqrt(2)) for value in z]
    q = [min(p[j] * len(p) / (j + 1) for j in range(i, len(p))) for i in range(len(p))]

    texts = [row["q"] for row in shown["screen_hits"]]

    assert texts == [p_text_of_chi_square(z_of(value) ** 2, 1) for value in q]


def z_of(p):
    return float(-ndtri(p / 2.0))


def test_heterogeneity_is_of_the_shown_chi_square(shown):
    for row in shown["screen_hits"]:
        chi2, df = row["heterogeneity"], row["heterogeneity_df"]

        assert df == row["hospitals"] - 1
        assert row["i2"] == pytest.approx(max(0.0, 1.0 - df / chi2) if chi2 else 0.0, abs=0.0051)
        assert float(row["heterogeneity_p"]) == pytest.approx(chdtrc(df, chi2), rel=0.05)


@pytest.fixture(scope="module")
def gappy(study, cohort):
    """Twenty columns of chance numbers, each with gaps of its own."""
    rng = np.random.default_rng(20261122)
    names = [f"g{k}" for k in range(20)]
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    for columns in hospitals.values():
        for name in names:
            values = rng.normal(size=columns["y"].size) + 0.2 * columns["y"] * (name < "g12")
            columns[name] = np.where(rng.random(values.size) < 0.2, np.nan, values)
    plain = study(PLAN).dictionary
    extra = [Column(name=name, title=name, datatype="number", role="factor", unit="1") for name in names]
    dictionary = DataDictionary(title="With gaps", description="", columns=(*plain.columns, *extra))
    plan = PLAN.split("[screen]", maxsplit=1)[0] + f"[screen]\ncandidates = {json.dumps(names)}\n"
    return study(plan, hospitals, dictionary)


def test_many_patterns_of_gaps_are_tested_by_one_step_and_the_best_again_exactly(gappy):
    exact, bounded = score_tests(gappy), score_tests(gappy, refits=8)

    best = np.argsort(bounded.log_p)[:8]
    assert not exact.is_approximate.any()
    assert int(bounded.is_approximate.sum()) == 12
    assert set(best.tolist()) <= set(np.flatnonzero(~bounded.is_approximate).tolist())
    np.testing.assert_array_equal(bounded.z[best], exact.z[best])
    np.testing.assert_allclose(bounded.z, exact.z, atol=0.05)


def test_equal_screens_give_equal_tables(tables, shown):
    assert tables(PLAN) == shown


PANEL = ROOT / ".." / "shared" / "data" / "mi_complications_1700.csv"


@pytest.fixture(scope="module")
def panel():
    if not PANEL.exists():
        pytest.skip("third-party data ../shared/data/mi_complications_1700.csv are absent")
    with PANEL.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) if row[key] else np.nan for row in rows]) for key in rows[0]}


def test_infarction_panel_gives_r_hits_among_the_candidates_that_the_rules_let_pass(study, tables, panel, r):
    # glm.scoretest(glm(LET_IS > 0 ~ AGE + SEX, binomial, known rows), g[known]), p.adjust(p, "BH")
    names = [name for name in list(panel)[1:112] if name not in {"AGE", "SEX"}]
    number = [Column(name=n, title=n, datatype="number", role="factor", unit="1") for n in [*names, "AGE", "LET_IS"]]
    flag = Column(name="SEX", title="Sex", datatype="boolean", role="factor")
    dictionary = DataDictionary(title="Infarction", description="", columns=(*number, flag))
    plan = PLAN.split("[screen]", maxsplit=1)[0].replace('column = "y", equals = "1"', 'column = "LET_IS", above = 0')
    plan = plan.replace('"age"', '"AGE"').replace('"male"', '"SEX"')
    plan += f"[screen]\ncandidates = {json.dumps(names)}\n"

    found = tables(plan, {"krasnoyarsk": panel}, dictionary)
    exact = score_tests_of_allowed(study(plan, {"krasnoyarsk": panel}, dictionary))

    summary = {row["measure"]: row["number"] for row in found["screen_summary"]}
    expected = of_r(r["mi_panel"]["z"], r["mi_panel"]["names"])
    tested = [item.name for item in exact.candidates]
    np.testing.assert_allclose(exact.z, [expected[name] for name in tested], atol=1e-5)
    p = np.sort([math.erfc(abs(expected[name]) / math.sqrt(2)) for name in tested])
    below = np.flatnonzero(p <= 0.05 * np.arange(1, p.size + 1) / p.size)
    assert summary["candidates"] == 109
    assert summary["tested"] == len(tested) == 67
    assert summary["hits"] == int(below.max()) + 1 == len(found["screen_hits"]) == 47
    assert {row["refit"] for row in found["screen_hits"]} == {"maximum-likelihood", "firth"}


def score_tests_of_allowed(data):
    judged = [judge_candidate(data, name, [True]) for name in data.plan.screen.candidates]
    return run_tests(data, build_null(data), [item for item in judged if item.refused is None])
