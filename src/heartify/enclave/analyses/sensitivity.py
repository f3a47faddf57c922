"""How the weights' standard errors change with what is assumed of the variance: a sensitivity analysis.

Beside the plan's own errors the model's, Huber-White's, and those clustered by hospital where there are enough
hospitals. For estimates of maximum likelihood only: under separation a fitted risk near 0 or 1 leaves no residual, and
residuals are all that these errors see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import Z_95
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.shown_weights import shown_weights
from heartify.enclave.main_fit import MIN_CLUSTERS, Floats, logistic_covariance
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_model import StandardErrors

Row = Mapping[str, Cell]


def _is_requested(plan: Plan) -> bool:
    return plan.analysis.model == "logistic" and plan.missing.method == "complete-case"


def _run(data: StudyData) -> Sequence[ExactTable]:
    if data.fit.logistic is None or data.fit.firth is not None:
        raise AnalysisSkippedError("not_estimable")
    rows = [row for errors, se in _other_errors(data) for row in _rows(data, errors, se)]
    return (ExactTable("robust", rows),)


def _other_errors(data: StudyData) -> Iterator[tuple[StandardErrors, Floats]]:
    """Yield each kind of errors that the weights don't have already, with the errors (p,)."""
    kinds: tuple[StandardErrors, ...] = ("model", "robust", "hospital")
    for errors in kinds:
        enough = errors != "hospital" or len(data.blocks) >= MIN_CLUSTERS
        if errors != data.fit.standard_errors and enough and data.fit.logistic is not None:
            variance = np.diag(logistic_covariance(data.blocks, data.fit.logistic, errors))
            yield errors, np.sqrt(np.maximum(variance[1 : 1 + len(data.names)], 0.0))


def _rows(data: StudyData, errors: StandardErrors, se: Floats) -> Iterator[Row]:
    for name, weight, error in zip(data.names, shown_weights(data.fit), se.tolist(), strict=True):
        yield {
            "errors": errors,
            "factor": name,
            "se": error,
            "estimate": weight,
            "ci_low": weight - Z_95 * error,
            "ci_high": weight + Z_95 * error,
        }


SENSITIVITY = Analysis("robust", _is_requested, _run)
