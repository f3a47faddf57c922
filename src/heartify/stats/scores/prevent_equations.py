"""PREVENT 2023 base model: ten- and thirty-year risk of cardiovascular disease and its parts.

Source: Khan et al. 2024, Circulation 149:430 (equations in its supplement). Logistic on splines of systolic pressure
(110 mmHg), eGFR (60) and BMI (30). Meant for people of 30 to 79 years (30 to 59 for thirty years) without
cardiovascular disease. The numbers are published facts; check the AHA's terms before commercial use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.scores.inputs import (
    AGE_YEARS,
    BMI_KG_M2,
    BP_TREATED,
    DIABETES,
    EGFR,
    HDL_CHOLESTEROL_MG_DL,
    MALE,
    SBP_MMHG,
    SMOKER,
    STATIN,
    TOTAL_CHOLESTEROL_MG_DL,
    BoolArray,
    ScoreInput,
    freeze_inputs,
)
from heartify.stats.scores.prevent_coefficients import COLUMNS, TEN_YEARS, THIRTY_YEARS
from heartify.stats.scores.result import AgeRange, ScoreResult, logistic_result

MMOL_L_PER_MG_DL = 0.02586  # of cholesterol, as the publication has it
AGES = {10: AgeRange(30, 79), 30: AgeRange(30, 59)}
TABLES = {10: TEN_YEARS, 30: THIRTY_YEARS}
INPUTS: tuple[ScoreInput, ...] = (
    AGE_YEARS,
    MALE,
    SBP_MMHG,
    BP_TREATED,
    SMOKER,
    DIABETES,
    STATIN,
    TOTAL_CHOLESTEROL_MG_DL,
    HDL_CHOLESTEROL_MG_DL,
    BMI_KG_M2,
    EGFR,
)


class PreventOutcome(StrEnum):
    """The outcomes that PREVENT predicts; total CVD is ASCVD or heart failure, ASCVD is CHD or stroke."""

    TOTAL_CVD = "total_cvd"
    ASCVD = "ascvd"
    HEART_FAILURE = "heart_failure"
    CHD = "chd"
    STROKE = "stroke"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PreventInputs:
    """Columns (n,) of the base model, cholesterol in mg/dL; flags are booleans or 0/1.

    Raises:
        InvalidBlockError: as `freeze_inputs`.
    """

    age_years: FloatArray
    male: BoolArray | FloatArray
    sbp_mmhg: FloatArray
    bp_treated: BoolArray | FloatArray
    smoker: BoolArray | FloatArray
    diabetes: BoolArray | FloatArray
    statin: BoolArray | FloatArray
    total_cholesterol_mg_dl: FloatArray
    hdl_cholesterol_mg_dl: FloatArray
    bmi_kg_m2: FloatArray
    egfr_ml_min_1_73m2: FloatArray

    def __post_init__(self) -> None:
        freeze_inputs(self, INPUTS)


def prevent(inputs: PreventInputs, outcome: PreventOutcome, horizon_years: int) -> ScoreResult:
    """Return the risk of the outcome within ten or thirty years.

    Raises:
        InvalidBlockError: the horizon is neither 10 nor 30.
    """
    if horizon_years not in TABLES:
        raise InvalidBlockError(f"PREVENT has horizons of 10 and 30 years, not {horizon_years}")
    table = TABLES[horizon_years]
    terms = _terms(inputs)
    predictors = [
        sum(
            (table[name][COLUMNS.index(f"{sex}_{outcome}")] * terms[name] for name in table),
            np.zeros(len(terms["age"])),
        )
        for sex in ("male", "female")
    ]
    linear_predictor = np.where(inputs.male == 1.0, *predictors)
    return logistic_result(linear_predictor, AGES[horizon_years].holds(inputs.age_years))


def _terms(inputs: PreventInputs) -> dict[str, FloatArray]:
    """Return every term (n,) of the equations, under the names of the coefficient tables."""
    age = (inputs.age_years - 55.0) / 10.0
    non_hdl = (inputs.total_cholesterol_mg_dl - inputs.hdl_cholesterol_mg_dl) * MMOL_L_PER_MG_DL - 3.5
    hdl = (inputs.hdl_cholesterol_mg_dl * MMOL_L_PER_MG_DL - 1.3) / 0.3
    sbp_high = (np.maximum(inputs.sbp_mmhg, 110.0) - 130.0) / 20.0
    bmi_high = (np.maximum(inputs.bmi_kg_m2, 30.0) - 30.0) / 5.0
    egfr_low = (np.minimum(inputs.egfr_ml_min_1_73m2, 60.0) - 60.0) / -15.0
    diabetes, smoker, bp_treated, statin = (
        np.asarray(flag, dtype=np.float64)
        for flag in (inputs.diabetes, inputs.smoker, inputs.bp_treated, inputs.statin)
    )
    return {
        "age": age,
        "age_squared": age**2,
        "non_hdl": non_hdl,
        "hdl": hdl,
        "sbp_below_110": (np.minimum(inputs.sbp_mmhg, 110.0) - 110.0) / 20.0,
        "sbp_from_110": sbp_high,
        "diabetes": diabetes,
        "smoker": smoker,
        "bmi_below_30": (np.minimum(inputs.bmi_kg_m2, 30.0) - 25.0) / 5.0,
        "bmi_from_30": bmi_high,
        "egfr_below_60": egfr_low,
        "egfr_from_60": (np.maximum(inputs.egfr_ml_min_1_73m2, 60.0) - 90.0) / -15.0,
        "bp_treated": bp_treated,
        "statin": statin,
        "treated_sbp_from_110": bp_treated * sbp_high,
        "treated_non_hdl": statin * non_hdl,
        "age_non_hdl": age * non_hdl,
        "age_hdl": age * hdl,
        "age_sbp_from_110": age * sbp_high,
        "age_diabetes": age * diabetes,
        "age_smoker": age * smoker,
        "age_bmi_from_30": age * bmi_high,
        "age_egfr_below_60": age * egfr_low,
        "constant": np.ones(age.size),
    }
