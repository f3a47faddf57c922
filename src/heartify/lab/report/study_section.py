"""The part of the page that shows a delivered result: key figures, weights, plot, hospitals, tables, limits.

Takes the opened document as it is; suppressed figures stay suppressed, and nothing is subtracted or added up here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.errors import IntegrityError
from heartify.lab.report.adjustment import Adjustment, build_adjustments
from heartify.lab.report.checklists import Checklist, build_checklists
from heartify.lab.report.forest_plot import ForestPlot, build_forest_plot
from heartify.lab.report.number_text import Figure, count_figure, estimate_figure, fixed_text, se_decimals
from heartify.lab.report.table_section import TableSection, build_table_section
from heartify.lab.report.weights_table import Part, WeightRow, build_weight_rows
from heartify.lab.report.wording import MODEL_WORDS, NOTES, REASONS, STATUSES, ModelWords, rule_words
from heartify.protocol.plan import Plan
from heartify.protocol.result import HospitalResult, StudyResult

NOT_SHOWN = Figure("—", "")
SUPPRESSED = Figure("suppressed", "")
_SECTIONS = {
    "answer": "Answer",
    "weights": "Weights",
    "adjustment": "Adjustment sets",
    "hospitals": "Hospitals",
    "plan": "Question",
    "limits": "Limits",
    "disclosure": "Disclosure control",
    "verification": "Verification",
    "identifiers": "Identifiers",
}


@dataclasses.dataclass(frozen=True, slots=True)
class HospitalRow:
    """One hospital as shown."""

    name: str
    version: str
    n: Figure
    events: Figure
    intercept: Figure
    intercept_se: Figure
    status: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class RuleRow:
    """One disclosure rule, its verdict and what it demands."""

    rule: int
    passed: bool
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class StudySection:
    """Everything that a delivered result adds to the page."""

    result: StudyResult
    words: ModelWords
    rows: tuple[WeightRow, ...]
    plot: ForestPlot | None
    adjustments: tuple[Adjustment, ...]
    has_truth: bool
    hospitals: tuple[HospitalRow, ...]
    contributed: int
    n: Figure
    events: Figure
    events_n: Figure
    discrimination: str
    tables: TableSection
    checklists: tuple[Checklist, ...]
    rules: tuple[RuleRow, ...]
    notes: tuple[str, ...]

    @property
    def own_rows(self) -> tuple[WeightRow, ...]:
        """Return the rows whose ratio is a factor's own, to be compared with each other."""
        return tuple(row for row in self.rows if row.part == "factor")

    @property
    def ratio_rows(self) -> tuple[WeightRow, ...]:
        """Return the rows of the table of weights: pieces of curves and products are shown apart."""
        return tuple(row for row in self.rows if row.part in {"factor", "conditional"})

    @property
    def has_conditional(self) -> bool:
        """Return whether a weight holds only where another factor is 0 or at its reference."""
        return any(row.part == "conditional" for row in self.rows)

    @property
    def curved_rows(self) -> tuple[WeightRow, ...]:
        """Return the columns of the splines, in the plan's order."""
        return self._in_order("spline")

    @property
    def product_rows(self) -> tuple[WeightRow, ...]:
        """Return the columns of the interactions, in the plan's order."""
        return self._in_order("interaction")

    @property
    def curved_terms(self) -> tuple[Adjustment, ...]:
        """Return the factors that enter as splines."""
        terms = {row.term for row in self.curved_rows}
        return tuple(item for item in self.adjustments if item.name in terms)

    @property
    def open_rows(self) -> tuple[WeightRow, ...]:
        """Return the factors whose interval includes 1."""
        return tuple(row for row in self.own_rows if row.interval_includes_1)

    def _in_order(self, part: Part) -> tuple[WeightRow, ...]:
        order = {weight.factor: index for index, weight in enumerate(self.result.weights)}
        return tuple(sorted((row for row in self.rows if row.part == part), key=lambda row: order[row.factor]))

    @property
    def near_rows(self) -> tuple[WeightRow, ...]:
        """Return the factors whose p-value rounding could have moved across 0.05."""
        return tuple(row for row in self.ratio_rows if row.near_0_05)

    @property
    def truths_inside(self) -> tuple[int, int]:
        """Return how many true weights lie in their interval, and how many there are."""
        known = [row for row in self.rows if row.true_beta is not None]
        return sum(row.true_inside for row in known), len(known)

    @property
    def rules_passed(self) -> bool:
        """Return whether every listed rule passed."""
        return bool(self.rules) and all(rule.passed for rule in self.rules)


