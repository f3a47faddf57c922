"""[performance] and [increment] of a Cox model: R's survival through the release, and what the horizon needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_significant
from heartify.enclave.analyses.cox_horizon import HorizonRows, group_table
from heartify.enclave.analyses.cox_risks import complete_case_cox_fit, follow_up_of, risks_at
from heartify.enclave.analyses.increment import INCREMENT
from heartify.enclave.analyses.performance import PERFORMANCE
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.stats.discrimination import auc_at, brier_at, uno_c

REFEREE = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "performance.json").read_text(encoding="utf-8")
)["cox"]
PLAN = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", horizon = 400 }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox" }
[performance]
optimism = 0
thresholds = [0.1, 0.2, 0.3]
[increment]
factors = ["age"]
"""
WITHOUT_HORIZON = PLAN.replace(", horizon = 400", "")
WITH_COMPETING = PLAN.replace("horizon = 400", 'horizon = 400, competing = { column = "status", equals = "2" }')
WITH_ENTRY = PLAN.replace("horizon = 400", 'horizon = 400, entry = "entry"')


def _exact(analysis, data):
    return {table.name: list(table.rows) for table in analysis.run(data)}


def _one(rows, **labels):
    (row,) = [row for row in rows if all(row[key] == value for key, value in labels.items())]
    return row


def test_harrells_c_and_its_interval_are_those_of_r(study, tables):
    exact = _one(_exact(PERFORMANCE, study(PLAN))["discrimination"], measure="harrell-c")

    shown = _one(tables(PLAN)["discrimination"], measure="harrell-c")

    assert exact["value"] == pytest.approx(REFEREE["c"], abs=1e-9)
    assert exact["ci_high"] - exact["value"] == pytest.approx(1.959963985 * REFEREE["c_se"], rel=1e-6)
    assert shown["value"] == round(REFEREE["c"], 2)


def test_absolute_risks_take_the_baseline_of_the_own_hospital_as_in_r(study):
    data = study(PLAN)

    risks = risks_at(complete_case_cox_fit(data), data.survival, 400.0)

    assert risks.mean() == pytest.approx(REFEREE["mean_risk"], abs=1e-9)
    assert data.survival[0].X[0].tolist() == [55.8, 1.0]
    assert (risks >= 0.2).sum() == REFEREE["above"]


def test_observed_over_expected_risk_is_that_of_r(study):
    row = _one(_exact(PERFORMANCE, study(PLAN))["calibration"], measure="observed-expected")

    assert row["estimate"] == pytest.approx(REFEREE["observed"] / REFEREE["mean_risk"], rel=1e-8)
    assert row["se"] == pytest.approx(REFEREE["observed_se"] / REFEREE["mean_risk"], rel=1e-6)


def test_net_benefit_at_the_horizon_is_that_of_r(study):
    row = _one(_exact(PERFORMANCE, study(PLAN))["net_benefit"], threshold=0.2)

    treated, risk = REFEREE["above"] / 1200, REFEREE["observed_above"]
    assert row["above"] == REFEREE["above"]
    assert row["model"] == pytest.approx(treated * (risk - (1 - risk) * 0.25), rel=1e-8)
    share = round(REFEREE["observed"], 2)
    assert row["treat_all"] == pytest.approx(share - (1 - share) * 0.25)


def test_measures_under_censoring_weigh_within_hospitals(study):
    data = study(PLAN)
    exact = _exact(PERFORMANCE, data)
    risks, rows = risks_at(complete_case_cox_fit(data), data.survival, 400.0), follow_up_of(data.survival)
    hospital = np.repeat(np.arange(4), [block.n for block in data.survival])

    found = {row["measure"]: row["value"] for row in (*exact["discrimination"], *exact["accuracy"])}

    assert found["auc-at-horizon"] == auc_at(risks, rows, 400.0, censoring_group=hospital).auc
    assert found["brier"] == brier_at(risks, rows, 400.0, censoring_group=hospital).brier
    score = np.concatenate([block.X for block in data.survival]) @ data.fit.term_coef
    assert found["uno-c"] == pytest.approx(uno_c(score, rows, tau=400.0, censoring_group=hospital).c, abs=1e-6)


def test_groups_have_ten_events_by_the_horizon_and_ten_patients_beyond_it(study, tables):
    data = study(PLAN)
    rows = follow_up_of(data.survival)
    at = HorizonRows(risks_at(complete_case_cox_fit(data), data.survival, 400.0), rows, 400.0, np.zeros(1200, np.int64))

    groups = group_table(at).rows

    assert len(groups) == 10
    assert min(min(row["events"], row["non_events"]) for row in groups) >= 10
    assert sum(row["n"] for row in groups) == 1200
    assert [row["group"] for row in tables(PLAN)["calibration_groups"]] == list(range(1, 11))


