"""SCORE2 and SCORE2-OP: ten-year risk of cardiovascular events in Europe, in four regions of risk.

Sources: SCORE2 working group 2021, Eur Heart J 42:2439 (40 to 69 years) and SCORE2-OP working group 2021, Eur Heart J
42:2455 (70 years and over). r = 1 - S0^exp(L), recalibrated to the region as 1 - exp(-exp(a + b ln(-ln(1 - r)))).
Cholesterol is in mmol/L. Meant for people without cardiovascular disease and without diabetes; the derivation's
diabetes terms are kept, so pass zeros to follow the published charts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.scores.inputs import (
    AGE_YEARS,
    DIABETES,
    HDL_CHOLESTEROL_MMOL_L,
    MALE,
    SBP_MMHG,
    SMOKER,
    TOTAL_CHOLESTEROL_MMOL_L,
    BoolArray,
    ScoreInput,
    freeze_inputs,
)
from heartify.stats.scores.result import AgeRange, ScoreResult, hazard_result

AGES = AgeRange(40, 69)
AGES_OLDER = AgeRange(70, None)
INPUTS: tuple[ScoreInput, ...] = (
    AGE_YEARS,
    MALE,
    SBP_MMHG,
    SMOKER,
    DIABETES,
    TOTAL_CHOLESTEROL_MMOL_L,
    HDL_CHOLESTEROL_MMOL_L,
)


class RiskRegion(StrEnum):
    """The four European regions, by cardiovascular mortality."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    VERY_HIGH = "very_high"


