from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    fit_pooled_logistic,
)
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.penalised import fit_elastic_net, fit_path
from heartify.stats.penalised.elastic_net import PenalisedProblem, Penalty, Position
from heartify.stats.penalised.quadratic import minimise_quadratic


@pytest.mark.parametrize("case", [0, 1, 2])
def test_path_equals_glmnet_with_unpenalised_hospital_dummies(
    cohort: list[CohortBlock], glmnet: dict[str, Any], case: int
) -> None:
    # glmnet(x, y, family='binomial', alpha=0 | 0.5 | 1, lambda=..., penalty.factor=pf, thresh=1e-14)
    expected = glmnet["elastic_net"][case]

    path = fit_path(cohort, glmnet["terms"], alpha=expected["alpha"], lambdas=np.array(glmnet["lambdas"]))

    np.testing.assert_allclose(path.coef * path.scale, np.array(expected["coef"]) * path.scale, rtol=0, atol=1e-6)
    np.testing.assert_allclose(path.intercepts[:, 0], expected["intercept"], rtol=0, atol=1e-5)
    contrasts = path.intercepts[:, 1:] - path.intercepts[:, :1]
    np.testing.assert_allclose(contrasts, expected["hospital"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(path.coef == 0.0, np.array(expected["coef"]) == 0.0)
    np.testing.assert_allclose(path.deviance_ratio, expected["dev_ratio"], rtol=0, atol=1e-8)


def test_terms_of_factor_zero_are_not_penalised_as_in_glmnet(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    # glmnet(..., alpha=0.5, penalty.factor=c(0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0))
    expected = glmnet["unpenalised_age_and_male"]
    factors = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])

    path = fit_path(cohort, glmnet["terms"], alpha=0.5, lambdas=np.array(glmnet["lambdas"]), factors=factors)

    np.testing.assert_allclose(path.coef * path.scale, np.array(expected["coef"]) * path.scale, rtol=0, atol=1e-6)


def test_first_lambda_is_the_least_that_forbids_every_term(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    path = fit_path(cohort, glmnet["terms"])

    # max(glmnet(x, y, family='binomial', penalty.factor=pf)$lambda) / share; glmnet's null fit stops at 1e-7
    assert path.lambdas[0] == pytest.approx(glmnet["lambda_max"]["value"], rel=1e-6)
    assert path.n_selected[0] == 0
    assert path.n_selected[1] >= 1


@pytest.mark.parametrize(("alpha", "ratio"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_one_hospital_equals_scikit_learn(
    cohort: list[CohortBlock], glmnet: dict[str, Any], alpha: float, ratio: float
) -> None:
    block, lam = cohort[0], 0.01
    Z = (block.X - block.X.mean(axis=0)) / block.X.std(axis=0)
    # LogisticRegression(solver='saga', l1_ratio=alpha, C=1/(n*lambda)) on columns standardised with divisor n
    referee = LogisticRegression(solver="saga", C=1 / (block.n * lam), l1_ratio=ratio, tol=1e-9, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        referee.fit(Z, block.y)

    fit = fit_elastic_net([block], glmnet["terms"], lam, alpha=alpha)

    np.testing.assert_allclose(fit.coef * fit.scale, referee.coef_[0], rtol=0, atol=1e-5)


def test_a_vanishing_penalty_gives_maximum_likelihood(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    expected = fit_pooled_logistic(cohort, glmnet["terms"])

    fit = fit_elastic_net(cohort, glmnet["terms"], 1e-12, alpha=0.5)

    np.testing.assert_allclose(fit.coef, expected.term_coef, rtol=1e-6)
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-9)
    assert fit.null_loglik == expected.null_loglik


def test_optimality_conditions_hold_with_more_columns_than_rows() -> None:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(60, 90))
    y = (rng.random(60) < 1 / (1 + np.exp(-2 * X[:, 0] + X[:, 1]))).astype(float)
    lam = 0.05

    fit = fit_elastic_net([CohortBlock("a", X, y)], [f"x{j}" for j in range(90)], lam)

    mu = 1 / (1 + np.exp(-(fit.intercepts[0] + X @ fit.coef)))
    pull = ((X - X.mean(axis=0)) / fit.scale).T @ (y - mu) / 60
    zero = fit.coef == 0
    assert 0 < (~zero).sum() < 60
    np.testing.assert_allclose(pull[~zero], lam * np.sign(fit.coef[~zero]), rtol=0, atol=1e-9)
    assert np.abs(pull[zero]).max() <= lam * (1 + 1e-9)


def test_result_depends_neither_on_row_order_nor_on_a_factor_s_unit(
    cohort: list[CohortBlock], glmnet: dict[str, Any]
) -> None:
    rng = np.random.default_rng(5)
    unit = np.array([1, 1, 0.1, 38.67, 1, 1, 1, 1e3])
    changed = []
    for block in cohort:
        order = rng.permutation(block.n)
        changed.append(CohortBlock(block.name, block.X[order] * unit + 7.0, block.y[order]))

    fit = fit_elastic_net(changed, glmnet["terms"], 0.02)

    expected = fit_elastic_net(cohort, glmnet["terms"], 0.02)
    np.testing.assert_allclose(fit.coef * unit, expected.coef, rtol=1e-8)
    assert fit.selected == expected.selected


def test_order_of_hospitals_only_reorders_the_intercepts(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    fit = fit_elastic_net(cohort[::-1], glmnet["terms"], 0.02)

    expected = fit_elastic_net(cohort, glmnet["terms"], 0.02)
    np.testing.assert_allclose(fit.coef, expected.coef, rtol=1e-9)
    np.testing.assert_allclose(fit.intercepts[::-1], expected.intercepts, rtol=1e-9)


def test_duplicated_columns_share_a_ridge_coefficient() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=200)
    y = (rng.random(200) < 1 / (1 + np.exp(-x))).astype(float)

    fit = fit_elastic_net([CohortBlock("a", np.column_stack([x, x]), y)], ["x", "copy"], 0.05, alpha=0.0)

    assert fit.coef[0] == pytest.approx(fit.coef[1], rel=1e-9)
    assert fit.coef[0] > 0


def test_separated_outcome_has_a_finite_penalised_estimate() -> None:
    x = np.arange(20.0)
    block = CohortBlock("a", x[:, None], (x > 9.5).astype(float))

    path = fit_path([block], ["x"], lambdas=np.array([0.1, 0.01, 1e-4]))

    assert np.isfinite(path.coef).all()
    assert all(a < b for a, b in pairwise(path.coef[:, 0]))


def test_a_column_that_only_tells_hospitals_apart_stays_at_zero(cohort: list[CohortBlock]) -> None:
    blocks = [CohortBlock(b.name, np.column_stack([b.X[:, 0], np.full(b.n, h)]), b.y) for h, b in enumerate(cohort)]

    fit = fit_elastic_net(blocks, ["age", "region"], 0.001)

    assert fit.selected == ("age",)


def test_hospital_without_events_is_named(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    empty = CohortBlock("quiet", cohort[0].X[:30], np.zeros(30))

    with pytest.raises(SeparationError, match="quiet"):
        fit_path([*cohort, empty], glmnet["terms"])


def test_constant_column_is_named(cohort: list[CohortBlock]) -> None:
    blocks = [CohortBlock(b.name, np.column_stack([b.X[:, 0], np.full(b.n, 3.0)]), b.y) for b in cohort]

    with pytest.raises(RankDeficientError, match="flat"):
        fit_path(blocks, ["age", "flat"])


def test_outcome_that_does_not_vary_is_refused(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    with pytest.raises(DegenerateOutcomeError):
        fit_path([CohortBlock("a", cohort[0].X, np.ones(cohort[0].n))], glmnet["terms"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"alpha": 1.5},
        {"alpha": float("nan")},
        {"lambdas": np.array([0.1, 0.2])},
        {"lambdas": np.array([0.1, 0.0])},
        {"lambdas": np.array([])},
        {"factors": np.ones(3)},
        {"factors": np.zeros(8)},
        {"factors": np.full(8, -1.0)},
    ],
)
def test_arguments_out_of_range_are_refused(
    cohort: list[CohortBlock], glmnet: dict[str, Any], arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidBlockError):
        fit_path(cohort, glmnet["terms"], **arguments)


def test_collinear_columns_without_a_penalty_are_refused() -> None:
    G = np.array([[1.0, 1.0], [1.0, 1.0]])

    with pytest.raises(NotConvergedError):
        minimise_quadratic(G, np.array([1.0, 2.0]), np.zeros(2), np.zeros(2), np.zeros(2))


def test_predictor_of_an_unknown_hospital_is_refused(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    path = fit_path(cohort, glmnet["terms"], lambdas=np.array([0.05]))

    with pytest.raises(InvalidBlockError):
        path.predictor(cohort[0].X, "elsewhere")


def test_automatic_path_ends_where_the_outcome_is_explained() -> None:
    y = np.repeat([0.0, 1.0], 20)

    path = fit_path([CohortBlock("a", 2 * y[:, None], y)], ["x"])

    assert path.lambdas.size < 100
    assert path.deviance_ratio[-1] > 0.999


def test_column_without_any_association_never_enters() -> None:
    block = CohortBlock("a", np.tile([[1.0], [-1.0]], (10, 1)), np.repeat([0.0, 1.0], 10))

    path = fit_path([block], ["x"])

    assert path.n_selected.max() == 0


def test_duplicates_under_the_lasso_end_at_one_of_the_equal_optima() -> None:
    b = minimise_quadratic(np.ones((2, 2)), np.full(2, 2.0), np.full(2, 0.5), np.zeros(2), np.ones(2))

    assert b.sum() == pytest.approx(1.5)


@pytest.mark.parametrize("damage", ["no_information", "unreachable", "no_end"])
def test_an_optimum_that_is_not_reached_is_never_returned(damage: str) -> None:
    x = np.linspace(-1, 1, 20)
    problem = PenalisedProblem([CohortBlock("a", x[:, None], (np.arange(20) % 2).astype(float))])
    start, sums = problem.start(), problem.start().sums
    if damage == "no_information":
        start = Position(start.intercepts, start.slopes, LikelihoodSums(sums.loglik, sums.gradient, np.zeros((2, 2))))
    elif damage == "unreachable":
        start = Position(start.intercepts, start.slopes, LikelihoodSums(1e9, sums.gradient, sums.information))

    with pytest.raises(NotConvergedError):
        problem.optimise(start, Penalty(np.full(1, 0.01), np.zeros(1)), -1.0 if damage == "no_end" else 1e-14)
