"""Is the cohort large enough for the plan's model? Riley's criteria and events per parameter, on shown numbers alone.

Everything here is computed from rounded counts and an R2 of 3 decimals, so a required number of patients tells nothing
that the result doesn't say elsewhere. It is an answer after the fact: a calculation before the study is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.facts import HospitalFacts, OutcomeCount
from heartify.disclosure.rounding import round_decimals, round_significant
from heartify.disclosure.suppression import ShownCounts, show_counts
from heartify.disclosure.tables import ExactTable
from heartify.enclave.study_data import StudyData
from heartify.stats.adequacy import (
    SHRINKAGE,
    SampleSize,
    binary_sample_size,
    cautious_r2,
    events_per_parameter,
    max_r2_binary,
    max_r2_survival,
    survival_sample_size,
)
from heartify.stats.errors import InvalidBlockError

OF_STUDY, CAUTIOUS = "R2 of this study", "cautious R2"
REACHED, NOT_REACHED = "reached", "not reached"
RULE_OF_THUMB = 10
_R2_DECIMALS = 3
_LARGEST = 1e9  # more patients than that is no requirement, but an R2 of nearly nothing
Row = Mapping[str, Cell]


def adequacy(data: StudyData) -> ExactTable:
    """Return the criteria for the R2 of this study and for a cautious one, then events per parameter.

    Raises:
        InvalidBlockError: no hospital's events are shown, so there is no prevalence to work with.
    """
    shown = show_counts([_facts(case.name, case.y.size, int(case.y.sum())) for case in data.cases])
    if shown.total_events is None or not shown.total_events_n:
        raise InvalidBlockError("no events are shown")
    parameters, study_r2 = _parameters(data), _study_r2(data)
    largest = _largest_r2(data, shown)
    bases = [(OF_STUDY, study_r2)] if study_r2 is not None else []
    bases.append((CAUTIOUS, round_decimals(cautious_r2(largest), _R2_DECIMALS)))
    rows: list[Row] = []
    for basis, r2 in bases:
        if 0.0 < r2 < min(largest, SHRINKAGE):
            rows += _criteria(basis, r2, _sample_size(data, shown, parameters, r2), shown.total_n)
    events, n = shown.total_events, shown.total_events_n
    rows.append(_per_parameter(events_per_parameter(n, events, parameters)))
    return ExactTable("adequacy", rows)


def _facts(name: str, n: int, events: int) -> HospitalFacts:
    return HospitalFacts(name, OutcomeCount(n, events))


def _parameters(data: StudyData) -> int:
    """Return the model's columns, and for a logistic model the differences between hospitals' intercepts."""
    return len(data.names) + (len(data.cases) - 1 if data.plan.analysis.model == "logistic" else 0)


def _study_r2(data: StudyData) -> float | None:
    """Return the fit's Cox-Snell R2 adjusted for optimism, to 3 decimals, or None where there is none above zero.

    Van Houwelingen and le Cessie's factor 1 - p / LR takes the optimism off (Riley 2020, box 3).
    """
    fit = data.fit.cox if data.fit.cox is not None else data.fit.logistic
    if fit is None or fit.n < 1:
        return None
    likelihood_ratio = 2.0 * (fit.loglik - fit.null_loglik)
    parameters = _parameters(data)
    if not likelihood_ratio > parameters:
        return None
    apparent = -math.expm1(-likelihood_ratio / fit.n)
    adjusted = round_decimals((1.0 - parameters / likelihood_ratio) * apparent, _R2_DECIMALS)
    return adjusted if adjusted > 0.0 else None


def _prevalence(shown: ShownCounts) -> float:
    return (shown.total_events or 0) / (shown.total_events_n or 1)


def _largest_r2(data: StudyData, shown: ShownCounts) -> float:
    if data.plan.analysis.model == "cox":
        mean = _mean_follow_up(data)
        return max_r2_survival(_prevalence(shown) / mean, mean)
    return max_r2_binary(_prevalence(shown))


def _sample_size(data: StudyData, shown: ShownCounts, parameters: int, r2: float) -> SampleSize:
    if data.plan.analysis.model != "cox":
        return binary_sample_size(parameters, _prevalence(shown), r2)
    mean = _mean_follow_up(data)
    given = data.plan.follow_up.horizon if data.plan.follow_up else None
    return survival_sample_size(parameters, _prevalence(shown) / mean, mean, given or mean, r2)


def _mean_follow_up(data: StudyData) -> float:
    """Return the mean time at risk of the complete cases, to 2 significant digits."""
    spans = np.concatenate([block.time - (0.0 if block.entry is None else block.entry) for block in data.survival])
    return round_significant(float(spans.mean()), 2)


def _criteria(basis: str, r2: float, size: SampleSize, available: int) -> Iterator[Row]:
    for criterion, required in (
        ("shrinkage of at most 10 %", size.n_shrinkage),
        ("optimism of R2 of at most 0.05", size.n_optimism),
        ("overall risk within 0.05", size.n_overall_risk),
        ("all criteria", size.n),
    ):
        if required <= _LARGEST:
            rounded = int(round_significant(required, 2))
            yield _row(criterion, basis, r2, rounded, float(available), "patients")


def _per_parameter(available: float) -> Row:
    return _row("rule of thumb", "none", None, RULE_OF_THUMB, round_significant(available, 2), "events per parameter")


def _row(criterion: str, basis: str, r2: float | None, required: int, available: float, unit: str) -> Row:
    return {
        "criterion": criterion,
        "basis": basis,
        "r2": r2,
        "required": required,
        "available": available,
        "unit": unit,
        "verdict": REACHED if available >= required else NOT_REACHED,
    }
