"""[screen]: score tests of the plan's candidates, each adjusted for the plan's model, and what they amount to together.

Candidates are judged by the rules one by one, tested in one pass, and only those that pass the false discovery rate are
named. Figures over all candidates (lambda GC, the QQ plot) are computed from z in tenths, so that no exact p-value
leaves; how many were not tested is a number of candidates, and which ones is not said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cells import Cell
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.screen_candidates import Candidate, candidate_values, judge_candidate
from heartify.enclave.analyses.screen_families import families_table
from heartify.enclave.analyses.screen_hits import hits_table
from heartify.enclave.analyses.screen_null import build_null
from heartify.enclave.analyses.screen_tests import Screened, adjust, log_p_of, run_tests, true_null_share
from heartify.enclave.analyses.sdc_gate import can_show_hospital
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_analyses import ScreenSpec
from heartify.stats.screening import candidate_correlation, effective_tests, lambda_gc, qq_points

QQ_POINTS = 100
CORRELATED_VALUES = 10_000_000  # candidates x patients that a correlation matrix is computed of

Row = dict[str, Cell]


def run_screen(data: StudyData, spec: ScreenSpec) -> Sequence[ExactTable]:
    """Return the tables of a screen.

    Raises:
        AnalysisSkippedError: the rules let no candidate be tested.
        StatsError: the model without candidates has no maximum.
    """
    null = build_null(data)
    base_alone = [can_show_hospital(data, hospital) for hospital in range(len(data.blocks))]
    judged = [judge_candidate(data, name, base_alone) for name in spec.candidates]
    allowed = [item for item in judged if item.refused is None]
    if not allowed:
        raise AnalysisSkippedError("too_few_patients")
    screened = run_tests(data, null, allowed)
    if not screened.tested.any():
        raise AnalysisSkippedError("not_estimable")
    p = np.minimum(1.0, np.exp(screened.log_p))
    pi0 = true_null_share(p)
    hits = _hits(screened, adjust(p, spec.adjust, pi0), spec.fdr)
    shown_log_p = log_p_of(screened.shown_z)
    q = adjust(np.minimum(1.0, np.exp(shown_log_p)), spec.adjust, pi0)
    return (
        summary_table(data, judged, screened, len(hits), pi0),
        hits_table(data, null, screened, hits, q, spec.fdr),
        families_table(data, null, frozenset(item.name for item in allowed), spec.adjust),
        qq_table(shown_log_p),
    )


def summary_table(
    data: StudyData, judged: Sequence[Candidate], screened: Screened, hits: int, pi0: float | None
) -> ExactTable:
    """Return numbers of candidates by what became of them, and the state of the tests as a whole."""
    refusals = Counter(item.refused for item in judged if item.refused is not None)
    refusals.update(reason for reason in screened.untested if reason is not None)
    rows = [_number("candidates", len(judged)), _number("tested", int(screened.tested.sum()))]
    rows += [_number(f"not tested: {reason}", refusals[reason]) for reason in sorted(refusals)]
    approximate = int((screened.is_approximate & screened.tested).sum())
    rows += [_number("tested by one step", approximate)] if approximate else []
    rows.append(_number("hits", hits))
    rows += _effective(data, screened)
    z = screened.shown_z[~np.isnan(screened.shown_z)]
    rows.append({"measure": "lambda gc", "number": None, "value": lambda_gc(z) if z.size else None})
    rows.append({"measure": "pi0", "number": None, "value": pi0})
    return ExactTable("screen_summary", rows)


def qq_table(shown_log_p: Floats) -> ExactTable:
    """Return the QQ plot of shown p-values, natural logarithms (m,); NaN: not tested."""
    if np.isnan(shown_log_p).all():
        return ExactTable("screen_qq", ())
    points = qq_points(shown_log_p / math.log(10.0), QQ_POINTS)
    columns = zip(points.expected, points.observed, points.low, points.high, strict=True)
    names = ("expected", "observed", "band_low", "band_high")
    return ExactTable("screen_qq", [dict(zip(names, map(float, row), strict=True)) for row in columns])


def _hits(screened: Screened, adjusted: Floats, fdr: float) -> list[int]:
    passed: NDArray[np.intp] = np.flatnonzero(screened.tested & (np.nan_to_num(adjusted, nan=1.0) <= fdr))
    return sorted(passed.tolist(), key=lambda j: (float(screened.log_p[j]), j))


def _number(measure: str, number: int) -> Row:
    return {"measure": measure, "number": number, "value": None}


def _effective(data: StudyData, screened: Screened) -> list[Row]:
    """Return Li and Ji's effective number of tests, whole: decimals would tell the correlation of two."""
    tested = [item.name for item, is_tested in zip(screened.candidates, screened.tested, strict=True) if is_tested]
    if len(tested) < 2 or len(tested) * sum(block.n for block in data.blocks) > CORRELATED_VALUES:
        return []
    columns = [candidate_values(data, name) for name in tested]
    correlation, _ = candidate_correlation([np.column_stack(parts) for parts in zip(*columns, strict=True)])
    number = math.ceil(effective_tests(correlation).li_ji - 1e-9)
    return [_number("effective tests", min(number, len(tested)))]


def _is_requested(plan: Plan) -> bool:
    return plan.screen is not None


def _run(data: StudyData) -> Sequence[ExactTable]:
    return run_screen(data, data.plan.screen) if data.plan.screen is not None else ()


SCREEN = Analysis("screen", _is_requested, _run)
