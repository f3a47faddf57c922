"""Factors, interactions and whole designs, against R's model matrices (tests/vectors/statistics/design.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, RankDeficientError, fit_pooled_logistic
from heartify.stats.design import (
    Categorical,
    CategoricalSpec,
    Design,
    Interaction,
    InteractionSpec,
    Linear,
    Spline,
    SplineSpec,
    design_contrasts,
    fix_design,
)
from heartify.stats.inference import wald_test_of

AGE, GRADE = SplineSpec("age", 4), CategoricalSpec("grade", 1)


@pytest.fixture(scope="module")
def design(file_order):
    return fix_design([AGE, GRADE, Linear("male"), InteractionSpec(AGE, GRADE)], [file_order])


@pytest.fixture(scope="module")
def fit(design, file_order):
    return fit_pooled_logistic([design.block("all", file_order, file_order["y"])], design.names)


def test_columns_are_named_and_sliced_by_term(design):
    assert design.names[:6] == ("age", "age'", "age''", "grade=2", "grade=3", "male")
    assert design.names_of("rcs(age):grade") == (
        "age:grade=2", "age':grade=2", "age'':grade=2", "age:grade=3", "age':grade=3", "age'':grade=3",
    )  # fmt: skip
    assert design.slices == (slice(0, 3), slice(3, 5), slice(5, 6), slice(6, 12))
    assert design.slice_of("male") == slice(5, 6)
    assert design.names_involving("age") == (*design.names[:3], *design.names[6:])


def test_coefficients_of_a_spline_by_a_factor_equal_r(fit, expected):
    # R: glm(y ~ rcs(age, k4) * factor(grade) + male, binomial)
    inter = expected["interaction"]

    assert np.max(np.abs(fit.coef - inter["coef"]) / inter["se"]) < 1e-6
    np.testing.assert_allclose(fit.se, inter["se"], rtol=1e-6)


def test_the_joint_test_of_an_interaction_equals_r(fit, design, expected):
    joint, total = expected["interaction"]["joint"], expected["interaction"]["total_age"]

    found, all_age = (
        wald_test_of(fit, design.names_of("rcs(age):grade")),
        wald_test_of(fit, design.names_involving("age")),
    )

    assert (found.df, all_age.df) == (joint["df"], total["df"])
    assert found.statistic == pytest.approx(joint["chi2"], rel=1e-6)
    assert all_age.statistic == pytest.approx(total["chi2"], rel=1e-6)


def test_contrasts_between_settings_include_interactions(fit, design):
    p = len(design.names)
    at = {"age": np.array([70.0]), "grade": np.array([3.0]), "male": np.array([1.0])}
    base = {"age": np.array([50.0]), "grade": np.array([1.0]), "male": np.array([1.0])}

    found = design_contrasts(design, at, base, fit.term_coef, fit.covariance[1 : 1 + p, 1 : 1 + p])

    by_hand = (design.matrix(at) - design.matrix(base)) @ fit.term_coef
    assert found.estimate[0] == pytest.approx(by_hand[0], rel=1e-12)
    assert found.se[0] > 0


def test_contrasts_of_unequal_numbers_of_rows_are_refused(design, fit):
    three = {"age": np.full(3, 60.0), "grade": np.full(3, 2.0), "male": np.zeros(3)}
    two = {name: values[:2] for name, values in three.items()}

    with pytest.raises(InvalidBlockError, match="reference row"):
        design_contrasts(design, three, two, fit.term_coef, np.eye(fit.term_coef.size))


def test_a_factor_keeps_the_given_order_and_reference():
    factor = Categorical("ecg", (2, 0, 1), 0)

    columns = factor.matrix({"ecg": np.array([0.0, 1.0, 2.0])})

    assert factor.names == ("ecg=2", "ecg=1")
    np.testing.assert_array_equal(columns, [[0, 0], [0, 1], [1, 0]])


def test_given_levels_that_all_occur_are_kept(file_order):
    factor = Categorical("grade", (3, 1, 2), 3)

    assert fix_design([factor], [file_order]).terms == (factor,)


def test_a_hospital_may_lack_a_level(file_order):
    lacking = {"grade": np.array([1.0, 2.0]), "y": np.array([0.0, 1.0])}

    design = fix_design([GRADE], [file_order, lacking])

    np.testing.assert_array_equal(design.matrix(lacking), [[0, 0], [1, 0]])


def test_levels_that_are_not_whole_numbers_are_named_exactly():
    assert Categorical("dose", (0, 2.5), 0).names == ("dose=2.5",)


def test_a_value_outside_the_levels_is_refused_without_quoting_it():
    factor = Categorical("grade", (1, 2), 1)

    with pytest.raises(InvalidBlockError, match="outside its levels") as refused:
        factor.matrix({"grade": np.array([1.0, 77.0])})
    with pytest.raises(InvalidBlockError, match="outside its levels"):
        fix_design([factor], [{"grade": np.array([1.0, 2.0, 77.0])}])

    assert "77" not in str(refused.value)


def test_a_level_without_a_row_in_any_hospital_is_refused(file_order):
    with pytest.raises(RankDeficientError, match="no row has level 4"):
        fix_design([Categorical("grade", (1, 2, 3, 4), 1)], [file_order])


@pytest.mark.parametrize(("levels", "reference"), [((1,), 1), ((1, 1), 1), ((1, np.nan), 1), ((1, 2), 3)])
def test_impossible_factors_are_refused(levels, reference):
    with pytest.raises(InvalidBlockError, match="factor 'grade'"):
        Categorical("grade", levels, reference)


def test_found_levels_must_vary_and_be_few():
    with pytest.raises(RankDeficientError, match="one level only"):
        fix_design([GRADE], [{"grade": np.ones(5)}])
    with pytest.raises(InvalidBlockError, match="more than 100 levels"):
        fix_design([CategoricalSpec("age", 1)], [{"age": np.arange(101.0)}])
    with pytest.raises(InvalidBlockError, match="reference is not one"):
        fix_design([CategoricalSpec("grade", 9)], [{"grade": np.array([1.0, 2.0])}])


def test_an_interaction_needs_its_main_effects_and_two_columns():
    with pytest.raises(InvalidBlockError, match="without its main effects"):
        Design((Linear("age"), Interaction(Linear("age"), Linear("male"))))
    with pytest.raises(InvalidBlockError, match="with itself"):
        Interaction(Linear("age"), Spline("age", (40, 50, 60)))


def test_a_linear_interaction_is_within_a_splines_main_effect():
    design = Design((Spline("age", (40, 50, 60)), Linear("male"), Interaction(Linear("age"), Linear("male"))))

    assert design.names == ("age", "age'", "male", "age:male")


def test_empty_and_ambiguous_designs_are_refused(design):
    with pytest.raises(InvalidBlockError, match="at least one term"):
        Design(())
    with pytest.raises(InvalidBlockError, match="same name"):
        Design((Linear("age"), Spline("age", (40, 50, 60))))
    with pytest.raises(InvalidBlockError, match="no term 'sbp'"):
        design.slice_of("sbp")
    with pytest.raises(InvalidBlockError, match="no term of the design reads"):
        design.names_involving("sbp")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column"),
        ({"age": np.zeros((2, 2))}, "expected"),
        ({"age": np.array([1.0, np.nan])}, "missing or infinite"),
        ({"age": np.array(["x", "y"])}, "does not hold numbers"),
        ({"age": np.zeros(2), "male": np.zeros(3)}, "number of rows"),
    ],
)
def test_unclean_columns_are_refused(columns, message):
    design = Design((Linear("age"), Linear("male"))) if "male" in columns else Design((Linear("age"),))

    with pytest.raises(InvalidBlockError, match=message):
        design.matrix(columns)


def test_a_design_over_no_rows_is_refused():
    with pytest.raises(InvalidBlockError, match="no rows"):
        fix_design([SplineSpec("age", 3)], [])
    with pytest.raises(InvalidBlockError, match="no rows"):
        fix_design([SplineSpec("age", 3)], [{"age": np.zeros(0)}])


def test_a_block_holds_the_designs_columns(design, file_order):
    block = design.block("one", file_order, file_order["y"])

    assert isinstance(block, CohortBlock)
    np.testing.assert_array_equal(block.X, design.matrix(file_order))
