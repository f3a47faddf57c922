"""What each weight is adjusted for, in words: the other terms of the model, the hospital, and the strata.

The set follows from the plan alone, so that a reader needn't guess it from the table; it never names the term itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.lab.report.weights_table import column_title
from heartify.protocol.plan import Plan


@dataclasses.dataclass(frozen=True, slots=True)
class Adjustment:
    """A term of the model and what its weight is adjusted for; `name` is the plan's name of it."""

    name: str
    title: str
    others: tuple[str, ...]
    by_design: tuple[str, ...]


def build_adjustments(plan: Plan, titles: Mapping[str, str]) -> tuple[Adjustment, ...]:
    """Return the adjustment set of each term, in the plan's order."""
    terms = [factor.name for factor in plan.factors]
    terms += [f"{item.first}:{item.second}" for item in plan.interactions]
    names = {term: column_title(term, titles) for term in terms}
    design = ("hospital", *(f"{titles.get(column, column)} (stratified)" for column in plan.analysis.strata))
    return tuple(
        Adjustment(term, names[term], tuple(title for other, title in names.items() if other != term), design)
        for term in terms
    )
