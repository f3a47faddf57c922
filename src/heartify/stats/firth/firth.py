"""Firth's logistic regression over one hospital or several: finite, nearly unbiased estimates, also under separation.

The model and its parametrisation are those of `fit_pooled_logistic`; hospital intercepts are penalised like the other
parameters, as logistf does with dummies. Sources: Firth 1993, Biometrika 80:27; Heinze and Schemper 2002, Stat Med
21:2409. The result keeps no row-level array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import SeparationError
from heartify.stats.firth.penalised import PenalisedPoint, penalised_maximum
from heartify.stats.likelihood import null_loglik
from heartify.stats.logistic import PooledLogisticFit, fit_pooled_logistic
from heartify.stats.standardised_cohort import StandardisedCohort, standardise

Method = Literal["maximum likelihood", "firth"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FirthFit:
    """Hold Firth's estimates in the same form as those of maximum likelihood.

    `estimates.covariance` is the inverse Fisher information at them, as in the papers and brglm2 (some programs take
    that of the augmented data, which is smaller); `estimates.loglik` is the log-likelihood without penalty.
    `penalised_loglik` is l + log|I| / 2 with I in treatment coding and clinical units.
    """

    estimates: PooledLogisticFit
    penalised_loglik: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LogisticFit:
    """Hold the estimates of whichever method gave them; `firth` is None for maximum likelihood."""

    method: Method
    estimates: PooledLogisticFit
    firth: FirthFit | None


def fit_firth(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> FirthFit:
    """Fit one slope per term and one intercept per block by Firth's penalised likelihood, to steps below 1e-10.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant, or a combination of terms and hospital intercepts.
        NotConvergedError: no maximum was reached.
    """
    cohort = standardise(blocks, term_names)
    return _outside(cohort, blocks, penalised_maximum(cohort, cohort.start))


def fit_logistic_or_firth(blocks: Sequence[CohortBlock], term_names: Sequence[str]) -> LogisticFit:
    """Fit by maximum likelihood; where the outcome is separated, by Firth's method. The result says which it was.

    Raises:
        InvalidBlockError, DegenerateOutcomeError, RankDeficientError, NotConvergedError: as the two fits.
    """
    try:
        return LogisticFit("maximum likelihood", fit_pooled_logistic(blocks, term_names), None)
    except SeparationError:
        fit = fit_firth(blocks, term_names)
        return LogisticFit("firth", fit.estimates, fit)


def _outside(cohort: StandardisedCohort, blocks: Sequence[CohortBlock], point: PenalisedPoint) -> FirthFit:
    T = cohort.T
    estimates = PooledLogisticFit(
        names=cohort.names,
        term_names=cohort.term_names,
        coef=T @ point.parameters,
        covariance=T @ point.covariance @ T.T,
        loglik=point.loglik,
        null_loglik=null_loglik(cohort.n, cohort.events),
        iterations=point.iterations,
        n=cohort.n,
        events=cohort.events,
        n_by_block={block.name: block.n for block in blocks},
        events_by_block={block.name: block.events for block in blocks},
        auc=cohort.auc(point.parameters),
    )
    # The information outside is T'^-1 I T^-1: its log-determinant is smaller by 2 log|det T|.
    return FirthFit(estimates, point.penalised - float(np.linalg.slogdet(T).logabsdet))
