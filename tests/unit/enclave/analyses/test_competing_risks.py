"""Competing risks as they leave: R's incidences, Gray's test and hazards, and the rules for the competing event too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import p_text_of_chi_square, round_chi_square, round_decimals, round_estimate
from heartify.disclosure.tables import TABLES, check_table
from heartify.enclave.analyses.competing_hazards import hazard_table
from heartify.enclave.analyses.competing_risks import group_table
from heartify.enclave.study import run_analyses

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
PLAN = """
title = "Competing risks"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", competing = { column = "status", equals = "2" }%s }
factors = [%s]
analysis = { model = "%s" }
[competing_risks]
"""
SIX = ("age", "male", "sbp", "chol", "smoker", "noise")
FOUR = ("age", "male", "sbp", "smoker")


def _plan(names, *, more="", model="cox"):
    factors = ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in names)
    return PLAN % (more, factors, model)


ENTRY = ', entry = "entry"'


@pytest.fixture(scope="module")
def r():
    return {name: json.loads((VECTORS / f"{name}.json").read_text()) for name in ("survival", "competing", "cox")}


@pytest.mark.parametrize("cause", ["outcome", "competing"])
@pytest.mark.parametrize("group", ["a", "b", "c", "d", "all hospitals"])
def test_incidences_are_those_of_r(tables, r, group, cause):
    expected = r["survival"]["aalen_johansen"][group]
    state = {"outcome": "event"}.get(cause, cause)

    rows = tables(_plan(FOUR))["cumulative_incidence"]

    shown = [row for row in rows if (row["group"], row["cause"]) == (group, cause) and row["time"] in expected["time"]]
    assert len(shown) >= 2
    for row in shown:
        place = expected["time"].index(row["time"])
        for ours, theirs in (("incidence", ""), ("ci_low", "_lower"), ("ci_high", "_upper")):
            assert row[ours] == round_decimals(expected[state + theirs][place], 2)


@pytest.mark.parametrize("cause", ["outcome", "competing"])
def test_incidences_with_delayed_entry_are_those_of_r_up_to_the_horizon(tables, r, cause):
    expected = r["survival"]["aalen_johansen_entry"]["all hospitals"]
    state = {"outcome": "event"}.get(cause, cause)

    rows = tables(_plan(FOUR, more=ENTRY + ", horizon = 1400"))["cumulative_incidence"]

    shown = [row for row in rows if (row["group"], row["cause"]) == ("all hospitals", cause)][1:]
    assert shown[-1]["time"] == 1400
    for row in shown:
        assert row["incidence"] == round_decimals(expected[state][expected["time"].index(row["time"])], 2)


def test_survival_and_incidence_stand_on_one_grid(tables):
    shown = tables(_plan(FOUR))

    def points(table, cause):
        return [(row["group"], row["time"], row["at_risk"]) for row in shown[table] if row["cause"] == cause]

    assert points("survival", "any event") == points("cumulative_incidence", "outcome")
    assert points("survival", "any event") == points("cumulative_incidence", "competing")


def test_grays_test_between_hospitals_is_that_of_r(study, tables, r):
    expected = r["competing"]["gray"]["stat"]

    exact = group_table(study(_plan(FOUR))).rows
    shown = tables(_plan(FOUR))["group_tests"]

    assert [row["chi2"] for row in exact] == pytest.approx(expected, rel=1e-6)
    assert [row["chi2"] for row in shown] == [round_chi_square(value) for value in expected]
    assert [row["p"] for row in shown] == [p_text_of_chi_square(round_chi_square(value), 3) for value in expected]
    assert [row["cause"] for row in shown] == ["outcome", "competing"]


def test_a_hospital_that_may_not_be_shown_is_not_in_grays_test(study, cohort):
    status = np.where(np.arange(cohort["d"]["status"].size) < 5, 2, cohort["d"]["status"] % 2).astype(np.int32)
    with_small = {**cohort, "d": {**cohort["d"], "status": status}}
    without = {name: columns for name, columns in cohort.items() if name != "d"}

    rows = group_table(study(_plan(FOUR), with_small)).rows

    assert rows == group_table(study(_plan(FOUR), without)).rows
    assert {row["df"] for row in rows} == {2}


def test_grays_test_is_not_given_with_delayed_entry_or_for_one_hospital(tables, cohort):
    assert "group_tests" in tables(_plan(FOUR))
    assert "group_tests" not in tables(_plan(FOUR, more=ENTRY))
    assert "group_tests" not in tables(_plan(FOUR), {"a": cohort["a"]})


@pytest.mark.parametrize(
    ("model", "fit"),
    [("cause-specific: outcome", "delayed_strata_efron"), ("cause-specific: competing", "competing_efron")],
)
def test_cause_specific_hazards_are_those_of_r(study, tables, r, model, fit):
    expected = r["cox"]["fits"][fit]
    pairs = list(zip(expected["coef"].values(), expected["se"], strict=True))

    exact = [row for row in hazard_table(study(_plan(SIX, more=ENTRY))).rows if row["model"] == model]
    shown = [row for row in tables(_plan(SIX, more=ENTRY))["hazards"] if row["model"] == model]

    assert [row["factor"] for row in shown] == list(SIX)
    for row, (coef, se) in zip(exact, pairs, strict=True):
        assert (row["estimate"], row["se"]) == pytest.approx((coef, se), rel=1e-6)
    for row, (coef, se) in zip(shown, pairs, strict=True):
        rounded = round_estimate(coef, se)
        assert (row["estimate"], row["se"]) == (rounded.beta, rounded.se)
        assert row["ci_low"] < row["estimate"] < row["ci_high"]


def test_every_table_passes_the_gate_that_the_lab_opens_it_with(study):
    released, skipped = run_analyses(study(_plan(SIX, more=ENTRY)))

    for table in released:
        check_table(table.name, table.columns, table.rows, TABLES)
    assert {"tests", "proportional_hazards", "survival", "cumulative_incidence", "hazards"} <= {
        t.name for t in released
    }
    assert skipped == ()


@pytest.mark.parametrize("model", ["cox", "logistic"])
def test_subdistribution_hazards_are_those_of_r_for_either_main_model(tables, r, model):
    expected = r["competing"]["finegray_entry_strata"]

    rows = tables(_plan(FOUR, more=ENTRY, model=model))["hazards"]

    shown = [row for row in rows if row["model"] == "subdistribution: outcome"]
    for row, coef, variance in zip(shown, expected["coef"], np.diag(expected["robust_var"]), strict=True):
        rounded = round_estimate(coef, float(np.sqrt(variance)))
        assert (row["estimate"], row["se"]) == (rounded.beta, rounded.se)


def test_a_logistic_plan_has_incidences_and_hazards_but_no_tests_of_a_cox_model(tables):
    shown = tables(_plan(FOUR, model="logistic"))

    assert {"cumulative_incidence", "group_tests", "hazards"} <= set(shown)
    assert {"survival", "proportional_hazards"}.isdisjoint(shown)


def test_strata_of_the_plan_have_baselines_of_their_own_in_every_model(tables):
    plain = _plan(("age", "sbp"))
    rows = tables(plain)["hazards"]

    stratified = tables(plain.replace('model = "cox"', 'model = "cox", strata = ["smoker"]'))["hazards"]

    assert [row["factor"] for row in stratified] == ["age", "sbp"] * 3
    assert all(row["se"] > 0 for row in stratified)
    assert rows != stratified


def _competing_among(cohort, rng, chosen):
    """Return the cohort whose competing events are rare but for the chosen patients."""
    hospitals = {}
    for name, columns in cohort.items():
        status = np.where(columns["status"] == 1, 1, 0)
        status[chosen(columns, rng) & (status == 0)] = 2
        hospitals[name] = {**columns, "status": status.astype(np.int32)}
    return hospitals


def test_too_few_competing_events_are_not_analysed(tables, cohort):
    few = _competing_among(cohort, None, lambda columns, _: np.arange(columns["age"].size) < 3)

    shown = tables(_plan(("sbp",)), few)

    assert shown["skipped"] == {"competing_risks": "too_few_patients"}
    assert {"hazards", "cumulative_incidence"}.isdisjoint(shown)
    assert {row["cause"] for row in shown["survival"]} == {"any event"}
    assert "competing_risks" not in tables(_plan(("sbp",)))["skipped"]


def test_a_level_with_few_competing_events_is_not_analysed(tables, cohort):
    rng = np.random.Generator(np.random.PCG64(2))
    rare = _competing_among(
        cohort, rng, lambda columns, rng: (columns["male"] == 0) & (rng.random(columns["age"].size) < 0.5)
    )
    men = np.flatnonzero((rare["a"]["male"] == 1) & (rare["a"]["status"] == 0))[:4]
    rare["a"]["status"][men] = 2

    shown = tables(_plan(("sbp", "male")), rare)

    assert shown["skipped"] == {"competing_risks": "small_cell"}


def test_a_competing_event_that_one_sex_never_has_leaves_the_other_models(tables, cohort):
    rng = np.random.Generator(np.random.PCG64(2))
    women = _competing_among(
        cohort, rng, lambda columns, rng: (columns["male"] == 0) & (rng.random(columns["age"].size) < 0.5)
    )

    rows = tables(_plan(("sbp", "male")), women)["hazards"]

    estimates = {(row["model"], row["factor"]): row["estimate"] for row in rows}
    assert estimates["cause-specific: competing", "sbp"] is None
    assert estimates["cause-specific: outcome", "male"] is not None
    assert estimates["subdistribution: outcome", "sbp"] is not None


def test_an_outcome_that_one_sex_never_has_leaves_the_competing_hazard_beside_firths_main_model(tables, cohort):
    hospitals = {
        name: {
            **columns,
            "status": np.where((columns["male"] == 1) & (columns["status"] == 1), 0, columns["status"]).astype(
                np.int32
            ),
        }
        for name, columns in cohort.items()
    }

    rows = tables(_plan(("sbp", "male"), model="logistic"), hospitals)["hazards"]

    estimates = {(row["model"], row["factor"]): row["estimate"] for row in rows}
    assert estimates["cause-specific: outcome", "sbp"] is None
    assert estimates["subdistribution: outcome", "sbp"] is None
    assert estimates["cause-specific: competing", "male"] is not None


def test_an_effect_of_absurd_size_is_not_shown(tables, cohort):
    hospitals = {name: {**columns, "sbp": columns["sbp"] * 1e-15} for name, columns in cohort.items()}

    rows = tables(_plan(("age", "sbp")), hospitals)["hazards"]

    assert {row["estimate"] for row in rows if row["factor"] == "sbp"} == {None}
    assert all(row["estimate"] is not None for row in rows if row["factor"] == "age")


def test_a_factor_with_levels_is_checked_for_the_competing_event(tables):
    plan = _plan(("age",)).replace(
        "factors = [{", 'factors = [{ name = "grade", column = "grade", reference = "2" }, {'
    )

    shown = tables(plan)

    assert [row["factor"] for row in shown["hazards"]][:3] == ["grade=1", "grade=3", "age"]
