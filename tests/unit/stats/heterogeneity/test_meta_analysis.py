"""Pooling against metafor: rma(yi, sei = sei, method = M, test = T), confint, predict (referee/meta.R), truth.json."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import InvalidBlockError, NotConvergedError
from heartify.stats.heterogeneity import Tau2Method, fixed_effect, random_effects, tau2

CASES = ("bcg", "homogeneous", "spread", "two", "unequal")
METHODS = {"DL": Tau2Method.DERSIMONIAN_LAIRD, "PM": Tau2Method.PAULE_MANDEL, "REML": Tau2Method.REML}
TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


def ends(interval):
    return [interval.low, interval.high]


def assert_brief(found, expected, tau2_tolerance):
    scale = expected["se"]
    assert found.estimate == pytest.approx(expected["estimate"], abs=1e-7 * scale)
    assert found.se == pytest.approx(expected["se"], rel=1e-7)
    np.testing.assert_allclose(ends(found.ci), expected["ci"], atol=1e-6 * scale)
    assert found.tau2 == pytest.approx(expected["tau2"], rel=tau2_tolerance, abs=1e-9)
    assert found.i2 == pytest.approx(expected["I2"], rel=1e-6, abs=1e-8)
    assert found.h2 == pytest.approx(max(1.0, expected["H2"]), rel=1e-6)  # metafor's FE lets H2 fall below 1
    assert found.q == pytest.approx(expected["Q"], rel=1e-10)
    assert found.q_p == pytest.approx(expected["Q_p"], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_fixed_effect_equals_metafor(referee, case):
    expected = referee["meta"][case]

    found = fixed_effect(expected["yi"], expected["sei"])

    assert_brief(found, expected["FE"], 0.0)
    assert found.prediction is None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", METHODS)
def test_random_effects_equal_metafor(referee, case, method):
    expected = referee["meta"][case]

    found = random_effects(expected["yi"], expected["sei"], METHODS[method])

    assert_brief(found, expected[method], 1e-7)


@pytest.mark.parametrize("case", CASES)
def test_hartung_knapp_equals_metafor_knha_and_adhoc(referee, case):
    expected = referee["meta"][case]

    found = random_effects(expected["yi"], expected["sei"]).hartung_knapp

    assert found.se == pytest.approx(expected["knha"]["se"], rel=1e-6)
    assert found.adhoc_se == pytest.approx(expected["adhoc"]["se"], rel=1e-6)
    np.testing.assert_allclose(ends(found.ci), expected["knha"]["ci"], rtol=1e-6)
    np.testing.assert_allclose(ends(found.adhoc_ci), expected["adhoc"]["ci"], rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_prediction_intervals_equal_metafor(referee, case):
    # predict(rma(test = "z")), predict(rma(test = "knha")), predict(rma(test = "t"), pi.type = "riley")
    expected = referee["meta"][case]

    found = random_effects(expected["yi"], expected["sei"]).prediction

    np.testing.assert_allclose(ends(found.normal), expected["pi_normal"], rtol=1e-6)
    np.testing.assert_allclose(ends(found.hartung_knapp), expected["pi_knha"], rtol=1e-6)
    if case == "two":
        assert found.higgins is None
    else:
        np.testing.assert_allclose(ends(found.higgins), expected["pi_higgins"], rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_q_profile_intervals_equal_metafor_confint(referee, case):
    expected = referee["meta"][case]

    found = random_effects(expected["yi"], expected["sei"])

    np.testing.assert_allclose(ends(found.tau2_ci), expected["tau2_ci"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ends(found.i2_ci), expected["I2_ci"], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_uci_hospitals_pool_as_metafor_pooled_them(truth, term):
    # truth.json was made with metafor's default threshold, an absolute 1e-5 on tau2 whatever the unit: for thalach, per
    # beat a minute, that stops 0.7 % short of the maximum (threshold = 1e-15 gives 1.982152e-05), hence REML's 1e-2.
    uci = truth["uci4"]
    expected = uci["meta"][term]
    hospitals = [own for name, own in uci["per_hospital"].items() if not (term == "sex" and name == "switzerland")]
    yi, sei = [own["coef"][term] for own in hospitals], [own["se"][term] for own in hospitals]

    fixed, moment, reml = fixed_effect(yi, sei), random_effects(yi, sei, METHODS["DL"]), random_effects(yi, sei)

    assert reml.k == expected["k"]
    for found, name, rel in ((fixed, "FE", 1e-9), (moment, "DL", 1e-9), (reml, "REML", 1e-2)):
        assert found.estimate == pytest.approx(expected[name]["est"], rel=rel)
        assert found.se == pytest.approx(expected[name]["se"], rel=rel)
        assert found.i2 * 100 == pytest.approx(expected[name]["I2"], rel=rel, abs=1e-6)
        assert found.q_p == pytest.approx(expected[name]["Qp"], rel=1e-9)
    assert moment.tau2 == pytest.approx(expected["DL"]["tau2"], rel=1e-9, abs=1e-15)
    assert reml.tau2 == pytest.approx(expected["REML"]["tau2"], rel=1e-2, abs=1e-9)
    assert reml.hartung_knapp.se == pytest.approx(expected["REML_HKSJ"]["se"], rel=1e-3)
    np.testing.assert_allclose(ends(reml.hartung_knapp.ci), expected["REML_HKSJ"]["ci"], rtol=1e-3)
    np.testing.assert_allclose(ends(reml.prediction.normal), expected["pred_interval"], rtol=1e-2)


def test_one_hospital_is_its_own_estimate_and_says_nothing_of_others():
    found = random_effects([0.4], [0.2])

    assert (found.k, found.tau2, found.i2, found.q_p) == (1, 0.0, 0.0, 1.0)
    assert found.estimate == pytest.approx(0.4)
    assert found.se == pytest.approx(0.2)
    assert (found.hartung_knapp, found.prediction, found.tau2_ci, found.i2_ci) == (None, None, None, None)


def test_equal_estimates_have_no_heterogeneity_and_only_the_adhoc_interval_has_width():
    found = random_effects([0.3, 0.3, 0.3], [0.1, 0.2, 0.3])

    assert found.tau2 == 0.0
    assert ends(found.tau2_ci) == [0.0, 0.0]
    assert found.hartung_knapp.se == pytest.approx(0.0, abs=1e-12)
    assert found.hartung_knapp.adhoc_se == pytest.approx(found.se)


@pytest.mark.parametrize(
    ("yi", "sei"),
    [
        ([], []),
        ([1.0], [1.0, 2.0]),
        ([1.0, np.nan], [1.0, 1.0]),
        ([1.0, 2.0], [1.0, 0.0]),
        ([1.0, 2.0], [1.0, -1.0]),
        ([1.0, 2.0], [1.0, np.inf]),
        ([1.0, 2.0], [1.0, 1e-300]),
    ],
)
def test_estimates_that_cannot_be_pooled_are_refused(yi, sei):
    with pytest.raises(InvalidBlockError):
        random_effects(yi, sei)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(InvalidBlockError):
        fixed_effect([1.0], [1.0], level)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.01, 2)), min_size=2, max_size=8), st.floats(0.001, 1000))
def test_pooling_follows_the_unit_and_not_the_order_and_reml_is_a_maximum(pairs, unit):
    y, se = np.array(pairs).T

    found, other = random_effects(y, se), random_effects(y[::-1] * unit, se[::-1] * unit)

    assert other.estimate / unit == pytest.approx(found.estimate, abs=1e-6 * found.se)
    assert other.se / unit == pytest.approx(found.se, rel=1e-6)
    assert other.tau2 / unit**2 == pytest.approx(found.tau2, rel=1e-5, abs=1e-9 * found.se**2)

    def restricted(tau2):
        v = se**2 + tau2
        mean = np.sum(y / v) / np.sum(1 / v)
        return -0.5 * (np.log(v).sum() + math.log(np.sum(1 / v)) + np.sum((y - mean) ** 2 / v))

    nearby = [found.tau2 * 0.99, found.tau2 * 1.01 + 1e-6 * float(se.min()) ** 2]
    assert restricted(found.tau2) >= max(map(restricted, nearby)) - 1e-9


def test_reml_settles_where_fishers_steps_turn_back_and_forth():
    y = [-0.11532, 1.40442, 2.52889, -0.18334, 0.55474, 0.97717]

    found = random_effects(y, [0.01, 2.0, 0.5, 2.0, 2.0, 2.0])

    # rma(y, sei = se, method = "REML", control = list(threshold = 1e-12, maxiter = 1e5))$tau2
    assert found.tau2 == pytest.approx(1.386611011, abs=1e-6)


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_hartung_knapp_covers_and_the_prediction_interval_holds_new_hospitals(tau):
    rng = np.random.default_rng(5)
    covered, held, runs = 0, 0, 300
    for _ in range(runs):
        se = rng.uniform(0.15, 0.4, 6)
        found = random_effects(rng.normal(1.0, np.hypot(tau, se)), se)
        interval, prediction = found.hartung_knapp.ci, found.prediction.hartung_knapp
        covered += interval.low < 1.0 < interval.high
        held += prediction.low < rng.normal(1.0, tau) < prediction.high

    assert covered / runs == pytest.approx(0.95, abs=0.04)
    assert held / runs > 0.88


def test_a_hospital_a_million_times_more_precise_decides_alone_without_losing_digits():
    found = random_effects([0.5, 0.9, 0.1], [1e-9, 1.0, 1.5])

    assert found.estimate == pytest.approx(0.5, abs=1e-9)
    assert found.tau2 == 0.0
    assert 0.0 <= found.i2 <= 1.0


def test_reml_that_does_not_settle_says_so(monkeypatch):
    monkeypatch.setattr(tau2, "MAX_ITERATIONS", 1)

    with pytest.raises(NotConvergedError):
        random_effects([-2, 1.5, 0.4, 3.2], [0.05, 0.1, 0.02, 0.2])


def test_where_no_step_increases_the_restricted_likelihood_the_iteration_ends(monkeypatch):
    expected = random_effects([-2, 1.5, 0.4], [0.05, 0.1, 0.2], Tau2Method.DERSIMONIAN_LAIRD)
    monkeypatch.setattr(tau2, "MAX_HALVINGS", 0)

    found = random_effects([-2, 1.5, 0.4], [0.05, 0.1, 0.2])

    assert found.tau2 == expected.tau2


def test_a_step_of_reml_that_overshoots_is_halved():
    y, variances = np.array([0.1, 0.9, 0.4]), np.array([0.04, 0.05, 0.02])

    reached = tau2._ascend(y, variances, 0.05, 1e6)

    assert tau2._restricted_loglik(y, variances, reached) >= tau2._restricted_loglik(y, variances, 0.05)
    assert reached < 1.0
