"""Cox regression on one hospital or several.

Blocks of follow-up (competing events, delayed entry, strata), the maximum partial likelihood fit, its robust variance,
residuals, test of proportional hazards, and baseline hazard and survival.
"""

from heartify.stats.chi_square import ChiSquareTest
from heartify.stats.survival.baseline import (
    StratumBaseline,
    SurvivalCurve,
    baseline_hazards,
    cumulative_baseline_hazard,
    survival_curve,
)
from heartify.stats.survival.blocks import (
    BaselineHazard,
    SurvivalBlock,
    SurvivalColumns,
    SurvivalSource,
    Ties,
    join_parts,
)
from heartify.stats.survival.cox import CoxFit, fit_cox
from heartify.stats.survival.proportional_hazards import (
    ProportionalHazardsTest,
    TimeTransform,
    proportional_hazards_test,
)
from heartify.stats.survival.residuals import (
    SchoenfeldResiduals,
    dfbeta_residuals,
    martingale_residuals,
    schoenfeld_residuals,
    score_residuals,
)
from heartify.stats.survival.robust import hospital_clusters, robust_covariance, robust_wald_test

__all__ = [
    "BaselineHazard",
    "ChiSquareTest",
    "CoxFit",
    "ProportionalHazardsTest",
    "SchoenfeldResiduals",
    "StratumBaseline",
    "SurvivalBlock",
    "SurvivalColumns",
    "SurvivalCurve",
    "SurvivalSource",
    "Ties",
    "TimeTransform",
    "baseline_hazards",
    "cumulative_baseline_hazard",
    "dfbeta_residuals",
    "fit_cox",
    "hospital_clusters",
    "join_parts",
    "martingale_residuals",
    "proportional_hazards_test",
    "robust_covariance",
    "robust_wald_test",
    "schoenfeld_residuals",
    "score_residuals",
    "survival_curve",
]
