"""Resampling within hospitals, intervals and ranks: against R's quantile and rank, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, NotConvergedError, SeparationError, fit_pooled_logistic
from heartify.stats.importance import (
    BootstrapDraws,
    R2Measure,
    Term,
    bootstrap,
    bootstrap_weights,
    draw_weights,
    logistic_dominance,
    partial_tests_of_fit,
    rank_largest_first,
    summarise,
    summarise_ranks,
)


@pytest.fixture(scope="module")
def r_draws():
    i, j = np.arange(1, 41)[:, None], np.arange(1, 5)[None, :]
    return ((13 * i + 5 * j * i) % 17 + j).astype(float)


@pytest.fixture(scope="module")
def found(blocks, names, terms):
    return bootstrap_weights(blocks, names, terms, replicates=200, rng=np.random.default_rng(1))


def test_each_hospital_is_resampled_to_its_own_size():
    weights = draw_weights([50, 7, 1], np.random.default_rng(0))

    assert [part.sum() for part in weights] == [50, 7, 1]
    assert all((part >= 0).all() for part in weights)


def test_the_mean_of_rows_has_its_known_bootstrap_error():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=400)

    draws = bootstrap([400], lambda w: np.array([w[0] @ rows / 400]), 500, rng)

    found = summarise(draws, np.array([rows.mean()]))
    assert found.se[0] == pytest.approx(rows.std() / 20, rel=0.12)
    assert found.ci_low[0] < rows.mean() < found.ci_high[0]
    assert (found.used, found.replicates, found.failures) == (500, 500, ())


def test_replicates_without_an_estimate_are_counted_by_reason():
    calls = iter(range(100))

    def statistic(weights):
        call = next(calls)
        if call % 4 == 0:
            raise SeparationError("no")
        return np.array([np.nan if call % 4 == 1 else 1.0])

    found = bootstrap([10], statistic, 100, np.random.default_rng(0))

    assert found.failures == (("NotFinite", 25), ("SeparationError", 25))
    assert (found.failed, found.estimates.shape, found.replicates) == (50, (50, 1), 100)


def test_a_bootstrap_that_never_gives_an_estimate_is_refused():
    def statistic(weights):
        raise SeparationError("no")

    with pytest.raises(NotConvergedError):
        bootstrap([10], statistic, 10, np.random.default_rng(0))


@pytest.mark.parametrize(("rows", "replicates"), [([], 10), ([5, 0], 10), ([5], 1)])
def test_nothing_to_resample_is_refused(rows, replicates):
    with pytest.raises(InvalidBlockError):
        bootstrap(rows, lambda weights: np.zeros(1), replicates, np.random.default_rng(0))


def test_percentile_intervals_equal_r(r_draws, referee):
    # apply(draws, 2, quantile, 0.025, type = 6); sd
    expected = referee["ranking"]

    found = summarise(BootstrapDraws(r_draws, 40, ()), np.zeros(4))

    np.testing.assert_allclose(found.ci_low, expected["draw_low"], rtol=1e-12)
    np.testing.assert_allclose(found.ci_high, expected["draw_high"], rtol=1e-12)
    np.testing.assert_allclose(found.se, expected["draw_se"], rtol=1e-12)


def test_ranks_and_their_intervals_equal_r(r_draws, referee):
    # ranks <- t(apply(-draws, 1, rank)); colMeans; quantile(type = 1)
    expected = referee["ranking"]

    found = summarise_ranks(r_draws[0], r_draws)

    np.testing.assert_allclose(found.mean, expected["mean"], rtol=1e-12)
    np.testing.assert_allclose(found.low, expected["low"])
    np.testing.assert_allclose(found.high, expected["high"])
    assert found.first.sum() == pytest.approx(1.0)


def test_ties_share_their_ranks_and_the_first_place():
    assert rank_largest_first(np.array([5.0, 1.0, 5.0])).tolist() == [1.5, 3.0, 1.5]

    found = summarise_ranks(np.array([5.0, 1.0, 5.0]), np.array([[5.0, 1.0, 5.0], [2.0, 9.0, 1.0]]))

    assert found.first.tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("values", "draws", "level"),
    [
        (np.zeros(2), np.zeros((5, 3)), 0.95),
        (np.zeros(2), np.zeros((0, 2)), 0.95),
        (np.array([np.nan, 1]), np.zeros((5, 2)), 0.95),
        (np.zeros(2), np.zeros((5, 2)), 1.0),
    ],
)
def test_ranks_of_what_does_not_fit_are_refused(values, draws, level):
    with pytest.raises(InvalidBlockError):
        summarise_ranks(values, draws, level)


@pytest.mark.parametrize(("estimate", "level"), [(np.zeros(3), 0.95), (np.zeros(4), 95.0)])
def test_a_summary_of_what_does_not_fit_is_refused(r_draws, estimate, level):
    with pytest.raises(InvalidBlockError):
        summarise(BootstrapDraws(r_draws, 40, ()), estimate, level)


def test_weights_of_the_cohort_stand_beside_their_intervals(found, blocks, names, terms):
    fit = fit_pooled_logistic(blocks, names)
    tests = partial_tests_of_fit(fit, terms)

    np.testing.assert_allclose(found.per_unit.estimate, fit.term_coef, rtol=1e-7)
    np.testing.assert_allclose(found.chi2_minus_df.values.estimate, [t.chi2_minus_df for t in tests.terms], rtol=1e-6)
    np.testing.assert_array_equal(found.chi2_minus_df.ranks.rank, [test.rank for test in tests.terms])
    # terms of one column: the SD effect is |beta per SD|
    np.testing.assert_allclose(found.sd_effect.values.estimate[[0, 1, 3]], np.abs(found.per_sd.estimate[[0, 1, 4]]))
    assert found.share is None


def test_bootstrap_errors_agree_with_wald_errors(found, blocks, names):
    fit = fit_pooled_logistic(blocks, names)

    ratio = found.per_unit.se / fit.term_se

    assert np.abs(ratio - 1).max() < 0.25
    assert ((found.per_unit.ci_low < fit.term_coef) & (fit.term_coef < found.per_unit.ci_high)).all()


def test_ranks_say_how_sure_the_order_is(found):
    ranks = found.chi2_minus_df.ranks

    assert ranks.first.sum() == pytest.approx(1.0)
    assert ranks.rank[0] == 1.0  # age
    assert ranks.high[0] <= 3
    assert ranks.low[6] >= 3  # noise
    assert ((ranks.low <= ranks.mean) & (ranks.mean <= ranks.high)).all()


def test_shares_are_resampled_too(blocks, names, terms):
    chosen = terms[:3]

    found = bootstrap_weights(
        blocks, names, chosen, replicates=20, rng=np.random.default_rng(3), share_of=R2Measure.MCFADDEN
    )

    expected = logistic_dominance(blocks, names, chosen)
    np.testing.assert_allclose(found.share.values.estimate, expected.share, atol=1e-9)
    assert (found.share.values.ci_low < expected.share).all()
    assert (expected.share < found.share.values.ci_high).all()


def test_a_scaled_factor_keeps_everything_but_its_unit(blocks, names, terms):
    unit = np.array([1e3, 1, 1e-2, 1e2, 1, 1, 1, 1, 1e5])
    scaled = [CohortBlock(block.name, block.X * unit, block.y) for block in blocks]

    one, two = (bootstrap_weights(data, names, terms, replicates=10, rng=np.random.default_rng(4))
                for data in (blocks, scaled))  # fmt: skip

    np.testing.assert_allclose(two.per_unit.ci_low * unit, one.per_unit.ci_low, rtol=1e-6)
    np.testing.assert_allclose(two.per_sd.se, one.per_sd.se, rtol=1e-6)
    np.testing.assert_allclose(two.chi2_minus_df.values.ci_high, one.chi2_minus_df.values.ci_high, rtol=1e-5)
    np.testing.assert_array_equal(two.sd_effect.ranks.low, one.sd_effect.ranks.low)


def test_equal_generators_give_equal_bits(blocks, names, terms):
    one, two = (bootstrap_weights(blocks, names, terms, replicates=5, rng=np.random.default_rng(5)) for _ in "ab")

    assert one.per_sd.se.tobytes() == two.per_sd.se.tobytes()


def test_separated_replicates_of_a_rare_factor_are_counted():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(200, 2))
    X[:, 1] = 0.0
    X[:6, 1] = 1.0
    y = (rng.random(200) < 0.4).astype(float)
    y[:6] = [1, 0, 1, 1, 1, 1]

    found = bootstrap_weights(
        [CohortBlock("a", X, y)], ["u", "rare"], [Term("u", (0,)), Term("rare", (1,))], replicates=60, rng=rng
    )

    counts = dict(found.per_sd.failures)
    assert counts["SeparationError"] > 10  # P(the one rare control is not drawn) = 0.37
    assert found.per_sd.used + sum(counts.values()) == found.per_sd.replicates == 60
    assert set(counts) <= {"SeparationError", "RankDeficientError"}


def test_terms_that_do_not_fit_are_refused(blocks, names):
    with pytest.raises(InvalidBlockError):
        bootstrap_weights(blocks, names, [Term("u", (9,))], replicates=5, rng=np.random.default_rng(0))


def test_percentile_intervals_cover_a_known_weight():
    rng = np.random.default_rng(7)
    covered, runs = 0, 40
    for _ in range(runs):
        x = rng.normal(size=(250, 1))
        y = (rng.random(250) < 1 / (1 + np.exp(-0.7 * x[:, 0]))).astype(float)
        block = [CohortBlock("a", x[:120], y[:120]), CohortBlock("b", x[120:], y[120:])]
        found = bootstrap_weights(block, ["x"], [Term("x", (0,))], replicates=50, rng=rng)
        covered += bool(found.per_unit.ci_low[0] < 0.7 < found.per_unit.ci_high[0])

    assert covered / runs > 0.85
