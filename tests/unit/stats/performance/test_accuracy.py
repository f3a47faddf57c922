"""Brier score, log loss and R2, against rms::lrm and glm, and from sums that add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, fit_logistic
from heartify.stats.performance import brier_score, delong_auc, explained_variation, likelihood_r2, prediction_sums


@pytest.fixture(scope="module")
def fitted(cohort):
    terms = ("age", "male", "sbp", "chol", "smoker")
    X = np.column_stack([cohort[term] for term in terms])
    fit = fit_logistic(X, cohort["y"], terms)
    return fit, expit(fit.coef[0] + X @ fit.coef[1:])


def test_accuracy_and_explained_variation_equal_r(fitted, cohort, referee):
    expected = referee["accuracy"]  # rms::lrm(y ~ age + male + sbp + chol + smoker), glm for the log-likelihoods
    fit, p = fitted
    sums = prediction_sums(p, cohort["y"])

    score, r2 = brier_score(sums), explained_variation(sums)

    assert score.brier == pytest.approx(expected["brier"], abs=1e-10)
    assert score.scaled == pytest.approx(expected["scaled_brier"], abs=1e-10)
    assert score.log_loss == pytest.approx(expected["log_loss"], abs=1e-10)
    assert score.null_log_loss == pytest.approx(-expected["null_loglik"] / p.size, abs=1e-12)
    assert r2.cox_snell == pytest.approx(expected["cox_snell"], abs=1e-10)
    assert r2.nagelkerke == pytest.approx(expected["nagelkerke"], abs=1e-10)
    assert r2.mcfadden == pytest.approx(expected["mcfadden"], abs=1e-10)
    assert r2.tjur == pytest.approx(expected["tjur"], abs=1e-10)
    own = explained_variation(sums, fit.loglik)
    assert (own.nagelkerke, own.tjur) == (pytest.approx(r2.nagelkerke, abs=1e-10), r2.tjur)


def test_framingham_equals_the_published_reference(truth_fits):
    p, y, fit, expected = truth_fits

    score, found = brier_score(prediction_sums(p, y)), delong_auc(p, y)

    assert score.brier == pytest.approx(expected["brier"], abs=1e-9)
    assert [found.ci_low, found.ci_high] == pytest.approx(expected["auc_delong_ci95"], abs=1e-9)
    assert likelihood_r2(fit.loglik, fit.null_loglik, fit.n).nagelkerke == pytest.approx(
        expected["nagelkerke_r2"], abs=1e-9
    )
    assert explained_variation(prediction_sums(p, y)).tjur == pytest.approx(expected["tjur_r2"], abs=1e-9)


@pytest.fixture(scope="module")
def truth_fits(truth, read_columns):
    data = read_columns("framingham_4240.csv")
    expected = truth["framingham4240"]["logit"]
    complete = ~np.isnan(np.column_stack(list(data.values()))).any(axis=1)
    terms = list(expected["coef"])[1:]
    X, y = np.column_stack([data[t] for t in terms])[complete], data["TenYearCHD"][complete]
    fit = fit_logistic(X, y, terms)
    return expit(fit.coef[0] + X @ fit.coef[1:]), y, fit, expected


@pytest.mark.parametrize("cut", [1, 100, 599])
def test_sums_of_parts_merge_to_the_whole(cut, split):
    whole = prediction_sums(split.p, split.y)

    merged = prediction_sums(split.p[:cut], split.y[:cut]) + prediction_sums(split.p[cut:], split.y[cut:])

    assert (merged.n, merged.events) == (whole.n, whole.events)
    assert brier_score(merged).scaled == pytest.approx(brier_score(whole).scaled, abs=1e-12)
    assert explained_variation(merged).tjur == pytest.approx(explained_variation(whole).tjur, abs=1e-12)


def test_the_prevalence_for_everyone_explains_nothing(split):
    p = np.full(split.y.size, split.y.mean())

    sums = prediction_sums(p, split.y)

    assert brier_score(sums).scaled == pytest.approx(0.0, abs=1e-12)
    r2 = explained_variation(sums)
    assert [r2.cox_snell, r2.nagelkerke, r2.mcfadden, r2.tjur] == pytest.approx([0.0] * 4, abs=1e-12)


def test_a_certain_and_wrong_prediction_has_infinite_loss_and_finite_brier_score():
    sums = prediction_sums(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.0, 1.0]))

    assert math.isinf(brier_score(sums).log_loss)
    assert brier_score(sums).brier == pytest.approx(1.25 / 3)
    assert explained_variation(sums).cox_snell == -math.inf


def test_an_outcome_that_does_not_vary_is_refused():
    sums = prediction_sums(np.array([0.2, 0.3]), np.zeros(2))

    for function in (brier_score, explained_variation):
        with pytest.raises(DegenerateOutcomeError):
            function(sums)
    with pytest.raises(DegenerateOutcomeError):
        likelihood_r2(-1.0, 0.0, 10)


@pytest.mark.parametrize("p", [[0.1, 1.1], [-0.1, 0.2], [np.nan, 0.2], [0.5]])
def test_malformed_risks_are_refused(p):
    with pytest.raises(InvalidBlockError):
        prediction_sums(np.array(p), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("loglik", "null", "n"), [(1.0, -2.0, 5), (-1.0, 2.0, 5), (-1.0, -2.0, 0), (math.nan, -2.0, 5)]
)
def test_impossible_log_likelihoods_are_refused(loglik, null, n):
    with pytest.raises(InvalidBlockError):
        likelihood_r2(loglik, null, n)


def test_a_likelihood_far_below_the_null_has_no_lower_bound():
    assert likelihood_r2(-1e9, -1.0, 10).cox_snell == -math.inf
