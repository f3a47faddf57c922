"""Restricted cubic splines against Hmisc::rcspline.eval and rms (tests/vectors/statistics/design.json)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import InvalidBlockError, RankDeficientError, fit_pooled_logistic
from heartify.stats.design import (
    Linear,
    Spline,
    SplineSpec,
    fix_design,
    harrell_knots,
    spline_basis,
    spline_curve,
)
from heartify.stats.inference import likelihood_ratio_spline_tests, wald_spline_tests


@pytest.fixture(scope="module")
def design(hospitals):
    return fix_design([SplineSpec("sbp", 5), Linear("age")], list(hospitals.values()))


@pytest.fixture(scope="module")
def blocks(design, hospitals):
    return [design.block(name, columns, columns["y"]) for name, columns in hospitals.items()]


@pytest.fixture(scope="module")
def fit(blocks, design):
    return fit_pooled_logistic(blocks, design.names)


@pytest.mark.parametrize("column", ["sbp", "age"])
@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_knots_equal_harrells(file_order, expected, column, count):
    # R: Hmisc::rcspline.eval(x, nk = count, knots.only = TRUE)
    knots = harrell_knots(file_order[column], count)

    np.testing.assert_allclose(knots, expected["knots"][column][count - 3], rtol=1e-13)


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_below_a_hundred_values_outer_knots_are_the_fifth_values(file_order, expected, count):
    # R: Hmisc::rcspline.eval(age[1:60], nk = count, knots.only = TRUE)
    knots = harrell_knots(file_order["age"][:60], count)

    np.testing.assert_allclose(knots, expected["knots"]["small"][count - 3], rtol=1e-13)


def test_the_basis_equals_hmisc(expected):
    # R: Hmisc::rcspline.eval(grid, knots = k5, inclx = TRUE, norm = 2)
    knots, grid = np.array(expected["knots"]["sbp"][2]), np.array(expected["basis"]["grid"], dtype=float)

    basis = spline_basis(grid, knots)

    np.testing.assert_allclose(basis, expected["basis"]["columns"], rtol=1e-12, atol=1e-12)


@given(
    st.lists(st.integers(0, 400), min_size=3, max_size=7, unique=True),
    st.floats(0.1, 50, allow_nan=False),
)
@settings(max_examples=15, deadline=None)
def test_the_curve_is_linear_beyond_the_outer_knots_and_scales_with_the_unit(places, scale):
    knots = np.sort(np.array(places, dtype=float))
    outside = np.concatenate([knots[0] - np.array([30.0, 20.0, 10.0]), knots[-1] + np.array([10.0, 20.0, 30.0])])

    basis = spline_basis(outside, knots)

    second = np.vstack([np.diff(basis[:3], 2, axis=0), np.diff(basis[3:], 2, axis=0)])
    assert np.abs(second).max() < 1e-7 * max(1.0, np.abs(basis).max())
    np.testing.assert_allclose(
        spline_basis(outside * scale, knots * scale), basis * scale, rtol=1e-7, atol=1e-7 * scale
    )


def test_the_fit_equals_r(fit, expected):
    # R: glm(y ~ rcs(sbp, k5) + age + hospital, binomial)
    spline = expected["spline"]

    assert np.max(np.abs(fit.coef - spline["coef"]) / spline["se"]) < 1e-6
    np.testing.assert_allclose(fit.se, spline["se"], rtol=1e-7)


def test_overall_and_nonlinear_tests_equal_r(blocks, fit, design, expected):
    names, spline = design.names_of("rcs(sbp)"), expected["spline"]

    wald, ratio = wald_spline_tests(fit, names), likelihood_ratio_spline_tests(blocks, fit, names)

    for found, key in (
        (wald.overall, "wald_overall"),
        (wald.nonlinear, "wald_nonlinear"),
        (ratio.overall, "lr_overall"),
        (ratio.nonlinear, "lr_nonlinear"),
    ):
        assert found.df == spline[key]["df"]
        assert found.statistic == pytest.approx(spline[key]["chi2"], rel=1e-7)


def test_a_term_of_one_column_has_no_nonlinear_test(blocks, fit):
    with pytest.raises(InvalidBlockError, match="at least two columns"):
        wald_spline_tests(fit, ["age"])
    with pytest.raises(InvalidBlockError, match="at least two columns"):
        likelihood_ratio_spline_tests(blocks, fit, ["age"])


def test_the_curve_and_its_standard_error_equal_r(design, fit, expected):
    # R: D b and sqrt(diag(D V D')) with D the difference of bases from 120 mmHg
    columns, grid = slice(1, 5), np.array(expected["basis"]["grid"], dtype=float)

    curve = spline_curve(design.terms[0], grid, 120.0, fit.coef[columns], fit.covariance[columns, columns])

    np.testing.assert_allclose(curve.contrasts.estimate, expected["spline"]["curve"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(curve.contrasts.se, expected["spline"]["curve_se"], rtol=1e-7)
    assert (curve.contrasts.ci_low < curve.contrasts.estimate).all()


def test_the_curve_is_zero_and_certain_at_its_reference():
    spline = Spline("sbp", (100, 120, 140))

    curve = spline_curve(spline, np.array([120.0]), 120.0, np.array([0.01, 0.002]), np.eye(2))

    assert curve.contrasts.estimate[0] == 0.0
    assert curve.contrasts.se[0] == 0.0


def test_a_curve_of_wrong_shapes_or_values_is_refused():
    spline = Spline("sbp", (100, 120, 140))

    with pytest.raises(InvalidBlockError, match="finite"):
        spline_curve(spline, np.array([np.nan]), 120.0, np.zeros(2), np.eye(2))
    with pytest.raises(InvalidBlockError, match="expected coef"):
        spline_curve(spline, np.array([110.0]), 120.0, np.zeros(3), np.eye(3))


def test_tied_knots_are_refused():
    values = np.concatenate([np.zeros(900), np.arange(100.0)])

    with pytest.raises(RankDeficientError, match="knots tie"):
        Spline("crp", harrell_knots(values, 5))
    with pytest.raises(RankDeficientError, match="knots tie"):
        Spline("crp", (3.0, 2.0, 1.0))


@pytest.mark.parametrize("knots", [(1.0, 2.0), (1.0, np.nan, 3.0), (1.0, 2.0, np.inf)])
def test_too_few_or_infinite_knots_are_refused(knots):
    with pytest.raises(InvalidBlockError, match="at least 3 finite knots"):
        Spline("crp", knots)


def test_other_numbers_of_knots_and_tiny_samples_are_refused():
    with pytest.raises(InvalidBlockError, match="3 to 7"):
        SplineSpec("sbp", 8)
    with pytest.raises(InvalidBlockError, match="3 to 7"):
        harrell_knots(np.arange(50.0), 2)
    with pytest.raises(InvalidBlockError, match="at least 10"):
        harrell_knots(np.arange(9.0), 3)


def test_knots_do_not_depend_on_how_rows_are_split_over_hospitals(hospitals, file_order):
    split = [{name: values[part] for name, values in file_order.items()} for part in (slice(0, 7), slice(7, None))]

    one, other, third = (
        fix_design([SplineSpec("sbp", 4)], parts) for parts in ([file_order], split, list(hospitals.values()))
    )

    assert one == other == third