@pytest.mark.parametrize(
    ("plan", "measures", "names"),
    [
        (WITHOUT_HORIZON, {"harrell-c"}, {"discrimination", "calibration"}),
        (WITH_COMPETING, {"harrell-c", "uno-c"}, {"discrimination", "calibration"}),
        (WITH_ENTRY, {"harrell-c"}, {"discrimination", "calibration", "calibration_groups", "net_benefit"}),
        (
            PLAN,
            {"harrell-c", "uno-c", "auc-at-horizon"},
            {"discrimination", "calibration", "calibration_groups", "net_benefit", "accuracy"},
        ),
    ],
)
def test_what_is_judged_depends_on_horizon_entry_and_competing_events(study, plan, measures, names):
    exact = _exact(PERFORMANCE, study(plan))

    assert {row["measure"] for row in exact["discrimination"]} == measures
    assert set(exact) == names


def test_a_horizon_beyond_the_follow_up_leaves_the_concordance(tables):
    shown = tables(PLAN.replace("400", "5000"))

    assert {row["measure"] for row in shown["discrimination"]} == {"harrell-c", "uno-c"}
    assert "accuracy" not in shown
    assert "net_benefit" not in shown


def test_optimism_lowers_the_slope_and_equal_questions_get_equal_answers(study):
    plan = PLAN.replace("optimism = 0", "optimism = 20")

    first, second = (_exact(PERFORMANCE, study(plan)) for _ in range(2))

    assert first == second
    corrected = _one(first["calibration"], measure="slope", evaluation="optimism-corrected")
    assert 0.8 < corrected["estimate"] < 1.1
    assert _one(first["calibration"], measure="slope", evaluation="apparent")["estimate"] == pytest.approx(1.0)
    c = _one(first["discrimination"], measure="harrell-c", evaluation="optimism-corrected")
    assert c["value"] == pytest.approx(REFEREE["c"], abs=0.02)


def test_the_test_of_an_added_factor_is_that_of_r(tables):
    (row,) = tables(PLAN)["increment_tests"]

    assert row == {
        "baseline": "other-factors",
        "test": "likelihood-ratio",
        "chi2": round_significant(REFEREE["lr"], 3),
        "df": 1,
        "p": "<0.001",
    }


def test_the_difference_of_the_c_has_the_paired_error_of_r(study):
    exact = _exact(INCREMENT, study(PLAN))

    (difference,), (base, new) = exact["increment"], exact["increment_discrimination"]

    assert difference["estimate"] == pytest.approx(REFEREE["c_new"] - REFEREE["c_base"], abs=1e-9)
    assert difference["se"] == pytest.approx(REFEREE["c_difference_se"], rel=1e-8)
    assert (base["value"], new["value"]) == pytest.approx((REFEREE["c_base"], REFEREE["c_new"]), abs=1e-9)


def test_a_score_is_the_base_of_a_cox_model_on_the_patients_who_have_it(study, tables, cohort):
    generator = np.random.default_rng(8)
    hdl = Column(name="hdl", title="HDL", datatype="number", role="factor", unit="mmol/L")
    dictionary = DataDictionary(title="t", description="", columns=(*study(PLAN).dictionary.columns, hdl))
    hospitals = {
        name: dict(columns) | {"hdl": generator.normal(1.4, 0.2, columns["age"].size)}
        for name, columns in cohort.items()
    }
    plan = PLAN.replace('factors = ["age"]\n', 'factors = ["smoker"]\n') + (
        '[increment.score]\nname = "score2"\nregion = "low"\n[increment.score.inputs]\nage = "age"\nmale = "male"\n'
        'sbp = "sbp"\nsmoker = "smoker"\ndiabetes = { column = "grade", equals = "3" }\n'
        'total_cholesterol = "chol"\nhdl_cholesterol = "hdl"\n'
    )

    shown = tables(plan, hospitals, dictionary)

    assert "increment" not in shown["skipped"]
    assert {row["baseline"] for row in shown["increment_tests"]} == {"score-recalibrated"}
    eligible = sum(((columns["age"] >= 40) & (columns["age"] < 70)).sum() for columns in hospitals.values())
    analysed, left_out = shown["increment_cohort"]
    assert analysed["n"] == pytest.approx(eligible, abs=2)
    assert left_out["n"] == pytest.approx(1200 - eligible, abs=2)


def test_an_input_that_is_implausible_in_its_unit_is_not_guessed_at(tables):
    plan = PLAN + (
        '[increment.score]\nname = "score2"\nregion = "low"\n[increment.score.inputs]\nage = "age"\nmale = "male"\n'
        'sbp = "sbp"\nsmoker = "smoker"\ndiabetes = { column = "grade", equals = "3" }\n'
        'total_cholesterol = "chol"\nhdl_cholesterol = "chol"\n'
    )

    assert tables(plan)["skipped"]["increment"] == "not_estimable"