def build_study_section(
    result: StudyResult, plan: Plan, titles: Mapping[str, str], true_weights: Mapping[str, float]
) -> StudySection:
    """Build the section.

    Raises:
        IntegrityError: the result is not of the plan's model, or the weights are not of its terms.
        UsageError: a true weight is given for something that is no factor of the plan.
    """
    if result.model != plan.analysis.model:
        raise IntegrityError("the result is of another model than the plan's")
    rows = build_weight_rows(result.weights, plan, titles, true_weights)
    own = tuple(row for row in rows if row.part == "factor")
    tables = build_table_section(result, plan, titles)
    return StudySection(
        result=result,
        words=MODEL_WORDS[result.model],
        rows=rows,
        plot=build_forest_plot(own) if own else None,
        adjustments=build_adjustments(plan, titles),
        tables=tables,
        checklists=build_checklists(_present(rows, tables)),
        has_truth=bool(true_weights),
        hospitals=tuple(_hospital_row(hospital) for hospital in result.hospitals),
        contributed=sum(hospital.status == "contributed" for hospital in result.hospitals),
        n=count_figure(result.n),
        events=_count(result.events, otherwise=SUPPRESSED),
        events_n=_count(result.events_n, otherwise=SUPPRESSED),
        discrimination=_discrimination(result),
        rules=tuple(RuleRow(item.rule, item.verdict == "pass", rule_words(item.rule)) for item in result.disclosure),
        notes=tuple(NOTES[note] for note in result.notes),
    )


def _present(rows: tuple[WeightRow, ...], tables: TableSection) -> dict[str, str]:
    """Return the places of the report by anchor."""
    found = dict(_SECTIONS)
    if any(row.part == "interaction" for row in rows):
        found["products"] = "Interactions"
    for group in tables.groups:
        found[group.anchor] = group.title
        found |= {table.anchor: table.title for table in group.tables}
    return found


def _discrimination(result: StudyResult) -> str:
    """Return the AUC or C to 2 decimals.

    Raises:
        IntegrityError: the result has not exactly the one of its model.
    """
    shown, other = (result.auc, result.concordance) if result.model == "logistic" else (result.concordance, result.auc)
    if shown is None or other is not None:
        raise IntegrityError("the result has an AUC without, or none with, a logistic model")
    return fixed_text(shown, 2)


def _hospital_row(hospital: HospitalResult) -> HospitalRow:
    otherwise = SUPPRESSED if hospital.status == "contributed" else NOT_SHOWN
    intercept, intercept_se = _intercept(hospital, otherwise)
    return HospitalRow(
        name=hospital.name,
        version=hospital.dataset_version,
        n=_count(hospital.n, otherwise=otherwise),
        events=_count(hospital.events, otherwise=otherwise),
        intercept=intercept,
        intercept_se=intercept_se,
        status=STATUSES[hospital.status],
        reason="" if hospital.reason is None else REASONS[hospital.reason],
    )


def _count(count: int | None, *, otherwise: Figure) -> Figure:
    return otherwise if count is None else count_figure(count)


def _intercept(hospital: HospitalResult, otherwise: Figure) -> tuple[Figure, Figure]:
    value, se = hospital.intercept, hospital.intercept_se
    if value is None or se is None:
        return otherwise, otherwise
    return estimate_figure(value, se_decimals(se, 3)), estimate_figure(se, se_decimals(se, 2))
