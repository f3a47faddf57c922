"""A published score of each patient, from the columns that the plan maps to its inputs.

Converts units by the closed table of `plan_scores` and computes the score as published. Patients with a missing or
impossible input, or of an age that the score isn't meant for, have none. Row-level: it never leaves.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from heartify.enclave.analyses.risk_bands import Flags, Floats
from heartify.enclave.cases import HospitalCases, indicator
from heartify.protocol.plan_analyses import ScoreSpec
from heartify.protocol.plan_scores import FLAGS, QUANTITIES
from heartify.stats.scores import Score, ScoreInput, find_score

INPUT_OF = {
    "age_years": "age",
    "male": "male",
    "sbp_mmhg": "sbp",
    "bp_treated": "bp_treated",
    "smoker": "smoker",
    "diabetes": "diabetes",
    "statin": "statin",
    "total_cholesterol_mg_dl": "total_cholesterol",
    "total_cholesterol_mmol_l": "total_cholesterol",
    "hdl_cholesterol_mg_dl": "hdl_cholesterol",
    "hdl_cholesterol_mmol_l": "hdl_cholesterol",
    "bmi_kg_m2": "bmi",
    "egfr_ml_min_1_73m2": "egfr",
}
"""The plan's name, without a unit, of each input of the statistics' registry."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ScoredRows:
    """Who of one hospital's complete cases (n,) has a score, and those patients' risk and its log odds (k,)."""

    scored: Flags
    risk: Floats
    log_odds: Floats


def registered_score(spec: ScoreSpec) -> Score:
    """Return the score that a plan names.

    Raises:
        InvalidBlockError: the registry has none of that name.
    """
    name = spec.name.replace("-", "_")
    return find_score(f"{name}_{spec.region}" if spec.region is not None else name)


def score_rows(case: HospitalCases, spec: ScoreSpec) -> ScoredRows:
    """Return the score of one hospital's complete cases.

    Raises:
        InvalidBlockError: a hospital's median is implausible in the unit that its dictionary declares.
    """
    score = registered_score(spec)
    columns = {wanted.name: _input(case, spec, wanted) for wanted in score.inputs}
    known = np.logical_and.reduce([_possible(columns[wanted.name], wanted) for wanted in score.inputs])
    if not known.any():
        return ScoredRows(known, np.empty(0), np.empty(0))
    result = score.compute({name: values[known] for name, values in columns.items()})
    scored = known.copy()
    scored[known] = result.eligible
    return ScoredRows(scored, result.risk[result.eligible], result.log_odds[result.eligible])


def _input(case: HospitalCases, spec: ScoreSpec, wanted: ScoreInput) -> Floats:
    """Return one input of the complete cases (n,) in the unit that the score takes, NaN where it is missing."""
    name = INPUT_OF[wanted.name]
    given, column = spec.inputs[name], case.dictionary.column(spec.column_of(name))
    values = case.columns[column.name][case.complete]
    if not isinstance(given, str):
        return indicator(column, values, given.equals)
    numbers: Floats = values.astype(np.float64)
    if name in FLAGS:
        return numbers
    units = QUANTITIES[name]
    return numbers * (units[column.unit] / units[wanted.unit])


def _possible(values: Floats, wanted: ScoreInput) -> Flags:
    """Return where an input (n,) is known: zero cholesterol is a code for missing in more than one register."""
    if wanted.is_flag:
        return np.isin(values, (0.0, 1.0))
    return np.isfinite(values) & (np.nan_to_num(values) > 0.0)
