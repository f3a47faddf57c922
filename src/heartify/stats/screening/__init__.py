"""Screening thousands of candidate parameters with one-pass score tests, adjusted for base covariates and hospitals.

`fit_null` (logistic) or `cox_null`, then `screen`; `refit_hits` for what is found. numpy and scipy only.
"""

from heartify.stats.screening.calibration import QQPoints, lambda_gc, qq_points
from heartify.stats.screening.candidates import MISSING_INT8, CandidateBlock, CandidateLoader
from heartify.stats.screening.cox_score import CoxNull, SurvivalStratum, cox_null, cox_score_sums
from heartify.stats.screening.families import FamilyTest, score_test_family
from heartify.stats.screening.heterogeneity import Heterogeneity, heterogeneity
from heartify.stats.screening.logistic_score import (
    LogisticNull,
    RawSums,
    fit_null,
    logistic_score_sums,
    null_at,
    profile,
    raw_sums,
)
from heartify.stats.screening.missing import own_null_sums, subset_score_sums
from heartify.stats.screening.multiplicity import (
    EffectiveTests,
    StoreyResult,
    adjust_bh,
    adjust_bonferroni,
    adjust_by,
    candidate_correlation,
    effective_tests,
    storey,
)
from heartify.stats.screening.refit import RefitHit, TermFit, refit_hits
from heartify.stats.screening.screen import CandidateSource, CandidateState, ScreenOptions, ScreenResult, screen
from heartify.stats.screening.sums import (
    AdjustedScore,
    ScoreSums,
    adjust_each_hospital,
    adjust_leaving_one_out,
    adjust_pooled,
)

__all__ = [
    "MISSING_INT8",
    "AdjustedScore",
    "CandidateBlock",
    "CandidateLoader",
    "CandidateSource",
    "CandidateState",
    "CoxNull",
    "EffectiveTests",
    "FamilyTest",
    "Heterogeneity",
    "LogisticNull",
    "QQPoints",
    "RawSums",
    "RefitHit",
    "ScoreSums",
    "ScreenOptions",
    "ScreenResult",
    "StoreyResult",
    "SurvivalStratum",
    "TermFit",
    "adjust_bh",
    "adjust_bonferroni",
    "adjust_by",
    "adjust_each_hospital",
    "adjust_leaving_one_out",
    "adjust_pooled",
    "candidate_correlation",
    "cox_null",
    "cox_score_sums",
    "effective_tests",
    "fit_null",
    "heterogeneity",
    "lambda_gc",
    "logistic_score_sums",
    "null_at",
    "own_null_sums",
    "profile",
    "qq_points",
    "raw_sums",
    "refit_hits",
    "score_test_family",
    "screen",
    "storey",
    "subset_score_sums",
]
