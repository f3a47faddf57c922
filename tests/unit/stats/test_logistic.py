"""Random data against statsmodels, and every refusal of the fit."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    fit_logistic,
    fit_pooled_logistic,
)
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.newton import invert_information, maximise
from heartify.stats.separation import check_standard_errors


def _rows(seed, n, p=3, intercept=-0.3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.logspace(-3, 3, p) + np.linspace(-50, 50, p)
    eta = intercept + (X - X.mean(axis=0)) / X.std(axis=0) @ np.linspace(-1, 1, p)
    return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_equals_statsmodels(seed):
    X, y = _rows(seed, 400)
    scale = X.std(axis=0)
    referee = sm.Logit(y, sm.add_constant((X - X.mean(axis=0)) / scale)).fit(method="newton", disp=False, tol=1e-14)

    fit = fit_logistic(X, y)

    np.testing.assert_allclose(fit.term_coef * scale, referee.params[1:], rtol=1e-7)
    np.testing.assert_allclose(fit.term_se * scale, referee.bse[1:], rtol=1e-7)
    assert fit.loglik == pytest.approx(referee.llf, abs=1e-9)
    assert fit.null_loglik == pytest.approx(referee.llnull, abs=1e-6)  # statsmodels iterates where we have a formula


def test_hospital_intercepts_equal_statsmodels_with_dummies():
    blocks = [CohortBlock(name, *_rows(seed, 150 + seed, intercept=seed - 2)) for seed, name in enumerate("abcd")]
    dummies = np.repeat(np.eye(4), [block.n for block in blocks], axis=0)
    X, y = np.vstack([block.X for block in blocks]), np.concatenate([block.y for block in blocks])
    referee = sm.Logit(y, np.column_stack([dummies, (X - X.mean(axis=0)) / X.std(axis=0)])).fit(
        method="newton", disp=False, tol=1e-14
    )

    fit = fit_pooled_logistic(blocks, ["u", "v", "w"])

    np.testing.assert_allclose(fit.term_coef * X.std(axis=0), referee.params[4:], rtol=1e-7)
    np.testing.assert_allclose(fit.coef[4:], referee.params[1:4] - referee.params[0], rtol=1e-7)
    np.testing.assert_allclose(fit.se[4], np.sqrt([1, -1] @ referee.cov_params()[:2, :2] @ [1, -1]), rtol=1e-7)


def test_the_result_holds_no_array_as_long_as_the_rows():
    fit = fit_logistic(*_rows(1, 333))

    arrays = [getattr(fit, name) for name in fit.__slots__ if isinstance(getattr(fit, name), np.ndarray)]

    assert arrays
    assert all(333 not in array.shape for array in arrays)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_an_outcome_that_does_not_vary_is_refused(outcome):
    with pytest.raises(DegenerateOutcomeError):
        fit_logistic(np.arange(10.0)[:, None], np.full(10, outcome))


def test_a_constant_column_is_refused_by_name():
    X, y = _rows(1, 100)
    X[:, 1] = 120.3

    with pytest.raises(RankDeficientError, match=r"constant over all rows: v$"):
        fit_logistic(X, y, ["u", "v", "w"])


def test_a_combination_of_columns_is_refused():
    X, y = _rows(1, 100)
    X[:, 2] = 2 * X[:, 0] - X[:, 1] / 3 + 7

    with pytest.raises(RankDeficientError):
        fit_logistic(X, y)


def test_a_column_that_only_names_the_hospital_is_refused():
    (X, y), (V, u) = _rows(1, 100), _rows(2, 100)
    X[:, 0], V[:, 0] = 1.0, 2.0

    with pytest.raises(RankDeficientError):
        fit_pooled_logistic([CohortBlock("a", X, y), CohortBlock("b", V, u)], ["u", "v", "w"])


def test_more_parameters_than_rows_are_refused():
    rng = np.random.default_rng(3)

    with pytest.raises(RankDeficientError):
        fit_logistic(rng.normal(size=(5, 8)), np.array([0, 1, 0, 1, 1]))


def test_complete_separation_is_refused():
    x = np.arange(40.0)

    with pytest.raises(SeparationError):
        fit_logistic(x[:, None], (x > 19.5).astype(float))


def test_quasi_complete_separation_is_refused():
    x = np.concatenate([np.arange(20.0), np.arange(19.0, 39.0)])
    y = np.repeat([0.0, 1.0], 20)

    with pytest.raises(SeparationError):
        fit_logistic(x[:, None], y)


def test_a_hospital_of_events_only_is_refused():
    X, y = _rows(1, 200)

    with pytest.raises(SeparationError):
        fit_pooled_logistic([CohortBlock("a", X, y), CohortBlock("b", X[:30], np.ones(30))], ["u", "v", "w"])


def test_almost_separated_data_with_a_finite_maximum_are_fitted():
    x = np.concatenate([np.arange(500.0), np.arange(499.0, 999.0), [510.0, 480.0]])
    y = np.concatenate([np.zeros(500), np.ones(500), [0.0, 1.0]])
    referee = sm.Logit(y, sm.add_constant((x - 499) / 100)).fit(method="newton", disp=False, maxiter=200)

    fit = fit_logistic(x[:, None], y)

    assert fit.term_coef[0] * 100 == pytest.approx(referee.params[1], rel=1e-6)


@pytest.mark.parametrize("names", [["u", "v"], ["u", "u", "w"], ["u", "", "w"], ["u", "v", "hospital:a"]])
def test_bad_term_names_are_refused(names):
    with pytest.raises(InvalidBlockError):
        fit_logistic(*_rows(1, 100), names)


def test_an_unbounded_likelihood_is_not_called_converged():
    def climb_forever(at):
        return LikelihoodSums(float(at[0]), np.array([1.0]), np.array([[1.0]]))

    with pytest.raises(NotConvergedError, match="within"):
        maximise(climb_forever, np.zeros(1), lambda step: None)


def test_a_likelihood_that_no_step_increases_is_not_called_converged():
    def wrong_gradient(at):
        return LikelihoodSums(-abs(float(at[0])), np.array([1.0]), np.array([[1.0]]))

    with pytest.raises(NotConvergedError, match="no step"):
        maximise(wrong_gradient, np.zeros(1), lambda step: None)


def test_singular_information_is_not_called_converged():
    def flat(at):
        return LikelihoodSums(0.0, np.ones(2), np.ones((2, 2)))

    with pytest.raises(NotConvergedError, match="singular"):
        maximise(flat, np.zeros(2), lambda step: None)
    with pytest.raises(NotConvergedError, match="singular"):
        invert_information(np.zeros((1, 1)))


def test_an_exploded_standard_error_is_refused():
    with pytest.raises(SeparationError):
        check_standard_errors(np.array([1.0, 2e4]), np.array([1.0, 1.0]))
