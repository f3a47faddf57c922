from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.stats import InvalidBlockError, NotConvergedError, RankDeficientError
from heartify.stats.missing import nelson_aalen
from heartify.stats.missing.linear_draws import draw_linear, estimate_linear, linear_sums, match
from heartify.stats.missing.logistic_draws import (
    WeightedRows,
    augment,
    draw_codes,
    draw_logistic,
    estimate_logistic,
)


@pytest.fixture
def design(cohort: dict[str, np.ndarray]) -> np.ndarray:
    z = np.column_stack([cohort[name] for name in ("age", "sbp", "noise", "male")])
    return np.column_stack([np.ones(z.shape[0]), z - z.mean(axis=0)])


def test_linear_estimate_equals_mice_s_ridge(
    cohort: dict[str, np.ndarray], design: np.ndarray, mice: dict[str, Any]
) -> None:
    # mice:::estimice(cbind(1, scale(...)), chol, ls.meth='ridge', ridge=1e-5); mice's ridge covers the intercept too
    coef, unscaled, residual = estimate_linear(linear_sums(design, cohort["chol"]), 1e-5)

    np.testing.assert_allclose(coef[1:], mice["linear"]["slopes"], rtol=1e-9)
    np.testing.assert_allclose(unscaled[1:, 1:], mice["linear"]["v"], rtol=1e-8, atol=1e-15)
    assert residual == pytest.approx(float(((cohort["chol"] - design @ coef) ** 2).sum()), rel=1e-10)


def test_linear_sums_of_parts_add_up(cohort: dict[str, np.ndarray], design: np.ndarray) -> None:
    y = cohort["chol"]

    merged = linear_sums(design[:500], y[:500]) + linear_sums(design[500:], y[500:])

    np.testing.assert_allclose(
        estimate_linear(merged, 1e-5)[0], estimate_linear(linear_sums(design, y), 1e-5)[0], rtol=1e-10
    )


def test_linear_draws_have_the_posterior_s_mean_and_spread(cohort: dict[str, np.ndarray], design: np.ndarray) -> None:
    rng, sums = np.random.default_rng(3), linear_sums(design, cohort["chol"])

    draws = [draw_linear(sums, 1e-5, rng) for _ in range(2000)]

    coef, unscaled, residual = estimate_linear(sums, 1e-5)
    se = np.sqrt(residual / (sums.n - 5) * np.diag(unscaled))
    beta = np.array([draw.beta for draw in draws])
    np.testing.assert_allclose((beta.mean(axis=0) - coef) / se, 0, atol=0.09)
    np.testing.assert_allclose(beta.std(axis=0) / se, 1, atol=0.06)


def test_collinear_columns_without_a_ridge_are_refused() -> None:
    X = np.column_stack([np.ones(5), np.arange(5.0), np.arange(5.0)])

    with pytest.raises(RankDeficientError):
        estimate_linear(linear_sums(X, np.arange(5.0)), 0.0)


def test_matching_draws_evenly_from_the_nearest_donors() -> None:
    fitted, values = np.arange(20.0), np.arange(20.0) * 10

    drawn = match(fitted, values, np.full(4000, 7.1), 5, np.random.default_rng(1))

    found, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(found, [50, 60, 70, 80, 90])
    assert counts.min() > 700


@pytest.mark.parametrize("wanted", [-100.0, 100.0])
def test_matching_beyond_the_range_takes_the_extreme_donors(wanted: float) -> None:
    drawn = match(np.arange(10.0), np.arange(10.0), np.full(200, wanted), 3, np.random.default_rng(1))

    assert set(drawn) == ({0.0, 1.0, 2.0} if wanted < 0 else {7.0, 8.0, 9.0})


def test_matching_agrees_with_sorting_every_distance() -> None:
    rng = np.random.default_rng(6)
    fitted, wanted = rng.normal(size=60), rng.normal(size=40)

    drawn = match(fitted, fitted, wanted, 4, rng)

    for value, target in zip(drawn, wanted, strict=True):
        assert abs(value - target) <= np.sort(np.abs(fitted - target))[3] + 1e-15


def test_matching_with_fewer_rows_than_donors_uses_them_all() -> None:
    drawn = match(np.array([1.0, 2.0]), np.array([5.0, 6.0]), np.full(50, 1.4), 5, np.random.default_rng(0))

    assert set(drawn) == {5.0, 6.0}


def test_augmented_logistic_estimate_equals_mice(
    cohort: dict[str, np.ndarray], design: np.ndarray, mice: dict[str, Any]
) -> None:
    observed = np.ones(design.shape[0], dtype=bool)
    observed[mice["gaps"]["smoker"]] = False
    rows = WeightedRows(design[observed], cohort["smoker"][observed].astype(np.int64), np.ones(observed.sum()))

    found = estimate_logistic(augment(rows, 2, design), 2)

    # glm.fit(cbind(1, aug$x), aug$y, family=quasibinomial(), weights=aug$w), aug = mice:::augment(...)
    np.testing.assert_allclose(found.coef[0], mice["logistic"]["coef"], rtol=1e-7)
    np.testing.assert_allclose(found.covariance, mice["logistic"]["cov_unscaled"], rtol=1e-6, atol=1e-12)


