"""Net benefit with its standard errors, and the thinned ROC curve."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, auc
from heartify.stats.performance import decision_curve, net_benefit_differences, roc_curve


def test_net_benefit_and_its_errors_equal_the_referee(split, referee):
    expected = referee["net_benefit"]  # TPR * prev - FPR * (1 - prev) * t / (1 - t); SE of 2000 bootstraps

    found = decision_curve(split.p, split.y, expected["threshold"])
    differences = net_benefit_differences(split.p_base, split.p, split.y, expected["threshold"])

    assert [point.model.value for point in found] == pytest.approx(expected["model"], abs=1e-12)
    assert [point.model.se for point in found] == pytest.approx(expected["model_boot_se"], rel=0.06)
    assert [p.standardised.se for p in found] == pytest.approx(expected["standardised_boot_se"], rel=0.06)
    assert [d.difference.se for d in differences] == pytest.approx(expected["difference_boot_se"], rel=0.06)
    for point, difference in zip(found, differences, strict=True):
        assert difference.new == point.model.value
        assert difference.difference.value == pytest.approx(difference.new - difference.base, abs=1e-14)
        assert point.standardised.value == pytest.approx(point.model.value / split.y.mean())


def test_net_benefit_at_a_given_prevalence_equals_the_referee(split, referee):
    expected = referee["net_benefit"]

    found = decision_curve(split.p, split.y, expected["threshold"], prevalence=0.05)

    assert [point.model.value for point in found] == pytest.approx(expected["at_prevalence_5"], abs=1e-12)
    assert [point.model.se for point in found] == pytest.approx(expected["at_prevalence_5_boot_se"], rel=0.06)
    assert found[0].treat_all == pytest.approx(0.05 - 0.95 * expected["threshold"][0] / (1 - expected["threshold"][0]))
    assert found[0].standardised.se == pytest.approx(found[0].model.se / 0.05)
    pair = net_benefit_differences(split.p_base, split.p, split.y, expected["threshold"], prevalence=0.05)
    assert pair[2].new == pytest.approx(expected["at_prevalence_5"][2], abs=1e-12)


def test_a_model_that_flags_everyone_equals_treat_all(split):
    (point,) = decision_curve(np.ones(split.y.size), split.y, [0.4])

    assert point.model.value == pytest.approx(point.treat_all, abs=1e-14)
    assert point.treat_none == 0.0


def test_a_risk_at_the_threshold_is_positive():
    y = np.array([1.0, 0.0])

    (point,) = decision_curve(np.array([0.5, 0.4]), y, [0.5])

    assert point.model.value == 0.5


@pytest.mark.parametrize(("thresholds", "prevalence"), [([], None), ([0.0], None), ([1.0], None), ([0.5], 1.0)])
def test_thresholds_and_prevalence_outside_are_refused(thresholds, prevalence, split):
    with pytest.raises(InvalidBlockError):
        decision_curve(split.p, split.y, thresholds, prevalence)
    with pytest.raises(InvalidBlockError):
        net_benefit_differences(split.p, split.p, split.y, thresholds, prevalence)


def test_an_outcome_that_does_not_vary_has_no_net_benefit_nor_curve():
    with pytest.raises(DegenerateOutcomeError):
        decision_curve(np.array([0.1, 0.2]), np.ones(2), [0.1])
    with pytest.raises(DegenerateOutcomeError):
        roc_curve(np.array([0.1, 0.2]), np.ones(2))


def test_the_roc_curve_has_its_ends_few_points_and_nearly_the_area(split):
    found = roc_curve(split.p, split.y)

    fpr = np.array([1 - point.specificity for point in found])
    tpr = np.array([point.sensitivity for point in found])
    assert len(found) <= 20
    assert (found[0].threshold, tpr[0], fpr[0]) == (np.inf, 0.0, 0.0)
    assert (tpr[-1], fpr[-1]) == (1.0, 1.0)
    assert (np.diff(tpr) >= 0).all()
    assert (np.diff(fpr) >= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(split.p, split.y), abs=0.01)


def test_each_point_is_what_its_threshold_says(split):
    for point in roc_curve(split.p, split.y, points=7):
        positive = split.p >= point.threshold
        assert point.sensitivity == pytest.approx(positive[split.y == 1].mean())
        assert point.specificity == pytest.approx(1 - positive[split.y == 0].mean())


def test_two_scores_make_three_vertices():
    found = roc_curve(np.array([1.0, 1, 2, 2]), np.array([0.0, 1, 0, 1]))

    assert [(point.sensitivity, point.specificity) for point in found] == [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]


@pytest.mark.parametrize("points", [1, 21])
def test_numbers_of_points_are_bounded(points, split):
    with pytest.raises(InvalidBlockError):
        roc_curve(split.p, split.y, points=points)
