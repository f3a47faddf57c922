"""Profile-likelihood intervals of a logistic model's columns, with the likelihood-ratio test of each.

Profile-penalised for Firth's estimates, where Wald's symmetric interval misleads most. A bound that doesn't exist is
absent. Every column takes dozens of constrained fits, so the work is bounded: where there are more patients or columns
than that, the intervals agree with Wald's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from heartify.disclosure.cells import Cell
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.shown_weights import shown_weights
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.errors import StatsError
from heartify.stats.firth import penalised_profile_interval, penalised_ratio_test
from heartify.stats.inference import ProfileInterval, likelihood_ratio_test, profile_interval

MAX_COLUMNS = 40
MAX_WORK = 2.5e9  # rows times cubed columns: about a minute on one core

Row = Mapping[str, Cell]


def _is_requested(plan: Plan) -> bool:
    return plan.analysis.model == "logistic" and plan.missing.method == "complete-case"


def _run(data: StudyData) -> Sequence[ExactTable]:
    p = len(data.names)
    if p > MAX_COLUMNS or float(data.fit.n) * p**3 > MAX_WORK:
        raise AnalysisSkippedError("too_many_terms")
    rows = [_row(data, column, weight) for column, weight in enumerate(shown_weights(data.fit))]
    return (ExactTable("profile_intervals", [row for row in rows if row is not None]),)


def _row(data: StudyData, column: int, weight: float) -> Row | None:
    """Return a column's row, or None where its profile has no bound that could be found."""
    name, logistic = data.names[column], data.fit.logistic
    try:
        interval, chi2 = _profile(data, name)
    except StatsError:
        return None
    return {
        "factor": name,
        # The model's own errors, whatever the plan shows: they are the scale of the likelihood.
        "se": None if logistic is None else float(logistic.term_se[column]),
        "estimate": weight,
        "ci_low": interval.ci_low if math.isfinite(interval.ci_low) else None,
        "ci_high": interval.ci_high if math.isfinite(interval.ci_high) else None,
        "chi2": chi2,
    }


def _profile(data: StudyData, name: str) -> tuple[ProfileInterval, float]:
    """Return a column's interval and likelihood-ratio chi-square.

    Raises:
        StatsError: a bound or the model without the column was not found.
    """
    firth, logistic = data.fit.firth, data.fit.logistic
    if firth is not None:
        interval = penalised_profile_interval(data.blocks, firth, name)
        return interval, penalised_ratio_test(data.blocks, firth, [name]).statistic
    if logistic is None:
        raise StatsError("a profile is of one logistic fit")
    interval = profile_interval(data.blocks, logistic, name)
    return interval, likelihood_ratio_test(data.blocks, logistic, [name]).statistic


PROFILES = Analysis("profile_intervals", _is_requested, _run)
