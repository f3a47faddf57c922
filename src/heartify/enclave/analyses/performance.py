"""[performance]: how well the plan's model predicts, apparent and corrected for optimism."""

from __future__ import annotations

from collections.abc import Sequence

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.analyses.cox_performance import cox_performance
from heartify.enclave.analyses.logistic_performance import logistic_performance
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan


def _is_requested(plan: Plan) -> bool:
    return plan.performance is not None


def _run(data: StudyData) -> Sequence[ExactTable]:
    spec = data.plan.performance
    if spec is None:
        return ()
    if data.plan.analysis.model == "cox":
        return cox_performance(data, spec)
    return logistic_performance(data, spec)


PERFORMANCE = Analysis("performance", _is_requested, _run)
