"""The reference levels of attributable fractions: what everybody is set to, term by term.

A flag is set to the lower of its two values, a category to the plan's reference, a quantity (plain or as a spline) to
the pooled first quartile, rounded to two significant digits (three where that would move it far) before it is used: so
the level shown is the level meant, and no patient's value. Terms that take part in an interaction have no single
reference contrast and are left out.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from heartify.disclosure.rounding import round_significant
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import FactorSpec
from heartify.stats.importance import Exposure, Term

QUANTITY_DIGITS = 2
FARTHEST_MOVE_SD = 0.25
_LONGEST_LABEL = 64


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ReferenceLevel:
    """An exposure, how its reference is named, and the reference in clinical units (None for a category)."""

    exposure: Exposure
    label: str
    at: float | None


def reference_levels(data: StudyData) -> tuple[ReferenceLevel, ...]:
    """Return the reference level of every factor that stands alone, in the plan's order."""
    interacting = {name for item in data.plan.interactions for name in (item.first, item.second)}
    return tuple(_reference_level(data, factor) for factor in data.plan.factors if factor.name not in interacting)


def _reference_level(data: StudyData, factor: FactorSpec) -> ReferenceLevel:
    term = Term(factor.name, data.model.columns_of(factor.name))
    if factor.reference is not None:
        return ReferenceLevel(Exposure(term, (0.0,) * len(term.columns)), _category_label(factor.reference), None)
    values = np.concatenate([case.factors[factor.name][case.complete] for case in data.cases])
    lower = float(values.min())
    if bool(((values == lower) | (values == values.max())).all()):
        # Rule 4 has seen to it that at least ten patients have either value.
        return ReferenceLevel(Exposure(term, (lower,)), "lower of two values", lower)
    at = _rounded_quartile(values)
    return ReferenceLevel(Exposure(term, _columns_at(data, factor.name, at)), "first quartile, rounded", at)


def _rounded_quartile(values: Floats) -> float:
    quartile = float(np.quantile(values, 0.25))
    at = round_significant(quartile, QUANTITY_DIGITS)
    far = abs(at - quartile) > FARTHEST_MOVE_SD * float(values.std(ddof=1))  # such as 2000 for a year of 1956
    return round_significant(quartile, QUANTITY_DIGITS + 1) if far else at


def _columns_at(data: StudyData, name: str, at: float) -> tuple[float, ...]:
    """Return a term's columns for a patient with that value, the others' factors being those of any patient."""
    factors = {other: values[:1] for other, values in data.cases[0].complete_factors().items()}
    row = data.model.matrix({**factors, name: np.array([at])})[0]
    return tuple(float(row[column]) for column in data.model.columns_of(name))


def _category_label(code: str) -> str:
    fits = 0 < len(code) <= _LONGEST_LABEL and code.isprintable()
    return code if fits else "reference level"
