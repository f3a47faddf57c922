"""What new factors add to a Cox model: the likelihood-ratio test of their coefficients, and Harrell's C of both models.

Hospitals (and strata) have baseline hazards of their own in both models. A published score is refitted, its log odds
as the one base column: as it is, it has no baseline hazards to be compared by. The difference of the C is an estimate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.cox_horizon import interval
from heartify.enclave.analyses.cox_risks import follow_up_of, log_hazards, strata_of
from heartify.enclave.analyses.increment_cohort import ScoredCohort
from heartify.enclave.analyses.judged import judged_rows
from heartify.enclave.analyses.logistic_performance import Row, estimate_row
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.chi_square import ratio_test
from heartify.stats.discrimination import harrell_c, harrell_c_difference
from heartify.stats.survival import SurvivalBlock, Ties, fit_cox


def cox_increment(
    baseline: str,
    data: StudyData,
    blocks: Sequence[CohortBlock],
    survival: Sequence[SurvivalBlock],
    names: Sequence[str],
    added: Sequence[str],
) -> Sequence[ExactTable]:
    """Compare the Cox model of the columns `names` with the one without `added`, on the same rows.

    Raises:
        AnalysisSkippedError: no hospital's outcomes may be shown.
        StatsError: one of the models has no estimates.
    """
    judged, ties = judged_rows(blocks), Ties(data.plan.analysis.ties)
    kept = [index for index, name in enumerate(names) if name not in added]
    narrow = [dataclasses.replace(block, X=block.X[:, kept]) for block in survival]
    full, base = fit_cox(survival, names, ties=ties), fit_cox(narrow, [names[index] for index in kept], ties=ties)
    test = ratio_test(full.loglik, base.loglik, len(added))

    rows, stratum = follow_up_of(survival).take(judged.rows), strata_of(survival)[judged.rows]
    scores = [
        log_hazards(fit.coef, np.concatenate([block.X for block in parts]))[judged.rows]
        for fit, parts in ((base, narrow), (full, survival))
    ]
    difference = harrell_c_difference(scores[0], scores[1], rows, stratum=stratum)
    discrimination: list[Row] = []
    for model, score in zip(("base", "new"), scores, strict=True):
        found = harrell_c(score, rows, stratum=stratum)
        low, high = interval(found.c, found.se)
        labels: Row = {"baseline": baseline, "model": model, "measure": "harrell-c"}
        discrimination.append({**labels, "value": found.c, "ci_low": low, "ci_high": high})
    tested: Row = {"baseline": baseline, "test": "likelihood-ratio", "chi2": test.statistic, "df": test.df}
    row = estimate_row(difference.value, difference.se, baseline=baseline, measure="harrell-c-difference", group="all")
    return (
        ExactTable("increment_tests", [{**tested, "p": test.log10_p * math.log(10.0)}]),
        ExactTable("increment", [row]),
        ExactTable("increment_discrimination", discrimination),
    )


def scored_survival(data: StudyData, cohort: ScoredCohort) -> tuple[SurvivalBlock, ...]:
    """Return the follow-up of the patients with a score, in the columns of `cohort.names`."""
    by_name = {block.name: block for block in cohort.blocks}
    found = []
    for block, rows in zip(data.survival, cohort.rows, strict=True):
        if rows is not None:
            entry = None if block.entry is None else block.entry[rows]
            stratum = None if block.stratum is None else block.stratum[rows]
            X = by_name[block.name].X  # noqa: N806 - as in the papers
            found.append(SurvivalBlock(block.name, X, block.time[rows], block.event[rows], entry, stratum))
    return tuple(found)
