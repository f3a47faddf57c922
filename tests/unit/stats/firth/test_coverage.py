"""Simulations, seeded and bounded: intervals cover as they say, and Firth is less biased under rare events."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, SeparationError, fit_pooled_logistic
from heartify.stats.firth import fit_firth, penalised_profile_interval
from heartify.stats.inference import profile_interval

Z = 1.959963984540054


def _hospitals(rng, n, intercepts, slopes):
    blocks = []
    for name, intercept in zip("ab", intercepts, strict=True):
        X = np.column_stack([rng.normal(size=n), (rng.random(n) < 0.3).astype(float)])
        y = rng.random(n) < 1 / (1 + np.exp(-(intercept + X @ slopes)))
        blocks.append(CohortBlock(name, X, y))
    return blocks


def test_intervals_of_maximum_likelihood_cover_nineteen_times_in_twenty():
    rng, slopes = np.random.default_rng(20261122), np.array([0.5, -0.7])
    wald = profile = 0
    runs = 120

    for _ in range(runs):
        blocks = _hospitals(rng, 150, (-0.5, 0.3), slopes)
        fit = fit_pooled_logistic(blocks, ["x", "z"])
        interval = profile_interval(blocks, fit, "x")
        wald += abs(fit.coef[1] - slopes[0]) < Z * fit.se[1]
        profile += interval.ci_low < slopes[0] < interval.ci_high

    # Three binomial standard deviations of 120 runs: 0.06.
    assert wald / runs == pytest.approx(0.95, abs=0.06)
    assert profile / runs == pytest.approx(0.95, abs=0.06)


def test_firths_profile_intervals_cover_under_rare_events():
    rng, slopes = np.random.default_rng(20261123), np.array([0.8, 1.0])
    covered, runs = 0, 60

    for _ in range(runs):
        blocks = _hospitals(rng, 60, (-3.0, -2.5), slopes)
        interval = penalised_profile_interval(blocks, fit_firth(blocks, ["x", "z"]), "z")
        covered += interval.ci_low < slopes[1] < interval.ci_high

    assert covered / runs == pytest.approx(0.95, abs=0.085)  # three binomial standard deviations


def test_firth_halves_the_bias_of_maximum_likelihood_under_rare_events():
    rng, slopes = np.random.default_rng(20261124), np.array([0.8, 1.0])
    likelihood, firth = [], []

    for _ in range(120):
        blocks = _hospitals(rng, 60, (-2.6, -2.2), slopes)
        try:
            likelihood.append(fit_pooled_logistic(blocks, ["x", "z"]).term_coef)
        except SeparationError:
            continue  # maximum likelihood is infinite here, which would only add to its bias
        firth.append(fit_firth(blocks, ["x", "z"]).estimates.term_coef)

    bias_likelihood = np.mean(likelihood, axis=0) - slopes
    bias_firth = np.mean(firth, axis=0) - slopes
    assert bias_likelihood[0] > 0.05
    assert abs(bias_firth[0]) < 0.5 * bias_likelihood[0]
