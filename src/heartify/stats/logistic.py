"""Maximum-likelihood logistic regression over one hospital, or over several with an intercept each.

Every quantity that the fit needs from a hospital is a sum over its rows (moments, likelihood sums), added block by
block in the given order: equal input gives equal output, bit for bit. Trusts CohortBlock for clean arrays. Never
returns an estimate that is not a finite maximum, and keeps no row-level array in its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_moments
from heartify.stats.coding import check_scales, check_term_names, parameter_names, treatment_map
from heartify.stats.errors import DegenerateOutcomeError, RankDeficientError
from heartify.stats.likelihood import LikelihoodSums, empty_sums, logistic_sums, null_loglik
from heartify.stats.newton import Maximum, invert_information, maximise
from heartify.stats.roc import auc
from heartify.stats.separation import block_margins, check_direction, check_standard_errors

RANK_TOLERANCE = 1e-10  # least eigenvalue of the correlation-scaled Gram matrix; 1 - R^2 of a column on the others


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HospitalIntercept:
    """One hospital's own intercept (log odds at zero of all terms) and its standard error."""

    hospital: str
    value: float
    se: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PooledLogisticFit:
    """Hold a fit in R's treatment coding and clinical units; q = 1 + p + (hospitals - 1).

    `names`, `coef` (q,), `covariance` (q, q) are in the order "(Intercept)", the terms, "hospital:<name>".
    `null_loglik` is that of one common intercept. `auc` is apparent: of the fitted predictor, on the same rows.
    `covariance` and the log-likelihoods are for use inside the enclave only (disclosure rule 8).
    """

    names: tuple[str, ...]
    term_names: tuple[str, ...]
    coef: FloatArray
    covariance: FloatArray
    loglik: float
    null_loglik: float
    iterations: int
    n: int
    events: int
    n_by_block: dict[str, int]
    events_by_block: dict[str, int]
    auc: float

    @property
    def se(self) -> FloatArray:
        """Return the standard errors (q,), from the inverse observed (= expected) information."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def term_coef(self) -> FloatArray:
        """Return the coefficients (p,) of the terms alone, per clinical unit."""
        return self.coef[1 : 1 + len(self.term_names)]

    @property
    def term_se(self) -> FloatArray:
        """Return the standard errors (p,) of the terms alone."""
        return self.se[1 : 1 + len(self.term_names)]

    @property
    def hospital_intercepts(self) -> tuple[HospitalIntercept, ...]:
        """Return each hospital's own intercept, which unlike a contrast does not depend on the order of hospitals."""
        found = []
        for index, hospital in enumerate(self.n_by_block):
            contrast = np.zeros(self.coef.size)
            contrast[0] = 1.0
            if index:
                contrast[len(self.term_names) + index] = 1.0
            variance = float(contrast @ self.covariance @ contrast)
            found.append(HospitalIntercept(hospital, float(contrast @ self.coef), float(np.sqrt(variance))))
        return tuple(found)


def fit_logistic(X: FloatArray, y: FloatArray, term_names: Sequence[str] | None = None) -> PooledLogisticFit:
    """Fit y (n,) of zeros and ones on an intercept and the columns of X (n, p), named x1, x2, ... if not named.

    Raises:
        StatsError: as `fit_pooled_logistic`.
    """
    block = CohortBlock("all", X, y)
    names = term_names if term_names is not None else [f"x{j + 1}" for j in range(block.X.shape[1])]
    return fit_pooled_logistic([block], names)


def fit_pooled_logistic(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> PooledLogisticFit:
    """Fit one slope per term and one intercept per block; equals R's glm(y ~ terms + hospital, binomial).

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant, or a combination of terms and hospital intercepts.
        SeparationError: the outcome is separated (one hospital without events, or of events only, does that too).
        NotConvergedError: no maximum was reached for another reason.
    """
    check_blocks(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    n, events = sum(block.n for block in blocks), sum(block.events for block in blocks)
    if events in (0, n):
        raise DegenerateOutcomeError("the outcome does not vary over the pooled rows")

    moments = pooled_moments(blocks)
    check_scales(moments, term_names)
    centred = [(block.X - moments.mean) / moments.sd for block in blocks]
    problem = _StratifiedLogistic(centred, [block.y for block in blocks])
    maximum = problem.fit(float(np.log(events / (n - events))))

    T = treatment_map(moments, len(blocks))
    return PooledLogisticFit(
        names=parameter_names(term_names, blocks),
        term_names=tuple(term_names),
        coef=T @ maximum.parameters,
        covariance=T @ maximum.covariance @ T.T,
        loglik=maximum.sums.loglik,
        null_loglik=null_loglik(n, events),
        iterations=maximum.iterations,
        n=n,
        events=events,
        n_by_block={block.name: block.n for block in blocks},
        events_by_block={block.name: block.events for block in blocks},
        auc=problem.auc(maximum.parameters),
    )


class _StratifiedLogistic:
    """The likelihood of standardised blocks in the parameters (one intercept a block, then the slopes)."""

    def __init__(self, Z: list[FloatArray], y: list[FloatArray]) -> None:
        self._Z, self._y = Z, y
        self._hospitals, self._p = len(Z), Z[0].shape[1]

    def fit(self, start_log_odds: float) -> Maximum:
        start = np.zeros(self._hospitals + self._p)
        start[: self._hospitals] = start_log_odds
        information = self.sums(start).information
        self._check_rank(information)
        maximum = maximise(self.sums, start, self._check_direction)
        start_variance = np.diag(invert_information(information))
        check_standard_errors(np.sqrt(np.diag(maximum.covariance)), np.sqrt(start_variance))
        return maximum

    def sums(self, parameters: FloatArray) -> LikelihoodSums:
        slopes = parameters[self._hospitals :]
        total = empty_sums(parameters.size)
        for h, (Z, y) in enumerate(zip(self._Z, self._y, strict=True)):
            part = logistic_sums(Z, y, float(parameters[h]), slopes)
            own = np.concatenate(([h], np.arange(self._hospitals, parameters.size)))
            gradient, information = np.zeros(parameters.size), np.zeros((parameters.size, parameters.size))
            gradient[own] = part.gradient
            information[np.ix_(own, own)] = part.information
            total = total + LikelihoodSums(part.loglik, gradient, information)
        return total

    def auc(self, parameters: FloatArray) -> float:
        slopes = parameters[self._hospitals :]
        scores = [_predictor(Z, float(parameters[h]), slopes) for h, Z in enumerate(self._Z)]
        return auc(np.concatenate(scores), np.concatenate(self._y))

    def _check_direction(self, step: FloatArray) -> None:
        slopes = step[self._hospitals :]
        pairs = enumerate(zip(self._Z, self._y, strict=True))
        check_direction([block_margins(Z, y, float(step[h]), slopes) for h, (Z, y) in pairs])

    @staticmethod
    def _check_rank(information: FloatArray) -> None:
        # All weights are equal at the start, so this is the Gram matrix of the design.
        scale = 1.0 / np.sqrt(np.diag(information))
        if float(eigvalsh(information * np.outer(scale, scale))[0]) < RANK_TOLERANCE:
            raise RankDeficientError("a term is a linear combination of other terms and hospital intercepts")


def _predictor(Z: FloatArray, intercept: float, slopes: FloatArray) -> FloatArray:
    # Column by column, not Z @ slopes: BLAS may round equal rows differently, which would break ties of the AUC.
    scores = np.full(Z.shape[0], intercept)
    for j, slope in enumerate(slopes):
        scores += Z[:, j] * slope
    return scores
