"""How well the logistic model predicts: discrimination, accuracy, calibration, ROC curve and net benefit.

Of the risks with hospital intercepts (`logistic_risks`), on the judged rows (`judged`). "Apparent" is on the rows that
the model was fitted to; curves are apparent throughout. No cut of risk is shown with fewer than ten patients between
it and the next (`risk_bands`), and no cut is a patient's own risk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.judged import judged_rows, outcomes
from heartify.enclave.analyses.logistic_optimism import MEASURES, corrected_measures, measure_risks
from heartify.enclave.analyses.logistic_risks import complete_case_fit, fitted_risks
from heartify.enclave.analyses.risk_bands import Floats, as_fine_as, open_cuts, quantile_bands
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan_analyses import PerformanceSpec
from heartify.stats.intervals import Z_95
from heartify.stats.performance import (
    CorrectedMeasure,
    calibration,
    decision_curve,
    delong_auc,
    flexible_calibration,
)

APPARENT, CORRECTED = "apparent", "optimism-corrected"
GROUPS = 10
ROC_POINTS = 20
CURVE_POINTS = 25
CURVE_QUANTILES = (0.05, 0.95)
HUNDREDTHS = tuple(step / 100 for step in range(1, 100))

Row = dict[str, Cell]


def logistic_performance(data: StudyData, spec: PerformanceSpec) -> Sequence[ExactTable]:
    """Return the tables of a logistic model's performance.

    Raises:
        AnalysisSkippedError: no hospital's outcomes may be shown.
        StatsError: the model has no estimates, or its risks don't vary.
    """
    judged = judged_rows(data.blocks)
    risks = fitted_risks(complete_case_fit(data), data.blocks)
    p, y = risks[judged.rows], outcomes(data.blocks)[judged.rows]
    corrected = corrected_measures(data, judged, spec.optimism)
    return (
        discrimination_table(p, y, corrected),
        accuracy_table(p, y, corrected),
        calibration_table(p, y, corrected),
        group_table(p, y),
        curve_table(p, y),
        roc_table(p, y),
        net_benefit_table(p, y, spec.thresholds, judged.share),
    )


def discrimination_table(p: Floats, y: Floats, corrected: dict[str, CorrectedMeasure]) -> ExactTable:
    """Return the AUC of risks p (n,) with DeLong's interval, and corrected with the bootstrap's."""
    found = delong_auc(p, y)
    rows = [bounded_row("auc", APPARENT, found.auc, found.ci_low, found.ci_high)]
    if measure := corrected.get("auc"):
        rows.append(bounded_row("auc", CORRECTED, measure.corrected, measure.ci_low, measure.ci_high))
    return ExactTable("discrimination", rows)


def accuracy_table(p: Floats, y: Floats, corrected: dict[str, CorrectedMeasure]) -> ExactTable:
    """Return Brier scores and explained variation; only the corrected ones have an interval, the bootstrap's."""
    apparent = dict(zip(MEASURES, measure_risks(p, y), strict=True))

    def fine(value: float | None) -> float | None:
        return None if value is None else as_fine_as(value, y.size)

    rows: list[Row] = []
    for name in MEASURES[1:-2]:
        rows.append(bounded_row(name, APPARENT, fine(apparent[name]), None, None))
        if measure := corrected.get(name):
            low, high = fine(measure.ci_low), fine(measure.ci_high)
            rows.append(bounded_row(name, CORRECTED, fine(measure.corrected), low, high))
    return ExactTable("accuracy", rows)


def calibration_table(p: Floats, y: Floats, corrected: dict[str, CorrectedMeasure]) -> ExactTable:
    """Return calibration in the large and slope; a corrected one has the standard error of the apparent one."""
    found = calibration(p, y)
    rows: list[Row] = []
    for name, estimate in (("in-the-large", found.in_the_large), ("slope", found.slope)):
        rows.append(estimate_row(estimate.value, estimate.se, measure=name, evaluation=APPARENT))
        if measure := corrected.get(name):
            rows.append(estimate_row(measure.corrected, estimate.se, measure=name, evaluation=CORRECTED))
    return ExactTable("calibration", rows)


def group_table(p: Floats, y: Floats) -> ExactTable:
    """Return up to ten groups of risk, each with ten events and ten non-events."""
    event = y == 1.0
    band = quantile_bands(p, GROUPS, event, ~event)
    rows: list[Row] = []
    for index in range(int(band.max()) + 1):
        inside = band == index
        n, events = int(inside.sum()), int(event[inside].sum())
        rows.append(
            {
                "group": index + 1,
                "n": n,
                "events": events,
                "non_events": n - events,
                "predicted": float(p[inside].mean()),
                "observed": events / n,
            }
        )
    return ExactTable("calibration_groups", rows)


def curve_table(p: Floats, y: Floats) -> ExactTable:
    """Return the smooth calibration curve at whole hundredths of risk between the 5th and the 95th percentile."""
    low, high = np.quantile(p, CURVE_QUANTILES)
    steps = [cut for cut in HUNDREDTHS if low <= cut <= high]
    inside = [cut for cut in steps if min((p < cut).sum(), (p > cut).sum()) >= MIN_CELL]
    if not inside:
        return ExactTable("calibration_curve", ())
    curve = flexible_calibration(p, y, at=np.array(thinned(inside, CURVE_POINTS)))
    rows = [
        {"predicted": point.predicted, "observed": point.observed, "ci_low": point.ci_low, "ci_high": point.ci_high}
        for point in curve.points
    ]
    return ExactTable("calibration_curve", rows)


def roc_table(p: Floats, y: Floats) -> ExactTable:
    """Return up to 20 points of the ROC curve at whole hundredths of risk.

    Between two neighbours, and beyond the outer ones, there are ten events and ten non-events.
    """
    event = y == 1.0
    rows: list[Row] = []
    for cut in thinned(open_cuts(p, HUNDREDTHS, event, ~event), ROC_POINTS):
        above = p >= cut
        rows.append(
            {
                "threshold": cut,
                "above": int(above.sum()),
                "below": int((~above).sum()),
                "sensitivity": float(above[event].mean()),
                "specificity": float((~above)[~event].mean()),
            }
        )
    return ExactTable("roc", rows)


def net_benefit_table(p: Floats, y: Floats, thresholds: Sequence[float], share: float) -> ExactTable:
    """Return the net benefit at the plan's thresholds that may be shown, at the share of events that is shown."""
    rows: list[Row] = []
    for cut in open_cuts(p, sorted(set(thresholds)), np.ones(p.size, dtype=np.bool_)):
        point = decision_curve(p, y, (cut,), prevalence=share)[0]
        above = int((p >= cut).sum())
        rows.append(
            {
                "threshold": cut,
                "above": above,
                "below": p.size - above,
                "treat_all": point.treat_all,
                "model": as_fine_as(point.model.value, p.size),
            }
        )
    return ExactTable("net_benefit", rows)


def estimate_row(value: float, se: float, **labels: Cell) -> Row:
    """Return a row with an estimate and its normal interval."""
    return {**labels, "se": se, "estimate": value, "ci_low": value - Z_95 * se, "ci_high": value + Z_95 * se}


def thinned(values: Sequence[float], most: int) -> tuple[float, ...]:
    """Return at most so many of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(place)] for place in np.linspace(0, len(values) - 1, most))


def bounded_row(measure: str, evaluation: str, value: Cell, low: Cell, high: Cell) -> Row:
    """Return a row with a value and the limits of its interval, if it has one."""
    return {"measure": measure, "evaluation": evaluation, "value": value, "ci_low": low, "ci_high": high}
