"""AUC, DeLong's variance and the paired difference, against pROC and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, auc
from heartify.stats.performance import auc_difference, compare_unnested_aucs, delong_auc


@pytest.mark.parametrize(("case", "digits"), [("model", None), ("ties", 1)])
def test_auc_and_its_interval_equal_proc(case, digits, split, referee):
    expected = referee["delong"][case]  # pROC::ci.auc(roc(y, scores), method = "delong")
    scores = split.p if digits is None else np.round(split.p, digits)

    found = delong_auc(scores, split.y)

    assert found.auc == pytest.approx(expected["auc"], abs=1e-12)
    assert found.se == pytest.approx(expected["se"], rel=1e-9)
    assert found.ci_low == pytest.approx(expected["ci_low"], abs=1e-10)
    assert found.ci_high == pytest.approx(expected["ci_high"], abs=1e-10)
    assert found.auc == pytest.approx(auc(scores, split.y), abs=1e-12)


def test_comparison_of_two_unnested_predictors_equals_proc(split, referee):
    expected = referee["unnested"]  # pROC::roc.test(roc(y, age), roc(y, sbp), method = "delong", paired = TRUE)

    found = compare_unnested_aucs(split.rows["sbp"], split.rows["age"], split.y)

    assert found.second.auc == pytest.approx(expected["first"], abs=1e-12)
    assert found.first.auc == pytest.approx(expected["second"], abs=1e-12)
    assert found.z == pytest.approx(expected["z"], abs=1e-9)
    assert found.p == pytest.approx(expected["p"], abs=1e-9)
    assert 10**found.log10_p == pytest.approx(found.p)


def test_interval_of_the_difference_equals_proc(split, referee):
    expected = referee["difference"]  # pROC::roc.test(roc(y, p_new), roc(y, p_base), method = "delong")$conf.int

    found = auc_difference(split.p_base, split.p, split.y)

    assert found.value == pytest.approx(expected["value"], abs=1e-12)
    assert found.ci_low == pytest.approx(expected["ci_low"], abs=1e-10)
    assert found.ci_high == pytest.approx(expected["ci_high"], abs=1e-10)


def test_the_difference_of_nested_models_comes_without_a_p_value():
    fields = set(
        type(auc_difference(np.array([1.0, 2, 3, 4]), np.array([2.0, 1, 3, 4]), np.array([0.0, 0, 1, 1]))).__slots__
    )

    assert fields == {"value", "se", "ci_low", "ci_high"}


def test_logit_interval_is_that_of_the_delta_method(split):
    found = delong_auc(split.p, split.y)

    centre, half = math.log(found.auc / (1 - found.auc)), 1.959963984540054 * found.se / (found.auc * (1 - found.auc))
    assert found.logit_ci_low == pytest.approx(1 / (1 + math.exp(half - centre)), abs=1e-12)
    assert found.logit_ci_high == pytest.approx(1 / (1 + math.exp(-half - centre)), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
@settings(max_examples=15, deadline=None)
def test_the_variance_equals_delongs_definition_under_ties(seed, levels):
    generator = np.random.default_rng(seed)
    y = np.concatenate(([0.0, 0.0, 1.0, 1.0], generator.integers(0, 2, 30)))
    scores = generator.integers(0, levels, y.size).astype(float)

    found = delong_auc(scores, y)

    events, nonevents = scores[y == 1][:, None], scores[y == 0][None, :]
    wins = (events > nonevents) + 0.5 * (events == nonevents)
    variance = wins.mean(axis=1).var(ddof=1) / events.size + wins.mean(axis=0).var(ddof=1) / nonevents.size
    assert found.auc == pytest.approx(wins.mean(), abs=1e-12)
    assert found.se == pytest.approx(math.sqrt(variance), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_order_of_rows_and_a_monotone_scale_do_not_matter(seed):
    generator = np.random.default_rng(seed)
    y = np.concatenate(([0.0, 0.0, 1.0, 1.0], generator.integers(0, 2, 60)))
    scores = generator.normal(size=y.size)
    order = generator.permutation(y.size)

    found, moved = delong_auc(scores, y), delong_auc(np.exp(scores[order]) * 7, y[order])

    assert moved.auc == pytest.approx(found.auc, abs=1e-12)
    assert moved.se == pytest.approx(found.se, abs=1e-12)


def test_the_interval_covers_a_known_auc():
    generator = np.random.default_rng(20261122)
    true = 0.7602499389065233  # Phi(1 / sqrt 2)
    hits = 0
    for _ in range(400):
        y = (np.arange(120) < 40).astype(float)
        found = delong_auc(generator.normal(size=120) + y, y)
        hits += found.logit_ci_low <= true <= found.logit_ci_high

    assert 0.92 <= hits / 400 <= 0.98


def test_perfect_separation_gives_a_point():
    found = delong_auc(np.array([1.0, 2, 3, 4]), np.array([0.0, 0, 1, 1]))

    assert (found.auc, found.se) == (1.0, 0.0)
    assert (found.ci_low, found.ci_high, found.logit_ci_low, found.logit_ci_high) == (1.0, 1.0, 1.0, 1.0)


def test_predictors_that_rank_alike_differ_by_nothing():
    scores, y = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0, 1, 1])

    found = compare_unnested_aucs(scores, scores * 2, y)

    assert (found.difference.value, found.z, found.p) == (0.0, 0.0, 1.0)


def test_a_difference_without_variance_is_refused():
    y = np.array([0.0, 0, 1, 1])

    with pytest.raises(DegenerateOutcomeError, match="variance"):
        compare_unnested_aucs(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1]), y)


@pytest.mark.parametrize("y", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 1, 1]])
def test_fewer_than_two_of_a_kind_are_refused(y):
    with pytest.raises(DegenerateOutcomeError):
        delong_auc(np.arange(4.0), np.array(y, dtype=float))


@pytest.mark.parametrize(
    ("scores", "y"),
    [
        ([1, 2, 3], [0, 1]),
        ([1, np.nan, 3, 4], [0, 0, 1, 1]),
        ([1, np.inf, 3, 4], [0, 0, 1, 1]),
        ([1, 2, 3, 4], [0, 2, 1, 1]),
    ],
)
def test_malformed_scores_are_refused(scores, y):
    with pytest.raises(InvalidBlockError):
        delong_auc(np.array(scores, dtype=float), np.array(y, dtype=float))
