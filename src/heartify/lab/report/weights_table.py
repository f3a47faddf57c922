"""The table of weights: one row for each column of the model, strongest association per standard deviation first.

Shows the document's numbers and derives two things from them: the interval of the odds ratio per SD, and whether a
p-value lies so near 0.05 that the rounding of rule 7 could have moved it across. True weights exist for generated data
only; they are log odds per unit.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from heartify.errors import IntegrityError, UsageError
from heartify.lab.report.number_text import (
    Figure,
    Interval,
    Ratios,
    estimate_figure,
    exact_text,
    fixed_text,
    ratio_decimals,
    ratio_interval,
    ratio_of_log_odds,
    se_decimals,
)
from heartify.lab.report.wording import unit_words
from heartify.protocol.plan import FactorSpec, Plan
from heartify.protocol.result import Weight

Z_95 = 1.959963984540054
_HALF_GRID = 0.05  # rule 7: coefficients lie on a grid of 0.1 SE


Part = Literal["factor", "conditional", "spline", "interaction"]
"""What a column's weight is: a factor's own; a factor's where the factors that it interacts with are 0 or at their
reference; a piece of a curve; or a product of two factors. Only the first two are ratios to be read alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class WeightRow:
    """One column as shown; `low_per_sd`, `high_per_sd` and `true_per_sd` are log ratios, for the plot."""

    term: str
    part: Part
    factor: str
    title: str
    unit: str
    ucum: str
    weight: Weight
    ratio: Interval
    p: str
    near_0_05: bool
    beta: Figure
    se: Figure
    sd: Figure
    ratio_per_sd: Interval
    beta_per_sd: Figure
    low_per_sd: float
    high_per_sd: float
    true_beta: Figure | None
    true_per_sd: float | None
    true_inside: bool

    @property
    def interval_includes_1(self) -> bool:
        """Return whether the data leave open on which side of 1 the odds ratio lies."""
        return self.weight.ci_low <= 0 <= self.weight.ci_high


def build_weight_rows(
    weights: tuple[Weight, ...], plan: Plan, titles: Mapping[str, str], true_weights: Mapping[str, float]
) -> tuple[WeightRow, ...]:
    """Return a row for each weight, by |beta per SD| descending, then in the plan's order.

    Raises:
        IntegrityError: the weights are not those of the plan's terms.
        UsageError: a true weight is given for something that is no factor of the plan.
    """
    factors = {factor.name: factor for factor in plan.factors}
    check_terms(weights, plan)
    if not true_weights.keys() <= factors.keys():
        raise UsageError("a true weight is given for something that is no factor of the plan")
    decimals = _common_decimals(weights)
    interacting = {name for item in plan.interactions for name in (item.first, item.second)}
    rows = []
    for weight in weights:
        factor = factors.get(weight.term)
        part = _part(factor, interacts=weight.term in interacting)
        true_beta = true_weights.get(weight.factor) if part in {"factor", "conditional"} else None
        rows.append(_row(weight, factor, part, column_title(weight.factor, titles), true_beta, decimals))
    return tuple(sorted(rows, key=lambda row: -abs(row.weight.beta_per_sd)))


def check_terms(weights: tuple[Weight, ...], plan: Plan) -> None:
    """Check that the weights are of the plan's terms, in its order: its factors, then its interactions.

    Raises:
        IntegrityError: they are not.
    """
    wanted = (*(factor.name for factor in plan.factors), *(f"{item.first}:{item.second}" for item in plan.interactions))
    terms = tuple(term for term, _ in itertools.groupby(weight.term for weight in weights))
    if terms != wanted:
        raise IntegrityError("the result's weights are not those of the plan's terms")
    own = {factor.name for factor in plan.factors if factor.reference is None and factor.spline is None}
    columns = [weight.factor for weight in weights]
    if len(set(columns)) != len(columns) or any(w.factor != w.term for w in weights if w.term in own):
        raise IntegrityError("the result's weights are not those of the columns of the plan's factors")


