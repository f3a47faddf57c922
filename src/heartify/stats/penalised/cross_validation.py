"""Cross-validated choice of the penalty, and an honest estimate of what the whole procedure predicts.

Folds are drawn within hospital and outcome, so that every fold trains on every hospital's cases and controls. The
deviance and its standard error, and the two choices of lambda, are those of R's cv.glmnet. Choosing on folds makes
their deviance optimistic; the nested estimate repeats the choice inside each outer fold and scores rows it never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks
from heartify.stats.errors import InvalidBlockError
from heartify.stats.penalised.elastic_net import PenalisedProblem
from heartify.stats.penalised.path import PenalisedPath, fit_path, path_of
from heartify.stats.roc import auc

IntArray = NDArray[np.int64]
PROBABILITY_FLOOR = 1e-5  # glmnet's: one confident error must not make a fold's deviance infinite


class LambdaRule(Enum):
    """Which lambda to take: least deviance, or the largest within one standard error of it."""

    MINIMUM = "min"
    ONE_SE = "1se"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossValidation:
    """Hold the mean held-out deviance per row (L,), its SE over folds (L,), the choices, and the path on all rows."""

    path: PenalisedPath
    deviance: FloatArray
    se: FloatArray
    index_min: int
    index_1se: int

    @property
    def lambda_min(self) -> float:
        """Return the lambda of least deviance."""
        return float(self.path.lambdas[self.index_min])

    @property
    def lambda_1se(self) -> float:
        """Return the largest lambda whose deviance is within one standard error of the least."""
        return float(self.path.lambdas[self.index_1se])

    def index(self, rule: LambdaRule) -> int:
        """Return the index on the path that a rule chooses."""
        return self.index_min if rule is LambdaRule.MINIMUM else self.index_1se


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NestedCrossValidation:
    """Hold deviance per row, AUC, chosen lambda and number of terms of each outer fold (K,), with means and SEs.

    `auc` compares all rows of a fold, across hospitals; folds are averaged by their rows (SE as cv.glmnet's).
    """

    fold_deviance: FloatArray
    fold_auc: FloatArray
    fold_lambda: FloatArray
    fold_selected: FloatArray
    deviance: float
    deviance_se: float
    auc: float
    auc_se: float


def assign_folds(blocks: Sequence[CohortBlock], k: int, rng: Generator) -> tuple[IntArray, ...]:
    """Return the fold 0..k-1 of each row, one array (n,) a block, balanced within hospital and outcome.

    Raises:
        InvalidBlockError: k < 3, blocks do not fit, or a hospital has fewer than 2 cases or 2 controls.
    """
    check_blocks(blocks)
    if k < 3:
        raise InvalidBlockError("cross-validation needs at least 3 folds")
    scarce = [block.name for block in blocks if min(block.events, block.n - block.events) < 2]
    if scarce:
        raise InvalidBlockError(f"fewer than two cases or two controls in: {', '.join(scarce)}")
    folds = [np.zeros(block.n, dtype=np.int64) for block in blocks]
    dealt = 0  # goes on from stratum to stratum, so that the remainders do not all fall on the first folds
    for fold, block in zip(folds, blocks, strict=True):
        for outcome in (0.0, 1.0):
            rows = rng.permutation(np.flatnonzero(block.y == outcome))
            fold[rows] = (dealt + np.arange(rows.size)) % k
            dealt += rows.size
    return tuple(folds)


def cross_validate(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    folds: Sequence[IntArray],
    *,
    alpha: float = 1.0,
    lambdas: FloatArray | None = None,
    factors: FloatArray | None = None,
) -> CrossValidation:
    """Cross-validate the lambdas (those of the path on all rows, if not given); equals R's cv.glmnet(foldid = folds).

    Raises:
        InvalidBlockError: folds do not fit the blocks.
        StatsError: as `fit_path`; also when a training part leaves a hospital without cases or without controls.
    """
    k = _check_folds(blocks, folds)
    path = fit_path(blocks, term_names, alpha=alpha, lambdas=lambdas, factors=factors)
    held_out, sizes = np.empty((k, path.lambdas.size)), np.empty(k)
    for fold, (training, tests) in enumerate(_splits(blocks, folds, k)):
        problem = PenalisedProblem(training)
        part = path_of(problem, training, term_names, alpha=alpha, lambdas=path.lambdas, factors=factors)
        total = sum((_deviances(part, test).sum(axis=0) for test in tests), np.zeros(path.lambdas.size))
        sizes[fold] = sum(test.n for test in tests)
        held_out[fold] = total / sizes[fold]
    mean, se = _weighted_mean(held_out, sizes)
    index_min = int(np.argmin(mean))
    index_1se = int(np.flatnonzero(mean <= mean[index_min] + se[index_min])[0])
    return CrossValidation(path, mean, se, index_min, index_1se)


def nested_cross_validate(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    folds: Sequence[IntArray],
    rng: Generator,
    *,
    rule: LambdaRule = LambdaRule.ONE_SE,
    inner_k: int = 10,
    alpha: float = 1.0,
    factors: FloatArray | None = None,
) -> NestedCrossValidation:
    """Choose lambda anew inside each outer fold's training rows, and score the fold: deviance and AUC without optimism.

    Raises:
        InvalidBlockError: folds do not fit, or a training part has too few cases or controls of a hospital.
        StatsError: as `cross_validate`; DegenerateOutcomeError when an outer fold has no cases or no controls.
    """
    k = _check_folds(blocks, folds)
    scores = np.empty((k, 4))
    sizes = np.empty(k)
    for fold, (training, tests) in enumerate(_splits(blocks, folds, k)):
        inner = assign_folds(training, inner_k, rng)
        chosen = cross_validate(training, term_names, inner, alpha=alpha, factors=factors)
        index = chosen.index(rule)
        deviance = np.concatenate([_deviances(chosen.path, test)[:, index] for test in tests])
        predictor = np.concatenate([chosen.path.predictor(test.X, test.name)[:, index] for test in tests])
        discrimination = auc(predictor, np.concatenate([test.y for test in tests]))
        sizes[fold] = deviance.size
        scores[fold] = deviance.mean(), discrimination, chosen.path.lambdas[index], chosen.path.n_selected[index]
    mean, se = _weighted_mean(scores[:, :2], sizes)
    return NestedCrossValidation(
        fold_deviance=scores[:, 0],
        fold_auc=scores[:, 1],
        fold_lambda=scores[:, 2],
        fold_selected=scores[:, 3],
        deviance=float(mean[0]),
        deviance_se=float(se[0]),
        auc=float(mean[1]),
        auc_se=float(se[1]),
    )


def subset(block: CohortBlock, rows: NDArray[np.bool_]) -> CohortBlock:
    """Return the block of some rows, chosen by a mask (n,)."""
    return CohortBlock(block.name, block.X[rows], block.y[rows])


def _splits(
    blocks: Sequence[CohortBlock], folds: Sequence[IntArray], k: int
) -> Iterator[tuple[list[CohortBlock], list[CohortBlock]]]:
    pairs = list(zip(blocks, folds, strict=True))
    for fold in range(k):
        training = [subset(block, own != fold) for block, own in pairs]
        tests = [subset(block, own == fold) for block, own in pairs if (own == fold).any()]
        yield training, tests


def _deviances(path: PenalisedPath, block: CohortBlock) -> FloatArray:
    """Return the deviance (n, L) of each row of a block."""
    fitted = expit(path.predictor(block.X, block.name)).clip(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    loglik: FloatArray = np.where(block.y[:, None] == 1.0, np.log(fitted), np.log1p(-fitted))
    return -2.0 * loglik


def _weighted_mean(values: FloatArray, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean = np.average(values, axis=0, weights=sizes)
    spread = np.average((values - mean) ** 2, axis=0, weights=sizes)
    return mean, np.sqrt(spread / (sizes.size - 1))


def _check_folds(blocks: Sequence[CohortBlock], folds: Sequence[IntArray]) -> int:
    check_blocks(blocks)
    if len(folds) != len(blocks) or any(own.shape != (b.n,) for own, b in zip(folds, blocks, strict=False)):
        raise InvalidBlockError("expected one fold per row, one array per block")
    everyone = np.concatenate(list(folds))
    k = int(everyone.max()) + 1
    if everyone.min() < 0 or k < 3 or np.unique(everyone).size != k:
        raise InvalidBlockError("folds must be 0, 1, ... k - 1, at least three, none of them empty")
    if any(np.unique(own).size == 1 for own in folds):
        raise InvalidBlockError("a hospital lies in one fold only: no other fold could train its intercept")
    return k
