"""Penalised logistic regression: the elastic net along a path, its cross-validation, and stability selection."""

from heartify.stats.penalised.cross_validation import (
    CrossValidation,
    LambdaRule,
    NestedCrossValidation,
    assign_folds,
    cross_validate,
    nested_cross_validate,
)
from heartify.stats.penalised.path import PenalisedFit, PenalisedPath, fit_at, fit_elastic_net, fit_path
from heartify.stats.penalised.stability import (
    StabilitySelection,
    choose_q,
    expected_false_selections,
    select_stable,
    unimodal_false_selections,
)

__all__ = [
    "CrossValidation",
    "LambdaRule",
    "NestedCrossValidation",
    "PenalisedFit",
    "PenalisedPath",
    "StabilitySelection",
    "assign_folds",
    "choose_q",
    "cross_validate",
    "expected_false_selections",
    "fit_at",
    "fit_elastic_net",
    "fit_path",
    "nested_cross_validate",
    "select_stable",
    "unimodal_false_selections",
]