def test_multinomial_estimate_equals_nnet(
    cohort: dict[str, np.ndarray], design: np.ndarray, mice: dict[str, Any]
) -> None:
    codes = cohort["grade"].astype(np.int64) - 1

    found = estimate_logistic(WeightedRows(design, codes, np.ones(codes.size)), 3)

    # nnet::multinom(factor(grade) ~ z, reltol=1e-16, maxit=2000): stops near the maximum, Hessian exact
    se = np.sqrt(np.diag(found.covariance)).reshape(2, 5)
    np.testing.assert_allclose((found.coef - np.array(mice["multinomial"]["coef"])) / se, 0, atol=1e-4)
    np.testing.assert_allclose(found.covariance, mice["multinomial"]["cov"], rtol=1e-3, atol=1e-9)


def test_separated_column_has_a_finite_augmented_estimate() -> None:
    x = np.linspace(-1, 1, 30)
    X = np.column_stack([np.ones(30), x])

    found = estimate_logistic(augment(WeightedRows(X, (x > 0).astype(np.int64), np.ones(30)), 2, X), 2)

    assert np.isfinite(found.coef).all()
    assert 0 < np.sqrt(found.covariance[1, 1]) < 20


def test_collinear_logistic_columns_are_refused() -> None:
    x = np.linspace(-1, 1, 30)
    X = np.column_stack([np.ones(30), x, x])

    with pytest.raises(NotConvergedError):
        estimate_logistic(WeightedRows(X, (np.arange(30) % 2), np.ones(30)), 2)


def test_no_predictors_need_no_pseudo_rows() -> None:
    rows = WeightedRows(np.ones((6, 1)), np.array([0, 0, 0, 0, 1, 1]), np.ones(6))

    assert augment(rows, 2, rows.X) is rows
    assert estimate_logistic(rows, 2).coef[0, 0] == pytest.approx(np.log(0.5))


def test_drawn_codes_follow_their_probabilities() -> None:
    X = np.ones((20_000, 1))

    codes = draw_codes(X, np.array([[np.log(2.0)], [np.log(3.0)]]), 0.0, np.random.default_rng(2))

    np.testing.assert_allclose(np.bincount(codes) / codes.size, [1 / 6, 2 / 6, 3 / 6], atol=0.012)


def test_logistic_draws_have_the_estimate_s_covariance(cohort: dict[str, np.ndarray], design: np.ndarray) -> None:
    codes, rng = cohort["smoker"].astype(np.int64), np.random.default_rng(5)
    estimate = estimate_logistic(WeightedRows(design, codes, np.ones(codes.size)), 2)

    draws = np.array([draw_logistic(estimate, rng)[0] for _ in range(3000)])

    se = np.sqrt(np.diag(estimate.covariance))
    np.testing.assert_allclose((draws.mean(axis=0) - estimate.coef[0]) / se, 0, atol=0.08)
    np.testing.assert_allclose(draws.std(axis=0) / se, 1, atol=0.05)


def test_nelson_aalen_equals_survfit(cohort: dict[str, np.ndarray], mice: dict[str, Any]) -> None:
    event = (cohort["status"] == 1).astype(float)
    expected = mice["nelson_aalen"]

    plain = nelson_aalen(cohort["time"], event)
    delayed = nelson_aalen(cohort["time"], event, cohort["entry"])

    # survfit(Surv(time, event) ~ 1, ctype=1)$cumhaz and survfit(Surv(entry, time, event) ~ 1, ctype=1)$cumhaz
    np.testing.assert_allclose(plain[:60], expected["value"], rtol=1e-10)
    np.testing.assert_allclose(delayed[:60], expected["delayed"], rtol=1e-10)


def test_nelson_aalen_without_events_is_zero() -> None:
    np.testing.assert_array_equal(nelson_aalen(np.array([1.0, 2.0]), np.zeros(2)), [0, 0])


@pytest.mark.parametrize(
    ("time", "event", "entry"),
    [
        ([1.0, 2.0], [1.0], None),
        ([1.0, np.nan], [1.0, 0.0], None),
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0, 0.0], [1.0, 0.0]),
        ([], [], None),
    ],
)
def test_survival_columns_that_do_not_fit_are_refused(time: list, event: list, entry: list | None) -> None:
    with pytest.raises(InvalidBlockError):
        nelson_aalen(np.array(time), np.array(event), None if entry is None else np.array(entry))
