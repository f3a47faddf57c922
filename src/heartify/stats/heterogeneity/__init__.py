"""How far the hospitals differ, and what holds in all of them.

Each hospital's own estimates, their fixed- and random-effects meta-analysis with prediction intervals, tests of the
hospital x term interaction, and validation on hospitals that the model has not seen.
"""

from heartify.stats.heterogeneity.interaction import (
    InteractionTest,
    likelihood_ratio_interaction,
    score_test_interactions,
)
from heartify.stats.heterogeneity.leave_one_out import (
    LeaveOneOut,
    LeftOutHospital,
    leave_one_hospital_out,
    predict_log_odds,
)
from heartify.stats.heterogeneity.meta_analysis import (
    HartungKnapp,
    MetaAnalysis,
    PredictionIntervals,
    fixed_effect,
    random_effects,
)
from heartify.stats.heterogeneity.per_hospital import (
    HospitalEstimate,
    NotEstimable,
    OwnFit,
    OwnFitter,
    TermHeterogeneity,
    estimate_per_hospital,
    estimate_per_hospital_penalised,
    fit_by_maximum_likelihood,
    meta_analyse,
)
from heartify.stats.heterogeneity.tau2 import Tau2Method
from heartify.stats.heterogeneity.validation import Measure
from heartify.stats.intervals import Interval

__all__ = [
    "HartungKnapp",
    "HospitalEstimate",
    "InteractionTest",
    "Interval",
    "LeaveOneOut",
    "LeftOutHospital",
    "Measure",
    "MetaAnalysis",
    "NotEstimable",
    "OwnFit",
    "OwnFitter",
    "PredictionIntervals",
    "Tau2Method",
    "TermHeterogeneity",
    "estimate_per_hospital",
    "estimate_per_hospital_penalised",
    "fit_by_maximum_likelihood",
    "fixed_effect",
    "leave_one_hospital_out",
    "likelihood_ratio_interaction",
    "meta_analyse",
    "predict_log_odds",
    "random_effects",
    "score_test_interactions",
]
