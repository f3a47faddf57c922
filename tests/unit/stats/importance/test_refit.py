"""Weighted, warm-started fits of subsets against R's glm(weights = w) and against the kernel's own fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    fit_pooled_logistic,
)
from heartify.stats.importance import Refit, WeightedLogistic, climb, packed_sums


def test_case_weights_equal_r(blocks, names, cohort, referee):
    # w <- (7 * seq_len(n)) %% 4; glm(y ~ hospital + age + male + sbp + chol + noise - 1, binomial, weights = w)
    expected = referee["weighted"]
    all_weights = (7 * np.arange(1, 1201)) % 4
    weights = [all_weights[cohort["hospital"] == h].astype(float) for h in "abcd"]
    columns = [names.index(name) for name in ("age", "male", "sbp", "chol", "noise")]
    design = WeightedLogistic(blocks, names)

    found = design.fit(columns, weights)

    coef = found.slopes / design.sd[columns]
    intercepts = found.intercepts - coef @ design.mean[columns]
    np.testing.assert_allclose([*intercepts, *coef], list(expected["coef"].values()), rtol=1e-8)
    se = np.sqrt(np.diag(found.covariance)) / design.sd[columns]
    np.testing.assert_allclose(se, list(expected["se"].values())[4:], rtol=1e-7)
    assert found.loglik == pytest.approx(expected["loglik"], abs=1e-8)


def test_without_weights_it_is_the_pooled_fit(blocks, names):
    fit, design = fit_pooled_logistic(blocks, names), WeightedLogistic(blocks, names)

    found = design.fit(range(9))

    assert np.max(np.abs(found.slopes / design.sd - fit.term_coef) / fit.term_se) < 1e-8
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)) / design.sd, fit.term_se, rtol=1e-6)
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-9)


def test_no_columns_leave_the_hospitals_log_odds(blocks, names):
    found = WeightedLogistic(blocks, names).fit([])

    expected = [math.log(block.events / (block.n - block.events)) for block in blocks]
    np.testing.assert_allclose(found.intercepts, expected, rtol=1e-12)
    assert found.slopes.shape == (0,)


@pytest.mark.parametrize("columns", [(0, 1), (8,), (2, 3, 6, 7), tuple(range(9))])
def test_a_warm_start_changes_the_passes_and_not_the_result(blocks, names, columns):
    design = WeightedLogistic(blocks, names)
    full, half, none = design.fit(range(9)), design.fit([0, 4]), design.fit([])

    cold = design.fit(columns)
    warm, other, least = (design.fit(columns, start=start) for start in (full, half, none))

    for found in (warm, other, least):
        np.testing.assert_allclose(found.slopes, cold.slopes, atol=1e-9)
        assert found.loglik == pytest.approx(cold.loglik, abs=1e-9)
    assert warm.passes <= cold.passes


def test_a_warm_replicate_needs_at_most_three_passes(blocks, names):
    design = WeightedLogistic(blocks, names)
    rng = np.random.default_rng(0)
    weights = [np.bincount(rng.integers(0, n, n), minlength=n).astype(float) for n in design.rows]

    found = design.fit(range(9), weights, design.fit(range(9)), 1e-6)

    exact = design.fit(range(9), weights)
    assert found.passes <= 4
    assert np.max(np.abs(found.slopes - exact.slopes) / np.sqrt(np.diag(exact.covariance))) < 1e-5


def test_a_hospital_whose_outcome_does_not_vary_changes_nothing_for_the_slopes(blocks, names):
    silent = CohortBlock("e", blocks[0].X[:40], np.zeros(40))
    full = CohortBlock("f", blocks[1].X[:40], np.ones(40))
    unit = WeightedLogistic(blocks, names)

    found = WeightedLogistic([*blocks, silent, full], names)

    one, two = unit.fit(range(9)), found.fit(range(9))
    np.testing.assert_allclose(two.slopes / found.sd, one.slopes / unit.sd, rtol=1e-7)
    assert two.loglik == pytest.approx(one.loglik, abs=1e-9)
    assert list(two.intercepts[4:]) == [-np.inf, np.inf]


def test_a_hospital_without_weight_has_no_intercept(blocks, names):
    design = WeightedLogistic(blocks, names)
    weights = [np.zeros(design.rows[0]), *(np.ones(n) for n in design.rows[1:])]

    found = design.fit(range(9), weights)

    rest = WeightedLogistic(blocks[1:], names)
    np.testing.assert_allclose(found.slopes / design.sd, rest.fit(range(9)).slopes / rest.sd, rtol=1e-7)
    assert np.isnan(found.intercepts[0])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_repeated_rows_and_chunks_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(150, 2))
    y = (rng.random(150) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    weights = rng.integers(0, 4, 150)
    order = rng.permutation(150)
    whole = WeightedLogistic([CohortBlock("a", X, y)], ["u", "v"])
    shuffled = WeightedLogistic([CohortBlock("a", X[order], y[order])], ["u", "v"])
    repeated = CohortBlock("a", np.repeat(X, weights, axis=0), np.repeat(y, weights))

    found = whole.fit([0, 1], [weights.astype(float)])

    again = shuffled.fit([0, 1], [weights[order].astype(float)])
    copied = fit_pooled_logistic([repeated], ["u", "v"])
    np.testing.assert_allclose(again.slopes, found.slopes, atol=1e-9)
    np.testing.assert_allclose(found.slopes / whole.sd, copied.term_coef, rtol=1e-7, atol=1e-9)


def test_the_size_of_a_chunk_does_not_matter(blocks, names, monkeypatch):
    design = WeightedLogistic(blocks, names)
    found = design.fit(range(9))
    monkeypatch.setattr(packed_sums, "CHUNK_ROWS", 37)

    again = design.fit(range(9))

    np.testing.assert_allclose(again.slopes, found.slopes, rtol=1e-11, atol=1e-13)


def rows(n=120):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 2)), rng


def test_separation_is_proved():
    X, _ = rows()
    y = (X[:, 0] + X[:, 1] > 0.1).astype(float)

    with pytest.raises(SeparationError):
        WeightedLogistic([CohortBlock("a", X, y)], ["u", "v"]).fit([0, 1])


def test_quasi_separation_by_the_weights_alone_is_proved():
    X, rng = rows()
    X[:, 1] = rng.random(120) < 0.2
    y = (rng.random(120) < 0.5).astype(float)
    weights = np.where((X[:, 1] == 1) & (y == 0), 0.0, 1.0)
    design = WeightedLogistic([CohortBlock("a", X, y)], ["u", "v"])

    with pytest.raises(SeparationError):
        design.fit([0, 1], [weights], design.fit([0, 1]), 1e-6)


@pytest.mark.parametrize("copy", [lambda u: 3 * u - 1, lambda u: u + 1e-9 * np.sin(1000 * u)])
def test_dependent_columns_are_refused(copy):
    X, rng = rows()
    X[:, 1] = copy(X[:, 0])
    y = (rng.random(120) < 0.5).astype(float)

    with pytest.raises(RankDeficientError):
        WeightedLogistic([CohortBlock("a", X, y)], ["u", "v"]).fit([0, 1])


def test_a_column_that_only_tells_hospitals_apart_is_refused():
    X, rng = rows()
    y = (rng.random(120) < 0.5).astype(float)
    X[:60, 1], X[60:, 1] = 0.1, 0.7
    design = WeightedLogistic([CohortBlock("a", X[:60], y[:60]), CohortBlock("b", X[60:], y[60:])], ["u", "v"])

    with pytest.raises(RankDeficientError):
        design.fit([0, 1])
    assert design.fit([0]).slopes.shape == (1,)


def test_an_outcome_that_does_not_vary_is_refused():
    X, _ = rows()
    design = WeightedLogistic([CohortBlock("a", X, np.ones(120))], ["u", "v"])

    with pytest.raises(DegenerateOutcomeError):
        design.fit([0])
    with pytest.raises(DegenerateOutcomeError):
        design.null_loglik()


@pytest.mark.parametrize("weights", [[np.ones(3)], [np.ones(120), np.ones(1)], [-np.ones(120)], [np.full(120, np.nan)]])
def test_weights_that_do_not_fit_are_refused(weights):
    X, rng = rows()
    design = WeightedLogistic([CohortBlock("a", X, (rng.random(120) < 0.5).astype(float))], ["u", "v"])

    with pytest.raises(InvalidBlockError):
        design.fit([0], weights)


def test_an_iteration_that_ends_too_early_says_so(blocks, names, monkeypatch):
    monkeypatch.setattr(climb, "MAX_STEPS", 1)

    with pytest.raises(NotConvergedError):
        WeightedLogistic(blocks, names).fit(range(9))


def test_a_start_from_which_nothing_can_be_reached_is_given_up_for_a_cold_one(blocks, names):
    design = WeightedLogistic(blocks, names)
    cold = design.fit([0, 1])
    absurd = Refit(np.array([0, 1]), np.array([1e6, -1e6]), np.eye(2), np.zeros(4), 0.0, 0)
    far = Refit(np.array([0, 1]), np.array([2.5, -2.5]), np.eye(2), np.zeros(4), 0.0, 0)

    found = [design.fit([0, 1], start=start) for start in (absurd, far)]

    for fit in found:
        np.testing.assert_allclose(fit.slopes, cold.slopes, atol=1e-9)


def test_a_step_that_never_increases_the_likelihood_is_no_maximum(blocks, names, monkeypatch):
    monkeypatch.setattr(climb, "MAX_HALVINGS", 0)

    with pytest.raises(NotConvergedError):
        WeightedLogistic(blocks, names).fit(range(9))


def test_a_standard_error_out_of_all_proportion_is_taken_for_separation(blocks, names, monkeypatch):
    monkeypatch.setattr(climb, "SE_EXPLOSION", 0.1)

    with pytest.raises(SeparationError):
        WeightedLogistic(blocks, names).fit(range(9))


def test_columns_that_are_nearly_alike_are_fitted_as_the_pooled_fit_does():
    X, rng = rows()
    X[:, 1] = X[:, 0] + 1e-3 * X[:, 1]
    block = CohortBlock("a", X, (rng.random(120) < 0.5).astype(float))
    expected = fit_pooled_logistic([block], ["u", "v"])
    design = WeightedLogistic([block], ["u", "v"])

    found = design.fit([0, 1])

    np.testing.assert_allclose(found.slopes / design.sd, expected.term_coef, rtol=1e-6)


def test_dependent_columns_are_refused_from_a_warm_start_too():
    X, rng = rows()
    X[:, 1] = X[:, 0]
    design = WeightedLogistic([CohortBlock("a", X, (rng.random(120) < 0.5).astype(float))], ["u", "v"])

    with pytest.raises(RankDeficientError):
        design.fit([0, 1], start=design.fit([0]))
