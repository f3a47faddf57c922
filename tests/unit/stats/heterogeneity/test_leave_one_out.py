"""Leave-one-hospital-out against R: glm on the other hospitals, pROC, glm with offset, metafor (referee/meta.R)."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from heartify.stats import CohortBlock, InvalidBlockError
from heartify.stats.heterogeneity import leave_one_hospital_out, predict_log_odds
from heartify.stats.heterogeneity.validation import (
    logit_c,
    measure_c,
    measure_in_the_large,
    measure_log_oe,
    measure_slope,
)
from heartify.stats.logistic import fit_pooled_logistic

COLUMNS = ("age", "male", "sbp", "chol", "smoker")


@pytest.fixture(scope="module")
def five(blocks):
    return [CohortBlock(block.name, block.X[:, :5], block.y) for block in blocks]


@pytest.fixture(scope="module")
def found(five):
    return leave_one_hospital_out(five, COLUMNS)


def test_each_left_out_hospital_equals_r(found, referee):
    for own in found.hospitals:
        expected = referee["leave_one_out"]["hospitals"][own.hospital]
        assert (own.n, own.observed, own.failure) == (expected["n"], expected["observed"], None)
        assert own.expected == pytest.approx(expected["expected"], rel=1e-9)
        assert own.c.estimate == pytest.approx(expected["c"], abs=1e-9)
        assert own.c.se == pytest.approx(expected["c_se"], rel=1e-9)
        assert own.slope.estimate == pytest.approx(expected["slope"], abs=1e-7)
        assert own.slope.se == pytest.approx(expected["slope_se"], rel=1e-5)
        assert own.in_the_large.estimate == pytest.approx(expected["large"], abs=1e-8)
        assert own.in_the_large.se == pytest.approx(expected["large_se"], rel=1e-5)


@pytest.mark.parametrize("measure", ["logit_c", "log_oe", "slope", "in_the_large"])
def test_measures_are_pooled_as_metafor_pools_them(found, referee, measure):
    expected = referee["leave_one_out"][measure]

    pooled = getattr(found, measure)

    assert pooled.estimate == pytest.approx(expected["estimate"], rel=1e-5)
    assert pooled.tau2 == pytest.approx(expected["tau2"], rel=1e-4, abs=1e-8)
    knapp, prediction = pooled.hartung_knapp, pooled.prediction.hartung_knapp
    assert knapp.se == pytest.approx(expected["se"], rel=1e-5)
    np.testing.assert_allclose([knapp.ci.low, knapp.ci.high], expected["ci"], rtol=1e-4)
    np.testing.assert_allclose([prediction.low, prediction.high], expected["pi"], rtol=1e-4)


def test_the_new_hospital_gets_the_plain_mean_of_intercepts(five):
    model = fit_pooled_logistic(five[:3], COLUMNS)

    found = predict_log_odds(model, five[3].X[:2])

    mean = np.mean([own.value for own in model.hospital_intercepts])
    np.testing.assert_allclose(found, mean + five[3].X[:2] @ model.term_coef, rtol=1e-12)


def test_a_hospital_without_events_is_judged_by_others_and_breaks_nobody(five, found):
    silent = CohortBlock("e", five[0].X[:50], np.zeros(50))

    again = leave_one_hospital_out([*five, silent], COLUMNS)

    own = again.hospitals[-1]
    assert own.failure is None
    assert own.expected > 0
    assert (own.c, own.logit_c, own.slope, own.in_the_large, own.log_oe) == (None, None, None, None, None)
    assert again.hospitals[:-1] == found.hospitals
    assert again.slope == found.slope


def test_where_no_other_hospital_can_be_fitted_the_error_is_named(five):
    silent = CohortBlock("e", five[0].X[:50], np.zeros(50))

    found = leave_one_hospital_out([five[0], silent], COLUMNS)

    assert [own.failure for own in found.hospitals] == ["InvalidBlockError", None]
    assert found.hospitals[0].expected is None
    assert found.slope is None


def test_uci_hospitals_are_all_judged_switzerland_too(uci_blocks):
    found = leave_one_hospital_out(uci_blocks, ("age", "sex", "cp4", "thalach", "exang", "oldpeak"))

    assert [own.failure for own in found.hospitals] == [None] * 4
    assert all(0.5 < own.c.estimate < 1.0 for own in found.hospitals)
    assert found.hospitals[2].in_the_large.estimate > 1.0  # 93 % of Swiss patients are ill: an intercept of their own
    assert found.logit_c.k == 4


def test_row_order_and_units_do_not_matter(five, found):
    rng = np.random.default_rng(0)
    other = []
    for block in five:
        order = rng.permutation(block.n)
        other.append(CohortBlock(block.name, block.X[order] * [10, 1, 0.1, 1, 1], block.y[order]))

    again = leave_one_hospital_out(other, COLUMNS)

    for one, two in zip(found.hospitals, again.hospitals, strict=True):
        assert two.c.estimate == pytest.approx(one.c.estimate, abs=1e-4)  # ties of the predictor may round apart
        assert two.slope.estimate == pytest.approx(one.slope.estimate, rel=1e-8)
        assert two.in_the_large.estimate == pytest.approx(one.in_the_large.estimate, abs=1e-9)


def test_one_hospital_cannot_be_left_out_of_itself(five):
    with pytest.raises(InvalidBlockError):
        leave_one_hospital_out(five[:1], COLUMNS)


def test_of_two_hospitals_each_is_judged_by_the_other(five):
    found = leave_one_hospital_out(five[:2], COLUMNS)

    assert found.slope.k == 2
    assert found.slope.prediction.higgins is None


@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0, 2000.0])
def test_calibration_in_the_large_solves_its_equation_however_extreme_the_predictor(scale):
    rng = np.random.default_rng(2)
    predictor = scale * rng.standard_cauchy(400)
    y = (rng.random(400) < 0.3).astype(float)

    found = measure_in_the_large(predictor, y)

    assert (1 / (1 + np.exp(-np.clip(predictor + found.estimate, -700, 700)))).sum() == pytest.approx(y.sum(), abs=1e-6)


def test_calibration_in_the_large_equals_statsmodels():
    rng = np.random.default_rng(4)
    predictor = rng.normal(size=200)
    y = (rng.random(200) < 0.6).astype(float)
    referee = sm.GLM(y, np.ones((200, 1)), sm.families.Binomial(), offset=predictor).fit(tol=1e-13)

    found = measure_in_the_large(predictor, y)

    assert found.estimate == pytest.approx(referee.params[0], abs=1e-9)
    assert found.se == pytest.approx(referee.bse[0], rel=1e-7)


def test_measures_without_an_estimate_are_none():
    predictor = np.array([0.1, 0.2, 0.3, 0.4])

    perfect = np.array([0.0, 0.0, 1.0, 1.0])

    assert measure_c(predictor, np.array([0.0, 0.0, 0.0, 1.0])) is None
    assert measure_c(predictor, perfect).estimate == 1.0
    assert logit_c(measure_c(predictor, perfect)) is None
    assert logit_c(None) is None
    assert measure_slope(predictor, perfect) is None
    assert measure_in_the_large(predictor, np.ones(4)) is None
    assert measure_log_oe(predictor, np.ones(4)) is None
    assert measure_log_oe(predictor, np.zeros(4)) is None


def test_a_search_for_calibration_in_the_large_that_does_not_end_has_no_estimate(monkeypatch):
    predictor, y = np.array([-1.0, 0.0, 2.0]), np.array([0.0, 1.0, 1.0])

    found = measure_in_the_large(predictor, y)
    monkeypatch.setattr("heartify.stats.offset_intercept.MAX_ITERATIONS", 2)
    cut_short = measure_in_the_large(predictor, y)

    assert np.log(2) - 2.0 <= found.estimate <= np.log(2) + 1.0
    assert cut_short is None
