"""From decrypted columns to complete cases: every datatype, missing values, and the plan's order."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.enclave.cases import build_cases, category_levels
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import AnalysisSpec, FactorSpec, FollowUpSpec, OutcomeSpec, Plan, Purpose

NAN = np.nan


def cases_of(question, dictionary, values):
    levels = category_levels(question, [dictionary])
    return build_cases(question, dictionary, values, levels, index=0, name="north", version="0x00")


def complete_cases(question, dictionary, values):
    """X in the plan's order and y, of the complete cases."""
    cases = cases_of(question, dictionary, values)
    return np.column_stack(list(cases.complete_factors().values())), cases.y


def dictionary(*columns):
    return DataDictionary(title="Design", description="", columns=columns)


def category(name, *codes):
    levels = tuple(Level(code=code, label=f"level {code}") for code in codes)
    return Column(name=name, title=name, datatype="category", role="factor", levels=levels)


def column(name, datatype):
    return Column(name=name, title=name, datatype=datatype, role="factor")


def plan(outcome, *factors):
    return Plan(title="Design", purpose=Purpose.HEALTH_RESEARCH, outcome=outcome, factors=factors)


COLUMNS = dictionary(
    category("cp", "1", "2", "4"),
    category("num", "4.0", "0"),
    column("chol", "number"),
    column("count", "integer"),
    column("smoker", "boolean"),
)
DISEASE = OutcomeSpec(column="count", above=0)


def test_numbers_integers_and_booleans_are_used_as_they_are_in_the_plans_order():
    question = plan(
        DISEASE,
        FactorSpec(name="b", column="smoker"),
        FactorSpec(name="c", column="chol"),
        FactorSpec(name="n", column="count"),
    )
    values = {
        "chol": np.array([233.5, 199.0]),
        "count": np.array([3.0, -7.0]),
        "smoker": np.array([1.0, 0.0]),
    }

    X, y = complete_cases(question, COLUMNS, values)

    assert X.tolist() == [[1.0, 233.5, 3.0], [0.0, 199.0, -7.0]]
    assert y.tolist() == [1.0, 0.0]
    assert X.dtype == y.dtype == np.float64


def test_category_factor_is_the_indicator_of_its_level_and_minus_one_is_missing():
    values = {"cp": np.array([0, 1, 2, -1, 2], np.int32), "count": np.array([1.0, 1, 0, 0, 1])}

    X, y = complete_cases(plan(DISEASE, FactorSpec(name="asym", column="cp", equals="4")), COLUMNS, values)

    assert X.tolist() == [[0.0], [0.0], [1.0], [1.0]]
    assert y.tolist() == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("spelling", ["4", "4.0", " 4 "])
def test_level_is_found_under_any_spelling_of_its_code(spelling):
    values = {"cp": np.array([2, 0], np.int32), "count": np.array([1.0, 0.0])}

    X, _ = complete_cases(plan(DISEASE, FactorSpec(name="f", column="cp", equals=spelling)), COLUMNS, values)

    assert X.tolist() == [[1.0], [0.0]]


def test_level_of_a_dictionary_that_spells_its_codes_with_a_fraction_is_found():
    values = {"num": np.array([0, 1], np.int32), "count": np.array([1.0, 0.0])}

    X, _ = complete_cases(plan(DISEASE, FactorSpec(name="f", column="num", equals="4")), COLUMNS, values)

    assert X.tolist() == [[1.0], [0.0]]


def test_category_outcome_is_the_indicator_of_its_level():
    values = {"cp": np.array([0, 2, -1], np.int32), "chol": np.array([1.0, 2.0, 3.0])}

    X, y = complete_cases(
        plan(OutcomeSpec(column="cp", equals="4"), FactorSpec(name="c", column="chol")), COLUMNS, values
    )

    assert (X.tolist(), y.tolist()) == ([[1.0], [2.0]], [0.0, 1.0])


@pytest.mark.parametrize(("datatype", "level"), [("smoker", "1"), ("count", "1"), ("chol", "1.0")])
def test_boolean_and_number_outcomes_equal_a_level(datatype, level):
    values = {datatype: np.array([1.0, 0.0, NAN]), "cp": np.array([0, 0, 0], np.int32)}
    question = plan(OutcomeSpec(column=datatype, equals=level), FactorSpec(name="f", column="cp", equals="1"))

    _, y = complete_cases(question, COLUMNS, values)

    assert y.tolist() == [1.0, 0.0]


