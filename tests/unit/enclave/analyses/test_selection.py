"""Penalised selection through the release: glmnet's coefficients on their grid, frequencies, and who takes part."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats.penalised import assign_folds, cross_validate, expected_false_selections

PLAN = """
title = "Selection"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp" },
  { name = "grade", column = "grade", reference = "1" },
  { name = "noise", column = "noise" },
]
[selection]
pairs = 10
"""


@pytest.fixture(scope="module")
def shown(tables):
    return tables(PLAN)


@pytest.fixture(scope="module")
def summary(shown):
    return {row["measure"]: row["value"] for row in shown["selection_summary"]}


def test_coefficients_are_those_of_the_cross_validated_path_within_their_grid(shown, study):
    data = study(PLAN)
    folds = assign_folds(data.blocks, 10, data.random("selection folds"))
    path = cross_validate(data.blocks, data.names, folds, alpha=0.5)
    sd = path.path.scale

    grid = np.maximum(0.01, data.fit.logistic.term_se * sd / 10)

    for column, index in (("beta_per_sd_min", path.index_min), ("beta_per_sd_1se", path.index_1se)):
        found = np.array([row[column] for row in shown["elastic_net"]])
        assert (np.abs(found - path.path.coef[index] * sd) <= grid / 2 + 0.005 + 1e-12).all()
        assert [row["factor"] for row in shown["elastic_net"]] == list(data.names)


def test_coefficients_are_no_finer_than_a_tenth_of_their_standard_error(tables, study, cohort):
    few = {name: {key: values[:60] for key, values in columns.items()} for name, columns in cohort.items()}
    data = study(PLAN, few)
    sd = np.concatenate([block.X for block in data.blocks]).std(axis=0)
    grid = data.fit.term_se * sd / 10
    assert (grid > 0.012).all()

    found = np.array([row["beta_per_sd_min"] for row in tables(PLAN, few)["elastic_net"]])

    assert (np.abs(found - np.round(found / grid) * grid) <= 0.005 + 1e-12).all()


def test_strong_factors_are_selected_and_noise_is_not(shown):
    rows = {row["factor"]: row for row in shown["stability"]}

    assert (rows["age"]["selected"], rows["noise"]["selected"]) == ("selected", "not selected")
    assert rows["age"]["frequency"] > 0.9 > 0.3 > rows["noise"]["frequency"]


def test_expected_false_selections_are_bounded_by_one(summary):
    q = summary["columns per half, at most"]

    assert summary["expected false selections, at most"] == pytest.approx(
        expected_false_selections(q, 6, 0.75), rel=5e-3
    )
    assert summary["expected false selections, at most"] <= 1.0


def test_honest_auc_has_two_decimals_and_is_below_the_apparent_one(summary, study):
    auc = summary["nested cross-validated auc"]

    assert auc == round(auc, 2)
    assert 0.6 < auc < study(PLAN).fit.auc


def test_no_penalty_is_shown(shown):
    assert not [row["measure"] for row in shown["selection_summary"] if "lambda" in row["measure"]]


def test_ridge_shrinks_and_selects_nothing(tables):
    found = tables(PLAN.replace("pairs = 10", "pairs = 10\nmixing = 0.0"))

    assert "stability" not in found
    assert all(row["beta_per_sd_1se"] != 0.0 for row in found["elastic_net"] if row["factor"] == "age")


def test_hospital_with_fewer_than_ten_events_takes_no_part_and_sinks_nothing(tables, cohort):
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    events = np.flatnonzero(hospitals["d"]["y"] == 1.0)
    hospitals["d"]["y"] = hospitals["d"]["y"].copy()
    hospitals["d"]["y"][events[9:]] = 0.0

    found = tables(PLAN, hospitals)

    assert {row["measure"]: row["value"] for row in found["selection_summary"]}["hospitals"] == 3


def test_selection_without_such_a_hospital_is_skipped(tables, cohort):
    hospitals = {name: dict(columns) for name, columns in cohort.items()}
    for columns in hospitals.values():
        columns["y"] = np.where(np.cumsum(columns["y"]) <= 9, columns["y"], 0.0)
    plan = PLAN.replace('  { name = "male", column = "male" },\n', "")
    plan = plan.replace('  { name = "grade", column = "grade", reference = "1" },\n', "")

    assert tables(plan, hospitals)["skipped"] == {"selection": "too_few_patients"}


def test_equal_selections_give_equal_tables(tables, shown):
    assert tables(PLAN) == shown