def column_title(name: str, titles: Mapping[str, str]) -> str:
    """Return the title of a column of the model: of a factor, of a level (`grade=3`), or of a product (`age:male`)."""
    if name in titles:
        return titles[name]
    if ":" in name:
        return " × ".join(column_title(part, titles) for part in name.split(":"))
    factor, equals, code = name.partition("=")
    return f"{titles.get(factor, factor)}: {code}" if equals else name


def _part(factor: FactorSpec | None, *, interacts: bool) -> Part:
    if factor is None:
        return "interaction"
    if factor.spline is not None:
        return "spline"
    return "conditional" if interacts else "factor"


def _common_decimals(weights: tuple[Weight, ...]) -> int:
    """Return the decimals of all odds ratios per SD, to be compared with each other: those of the finest, at most 3."""
    return min(max(ratio_decimals(_ratios_per_sd(weight)) for weight in weights), 3)


def _bounds_per_sd(weight: Weight) -> tuple[float, float]:
    return weight.beta_per_sd - Z_95 * weight.se_per_sd, weight.beta_per_sd + Z_95 * weight.se_per_sd


def _ratios_per_sd(weight: Weight) -> Ratios:
    low, high = _bounds_per_sd(weight)
    return weight.ratio_per_sd, ratio_of_log_odds(low), ratio_of_log_odds(high)


def _row(
    weight: Weight,
    factor: FactorSpec | None,
    part: Part,
    title: str,
    true_beta: float | None,
    decimals_per_sd: int,
) -> WeightRow:
    per_unit = (weight.ratio, weight.ratio_ci_low, weight.ratio_ci_high)
    low_per_sd, high_per_sd = _bounds_per_sd(weight)
    return WeightRow(
        term=weight.term,
        part=part,
        factor=weight.factor,
        title=title,
        unit=_unit_words(weight, factor),
        ucum=weight.unit,
        weight=weight,
        ratio=ratio_interval(weight.beta, per_unit, ratio_decimals(per_unit)),
        p=weight.p,
        near_0_05=is_near_0_05(weight.beta, weight.se),
        beta=estimate_figure(weight.beta, se_decimals(weight.se, 3)),
        se=Figure(fixed_text(weight.se, se_decimals(weight.se, 2)), exact_text(weight.se)),
        sd=estimate_figure(weight.sd, se_decimals(weight.sd, 3)),
        ratio_per_sd=ratio_interval(weight.beta_per_sd, _ratios_per_sd(weight), decimals_per_sd),
        beta_per_sd=estimate_figure(weight.beta_per_sd, se_decimals(weight.se_per_sd, 3)),
        low_per_sd=low_per_sd,
        high_per_sd=high_per_sd,
        true_beta=None if true_beta is None else estimate_figure(true_beta, 0),
        true_per_sd=None if true_beta is None else true_beta * weight.sd,
        true_inside=true_beta is not None and weight.ci_low <= true_beta <= weight.ci_high,
    )


def _unit_words(weight: Weight, factor: FactorSpec | None) -> str:
    """Return the step that a weight is for; a product of factors has no unit in words."""
    if factor is None:
        return "1"
    if factor.reference is not None:
        return f"v. {factor.reference}"
    return unit_words(weight.unit, indicator=factor.equals is not None)


def is_near_0_05(beta: float, se: float) -> bool:
    """Return whether the unrounded z could lie on the other side of 1.96 than the shown one.

    The shown beta is within half a grid step of the estimate, the shown SE within half a unit of its second digit.
    """
    half_digit = float(Decimal(5).scaleb(Decimal(repr(se)).adjusted() - 2))
    smallest = (abs(beta) - _HALF_GRID * se) / (se + half_digit)
    largest = (abs(beta) + _HALF_GRID * se) / (se - half_digit)
    return smallest <= Z_95 <= largest