def test_outcome_above_a_number_excludes_the_number_itself_and_missing_values():
    values = {"chol": np.array([239.9, 240.0, 240.1, NAN]), "smoker": np.array([0.0, 1.0, 0.0, 1.0])}

    _, y = complete_cases(
        plan(OutcomeSpec(column="chol", above=240), FactorSpec(name="s", column="smoker")), COLUMNS, values
    )

    assert y.tolist() == [0.0, 0.0, 1.0]


def test_indicator_of_a_missing_number_is_missing_and_not_zero():
    values = {"count": np.array([1.0, 2.0, NAN]), "smoker": np.array([1.0, 0.0, 1.0])}
    question = plan(OutcomeSpec(column="smoker", equals="1"), FactorSpec(name="two", column="count", equals="2"))

    X, y = complete_cases(question, COLUMNS, values)

    assert (X.tolist(), y.tolist()) == ([[0.0], [1.0]], [1.0, 0.0])


def test_row_with_any_missing_value_of_the_plan_is_left_out():
    values = {
        "count": np.array([1.0, NAN, 1.0, 0.0, 0.0]),
        "chol": np.array([NAN, 2.0, 3.0, 4.0, 5.0]),
        "smoker": np.array([1.0, 1.0, NAN, 1.0, 0.0]),
    }
    question = plan(DISEASE, FactorSpec(name="c", column="chol"), FactorSpec(name="s", column="smoker"))

    X, y = complete_cases(question, COLUMNS, values)

    assert (X.tolist(), y.tolist()) == ([[4.0, 1.0], [5.0, 0.0]], [0.0, 0.0])


def test_cohort_without_a_complete_case_gives_empty_arrays_of_the_right_width():
    values = {"count": np.array([NAN, 1.0]), "chol": np.array([1.0, NAN])}

    X, y = complete_cases(plan(DISEASE, FactorSpec(name="c", column="chol")), COLUMNS, values)

    assert (X.shape, y.shape) == ((0, 1), (0,))


def test_levels_of_hospitals_that_list_them_in_another_order_are_the_same_levels():
    other = dictionary(category("cp", "4", "1"), column("count", "integer"))
    question = plan(DISEASE, FactorSpec(name="pain", column="cp", reference="1"))
    levels = category_levels(question, [COLUMNS, other])
    values = {"cp": np.array([0, 1, -1], np.int32), "count": np.array([1.0, 0.0, 1.0])}

    first = build_cases(question, COLUMNS, values, levels, index=0, name="a", version="0x00")
    second = build_cases(question, other, values, levels, index=1, name="b", version="0x00")

    assert levels == {"cp": ("1", "2", "4")}
    assert first.factors["pain"][:2].tolist() == [0.0, 1.0]
    assert second.factors["pain"][:2].tolist() == [2.0, 0.0]
    assert np.isnan(first.factors["pain"][2])


def survival_plan(**follow_up):
    return Plan(
        title="Follow-up",
        purpose=Purpose.HEALTH_RESEARCH,
        outcome=OutcomeSpec(column="count", equals="1"),
        follow_up=FollowUpSpec(time="time", **follow_up),
        factors=(FactorSpec(name="c", column="chol"),),
        analysis=AnalysisSpec(model="cox", strata=("smoker",)),
    )


FOLLOWED = dictionary(
    column("count", "integer"),
    column("chol", "number"),
    column("time", "number"),
    column("entry", "number"),
    column("smoker", "boolean"),
)
FOLLOW_UP_VALUES = {
    "count": np.array([0.0, 1.0, 2.0, 1.0, 1.0]),
    "chol": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "time": np.array([5.0, 6.0, 7.0, 0.0, 9.0]),
    "entry": np.array([0.0, 6.0, 1.0, 0.0, 2.0]),
    "smoker": np.array([1.0, 0.0, 1.0, 0.0, NAN]),
}


def test_event_codes_tell_the_outcome_from_the_competing_event():
    question = survival_plan(competing=OutcomeSpec(column="count", equals="2"))

    cases = cases_of(question, FOLLOWED, FOLLOW_UP_VALUES)

    assert cases.event.tolist() == [0, 1, 2, 1, 1]


def test_patients_who_were_never_at_risk_or_have_no_stratum_are_no_complete_cases():
    cases = cases_of(survival_plan(entry="entry"), FOLLOWED, FOLLOW_UP_VALUES)

    assert cases.complete.tolist() == [True, False, True, False, False]
    assert cases.strata[:2].tolist() == [1.0, 0.0]
    assert np.isnan(cases.strata[4])
