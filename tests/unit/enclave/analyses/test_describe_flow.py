"""The flow of exclusions and the missing values, through the release: sums of shown cells, nothing by subtraction."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.enclave.analyses.flow import exclusions

PLAN = """
title = "Described"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp" },
]
describe = {}
"""
SURVIVAL = """
title = "Described"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" } }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox", strata = ["male"] }
describe = {}
"""


def with_gaps(cohort, **gaps):
    """Copy the cohort; gaps are hospital__column = rows that become missing."""
    copy = {name: {column: np.array(values) for column, values in columns.items()} for name, columns in cohort.items()}
    for key, rows in gaps.items():
        hospital, column = key.split("__")
        values = copy[hospital][column]
        copy[hospital][column] = values.astype(float) if values.dtype.kind == "f" else values
        copy[hospital][column][rows] = -1 if values.dtype.kind == "i" else np.nan
    return copy


def flow_of(shown, hospital):
    return {row["step"]: row["n"] for row in shown["flow"] if row["hospital"] == hospital}


def missing_of(shown, hospital):
    return {row["factor"]: row["missing"] for row in shown["missingness"] if row["hospital"] == hospital}


def test_each_patient_is_excluded_once_at_the_first_reason(study, cohort):
    gaps = {"a__y": slice(0, 20), "a__age": slice(10, 40), "a__sbp": slice(30, 60)}

    data = study(PLAN, with_gaps(cohort, **gaps))

    assert exclusions(data.cases[0]) == (20, 20, 0, 20)
    assert all(sum(exclusions(case)) == case.rows - case.n for case in data.cases)


def test_those_not_followed_up_are_excluded_with_a_reason_of_their_own(study, cohort):
    hospitals = with_gaps(cohort, b__time=slice(0, 15), b__age=slice(30, 50))
    hospitals["b"]["time"][15:30] = hospitals["b"]["entry"][15:30]

    data = study(SURVIVAL, hospitals)

    assert exclusions(data.cases[1]) == (0, 15, 0, 15, 20, 0)
    assert sum(exclusions(data.cases[1])) == data.cases[1].rows - data.cases[1].n


def test_a_flow_adds_up_from_those_read_to_the_complete_cases(tables, cohort):
    shown = tables(PLAN, with_gaps(cohort, a__y=slice(0, 21), a__age=slice(10, 43), b__sbp=slice(0, 18)))

    own = flow_of(shown, "a")

    assert list(own) == ["patients read", "outcome missing", "age missing", "complete cases"]
    assert (own["outcome missing"], own["age missing"]) == (20, 20)
    for hospital in ("all hospitals", "a", "b", "c"):
        read, *rest = flow_of(shown, hospital).values()
        assert read == sum(rest)


def test_the_steps_of_all_hospitals_are_sums_of_shown_cells(tables, cohort):
    shown = tables(PLAN, with_gaps(cohort, a__sbp=slice(0, 21), b__sbp=slice(0, 18), c__sbp=slice(0, 4)))

    assert flow_of(shown, "all hospitals")["sbp missing"] == 20 + 20
    assert "sbp missing" not in flow_of(shown, "c")


def test_reasons_of_few_patients_are_shown_together(tables, cohort):
    shown = tables(PLAN, with_gaps(cohort, c__age=slice(0, 6), c__male=slice(6, 14), c__sbp=slice(14, 40)))

    own = flow_of(shown, "c")

    assert own["other reasons"] == 15
    assert own["sbp missing"] == 25
    assert "age missing" not in own


@pytest.mark.parametrize("few", [0, 1, 9])
def test_fewer_than_ten_excluded_patients_leave_no_trace_in_the_flow(tables, cohort, few):
    """The attack: patients read less complete cases. Rows beyond the complete ones change no digit of the flow."""
    hospitals = with_gaps(cohort)
    for column, values in hospitals["d"].items():
        extra = np.repeat(values[:1], few) if column != "sbp" else np.full(few, np.nan)
        hospitals["d"][column] = np.concatenate([values, extra])

    shown = tables(PLAN, hospitals)

    assert flow_of(shown, "d") == {"patients read": 125, "complete cases": 125}
    assert missing_of(shown, "d")["sbp"] is None


def test_hidden_missing_values_enter_the_total_only_together(tables, cohort):
    one = tables(PLAN, with_gaps(cohort, a__age=slice(0, 32), b__age=slice(0, 8)))
    two = tables(PLAN, with_gaps(cohort, a__age=slice(0, 32), b__age=slice(0, 8), c__age=slice(0, 7)))

    assert missing_of(one, "all hospitals")["age"] == 30
    assert missing_of(two, "all hospitals")["age"] == 30 + 15
    for shown in (one, two):
        assert missing_of(shown, "a")["age"] == 30
        assert missing_of(shown, "b")["age"] is None


def test_a_share_is_of_shown_counts_and_hidden_with_its_count(tables, cohort):
    shown = tables(PLAN, with_gaps(cohort, a__age=slice(0, 32)))["missingness"]

    rows = {(row["hospital"], row["factor"]): row for row in shown}

    assert rows["a", "age"] == {"hospital": "a", "factor": "age", "rows": 450, "missing": 30, "share": 0.07}
    assert rows["a", "sbp"] == {"hospital": "a", "factor": "sbp", "rows": None, "missing": None, "share": None}


def test_one_hospital_alone_is_not_listed_twice(tables, cohort):
    shown = tables(PLAN, {"a": with_gaps(cohort, a__age=slice(0, 32))["a"]})

    assert {row["hospital"] for row in shown["flow"]} == {"all hospitals"}
    assert {row["hospital"] for row in shown["missingness"]} == {"all hospitals"}
