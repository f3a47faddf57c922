"""Published risk scores as vectorised functions on clinical units: Framingham 2008, SCORE2, SCORE2-OP, PREVENT.

`SCORES` holds them by name with the inputs that each needs. A result carries the risk, its log odds (for use as a base
model), the linear predictor, and who is of an eligible age. Publishers' terms, the AHA's for PREVENT among them, should
be checked before commercial use.
"""

from heartify.stats.scores.framingham import (
    FraminghamBmiInputs,
    FraminghamLipidInputs,
    framingham_bmi,
    framingham_lipid,
)
from heartify.stats.scores.inputs import ScoreInput
from heartify.stats.scores.prevent_equations import PreventInputs, PreventOutcome, prevent
from heartify.stats.scores.registry import SCORES, Score, find_score
from heartify.stats.scores.result import AgeRange, ScoreResult
from heartify.stats.scores.score2_equations import RiskRegion, Score2Inputs, score2, score2_older
from heartify.stats.scores.validation import ScoreValidation, validate_score

__all__ = [
    "SCORES",
    "AgeRange",
    "FraminghamBmiInputs",
    "FraminghamLipidInputs",
    "PreventInputs",
    "PreventOutcome",
    "RiskRegion",
    "Score",
    "Score2Inputs",
    "ScoreInput",
    "ScoreResult",
    "ScoreValidation",
    "find_score",
    "framingham_bmi",
    "framingham_lipid",
    "prevent",
    "score2",
    "score2_older",
    "validate_score",
]
