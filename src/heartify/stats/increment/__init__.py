"""What a new factor adds to a base model or a published score.

The only p-values are of the added coefficients (likelihood ratio, score); then come estimates with intervals: the
difference of AUCs, IDI and NRI in their parts among events and among non-events, and net benefit.
"""

from heartify.stats.increment.discrimination import DiscriminationImprovement, integrated_discrimination
from heartify.stats.increment.increment import (
    INCREMENT_MEASURES,
    INTERVAL_MEASURES,
    BootstrapInterval,
    Increment,
    IncrementEstimates,
    bootstrap_intervals,
    increment_estimates,
    increment_of_columns,
)
from heartify.stats.increment.reclassification import (
    CategoricalReclassification,
    NetReclassification,
    categorical_reclassification,
    continuous_reclassification,
)
from heartify.stats.increment.tests import AddedColumnsTest, added_columns_test

__all__ = [
    "INCREMENT_MEASURES",
    "INTERVAL_MEASURES",
    "AddedColumnsTest",
    "BootstrapInterval",
    "CategoricalReclassification",
    "DiscriminationImprovement",
    "Increment",
    "IncrementEstimates",
    "NetReclassification",
    "added_columns_test",
    "bootstrap_intervals",
    "categorical_reclassification",
    "continuous_reclassification",
    "increment_estimates",
    "increment_of_columns",
    "integrated_discrimination",
]
