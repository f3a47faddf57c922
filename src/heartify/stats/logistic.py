"""Maximum-likelihood logistic regression over one hospital, or over several with an intercept each.

Every quantity that the fit needs from a hospital is a sum over its rows (moments, likelihood sums), added block by
block in the given order: equal input gives equal output, bit for bit. Trusts CohortBlock for clean arrays. Never
returns an estimate that is not a finite maximum, and keeps no row-level array in its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks
from heartify.stats.errors import InvalidBlockError
from heartify.stats.likelihood import null_loglik
from heartify.stats.newton import invert_information, maximise
from heartify.stats.separation import check_standard_errors
from heartify.stats.standardised_cohort import build_cohort


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
    cohort = build_cohort(blocks, term_names)
    start_variance = np.diag(invert_information(cohort.start_information()))
    maximum = maximise(cohort.sums, cohort.start, cohort.check_direction)
    check_standard_errors(np.sqrt(np.diag(maximum.covariance)), np.sqrt(start_variance))
    return PooledLogisticFit(
        names=cohort.names,
        term_names=cohort.term_names,
        coef=cohort.T @ maximum.parameters,
        covariance=cohort.T @ maximum.covariance @ cohort.T.T,
        loglik=maximum.sums.loglik,
        null_loglik=null_loglik(cohort.n, cohort.events),
        iterations=maximum.iterations,
        n=cohort.n,
        events=cohort.events,
        n_by_block={block.name: block.n for block in blocks},
        events_by_block={block.name: block.events for block in blocks},
        auc=cohort.auc(maximum.parameters),
    )


def check_fit_belongs(blocks: Sequence[CohortBlock], fit: PooledLogisticFit) -> None:
    """Check that a fit was made on these blocks, as far as its counts can tell.

    Raises:
        InvalidBlockError: hospitals, rows, events or columns differ.
    """
    check_blocks(blocks)
    same = (
        {block.name: block.n for block in blocks} == fit.n_by_block
        and {block.name: block.events for block in blocks} == fit.events_by_block
        and [block.name for block in blocks] == list(fit.n_by_block)
        and blocks[0].X.shape[1] == len(fit.term_names)
    )
    if not same:
        raise InvalidBlockError("the fit was made on other blocks")
