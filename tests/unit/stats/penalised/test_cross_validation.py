from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError
from heartify.stats.penalised import LambdaRule, assign_folds, cross_validate, fit_at, nested_cross_validate


def test_cross_validation_equals_cv_glmnet_on_the_same_folds(
    cohort: list[CohortBlock], glmnet: dict[str, Any], folds: list[np.ndarray]
) -> None:
    # cv.glmnet(x, y, family='binomial', lambda=grid, penalty.factor=pf, foldid=fold, type.measure='deviance')
    expected = glmnet["cross_validation"]

    found = cross_validate(cohort, glmnet["terms"], folds, lambdas=np.array(expected["lambdas"]))

    np.testing.assert_allclose(found.deviance, expected["deviance"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.se, expected["se"], rtol=0, atol=1e-8)
    assert found.lambda_min == pytest.approx(expected["lambda_min"], rel=1e-12)
    assert found.lambda_1se == pytest.approx(expected["lambda_1se"], rel=1e-12)
    assert found.index(LambdaRule.ONE_SE) < found.index(LambdaRule.MINIMUM)
    assert "age" in fit_at(found.path, found.index_1se).selected


def test_folds_are_balanced_within_hospital_and_outcome(cohort: list[CohortBlock]) -> None:
    folds = assign_folds(cohort, 10, np.random.default_rng(3))

    for block, fold in zip(cohort, folds, strict=True):
        for outcome in (0.0, 1.0):
            counts = np.bincount(fold[block.y == outcome], minlength=10)
            assert counts.max() - counts.min() <= 1
    sizes = np.bincount(np.concatenate(folds))
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_the_same_for_the_same_seed_and_not_for_another(cohort: list[CohortBlock]) -> None:
    first, again, other = (np.concatenate(assign_folds(cohort, 5, np.random.default_rng(s))) for s in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_nested_estimate_is_honest_on_pure_noise() -> None:
    rng = np.random.default_rng(8)
    X = rng.normal(size=(160, 20))
    block = CohortBlock("a", X, (np.arange(160) % 2).astype(float))
    names = [f"x{j}" for j in range(20)]
    folds = assign_folds([block], 3, rng)

    found = nested_cross_validate([block], names, folds, rng, rule=LambdaRule.MINIMUM, inner_k=3)

    # Nothing predicts: no better than the deviance of a coin, 2 log 2, and an AUC of a half within 3 SE.
    assert found.deviance > 2 * np.log(2) - 0.02
    assert abs(found.auc - 0.5) < 3 * max(found.auc_se, 0.03)
    assert found.fold_lambda.shape == found.fold_selected.shape == (3,)


def test_nested_estimate_finds_the_signal(cohort: list[CohortBlock], glmnet: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)

    found = nested_cross_validate(cohort, glmnet["terms"], assign_folds(cohort, 3, rng), rng, inner_k=3)

    assert found.auc > 0.64
    assert found.deviance < 2 * np.log(2)
    assert found.deviance == pytest.approx(found.fold_deviance.mean(), abs=1e-3)


def test_hospital_too_small_to_stratify_is_named() -> None:
    rng = np.random.default_rng(0)
    block = CohortBlock("tiny", rng.normal(size=(9, 1)), np.eye(9)[0])

    with pytest.raises(InvalidBlockError, match="tiny"):
        assign_folds([block], 3, rng)


def test_two_folds_are_too_few(cohort: list[CohortBlock]) -> None:
    with pytest.raises(InvalidBlockError):
        assign_folds(cohort, 2, np.random.default_rng(0))


@pytest.mark.parametrize("damage", ["short", "gap", "negative", "one_fold"])
def test_folds_that_do_not_fit_are_refused(
    cohort: list[CohortBlock], glmnet: dict[str, Any], folds: list[np.ndarray], damage: str
) -> None:
    wrong = [fold.copy() for fold in folds]
    if damage == "short":
        wrong[0] = wrong[0][:-1]
    elif damage == "gap":
        wrong = [np.where(fold == 2, 7, fold) for fold in wrong]
    elif damage == "negative":
        wrong[1][0] = -1
    else:
        wrong[3][:] = 0

    with pytest.raises(InvalidBlockError):
        cross_validate(cohort, glmnet["terms"], wrong)
