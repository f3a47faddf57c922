"""How well the Cox model predicts: concordance, and with a horizon in the plan accuracy, calibration and net benefit.

Harrell's C compares patients of one hospital and stratum, as the model does. What is judged at the horizon takes
censoring to differ between hospitals. An absolute risk needs that nothing precludes the outcome, so there is none with
competing events; censoring weights know no delayed entry. Same rows, same rules of cuts as for the logistic model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.cox_horizon import (
    HorizonRows,
    accuracy_table,
    auc_rows,
    group_table,
    interval_row,
    net_benefit_table,
    ratio_rows,
    uno_rows,
)
from heartify.enclave.analyses.cox_optimism import corrected_concordance, slope_of
from heartify.enclave.analyses.cox_risks import complete_case_cox_fit, follow_up_of, log_hazards, risks_at, strata_of
from heartify.enclave.analyses.judged import judged_rows
from heartify.enclave.analyses.logistic_performance import APPARENT, CORRECTED, bounded_row, estimate_row
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan_analyses import PerformanceSpec
from heartify.stats.discrimination import harrell_c


def cox_performance(data: StudyData, spec: PerformanceSpec) -> Sequence[ExactTable]:
    """Return the tables of a Cox model's performance.

    Raises:
        AnalysisSkippedError: no hospital's outcomes may be shown.
        StatsError: the model has no estimates, or there are no comparable pairs.
    """
    judged, fit = judged_rows(data.blocks), complete_case_cox_fit(data)
    follow_up = data.plan.follow_up
    score = log_hazards(fit.coef, np.concatenate([block.X for block in data.survival]))[judged.rows]
    rows = follow_up_of(data.survival).take(judged.rows)
    stratum = strata_of(data.survival)[judged.rows]
    corrected = corrected_concordance(data, judged, spec.optimism)

    found, (slope, slope_se) = harrell_c(score, rows, stratum=stratum), slope_of(score, rows, stratum)
    discrimination = [interval_row("harrell-c", found.c, found.se)]
    calibration = [estimate_row(slope, slope_se, measure="slope", evaluation=APPARENT)]
    if corrected:
        c = corrected["harrell-c"]
        discrimination.append(bounded_row("harrell-c", CORRECTED, c.corrected, c.ci_low, c.ci_high))
        shrunk = corrected["slope"].corrected
        calibration.append(estimate_row(shrunk, slope_se, measure="slope", evaluation=CORRECTED))

    if follow_up is None or follow_up.horizon is None:
        return ExactTable("discrimination", discrimination), ExactTable("calibration", calibration)
    hospital = judged.hospital[judged.rows].astype(np.int64)
    risk = risks_at(fit, data.survival, follow_up.horizon)[judged.rows]
    at = HorizonRows(risk, rows, follow_up.horizon, hospital)
    tables: list[ExactTable] = []
    if rows.entry is None:
        discrimination += uno_rows(score, at)
    if follow_up.competing is None:
        calibration += ratio_rows(at)
        tables += [group_table(at), net_benefit_table(at, spec.thresholds)]
    if rows.entry is None and follow_up.competing is None:
        discrimination += auc_rows(at)
        tables.append(accuracy_table(at))
    return (ExactTable("discrimination", discrimination), ExactTable("calibration", calibration), *tables)
