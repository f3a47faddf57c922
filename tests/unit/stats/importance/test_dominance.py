"""Shapley shares: against games solved by hand, and R2 shares against R's glm over all 128 subsets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, fit_pooled_logistic
from heartify.stats.importance import (
    R2Measure,
    Term,
    WeightedLogistic,
    dominance,
    exact_dominance,
    logistic_dominance,
    r_squared,
    sampled_dominance,
    single_column_terms,
)
from heartify.stats.importance.dominance import LogisticWorth


def glove(subset):
    """One left glove, two right gloves, a pair is worth 1: Shapley values 2/3, 1/6, 1/6."""
    return float(0 in subset and (1 in subset or 2 in subset))


def test_the_glove_game_has_its_known_values():
    found = exact_dominance(glove, 3)

    np.testing.assert_allclose(found.general, [2 / 3, 1 / 6, 1 / 6], rtol=1e-12)
    np.testing.assert_allclose(found.conditional, [[0, 0, 0], [1, 0.5, 0.5], [1, 0, 0]], atol=1e-12)
    assert found.complete.tolist() == [[False, True, True], [False] * 3, [False] * 3]
    assert (found.nothing, found.total) == (0.0, 1.0)


def test_sampled_shares_sum_exactly_and_tend_to_the_exact_ones():
    rng = np.random.default_rng(2)
    worth = rng.normal(size=7)

    def value(subset):
        return float(sum(worth[list(subset)]) ** 2)

    exact = exact_dominance(value, 7)
    found = sampled_dominance(value, 7, 400, rng)

    assert found.general.sum() == pytest.approx(exact.total, rel=1e-10)
    assert found.orders == 800
    assert (np.abs(found.general - exact.general) < 4 * found.monte_carlo_se + 1e-9).all()


def test_antithetic_orders_are_exact_for_pairwise_games():
    def value(subset):
        return float(len(subset) ** 2)

    found = sampled_dominance(value, 5, 2, np.random.default_rng(0))

    np.testing.assert_allclose(found.general, 5.0, rtol=1e-12)
    np.testing.assert_allclose(found.monte_carlo_se, 0.0, atol=1e-12)


@pytest.mark.parametrize("k", [0, 17])
def test_a_number_of_terms_out_of_bounds_is_refused(k):
    with pytest.raises(InvalidBlockError):
        exact_dominance(glove, k)


@pytest.mark.parametrize(("k", "pairs"), [(0, 5), (3, 1)])
def test_sampling_too_little_is_refused(k, pairs):
    with pytest.raises(InvalidBlockError):
        sampled_dominance(glove, k, pairs, np.random.default_rng(0))


@pytest.mark.parametrize("measure", R2Measure)
def test_shares_of_r2_equal_r(blocks, names, terms, referee, measure):
    expected = referee["dominance"]["measures"][measure.value]

    found = logistic_dominance(blocks, names, terms, measure=measure)

    np.testing.assert_allclose(found.gain, list(expected["gain"].values()), atol=1e-10)
    assert found.base_r2 == pytest.approx(expected["base"], abs=1e-10)
    assert found.full_r2 == pytest.approx(expected["full"], abs=1e-10)
    assert found.gain.sum() == pytest.approx(found.full_r2 - found.base_r2, rel=1e-12)
    assert found.share.sum() == pytest.approx(1.0, rel=1e-12)
    assert found.monte_carlo_se is None


def test_a_scaled_factor_shuffled_rows_and_reordered_hospitals_keep_their_shares(blocks, names, terms):
    rng = np.random.default_rng(3)
    unit = np.array([1e3, 1, 1e-2, 1e2, 1, 1, 1, 1, 1e5])
    other = []
    for block in reversed(blocks):
        order = rng.permutation(block.n)
        other.append(CohortBlock(block.name, block.X[order] * unit, block.y[order]))
    found = logistic_dominance(blocks, names, terms[:4])

    again = logistic_dominance(other, names, terms[:4])

    np.testing.assert_allclose(again.gain, found.gain, atol=1e-11)


def test_columns_of_no_term_stay_in_every_model(blocks, names, terms):
    fit = fit_pooled_logistic([CohortBlock(b.name, b.X[:, [4, 5]], b.y) for b in blocks], ["chol", "smoker"])
    kept = [CohortBlock(b.name, b.X[:, [4, 5, 0]], b.y) for b in blocks]

    found = logistic_dominance(kept, ["chol", "smoker", "age"], [Term("age", (2,))])

    assert found.base_r2 == pytest.approx(1 - fit.loglik / fit.null_loglik, abs=1e-10)


def test_symmetric_terms_get_equal_shares_and_noise_gets_next_to_none():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(400, 3))
    twin = X[:, [1, 0, 2]]
    y = np.concatenate([(rng.random(400) < 1 / (1 + np.exp(-X[:, 0] - X[:, 1]))).astype(float)] * 2)
    block = CohortBlock("a", np.vstack([X, twin]), y)

    found = logistic_dominance([block], ["u", "v", "noise"], single_column_terms(["u", "v", "noise"]))

    assert found.gain[0] == pytest.approx(found.gain[1], rel=1e-9)
    assert abs(found.share[2]) < 0.02
    assert found.complete[0, 2]
    assert found.complete[1, 2]


def many(k, seed=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, k)) + rng.normal(size=(300, 1)) * 0.5
    y = (rng.random(300) < 1 / (1 + np.exp(-X[:, 0] + 0.5 * X[:, 1]))).astype(float)
    names = [f"x{j}" for j in range(k)]
    return [CohortBlock("a", X[:150], y[:150]), CohortBlock("b", X[150:], y[150:])], names


def test_more_than_ten_terms_are_sampled_with_their_monte_carlo_error(monkeypatch):
    blocks, names = many(6)
    terms = single_column_terms(names)
    exact = logistic_dominance(blocks, names, terms)
    monkeypatch.setattr(dominance, "EXACT_TERMS", 5)
    monkeypatch.setattr(dominance, "KEPT_FITS", 8)

    found = logistic_dominance(blocks, names, terms, rng=np.random.default_rng(6), pairs=30)

    assert found.gain.sum() == pytest.approx(exact.full_r2 - exact.base_r2, rel=1e-8)
    assert (np.abs(found.gain - exact.gain) < 4 * found.monte_carlo_se + 1e-6).all()
    assert (found.conditional, found.complete) == (None, None)


def test_more_than_ten_terms_without_a_generator_are_refused():
    blocks, names = many(11)

    with pytest.raises(InvalidBlockError):
        logistic_dominance(blocks, names, single_column_terms(names))


def test_a_hospital_without_events_is_no_obstacle(blocks, names, terms):
    silent = CohortBlock("e", blocks[0].X[:30], np.zeros(30))

    found = logistic_dominance([*blocks, silent], names, terms[:3])

    assert found.share.sum() == pytest.approx(1.0)


def test_r_squared_of_the_null_model_is_zero_and_nagelkerke_reaches_one():
    l0 = 100 * math.log(0.5)

    assert all(r_squared(measure, l0, l0, 100) == 0.0 for measure in R2Measure)
    assert r_squared(R2Measure.NAGELKERKE, 0.0, l0, 100) == pytest.approx(1.0)


def test_terms_that_do_not_fit_are_refused(blocks, names):
    with pytest.raises(InvalidBlockError):
        LogisticWorth(WeightedLogistic(blocks, names), [Term("u", (9,))], R2Measure.MCFADDEN)


def test_terms_without_any_gain_have_no_shares():
    block = CohortBlock("a", np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([0.0, 0.0, 1.0, 1.0]))

    found = logistic_dominance([block], ["u"], [Term("u", (0,))])

    assert abs(found.full_r2) < 1e-15
    assert np.isfinite(found.share).all()
