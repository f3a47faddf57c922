"""Framingham 2008: ten-year risk of a first cardiovascular event, with lipids or with the body mass index.

Source of equations and coefficients: D'Agostino et al. 2008, Circulation 117:743, tables 2 (lipids) and the online BMI
table. risk = 1 - S0^exp(sum b x - mean). Meant for people of 30 to 74 years without cardiovascular disease. The
numbers are published facts; check the publisher's terms before commercial use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.scores.inputs import (
    AGE_YEARS,
    BMI_KG_M2,
    BP_TREATED,
    DIABETES,
    HDL_CHOLESTEROL_MG_DL,
    MALE,
    SBP_MMHG,
    SMOKER,
    TOTAL_CHOLESTEROL_MG_DL,
    BoolArray,
    ScoreInput,
    freeze_inputs,
)
from heartify.stats.scores.result import AgeRange, ScoreResult, hazard_result

AGES = AgeRange(30, 74)
LIPID_INPUTS: tuple[ScoreInput, ...] = (
    AGE_YEARS,
    MALE,
    SBP_MMHG,
    BP_TREATED,
    SMOKER,
    DIABETES,
    TOTAL_CHOLESTEROL_MG_DL,
    HDL_CHOLESTEROL_MG_DL,
)
BMI_INPUTS: tuple[ScoreInput, ...] = (AGE_YEARS, MALE, SBP_MMHG, BP_TREATED, SMOKER, DIABETES, BMI_KG_M2)


@dataclass(frozen=True, slots=True)
class LipidCoefficients:
    """The lipid model of one sex: log hazard ratios, their mean over the derivation cohort, and S0 at ten years."""

    ln_age: float
    ln_total_cholesterol: float
    ln_hdl_cholesterol: float
    ln_untreated_sbp: float
    ln_treated_sbp: float
    smoker: float
    diabetes: float
    mean: float
    survival: float


@dataclass(frozen=True, slots=True)
class BmiCoefficients:
    """The BMI model of one sex: log hazard ratios, their mean over the derivation cohort, and S0 at ten years."""

    ln_age: float
    ln_bmi: float
    ln_untreated_sbp: float
    ln_treated_sbp: float
    smoker: float
    diabetes: float
    mean: float
    survival: float


LIPID_MALE = LipidCoefficients(3.06117, 1.1237, -0.93263, 1.93303, 1.99881, 0.65451, 0.57367, 23.9802, 0.88936)
LIPID_FEMALE = LipidCoefficients(2.32888, 1.20904, -0.70833, 2.76157, 2.82263, 0.52873, 0.69154, 26.1931, 0.95012)
BMI_MALE = BmiCoefficients(3.11296, 0.79277, 1.85508, 1.92672, 0.70953, 0.5316, 23.9388, 0.88431)
BMI_FEMALE = BmiCoefficients(2.72107, 0.51125, 2.81291, 2.88267, 0.61868, 0.77763, 26.0145, 0.94833)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FraminghamLipidInputs:
    """Columns (n,) of the lipid model; flags are booleans or 0/1.

    Raises:
        InvalidBlockError: as `freeze_inputs`.
    """

    age_years: FloatArray
    male: BoolArray | FloatArray
    sbp_mmhg: FloatArray
    bp_treated: BoolArray | FloatArray
    smoker: BoolArray | FloatArray
    diabetes: BoolArray | FloatArray
    total_cholesterol_mg_dl: FloatArray
    hdl_cholesterol_mg_dl: FloatArray

    def __post_init__(self) -> None:
        freeze_inputs(self, LIPID_INPUTS)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FraminghamBmiInputs:
    """Columns (n,) of the BMI model; flags are booleans or 0/1.

    Raises:
        InvalidBlockError: as `freeze_inputs`.
    """

    age_years: FloatArray
    male: BoolArray | FloatArray
    sbp_mmhg: FloatArray
    bp_treated: BoolArray | FloatArray
    smoker: BoolArray | FloatArray
    diabetes: BoolArray | FloatArray
    bmi_kg_m2: FloatArray

    def __post_init__(self) -> None:
        freeze_inputs(self, BMI_INPUTS)


def framingham_lipid(inputs: FraminghamLipidInputs) -> ScoreResult:
    """Return the ten-year risk of general cardiovascular disease by the lipid model."""
    male = inputs.male == 1.0
    linear_predictor = np.where(male, _lipid_predictor(inputs, LIPID_MALE), _lipid_predictor(inputs, LIPID_FEMALE))
    log_baseline = np.where(male, _log_baseline(LIPID_MALE.survival), _log_baseline(LIPID_FEMALE.survival))
    return hazard_result(log_baseline + linear_predictor, linear_predictor, AGES.holds(inputs.age_years))


def framingham_bmi(inputs: FraminghamBmiInputs) -> ScoreResult:
    """Return the ten-year risk of general cardiovascular disease by the model without laboratory values."""
    male = inputs.male == 1.0
    linear_predictor = np.where(male, _bmi_predictor(inputs, BMI_MALE), _bmi_predictor(inputs, BMI_FEMALE))
    log_baseline = np.where(male, _log_baseline(BMI_MALE.survival), _log_baseline(BMI_FEMALE.survival))
    return hazard_result(log_baseline + linear_predictor, linear_predictor, AGES.holds(inputs.age_years))


def _lipid_predictor(inputs: FraminghamLipidInputs, b: LipidCoefficients) -> FloatArray:
    lipids = b.ln_total_cholesterol * np.log(inputs.total_cholesterol_mg_dl)
    lipids = lipids + b.ln_hdl_cholesterol * np.log(inputs.hdl_cholesterol_mg_dl)
    return lipids + _shared_predictor(inputs, b)


def _bmi_predictor(inputs: FraminghamBmiInputs, b: BmiCoefficients) -> FloatArray:
    bmi: FloatArray = b.ln_bmi * np.log(inputs.bmi_kg_m2)
    return bmi + _shared_predictor(inputs, b)


def _shared_predictor(
    inputs: FraminghamLipidInputs | FraminghamBmiInputs, b: LipidCoefficients | BmiCoefficients
) -> FloatArray:
    pressure = np.where(inputs.bp_treated == 1.0, b.ln_treated_sbp, b.ln_untreated_sbp) * np.log(inputs.sbp_mmhg)
    predictor: FloatArray = (
        b.ln_age * np.log(inputs.age_years)
        + pressure
        + b.smoker * inputs.smoker
        + b.diabetes * inputs.diabetes
        - b.mean
    )
    return predictor


def _log_baseline(survival: float) -> float:
    return float(np.log(-np.log(survival)))
