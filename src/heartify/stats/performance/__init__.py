"""How well predicted risks do: discrimination, accuracy, explained variation, calibration, benefit, and optimism.

Everything takes predictions and outcomes of the same rows, from any model or published score. Per-hospital results come
from a hospital's own rows; `PredictionSums` add up over parts and hospitals.
"""

from heartify.stats.performance.brier import BrierScore, PredictionSums, brier_score, prediction_sums
from heartify.stats.performance.calibration_curve import (
    CalibrationPoint,
    FlexibleCalibration,
    flexible_calibration,
)
from heartify.stats.performance.calibration_measures import (
    Calibration,
    CalibrationGroup,
    calibration,
    calibration_groups,
    calibration_in_the_large,
)
from heartify.stats.performance.delong import (
    AucEstimate,
    UnnestedAucComparison,
    auc_difference,
    compare_unnested_aucs,
    delong_auc,
)
from heartify.stats.performance.net_benefit import (
    DecisionPoint,
    NetBenefitDifference,
    decision_curve,
    net_benefit_differences,
)
from heartify.stats.performance.optimism import (
    RISK_MEASURES,
    CorrectedMeasure,
    OptimismCorrection,
    bootstrap_optimism,
    risk_measures,
)
from heartify.stats.performance.predictions import Estimate
from heartify.stats.performance.r2 import ExplainedVariation, LikelihoodR2, explained_variation, likelihood_r2
from heartify.stats.performance.roc_points import RocPoint, roc_curve

__all__ = [
    "RISK_MEASURES",
    "AucEstimate",
    "BrierScore",
    "Calibration",
    "CalibrationGroup",
    "CalibrationPoint",
    "CorrectedMeasure",
    "DecisionPoint",
    "Estimate",
    "ExplainedVariation",
    "FlexibleCalibration",
    "LikelihoodR2",
    "NetBenefitDifference",
    "OptimismCorrection",
    "PredictionSums",
    "RocPoint",
    "UnnestedAucComparison",
    "auc_difference",
    "bootstrap_optimism",
    "brier_score",
    "calibration",
    "calibration_groups",
    "calibration_in_the_large",
    "compare_unnested_aucs",
    "decision_curve",
    "delong_auc",
    "explained_variation",
    "flexible_calibration",
    "likelihood_r2",
    "net_benefit_differences",
    "prediction_sums",
    "risk_measures",
    "roc_curve",
]
