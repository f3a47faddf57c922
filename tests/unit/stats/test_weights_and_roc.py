from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, auc, fit_logistic, weights
from heartify.stats.factor_weights import build_effect
from heartify.stats.intervals import log_two_sided_p


@pytest.fixture
def fit():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 2))
    return fit_logistic(X, (rng.random(300) < 1 / (1 + np.exp(-X[:, 0]))).astype(float), ["u", "v"])


def test_a_weight_is_the_coefficient_on_both_scales(fit):
    found = weights(fit, np.array([2.0, 0.5]))

    first = found[0]
    assert [weight.factor for weight in found] == ["u", "v"]
    assert first.per_unit.beta == fit.coef[1]
    assert first.per_sd.beta == 2.0 * fit.coef[1]
    assert first.per_sd.se == 2.0 * fit.se[1]
    assert first.z == fit.coef[1] / fit.se[1]
    assert first.p == pytest.approx(2 * norm.sf(abs(first.z)), rel=1e-12)
    assert first.per_unit.ci_high == pytest.approx(fit.coef[1] + 1.959963984540054 * fit.se[1], rel=1e-14)
    assert first.per_unit.ratio_ci_low == pytest.approx(math.exp(first.per_unit.ci_low), rel=1e-14)


@pytest.mark.parametrize("sd", [np.array([1.0]), np.array([1.0, 0.0]), np.array([1.0, np.nan])])
def test_an_impossible_sd_is_refused(fit, sd):
    with pytest.raises(InvalidBlockError):
        weights(fit, sd)


def test_p_is_exact_where_r_prints_it_and_where_a_double_underflows():
    # R: log(2) + pnorm(-60.4675018899351, log.p = TRUE) = -1832.4835...; p of z = 37.3078729918852 is 1.223e-304.
    assert math.exp(log_two_sided_p(37.3078729918852)) == pytest.approx(1.22318949012818e-304, rel=1e-9)
    far = log_two_sided_p(-60.4675018899351)
    mills = -(60.4675018899351**2) / 2 - math.log(60.4675018899351 * math.sqrt(2 * math.pi)) + math.log(2)
    assert far == pytest.approx(mills - 1 / 60.4675018899351**2, abs=1e-6)


def test_a_ratio_past_a_double_is_infinite_not_wrong():
    effect = build_effect(800.0, 1.0)

    assert effect.ratio == math.inf
    assert build_effect(-800.0, 1.0).ratio == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_auc_equals_scikit_learn_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores, y = rng.integers(0, 9, 500).astype(float), rng.integers(0, 2, 500).astype(float)

    assert auc(scores, y) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


def test_auc_counts_ties_half():
    assert auc(np.array([1.0, 1.0, 2.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])) == 3.5 / 4
    assert auc(np.zeros(4), np.array([1.0, 0.0, 1.0, 0.0])) == 0.5


def test_auc_without_cases_or_controls_is_refused():
    with pytest.raises(DegenerateOutcomeError):
        auc(np.arange(3.0), np.ones(3))


@pytest.mark.parametrize(
    ("scores", "y"),
    [
        (np.arange(3.0), np.ones(2)),
        (np.array([0.0, np.nan]), np.array([0.0, 1.0])),
        (np.arange(2.0), np.array([0.0, 0.5])),
        (np.ones((2, 2)), np.ones((2, 2))),
    ],
)
def test_malformed_scores_are_refused(scores, y):
    with pytest.raises(InvalidBlockError):
        auc(scores, y)
