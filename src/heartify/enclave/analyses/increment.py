"""[increment]: what new factors add to the plan's other factors, or to a published score.

Tests are of the added coefficients only (likelihood ratio, score); everything else is an estimate on the rows that the
models were fitted to, with its interval and without a p-value. A published score is the base twice: refitted
("score-recalibrated", its log odds as a column) and as it is ("score-offset", its log odds with coefficient one).
Both have an intercept for each hospital, as every model of the study.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.analyses.cox_increment import cox_increment, scored_survival
from heartify.enclave.analyses.increment_cohort import ScoredCohort, added_columns, scored_cohort
from heartify.enclave.analyses.increment_tables import (
    Comparison,
    auc_row,
    auc_rows,
    estimate_rows,
    net_benefit_rows,
    test_rows,
)
from heartify.enclave.analyses.judged import judged_rows, outcomes
from heartify.enclave.analyses.logistic_performance import Row, estimate_row
from heartify.enclave.analyses.logistic_risks import as_risks
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_analyses import IncrementSpec
from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.increment.nested import NestedLogistic
from heartify.stats.increment.tests import compare_fits
from heartify.stats.performance import calibration


def _is_requested(plan: Plan) -> bool:
    return plan.increment is not None


def _run(data: StudyData) -> Sequence[ExactTable]:
    spec = data.plan.increment
    if spec is None:
        return ()
    is_cox = data.plan.analysis.model == "cox"
    if spec.score is None:
        names = [data.names[index] for index in added_columns(data, spec)]
        if is_cox:
            return cox_increment("other-factors", data, data.blocks, data.survival, data.names, names)
        return _tables([compare("other-factors", data.blocks, data.names, names, None)], spec)
    cohort = scored_cohort(data, spec)
    if not is_cox:
        return (patients_table(cohort), *_against_score(cohort, spec))
    survival = scored_survival(data, cohort)
    found = cox_increment("score-recalibrated", data, cohort.blocks, survival, cohort.names, cohort.names[1:])
    return (patients_table(cohort), *found)


def compare(
    baseline: str,
    blocks: Sequence[CohortBlock],
    names: Sequence[str],
    added: Sequence[str],
    offsets: Sequence[FloatArray] | None,
) -> Comparison:
    """Fit the model without and with the added columns; test them, and keep both risks of the judged rows.

    Raises:
        AnalysisSkippedError: no hospital's outcomes may be shown.
        StatsError: one of the models has no estimates.
    """
    judged = judged_rows(blocks)
    model = NestedLogistic(blocks, names, added, offsets)
    base, full = model.fit_base(), model.fit_full()
    matrix = np.concatenate([block.X for block in blocks])
    offset = np.zeros(matrix.shape[0]) if offsets is None else np.concatenate(list(offsets))
    p_base, p_new = (as_risks(model.predict(fit.parameters, matrix, judged.hospital, offset)) for fit in (base, full))
    return Comparison(
        baseline=baseline,
        test=compare_fits(model, added, base, full),
        base=p_base[judged.rows],
        new=p_new[judged.rows],
        y=outcomes(blocks)[judged.rows],
        share=judged.share,
    )


def _against_score(cohort: ScoredCohort, spec: IncrementSpec) -> Sequence[ExactTable]:
    added = cohort.names[1:]
    offsets = [block.X[:, 0] for block in cohort.blocks]
    bare = [CohortBlock(block.name, block.X[:, 1:], block.y) for block in cohort.blocks]
    comparisons = [
        compare("score-recalibrated", cohort.blocks, cohort.names, added, None),
        compare("score-offset", bare, added, added, offsets),
    ]
    judged = judged_rows(cohort.blocks)
    p, y = np.concatenate(cohort.risks)[judged.rows], outcomes(cohort.blocks)[judged.rows]
    published = auc_row("score-as-published", "base", p, y)
    return (
        *_tables(comparisons, spec, published),
        score_calibration_table(p, y),
    )


def patients_table(cohort: ScoredCohort) -> ExactTable:
    """Return how many patients have a score, and how many of the study's have none."""
    analysed = sum(block.n for block in cohort.blocks)
    rows: list[Row] = [{"patients": "analysed", "n": analysed}, {"patients": "left-out", "n": cohort.left_out}]
    return ExactTable("increment_cohort", rows)


def _tables(comparisons: Sequence[Comparison], spec: IncrementSpec, *discrimination: Row) -> Sequence[ExactTable]:
    return (
        ExactTable("increment_tests", [row for item in comparisons for row in test_rows(item)]),
        ExactTable("increment", [row for item in comparisons for row in estimate_rows(item, spec.cutoffs)]),
        ExactTable(
            "increment_discrimination", [*discrimination, *(row for item in comparisons for row in auc_rows(item))]
        ),
        ExactTable(
            "increment_net_benefit",
            [row for item in comparisons for row in net_benefit_rows(item, spec.thresholds)],
        ),
    )


def score_calibration_table(p: FloatArray, y: FloatArray) -> ExactTable:
    """Return how the score's published risks p (n,) agree with y (n,): nothing of it is refitted."""
    found = calibration(p, y)
    ratio = found.observed_expected
    rows: list[Row] = [
        {
            "measure": "observed-expected",
            "se": ratio.value * ratio.se,
            "estimate": ratio.value,
            "ci_low": ratio.ci_low,
            "ci_high": ratio.ci_high,
        },
        estimate_row(found.in_the_large.value, found.in_the_large.se, measure="in-the-large"),
        estimate_row(found.slope.value, found.slope.se, measure="slope"),
    ]
    return ExactTable("score_calibration", rows)


INCREMENT = Analysis("increment", _is_requested, _run)
