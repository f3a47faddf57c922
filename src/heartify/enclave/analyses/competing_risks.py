"""The outcome and the event that precludes it: cumulative incidence, Gray's test, and the hazards of each.

Rules 1 to 4 have judged the cohort for the outcome; here they judge it for the competing event too, before anything is
estimated. What one of the tables can't show doesn't sink the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure import WithheldCode, build_cohort_facts, check_cohort
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError, SkipReason
from heartify.enclave.analyses.competing_hazards import hazard_table
from heartify.enclave.analyses.survival_curves import COMPETING, OUTCOME, incidence_grid, incidence_table
from heartify.enclave.analyses.survival_groups import hospital_group
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.blocks import CohortBlock
from heartify.stats.competing import gray_test

_CAUSES = [frozenset({1}), frozenset({2})]
_REASONS: dict[WithheldCode, SkipReason] = {
    WithheldCode.TOO_FEW_PATIENTS: "too_few_patients",
    WithheldCode.TOO_FEW_OUTCOMES: "too_few_patients",
    WithheldCode.TOO_MANY_PARAMETERS: "too_many_terms",
    WithheldCode.SMALL_CELL: "small_cell",
}


def _is_requested(plan: Plan) -> bool:
    return plan.competing_risks is not None


def _run(data: StudyData) -> Sequence[ExactTable]:
    _check_competing(data)
    grid = incidence_grid(data)
    curves = [] if grid is None else [incidence_table(grid)]
    return (*curves, group_table(data), hazard_table(data))


def _check_competing(data: StudyData) -> None:
    """Check rules 1 to 4 with the competing event as the outcome.

    Raises:
        AnalysisSkippedError: a rule says no.
    """
    blocks = [
        CohortBlock(block.name, block.X, (follow_up.event == 2).astype(np.float64))
        for block, follow_up in zip(data.blocks, data.survival, strict=True)
    ]
    categorical: dict[str, list[object]] = {
        factor.name: np.concatenate([case.factors[factor.name][case.complete] for case in data.cases]).tolist()
        for factor in data.plan.factors
        if factor.reference is not None
    }
    code = check_cohort(build_cohort_facts(blocks, data.names, categorical)).code
    if code is not None:
        raise AnalysisSkippedError(_REASONS.get(code, "small_cell"))


def group_table(data: StudyData) -> ExactTable:
    """Return Gray's tests between the hospitals that could be shown alone; none with delayed entry, or under two.

    A hospital with few events is not in the test: the statistic less the shown curves would tell of them.
    """
    groups = [hospital_group(block, 2) for block in data.survival]
    able = {index: group.table(0.0) for index, group in enumerate(groups) if group.can_be_shown(_CAUSES)}
    if len(able) < 2 or any(group.has_entry for group in groups):
        return ExactTable("group_tests", ())
    return ExactTable(
        "group_tests",
        [
            {"cause": word, "chi2": gray_test([able], cause=cause).chi2, "df": len(able) - 1}
            for cause, word in ((1, OUTCOME), (2, COMPETING))
        ],
    )


COMPETING_RISKS = Analysis("competing_risks", _is_requested, _run)
