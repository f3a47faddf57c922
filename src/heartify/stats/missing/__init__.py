"""Missing data: what is missing where, multiple imputation by chained equations, and pooling by Rubin's rules."""

from heartify.stats.missing.columns import Column, ColumnKind, IncompleteTable, binary, categorical, continuous
from heartify.stats.missing.convergence import ChainTrace, Convergence, summarise_chains
from heartify.stats.missing.cumulative_hazard import nelson_aalen
from heartify.stats.missing.mice import Completed, ImputationSpec, NeverMeasuredPolicy, impute
from heartify.stats.missing.pattern import JointPattern, MissingPattern, NeverMeasured, missing_pattern
from heartify.stats.missing.pooled_wald import PooledWald, pool_wald
from heartify.stats.missing.rubin import (
    PooledProbability,
    PooledScalar,
    PooledVector,
    pool_on_logit,
    pool_scalar,
    pool_vector,
    recommended_imputations,
)

__all__ = [
    "ChainTrace",
    "Column",
    "ColumnKind",
    "Completed",
    "Convergence",
    "ImputationSpec",
    "IncompleteTable",
    "JointPattern",
    "MissingPattern",
    "NeverMeasured",
    "NeverMeasuredPolicy",
    "PooledProbability",
    "PooledScalar",
    "PooledVector",
    "PooledWald",
    "binary",
    "categorical",
    "continuous",
    "impute",
    "missing_pattern",
    "nelson_aalen",
    "pool_on_logit",
    "pool_scalar",
    "pool_vector",
    "pool_wald",
    "recommended_imputations",
    "summarise_chains",
]
