"""Pure numerics on arrays, for the inside of the enclave: no files, no network, no protocol, no randomness of its own.

What draws (imputation, bootstraps, cross-validation) takes its generator as an argument: equal input, equal output.
"""

from heartify.stats.blocks import CohortBlock, pooled_sd
from heartify.stats.errors import (
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    StatsError,
)
from heartify.stats.factor_weights import Effect, Weight, weights
from heartify.stats.logistic import HospitalIntercept, PooledLogisticFit, fit_logistic, fit_pooled_logistic
from heartify.stats.roc import auc

__all__ = [
    "CohortBlock",
    "DegenerateOutcomeError",
    "Effect",
    "HospitalIntercept",
    "InvalidBlockError",
    "NotConvergedError",
    "PooledLogisticFit",
    "RankDeficientError",
    "SeparationError",
    "StatsError",
    "Weight",
    "auc",
    "fit_logistic",
    "fit_pooled_logistic",
    "pooled_sd",
    "weights",
]
