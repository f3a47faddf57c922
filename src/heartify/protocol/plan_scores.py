"""What each published score reads, and in which units: what a plan's mapping of columns is held against.

The only conversions that there are stand here: a column in one of an input's units may be mapped to it, any other is
refused. Names the scores as the statistics' registry does, with hyphens and without the region (a test compares them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from heartify.errors import InputError
from heartify.protocol.dictionary import Column

if TYPE_CHECKING:
    from heartify.protocol.plan_analyses import ScoreSpec

# Units as UCUM defines them: 1 a = 365.25 d, 1 mo = 1 a / 12, 1 m[Hg] = 133.322 kPa; cholesterol is 38.67 mg a mmol
# (0.02586, as in Khan et al. 2024 and the SCORE2 publications).
_CHOLESTEROL = {"mg/dL": 1.0, "mmol/L": 1.0 / 0.02586, "g/L": 100.0}
QUANTITIES: Mapping[str, Mapping[str, float]] = {
    "age": {"a": 1.0, "mo": 1.0 / 12.0, "d": 1.0 / 365.25},
    "sbp": {"mm[Hg]": 1.0, "kPa": 1.0 / 0.133322},
    "total_cholesterol": _CHOLESTEROL,
    "hdl_cholesterol": _CHOLESTEROL,
    "bmi": {"kg/m2": 1.0},
    "egfr": {"mL/min/{1.73_m2}": 1.0, "mL/min/{1.73m2}": 1.0},
}
"""For each input that is a quantity: the units that it may come in, each as a multiple of the first."""

FLAGS = frozenset({"male", "bp_treated", "smoker", "diabetes", "statin"})
"""The inputs that are yes or no."""

_FRAMINGHAM = ("age", "male", "sbp", "bp_treated", "smoker", "diabetes")
_SCORE2 = ("age", "male", "sbp", "smoker", "diabetes", "total_cholesterol", "hdl_cholesterol")
_PREVENT = (*_FRAMINGHAM, "statin", "total_cholesterol", "hdl_cholesterol", "bmi", "egfr")
_PREVENT_NAMES = tuple(
    f"prevent-{outcome}-{years}y"
    for outcome in ("total-cvd", "ascvd", "heart-failure", "chd", "stroke")
    for years in (10, 30)
)

SCORE_INPUTS: Mapping[str, tuple[str, ...]] = {
    "framingham-2008-lipid": (*_FRAMINGHAM, "total_cholesterol", "hdl_cholesterol"),
    "framingham-2008-bmi": (*_FRAMINGHAM, "bmi"),
    "score2": _SCORE2,
    "score2-op": _SCORE2,
    **dict.fromkeys(_PREVENT_NAMES, _PREVENT),
}
"""The inputs of each score that a plan can name."""

REGIONAL = frozenset({"score2", "score2-op"})
"""The scores that are calibrated to a region."""


def check_score_sense(score: ScoreSpec) -> None:
    """Check that a score gets each of its inputs, no other, and a region if it has regions.

    Raises:
        InputError: naming the inputs that are missing or unknown.
    """
    wanted, given = set(SCORE_INPUTS[score.name]), set(score.inputs)
    if wanted != given:
        missing, unknown = ", ".join(sorted(wanted - given)), ", ".join(sorted(given - wanted))
        raise InputError(
            f"the score {score.name} lacks inputs ({missing or 'none'}) or has unknown ones ({unknown or 'none'})",
            hint=f"map a column to each of: {', '.join(SCORE_INPUTS[score.name])}",
        )
    if (score.name in REGIONAL) != (score.region is not None):
        raise InputError("SCORE2 needs the `region` of its risk chart, and other scores have none")
    if quantity := next((name for name in sorted(given - FLAGS) if not isinstance(score.inputs[name], str)), None):
        raise InputError(f"the score's input {quantity!r} is a quantity: `equals` is for inputs that are yes or no")


def check_score_column(name: str, column: Column) -> None:
    """Check that a column as it stands (without `equals`) can be a score's input.

    Raises:
        InputError: naming the input, its column, and what would be right.
    """
    what = f"the score's input {name!r}"
    if name in FLAGS:
        if column.datatype != "boolean":
            raise InputError(
                f"{what} is yes or no, but {column.name!r} is a {column.datatype}",
                hint=f'say which value means yes: {name} = {{ column = "{column.name}", equals = "..." }}',
            )
        return
    if column.datatype not in ("number", "integer"):
        raise InputError(f"{what} is a quantity, but {column.name!r} is a {column.datatype}")
    if column.unit not in QUANTITIES[name]:
        raise InputError(
            f"{what} uses the column {column.name!r} in {column.unit}, which is never converted silently",
            hint=f"publish it in one of: {', '.join(QUANTITIES[name])}",
        )
