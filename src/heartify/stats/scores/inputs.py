"""What a published score asks of a patient, with units, and the check of such columns.

A column of a study is mapped to an input by name; each input has a UCUM unit. Columns are checked once here: complete,
of one length, in a plausible order of magnitude for the unit. Nothing here converts units: the caller knows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ScoreInput:
    """A named input: its UCUM unit ("1" for yes/no), what it means, and where the median of a cohort must lie."""

    name: str
    unit: str
    description: str
    median_low: float
    median_high: float

    @property
    def is_flag(self) -> bool:
        """Return whether the input is yes or no."""
        return self.unit == "1"


def _flag(name: str, description: str) -> ScoreInput:
    return ScoreInput(name, "1", description, 0.0, 1.0)


AGE_YEARS = ScoreInput("age_years", "a", "age at the start of follow-up", 10.0, 120.0)
MALE = _flag("male", "sex is male")
SBP_MMHG = ScoreInput("sbp_mmhg", "mm[Hg]", "systolic blood pressure", 60.0, 250.0)
BP_TREATED = _flag("bp_treated", "takes medication that lowers blood pressure")
SMOKER = _flag("smoker", "smokes at present")
DIABETES = _flag("diabetes", "has diabetes")
STATIN = _flag("statin", "takes a statin")
TOTAL_CHOLESTEROL_MG_DL = ScoreInput("total_cholesterol_mg_dl", "mg/dL", "total cholesterol", 60.0, 500.0)
HDL_CHOLESTEROL_MG_DL = ScoreInput("hdl_cholesterol_mg_dl", "mg/dL", "HDL cholesterol", 12.0, 150.0)
TOTAL_CHOLESTEROL_MMOL_L = ScoreInput("total_cholesterol_mmol_l", "mmol/L", "total cholesterol", 1.5, 13.0)
HDL_CHOLESTEROL_MMOL_L = ScoreInput("hdl_cholesterol_mmol_l", "mmol/L", "HDL cholesterol", 0.3, 4.0)
BMI_KG_M2 = ScoreInput("bmi_kg_m2", "kg/m2", "body mass index", 10.0, 70.0)
EGFR = ScoreInput("egfr_ml_min_1_73m2", "mL/min/{1.73_m2}", "estimated GFR, CKD-EPI 2021", 5.0, 200.0)


def freeze_inputs(record: Any, inputs: tuple[ScoreInput, ...]) -> None:
    """Check a frozen dataclass of columns and replace each by a read-only float64 array (n,); flags become 0.0 or 1.0.

    Raises:
        InvalidBlockError: a column is not a vector of numbers, has a missing, infinite or non-positive value, a flag
            has values other than 0 and 1, lengths differ, or a median is implausible in the input's unit.
    """
    columns = {}
    for wanted in inputs:
        columns[wanted.name] = _checked(getattr(record, wanted.name), wanted)
    if len({column.size for column in columns.values()}) != 1:
        raise InvalidBlockError("the columns of a score differ in length")
    for name, column in columns.items():
        object.__setattr__(record, name, column)


def _checked(values: object, wanted: ScoreInput) -> FloatArray:
    try:
        column = np.array(values, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"{wanted.name} does not hold numbers ({type(exc).__name__})") from None
    if column.ndim != 1 or not column.size:
        raise InvalidBlockError(f"{wanted.name}: expected a column (n,) with at least one row, got {column.shape}")
    if not np.isfinite(column).all():
        raise InvalidBlockError(f"{wanted.name} has missing or infinite values")
    if wanted.is_flag and not np.isin(column, (0.0, 1.0)).all():
        raise InvalidBlockError(f"{wanted.name}: expected 0 or 1")
    if not wanted.is_flag and not (column > 0.0).all():
        raise InvalidBlockError(f"{wanted.name}: expected positive values")
    if not wanted.median_low <= float(np.median(column)) <= wanted.median_high:
        raise InvalidBlockError(f"{wanted.name}: the median is implausible in {wanted.unit}; check the unit")
    column.setflags(write=False)
    return column
