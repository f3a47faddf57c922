"""The unit audit and the adequacy of the sample size, through the release: closed words and shown numbers only."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plausible_ranges import RANGES, UNITS, in_other_units
from heartify.stats.adequacy import binary_sample_size, cautious_r2, max_r2_binary, survival_sample_size

PLAN = """
title = "Described"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "sbp", column = "sbp" }, { name = "chol", column = "chol" }]
describe = {}
"""
SURVIVAL = """
title = "Described"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", horizon = 1000 }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
analysis = { model = "cox" }
describe = {}
"""
DICTIONARY = DataDictionary(
    title="Coded",
    description="",
    columns=(
        Column(name="age", title="Age", datatype="number", role="factor", unit="a"),
        Column(name="sbp", title="SBP", datatype="number", role="factor", unit="mm[Hg]", loinc="8480-6"),
        Column(name="chol", title="Cholesterol", datatype="number", role="factor", unit="mmol/L", loinc="14647-2"),
        Column(name="y", title="Y", datatype="boolean", role="outcome"),
    ),
)


def scaled(cohort, **factors):
    copy = {name: {column: np.array(values) for column, values in columns.items()} for name, columns in cohort.items()}
    for key, factor in factors.items():
        hospital, column = key.split("__")
        copy[hospital][column] = copy[hospital][column] * factor
    return copy


def findings(shown):
    return {(row["hospital"], row["column"]): row["finding"] for row in shown["plausibility"]}


def test_hospitals_in_the_declared_units_give_no_finding(tables, cohort):
    found = findings(tables(PLAN, cohort, DICTIONARY))

    assert set(found.values()) == {"no finding"}
    assert set(found) == {(name, column) for name in "abcd" for column in ("age", "sbp", "chol")}


@pytest.mark.parametrize(
    ("column", "factor", "unit"),
    [("chol", 38.67, "mg/dL"), ("sbp", 0.133322, "kPa"), ("age", 12.0, "mo"), ("age", 365.25, "d")],
)
def test_a_hospital_in_another_unit_is_named_with_the_unit(tables, cohort, column, factor, unit):
    found = findings(tables(PLAN, scaled(cohort, **{f"b__{column}": factor}), DICTIONARY))

    assert found["b", column] == f"values look like {unit}"
    assert all(finding == "no finding" for key, finding in found.items() if key != ("b", column))


def test_all_hospitals_in_another_unit_are_found_by_its_ranges(tables, cohort):
    found = findings(tables(PLAN, scaled(cohort, **{f"{name}__chol": 38.67 for name in "abcd"}), DICTIONARY))

    assert {found[name, "chol"] for name in "abcd"} == {"values look like mg/dL"}


def test_a_median_like_no_unit_is_not_plausible(tables, cohort):
    assert findings(tables(PLAN, scaled(cohort, a__sbp=10.0), DICTIONARY))["a", "sbp"] == (
        "median not plausible in this unit"
    )


@pytest.mark.parametrize(
    ("bad", "finding", "n"), [(9, "no finding", None), (12, "values outside plausible limits", 10)]
)
def test_fewer_than_ten_implausible_values_look_like_none(tables, cohort, bad, finding, n):
    hospitals = scaled(cohort)
    hospitals["a"]["sbp"][:bad] = 400.0 + np.arange(bad)

    shown = tables(PLAN, hospitals, DICTIONARY)["plausibility"]

    (row,) = [row for row in shown if (row["hospital"], row["column"]) == ("a", "sbp")]
    assert (row["finding"], row["n"]) == (finding, n)


def test_a_column_without_a_known_code_is_not_audited(tables):
    assert {row["column"] for row in tables(PLAN)["plausibility"]} == {"age"}


def test_a_category_or_flag_is_not_audited(tables):
    plan = PLAN.replace('{ name = "age", column = "age" }', '{ name = "grade", column = "grade", reference = "1" }')

    assert "plausibility" not in tables(plan)


def test_every_unit_with_a_range_converts_into_the_others_of_its_quantity():
    for entry in RANGES:
        for other in RANGES:
            if entry.quantity == other.quantity and entry.unit != other.unit and entry.quantity in UNITS:
                low = in_other_units(entry.quantity, entry.unit, entry.median[0])[other.unit]
                assert low == pytest.approx(other.median[0], rel=0.25)
    assert in_other_units("heart rate", "/min", 60.0) == {}


def adequacy(shown, basis):
    return {row["criterion"]: row for row in shown["adequacy"] if row["basis"] == basis}


def test_criteria_are_rileys_for_the_shown_prevalence_in_two_digits(tables):
    shown = tables(PLAN)
    prevalence = (230 + 230 + 105 + 85) / 1195

    rows = adequacy(shown, "cautious R2")

    expected = binary_sample_size(3 + 3, prevalence, round(cautious_r2(max_r2_binary(prevalence)), 3))
    assert rows["all criteria"]["required"] == float(f"{expected.n:.1e}")
    assert rows["shrinkage of at most 10 %"]["required"] == float(f"{expected.n_shrinkage:.1e}")
    assert rows["all criteria"]["available"] == pytest.approx(1195, abs=5)
    assert rows["all criteria"]["verdict"] == "reached"


def test_the_studys_r2_is_adjusted_for_optimism_and_shown_in_three_decimals(tables, study):
    fit = study(PLAN).fit.logistic
    ratio = 2 * (fit.loglik - fit.null_loglik)

    rows = adequacy(tables(PLAN), "R2 of this study")

    assert rows["all criteria"]["r2"] == round((1 - 6 / ratio) * (1 - np.exp(-ratio / fit.n)), 3)


def test_a_survival_model_is_judged_at_its_horizon(tables, study):
    data = study(SURVIVAL)
    follow_up = float(f"{np.concatenate([block.time - block.entry for block in data.survival]).mean():.1e}")
    shown = tables(SURVIVAL)

    rows = adequacy(shown, "R2 of this study")

    events = sum(5 * round(int((block.event == 1).sum()) / 5) for block in data.survival)
    expected = survival_sample_size(2, events / 1195 / follow_up, follow_up, 1000.0, rows["all criteria"]["r2"])
    assert rows["all criteria"]["required"] == float(f"{expected.n:.1e}")


def test_events_per_parameter_are_of_shown_counts(tables):
    row = adequacy(tables(PLAN), "none")["rule of thumb"]

    assert row["available"] == float(f"{545 / 6:.1e}")
    assert (row["required"], row["unit"], row["verdict"]) == (10, "events per parameter", "reached")


def test_without_a_shown_outcome_there_is_no_adequacy_but_the_other_tables(tables, cohort):
    hospitals = scaled(cohort)
    for columns in hospitals.values():
        columns["y"] = np.zeros(columns["y"].size)
        columns["y"][::40][:9] = 1.0
        columns["y"][np.argsort(columns["age"])[-3:]] = 1.0
        columns["y"][np.flatnonzero(columns["y"])[9:]] = 0.0

    shown = tables(PLAN, hospitals)

    assert "adequacy" not in shown
    assert "flow" in shown
