"""How well a score or a predicted risk does against follow-up: Harrell's and Uno's C, AUC and Brier at a horizon,
calibration. Scores are risks: larger means earlier. Sums of pairs add over strata; weights are per censoring group.
"""

from heartify.stats.discrimination.harrell import (
    Concordance,
    ConcordanceSums,
    concordance,
    concordance_sums,
    harrell_c,
)
from heartify.stats.discrimination.harrell_difference import harrell_c_difference
from heartify.stats.discrimination.survival_auc import Controls, SurvivalAuc, auc_at
from heartify.stats.discrimination.survival_brier import SurvivalBrier, brier_at
from heartify.stats.discrimination.survival_calibration import (
    CalibrationSlope,
    ObservedRisk,
    SurvivalCalibration,
    calibration_at,
    calibration_slope,
)
from heartify.stats.discrimination.uno import UnoConcordance, uno_c

__all__ = [
    "CalibrationSlope",
    "Concordance",
    "ConcordanceSums",
    "Controls",
    "ObservedRisk",
    "SurvivalAuc",
    "SurvivalBrier",
    "SurvivalCalibration",
    "UnoConcordance",
    "auc_at",
    "brier_at",
    "calibration_at",
    "calibration_slope",
    "concordance",
    "concordance_sums",
    "harrell_c",
    "harrell_c_difference",
    "uno_c",
]
