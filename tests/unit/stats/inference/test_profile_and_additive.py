"""Profile-likelihood intervals and additive interaction against R (tests/vectors/statistics/inference.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, NotConvergedError, fit_logistic, fit_pooled_logistic
from heartify.stats.inference import additive_interaction, profile_interval, sandwich_covariance
from heartify.stats.inference.profile import ConstrainedMaximum, interval_from_profile

TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


def test_profile_bounds_equal_a_root_search_by_r(blocks, fit, expected):
    # R: uniroot on glm.fit(X[, -k], y, offset = v * X[, k])$deviance - deviance(full) - qchisq(0.95, 1)
    intervals = [profile_interval(blocks, fit, name) for name in fit.names]

    low, high = np.array([[found.ci_low, found.ci_high] for found in intervals]).T
    assert np.max(np.abs(low - expected["profile"]["low"]) / fit.se) < 1e-7
    assert np.max(np.abs(high - expected["profile"]["high"]) / fit.se) < 1e-7


def test_profile_bounds_agree_with_confint(blocks, fit, expected):
    # R: confint(full), which interpolates the profile: hence not tighter
    found = profile_interval(blocks, fit, "sbp")

    index = fit.names.index("sbp")
    assert abs(found.ci_low - expected["profile"]["confint_low"][index]) < 1e-3 * fit.se[index]
    assert abs(found.ci_high - expected["profile"]["confint_high"][index]) < 1e-3 * fit.se[index]


def test_a_single_intercept_has_a_profile():
    # Without factors the profile of the log odds is binomial: 2 (l(7/20) - l(p)) = qchisq(0.95, 1).
    y = np.array([1.0] * 7 + [0.0] * 13)
    fit = fit_logistic(np.zeros((20, 0)), y, [])

    found = profile_interval([CohortBlock("all", np.zeros((20, 0)), y)], fit, "(Intercept)")

    for bound in (found.ci_low, found.ci_high):
        p = 1 / (1 + np.exp(-bound))
        drop = 2 * (7 * np.log(7 / 20 / p) + 13 * np.log(13 / 20 / (1 - p)))
        assert drop == pytest.approx(3.841458820694124, rel=1e-8)


def test_a_wider_level_gives_a_wider_interval_around_the_same_estimate(blocks, fit):
    narrow, wide = (profile_interval(blocks, fit, "age", level) for level in (0.8, 0.99))

    assert wide.ci_low < narrow.ci_low < narrow.estimate < narrow.ci_high < wide.ci_high


def test_a_profile_scales_with_the_unit(blocks, fit):
    scaled = [CohortBlock(b.name, b.X * np.array([1, 1, 0.133322, 1, 1, 1]), b.y) for b in blocks]

    found = profile_interval(scaled, fit_pooled_logistic(scaled, TERMS), "sbp")

    assert found.ci_high * 0.133322 == pytest.approx(profile_interval(blocks, fit, "sbp").ci_high, rel=1e-7)


def test_a_profile_that_never_falls_has_infinite_bounds():
    def flat(value, near, near_value):
        return ConstrainedMaximum(near.parameters, -1.0 + 1.0 / (1.0 + value**2), -2.0 * value / (1.0 + value**2) ** 2)

    found = interval_from_profile(flat, ConstrainedMaximum(np.zeros(1), 0.0, 0.0), "x", 0.0, 1.0, 0.95)

    assert (found.ci_low, found.ci_high) == (-np.inf, np.inf)


def test_a_profile_that_fails_far_out_is_followed_from_nearer():
    def parabola_with_an_edge(value, near, near_value):
        if abs(value) > 1.97:
            raise NotConvergedError("too far")
        return ConstrainedMaximum(near.parameters, -(value**2) / 2.0, -value)

    peak = ConstrainedMaximum(np.zeros(1), 0.0, 0.0)
    found = interval_from_profile(parabola_with_an_edge, peak, "x", 0.0, 1.1, 0.95)

    assert found.ci_high == pytest.approx(1.959963984540054, rel=1e-9)
    assert found.ci_low == pytest.approx(-1.959963984540054, rel=1e-9)


def test_a_profile_that_always_fails_is_refused():
    def broken(value, near, near_value):
        raise NotConvergedError("never")

    with pytest.raises(NotConvergedError):
        interval_from_profile(broken, ConstrainedMaximum(np.zeros(1), 0.0, 0.0), "x", 0.0, 1.0, 0.95)


def test_a_search_that_does_not_end_is_refused(blocks, fit, monkeypatch):
    monkeypatch.setattr("heartify.stats.inference.profile.MAX_EVALUATIONS", 1)

    with pytest.raises(NotConvergedError, match="not found"):
        profile_interval(blocks, fit, "age")


def test_unknown_coefficients_levels_and_blocks_are_refused(blocks, fit):
    with pytest.raises(InvalidBlockError, match="no coefficient"):
        profile_interval(blocks, fit, "weight")
    with pytest.raises(InvalidBlockError, match="level"):
        profile_interval(blocks, fit, "age", 1.0)
    with pytest.raises(InvalidBlockError, match="other blocks"):
        profile_interval(blocks[:2], fit, "age")


@pytest.fixture(scope="module")
def additive_fit(blocks):
    products = [CohortBlock(b.name, np.column_stack([b.X[:, [1, 4, 0]], b.X[:, 1] * b.X[:, 4]]), b.y) for b in blocks]
    return products, fit_pooled_logistic(products, ["male", "smoker", "age", "male:smoker"])


def test_additive_interaction_equals_the_delta_method_by_r(additive_fit, expected):
    # R: deriv(~ exp(b1 + b2 + b3) - exp(b1) - exp(b2) + 1, ...), glm(y ~ male * smoker + age + hospital, binomial)
    _, fit = additive_fit
    wanted = expected["additive"]

    found = additive_interaction(fit, "male", "smoker", "male:smoker")

    assert found.reri.estimate == pytest.approx(wanted["reri"]["estimate"], abs=1e-7)
    assert found.reri.se == pytest.approx(wanted["reri"]["se"], rel=1e-6)
    assert found.attributable_proportion.estimate == pytest.approx(wanted["share"]["estimate"], abs=1e-7)
    assert found.attributable_proportion.se == pytest.approx(wanted["share"]["se"], rel=1e-6)
    assert found.synergy is not None
    assert np.log(found.synergy.estimate) == pytest.approx(wanted["log_synergy"]["estimate"], abs=1e-7)
    assert found.synergy.se == pytest.approx(wanted["log_synergy"]["se"], rel=1e-6)


def test_a_robust_covariance_changes_the_interval_only(additive_fit):
    blocks, fit = additive_fit
    robust = sandwich_covariance(blocks, fit).covariance

    plain, other = (additive_interaction(fit, "male", "smoker", "male:smoker", V) for V in (None, robust))

    assert plain.reri.estimate == other.reri.estimate
    assert plain.reri.se != other.reri.se


def test_synergy_is_withheld_where_a_factor_protects(blocks):
    flipped = [
        CohortBlock(b.name, np.column_stack([1 - b.X[:, [1, 4]], (1 - b.X[:, 1]) * (1 - b.X[:, 4])]), b.y)
        for b in blocks
    ]
    fit = fit_pooled_logistic(flipped, ["female", "non-smoker", "both"])
    assert (fit.coef[1:3] < 0).all()

    found = additive_interaction(fit, "female", "non-smoker", "both")

    assert found.synergy is None


def test_additive_interaction_needs_three_coefficients_and_a_fitting_covariance(additive_fit):
    _, fit = additive_fit

    with pytest.raises(InvalidBlockError):
        additive_interaction(fit, "male", "smoker", "smoker")
    with pytest.raises(InvalidBlockError, match="another shape"):
        additive_interaction(fit, "male", "smoker", "male:smoker", np.eye(2))