@dataclass(frozen=True, slots=True)
class Score2Coefficients:
    """The model of one sex, on centred inputs: main effects, products with age, S0 at ten years, and the mean of L.

    `scales` holds a region's pair (a, b) of the recalibration.
    """

    age: float
    smoker: float
    sbp: float
    diabetes: float
    total_cholesterol: float
    hdl_cholesterol: float
    age_smoker: float
    age_sbp: float
    age_total_cholesterol: float
    age_hdl_cholesterol: float
    age_diabetes: float
    survival: float
    mean: float
    scales: dict[RiskRegion, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Centring:
    """Where the inputs are centred and by what they are divided: pairs (centre, unit)."""

    age: tuple[float, float]
    sbp: tuple[float, float]
    total_cholesterol: tuple[float, float]
    hdl_cholesterol: tuple[float, float]


CENTRING = Centring(age=(60.0, 5.0), sbp=(120.0, 20.0), total_cholesterol=(6.0, 1.0), hdl_cholesterol=(1.3, 0.5))
CENTRING_OLDER = Centring(age=(73.0, 1.0), sbp=(150.0, 1.0), total_cholesterol=(6.0, 1.0), hdl_cholesterol=(1.4, 1.0))

MALE_40_69 = Score2Coefficients(
    age=0.3742,
    smoker=0.6012,
    sbp=0.2777,
    diabetes=0.6457,
    total_cholesterol=0.1458,
    hdl_cholesterol=-0.2698,
    age_smoker=-0.0755,
    age_sbp=-0.0255,
    age_total_cholesterol=-0.0281,
    age_hdl_cholesterol=0.0426,
    age_diabetes=-0.0983,
    survival=0.9605,
    mean=0.0,
    scales={
        RiskRegion.LOW: (-0.5699, 0.7476),
        RiskRegion.MODERATE: (-0.1565, 0.8009),
        RiskRegion.HIGH: (0.3207, 0.9360),
        RiskRegion.VERY_HIGH: (0.5836, 0.8294),
    },
)
FEMALE_40_69 = Score2Coefficients(
    age=0.4648,
    smoker=0.7744,
    sbp=0.3131,
    diabetes=0.8096,
    total_cholesterol=0.1002,
    hdl_cholesterol=-0.2606,
    age_smoker=-0.1088,
    age_sbp=-0.0277,
    age_total_cholesterol=-0.0226,
    age_hdl_cholesterol=0.0613,
    age_diabetes=-0.1272,
    survival=0.9776,
    mean=0.0,
    scales={
        RiskRegion.LOW: (-0.7380, 0.7019),
        RiskRegion.MODERATE: (-0.3143, 0.7701),
        RiskRegion.HIGH: (0.5710, 0.9369),
        RiskRegion.VERY_HIGH: (0.9412, 0.8329),
    },
)
MALE_70 = Score2Coefficients(
    age=0.0634,
    smoker=0.3524,
    sbp=0.0094,
    diabetes=0.4245,
    total_cholesterol=0.0850,
    hdl_cholesterol=-0.3564,
    age_smoker=-0.0247,
    age_sbp=-0.0005,
    age_total_cholesterol=0.0073,
    age_hdl_cholesterol=0.0091,
    age_diabetes=-0.0174,
    survival=0.7576,
    mean=0.0929,
    scales={
        RiskRegion.LOW: (-0.34, 1.19),
        RiskRegion.MODERATE: (0.01, 1.25),
        RiskRegion.HIGH: (0.08, 1.15),
        RiskRegion.VERY_HIGH: (0.05, 0.70),
    },
)
FEMALE_70 = Score2Coefficients(
    age=0.0789,
    smoker=0.4921,
    sbp=0.0102,
    diabetes=0.6010,
    total_cholesterol=0.0605,
    hdl_cholesterol=-0.3040,
    age_smoker=-0.0255,
    age_sbp=-0.0004,
    age_total_cholesterol=-0.0009,
    age_hdl_cholesterol=0.0154,
    age_diabetes=-0.0107,
    survival=0.8082,
    mean=0.2290,
    scales={
        RiskRegion.LOW: (-0.52, 1.01),
        RiskRegion.MODERATE: (-0.10, 1.10),
        RiskRegion.HIGH: (0.38, 1.09),
        RiskRegion.VERY_HIGH: (0.38, 0.69),
    },
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Score2Inputs:
    """Columns (n,) of SCORE2 and SCORE2-OP, cholesterol in mmol/L; flags are booleans or 0/1.

    Raises:
        InvalidBlockError: as `freeze_inputs`.
    """

    age_years: FloatArray
    male: BoolArray | FloatArray
    sbp_mmhg: FloatArray
    smoker: BoolArray | FloatArray
    diabetes: BoolArray | FloatArray
    total_cholesterol_mmol_l: FloatArray
    hdl_cholesterol_mmol_l: FloatArray

    def __post_init__(self) -> None:
        freeze_inputs(self, INPUTS)


def score2(inputs: Score2Inputs, region: RiskRegion) -> ScoreResult:
    """Return the ten-year risk of fatal and non-fatal cardiovascular events, calibrated to the region; 40 to 69."""
    return _score(inputs, region, (MALE_40_69, FEMALE_40_69), CENTRING, AGES)


def score2_older(inputs: Score2Inputs, region: RiskRegion) -> ScoreResult:
    """Return the same by SCORE2-OP, for 70 years and over.

    Its coefficients could be compared with one published copy only.
    """
    return _score(inputs, region, (MALE_70, FEMALE_70), CENTRING_OLDER, AGES_OLDER)


def _score(
    inputs: Score2Inputs,
    region: RiskRegion,
    sexes: tuple[Score2Coefficients, Score2Coefficients],
    centring: Centring,
    ages: AgeRange,
) -> ScoreResult:
    male = inputs.male == 1.0
    predictors = [_predictor(inputs, b, centring) for b in sexes]
    log_hazards = [_recalibrated(L, b, region) for L, b in zip(predictors, sexes, strict=True)]
    return hazard_result(np.where(male, *log_hazards), np.where(male, *predictors), ages.holds(inputs.age_years))


def _predictor(inputs: Score2Inputs, b: Score2Coefficients, centring: Centring) -> FloatArray:
    age = _centred(inputs.age_years, centring.age)
    sbp = _centred(inputs.sbp_mmhg, centring.sbp)
    total = _centred(inputs.total_cholesterol_mmol_l, centring.total_cholesterol)
    hdl = _centred(inputs.hdl_cholesterol_mmol_l, centring.hdl_cholesterol)
    predictor: FloatArray = (
        b.age * age
        + (b.smoker + b.age_smoker * age) * inputs.smoker
        + (b.diabetes + b.age_diabetes * age) * inputs.diabetes
        + (b.sbp + b.age_sbp * age) * sbp
        + (b.total_cholesterol + b.age_total_cholesterol * age) * total
        + (b.hdl_cholesterol + b.age_hdl_cholesterol * age) * hdl
        - b.mean
    )
    return predictor


def _centred(values: FloatArray, place: tuple[float, float]) -> FloatArray:
    centre, unit = place
    return (values - centre) / unit


def _recalibrated(L: FloatArray, b: Score2Coefficients, region: RiskRegion) -> FloatArray:
    a, slope = b.scales[region]
    return a + slope * (float(np.log(-np.log(b.survival))) + L)
