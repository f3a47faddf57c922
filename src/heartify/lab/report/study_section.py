"""The part of the page that shows a delivered result: key figures, weights, plot, hospitals, disclosure, limits.

Takes the opened document as it is; suppressed figures stay suppressed, and nothing is subtracted or added up here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.lab.report.forest_plot import ForestPlot, build_forest_plot
from heartify.lab.report.number_text import Figure, count_figure, estimate_figure, fixed_text, se_decimals
from heartify.lab.report.weights_table import WeightRow, build_weight_rows
from heartify.lab.report.wording import NOTES, REASONS, STATUSES, rule_words
from heartify.protocol.plan import Plan
from heartify.protocol.result import HospitalResult, StudyResult

NOT_SHOWN = Figure("—", "")
SUPPRESSED = Figure("suppressed", "")


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
    rows: tuple[WeightRow, ...]
    plot: ForestPlot
    has_truth: bool
    hospitals: tuple[HospitalRow, ...]
    contributed: int
    n: Figure
    events: Figure
    events_n: Figure
    auc: str
    rules: tuple[RuleRow, ...]
    notes: tuple[str, ...]

    @property
    def open_rows(self) -> tuple[WeightRow, ...]:
        """Return the factors whose interval includes 1."""
        return tuple(row for row in self.rows if row.interval_includes_1)

    @property
    def near_rows(self) -> tuple[WeightRow, ...]:
        """Return the factors whose p-value rounding could have moved across 0.05."""
        return tuple(row for row in self.rows if row.near_0_05)

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
        IntegrityError: the weights are not those of the plan's factors.
        UsageError: a true weight is given for something that is no factor of the plan.
    """
    rows = build_weight_rows(result.weights, plan, titles, true_weights)
    return StudySection(
        result=result,
        rows=rows,
        plot=build_forest_plot(rows),
        has_truth=bool(true_weights),
        hospitals=tuple(_hospital_row(hospital) for hospital in result.hospitals),
        contributed=sum(hospital.status == "contributed" for hospital in result.hospitals),
        n=count_figure(result.n),
        events=_count(result.events, otherwise=SUPPRESSED),
        events_n=_count(result.events_n, otherwise=SUPPRESSED),
        auc=fixed_text(result.auc, 2),
        rules=tuple(RuleRow(item.rule, item.verdict == "pass", rule_words(item.rule)) for item in result.disclosure),
        notes=tuple(NOTES[note] for note in result.notes),
    )


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
