"""What every Cox model is given with: tests of its terms, the test of proportional hazards, and survival curves."""

from __future__ import annotations

from collections.abc import Sequence

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.survival_curves import survival_grid, survival_table
from heartify.enclave.analyses.survival_tests import run_cox_tests, run_proportional_hazards
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan


def _is_cox(plan: Plan) -> bool:
    return plan.analysis.model == "cox"


def _run_curves(data: StudyData) -> Sequence[ExactTable]:
    grid = survival_grid(data)
    if grid is None:
        raise AnalysisSkippedError("too_few_patients")
    return (survival_table(grid),)


SURVIVAL = (
    Analysis("tests", _is_cox, run_cox_tests),
    Analysis("proportional_hazards", _is_cox, run_proportional_hazards),
    Analysis("survival", _is_cox, _run_curves),
)
