"""Calibration in the large, slope, groups and the flexible curve, against glm and Hmisc."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, RankDeficientError, SeparationError
from heartify.stats.performance import (
    calibration,
    calibration_groups,
    calibration_in_the_large,
    flexible_calibration,
)


def test_recalibration_equals_glm(split, referee):
    expected = referee["calibration"]  # glm(y ~ offset(qlogis(p)), binomial); glm(y ~ qlogis(p), binomial)

    found = calibration(split.p, split.y)

    assert found.in_the_large.value == pytest.approx(expected["in_the_large"], abs=1e-9)
    assert found.in_the_large.se == pytest.approx(expected["in_the_large_se"], rel=1e-8)
    assert found.intercept.value == pytest.approx(expected["intercept"], abs=1e-9)
    assert found.intercept.se == pytest.approx(expected["intercept_se"], rel=1e-8)
    assert found.slope.value == pytest.approx(expected["slope"], abs=1e-9)
    assert found.slope.se == pytest.approx(expected["slope_se"], rel=1e-8)
    assert found.observed_expected.value == pytest.approx(expected["o_e"], abs=1e-10)
    assert found.observed_expected.ci_low < expected["o_e"] < found.observed_expected.ci_high
    assert calibration_in_the_large(split.p, split.y) == found.in_the_large


def test_groups_equal_r(split, referee):
    expected = referee["groups"]  # cut(p, unique(quantile(p, (1:9) / 10, type = 1))); binconf(method = "wilson")

    found = calibration_groups(split.p, split.y)

    assert [group.n for group in found] == expected["n"]
    assert [group.events for group in found] == expected["events"]
    for field in ("mean_predicted", "ci_low", "ci_high"):
        assert [getattr(group, field) for group in found] == pytest.approx(expected[field], abs=1e-10)
    assert all(group.observed == group.events / group.n for group in found)


def test_equal_predictions_stay_in_one_group():
    p = np.array([0.1] * 70 + [0.2] * 10 + [0.9] * 20)
    y = (np.arange(100) % 3 == 0).astype(float)

    found = calibration_groups(p, y)

    assert [group.n for group in found] == [70, 10, 20]


def test_flexible_curve_equals_r(split, referee):
    expected = referee["flexible"]  # glm(y ~ Hmisc::rcspline.eval(qlogis(p), knots, inclx = TRUE), binomial)

    found = flexible_calibration(split.p, split.y)

    assert found.knots == pytest.approx(expected["knots"], abs=1e-9)
    for field in ("ici", "e50", "e90", "e_max"):
        assert getattr(found, field) == pytest.approx(expected[field], abs=1e-8)
    for field in ("predicted", "observed", "ci_low", "ci_high"):
        assert [getattr(point, field) for point in found.points] == pytest.approx(expected[field], abs=1e-7)


def test_flexible_curve_at_given_risks_is_the_same_curve(split, referee):
    expected = referee["flexible"]

    found = flexible_calibration(split.p, split.y, at=np.array(expected["predicted"][3:6]))

    assert [point.predicted for point in found.points] == pytest.approx(expected["predicted"][3:6], abs=1e-12)
    assert [point.observed for point in found.points] == pytest.approx(expected["observed"][3:6], abs=1e-8)


def test_flexible_curve_finds_a_known_distortion():
    generator = np.random.default_rng(7)
    log_odds = generator.normal(size=20_000)
    truth = expit(0.4 + 0.5 * log_odds)
    y = (generator.random(20_000) < truth).astype(float)

    found = flexible_calibration(expit(log_odds), y)

    assert found.ici == pytest.approx(np.abs(truth - expit(log_odds)).mean(), abs=0.01)
    assert found.e50 <= found.e90 <= found.e_max


@pytest.mark.parametrize(("values", "knots"), [([0.2, 0.8], 2), ([0.2, 0.5, 0.8], 3)])
def test_ties_among_knots_lower_their_number(values, knots):
    generator = np.random.default_rng(3)
    p = generator.choice(values, size=300)
    y = (generator.random(300) < p).astype(float)

    found = flexible_calibration(p, y)

    assert len(found.knots) == knots
    assert found.e_max < 0.2


def test_order_of_rows_does_not_matter(split):
    order = np.random.default_rng(1).permutation(split.y.size)

    found, moved = calibration(split.p, split.y), calibration(split.p[order], split.y[order])

    assert moved.slope.value == pytest.approx(found.slope.value, abs=1e-10)
    groups = zip(calibration_groups(split.p[order], split.y[order]), calibration_groups(split.p, split.y), strict=True)
    assert all((a.n, a.events) == (b.n, b.events) for a, b in groups)
    curve = flexible_calibration(split.p[order], split.y[order])
    assert curve.e90 == pytest.approx(flexible_calibration(split.p, split.y).e90, abs=1e-9)


def test_the_slope_interval_covers_one_when_the_risks_are_true():
    generator = np.random.default_rng(11)
    hits = 0
    for _ in range(200):
        p = expit(generator.normal(-1.0, 1.0, size=300))
        found = calibration(p, (generator.random(300) < p).astype(float))
        hits += found.slope.ci_low <= 1.0 <= found.slope.ci_high

    assert 0.90 <= hits / 200 <= 0.99


def test_equal_predictions_have_no_slope_but_an_intercept():
    p, y = np.full(10, 0.5), np.array([1.0] * 3 + [0.0] * 7)

    with pytest.raises(RankDeficientError):
        calibration(p, y)
    with pytest.raises(RankDeficientError):
        flexible_calibration(p, y)
    assert calibration_in_the_large(p, y).value == pytest.approx(np.log(3 / 7))


def test_predictions_that_separate_have_no_slope():
    with pytest.raises(SeparationError):
        calibration(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0, 1, 1]))


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_risk_of_zero_or_one_is_refused_by_the_slope_and_not_by_the_groups(certain):
    p, y = np.array([certain, 0.3, 0.6, 0.5]), np.array([0.0, 1, 0, 1])

    with pytest.raises(InvalidBlockError, match="exactly 0 or 1"):
        calibration(p, y)
    assert sum(group.n for group in calibration_groups(p, y)) == 4


def test_nobody_with_the_event_is_refused():
    p, y = np.array([0.1, 0.3, 0.6]), np.zeros(3)

    for function in (calibration, calibration_in_the_large, calibration_groups, flexible_calibration):
        with pytest.raises(DegenerateOutcomeError):
            function(p, y)


@pytest.mark.parametrize("count", [1, 11])
def test_numbers_of_groups_and_points_are_bounded(count, split):
    with pytest.raises(InvalidBlockError):
        calibration_groups(split.p, split.y, groups=count)
    with pytest.raises(InvalidBlockError):
        flexible_calibration(split.p, split.y, points=count * 10 - 9 if count == 1 else 21)
    with pytest.raises(InvalidBlockError, match="outside"):
        calibration_groups(split.p + 1.0, split.y)
