"""Survival curves as they leave: R's values at round times, hospitals side by side, hidden ones named and no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_count, round_decimals

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "statistics"
PLAN = """
title = "Survival"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time"%s }
factors = [{ name = "sbp", column = "sbp" }]
analysis = { model = "cox" }
"""
COMPETING = ', competing = { column = "status", equals = "2" }'


@pytest.fixture(scope="module")
def r():
    return json.loads((VECTORS / "survival.json").read_text())


def _at(rows, group, times):
    return [row for row in rows if row["group"] == group and row["time"] in times]


@pytest.mark.parametrize("group", ["a", "b", "c", "d", "all hospitals"])
def test_curves_of_hospitals_and_of_all_are_those_of_r(tables, r, group):
    expected = r["kaplan_meier"][group]

    rows = _at(tables(PLAN % "")["survival"], group, expected["time"])

    assert len(rows) >= 4
    for row in rows:
        place = expected["time"].index(row["time"])
        for ours, theirs in (("survival", "surv"), ("ci_low", "lower"), ("ci_high", "upper")):
            assert row[ours] == round_decimals(expected[theirs][place], 2)


@pytest.mark.parametrize("group", ["a", "b", "c", "d"])
def test_numbers_at_risk_are_those_of_r_to_the_nearest_five(tables, r, group):
    expected = r["kaplan_meier"][group]

    rows = _at(tables(PLAN % "")["survival"], group, expected["time"])

    assert [row["at_risk"] for row in rows] == [
        round_count(expected["n_risk"][expected["time"].index(row["time"])]) for row in rows
    ]


def test_pooled_numbers_at_risk_are_sums_of_the_shown_ones(tables):
    rows = tables(PLAN % "")["survival"]

    for time in {row["time"] for row in rows if row["group"] == "d"}:
        *hospitals, pooled = [row["at_risk"] for row in rows if row["time"] == time]
        assert pooled == sum(hospitals)


def test_every_curve_begins_at_one_with_everyone(tables):
    rows = [row for row in tables(PLAN % "")["survival"] if row["time"] == 0]

    assert [(row["group"], row["at_risk"]) for row in rows] == [
        ("a", 450), ("b", 380), ("c", 240), ("d", 125), ("all hospitals", 1195),
    ]  # fmt: skip
    assert {(row["survival"], row["ci_low"], row["ci_high"]) for row in rows} == {(1, 1, 1)}


def test_under_a_competing_event_survival_is_free_of_both(tables, r):
    alone, both = tables(PLAN % "")["survival"], tables(PLAN % COMPETING)["survival"]

    assert {row["cause"] for row in alone} == {"outcome"}
    assert {row["cause"] for row in both} == {"any event"}
    expected = r["aalen_johansen"]["all hospitals"]
    (row,) = _at(both, "all hospitals", [500.0])
    assert row["survival"] == round_decimals(1 - expected["event"][1] - expected["competing"][1], 2)


def test_on_the_age_scale_a_curve_begins_where_ten_are_followed(tables, cohort, r):
    hospitals = {
        name: {**columns, "entry": columns["age"], "time": np.round(columns["age"] + columns["time"] / 365.25, 3)}
        for name, columns in cohort.items()
    }
    expected = r["age_scale"]

    rows = tables(PLAN % (', entry = "entry"' + COMPETING), hospitals)["survival"]

    pooled = [row for row in rows if row["group"] == "all hospitals"]
    assert (pooled[0]["time"], pooled[0]["survival"]) == (40.0, 1.0)
    shown = _at(pooled, "all hospitals", expected["time"])
    assert [row["survival"] for row in shown] == [round_decimals(value, 2) for value in expected["surv"]]
    # R's summary gives the number at risk at the next event; ours is that at the time itself.
    entry, time = (np.concatenate([columns[key] for columns in hospitals.values()]) for key in ("entry", "time"))
    at_risk = [int(((entry < row["time"]) & (time >= row["time"])).sum()) for row in shown]
    assert [row["at_risk"] for row in shown] == [round_count(number) for number in at_risk]


def test_a_hospital_with_few_events_has_its_name_and_nothing_else(tables, cohort):
    few = {**cohort["d"], "status": np.where(np.arange(cohort["d"]["status"].size) < 9, 1, 0).astype(np.int32)}

    rows = tables(PLAN % "", {**cohort, "d": few})["survival"]

    (hidden,) = [row for row in rows if row["group"] == "d"]
    assert {value for key, value in hidden.items() if key not in {"group", "cause"}} == {None}
    assert {row["group"] for row in rows} == {"a", "b", "c", "d", "hospitals shown"}


def test_a_single_hospital_is_shown_once(tables, cohort):
    rows = tables(PLAN % "", {"a": cohort["a"]})["survival"]

    assert {row["group"] for row in rows} == {"all hospitals"}


def test_a_plan_is_told_when_no_curve_can_be_shown(tables, cohort):
    status = np.where(np.arange(cohort["a"]["status"].size) < 12, 1, 0).astype(np.int32)
    # Twelve events, of which three are left when nine more patients are.
    time = np.where(status == 1, 3000.0 + np.arange(status.size), 100.0)

    shown = tables(PLAN % "", {"a": {**cohort["a"], "status": status, "time": time}})

    assert "survival" not in shown
    assert shown["skipped"]["survival"] == "too_few_patients"


def test_equal_questions_get_equal_curves_whatever_the_order_of_rows(tables, cohort):
    rng = np.random.Generator(np.random.PCG64(5))
    order = {name: rng.permutation(columns["time"].size) for name, columns in cohort.items()}
    shuffled = {name: {key: values[order[name]] for key, values in columns.items()} for name, columns in cohort.items()}

    assert tables(PLAN % "")["survival"] == tables(PLAN % "", shuffled)["survival"]
