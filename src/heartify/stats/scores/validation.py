"""How a published score does on a cohort, as published: nothing of it is refitted.

Only rows of an eligible age count. The outcome must be the score's own, at the score's horizon; a cohort sampled by
outcome makes the observed-to-expected ratio meaningless, but not the AUC.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.performance.brier import BrierScore, brier_score, prediction_sums
from heartify.stats.performance.calibration_measures import (
    Calibration,
    CalibrationGroup,
    calibration,
    calibration_groups,
)
from heartify.stats.performance.delong import AucEstimate, delong_auc
from heartify.stats.scores.result import ScoreResult


@dataclass(frozen=True, slots=True)
class ScoreValidation:
    """Rows judged and left out for their age; O/E, calibration and slope, groups, AUC and Brier score."""

    n: int
    ineligible: int
    calibration: Calibration
    groups: tuple[CalibrationGroup, ...]
    auc: AucEstimate
    brier: BrierScore


def validate_score(result: ScoreResult, y: FloatArray) -> ScoreValidation:
    """Compare a score's risks with y (n,) of zeros and ones among the eligible rows.

    Raises:
        InvalidBlockError: y has another length or other values, or nobody is of an eligible age.
        StatsError: as `calibration` and `delong_auc`.
    """
    if y.shape != result.risk.shape:
        raise InvalidBlockError(f"expected y {result.risk.shape}, got {y.shape}")
    if not result.eligible.any():
        raise InvalidBlockError("nobody is of an age that the score is meant for")
    p, outcome = result.risk[result.eligible], y[result.eligible]
    return ScoreValidation(
        n=p.size,
        ineligible=y.size - p.size,
        calibration=calibration(p, outcome),
        groups=calibration_groups(p, outcome),
        auc=delong_auc(p, outcome),
        brier=brier_score(prediction_sums(p, outcome)),
    )
