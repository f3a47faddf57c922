"""The flow of patients: read, excluded (each once, at the first reason that applies), complete.

Rule 9 throughout: a total is the sum of the cells that are shown, so that no hidden cell follows by subtraction.
Reasons with fewer than 10 patients are shown together as "other reasons" if they are at least two and add up to 10;
otherwise these fewer than 10 patients are in no cell, and not in "patients read" either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.merging import gather_hidden
from heartify.disclosure.rounding import round_count
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.cases import HospitalCases
from heartify.enclave.study_data import StudyData

READ, COMPLETE, OTHER = "patients read", "complete cases", "other reasons"
EVERYBODY = "all hospitals"
Row = Mapping[str, Cell]


def flow(data: StudyData) -> ExactTable:
    """Return the flow over all hospitals, then of each; over all hospitals alone where the table would be too long."""
    steps = _step_names(data)
    counts = [exclusions(case) for case in data.cases]
    complete = [round_count(case.n) for case in data.cases]
    rows = list(_rows(EVERYBODY, steps, _pooled(counts), sum(complete)))
    own: list[Row] = []
    for case, exact, left in zip(data.cases, counts, complete, strict=True):
        own += _rows(case.name, steps, [_shown(count) for count in exact] + [gather_hidden(exact) or 0], left)
    if len(data.cases) > 1 and len(rows) + len(own) <= TABLES["flow"].max_rows:
        rows += own
    return ExactTable("flow", rows)


def exclusions(case: HospitalCases) -> tuple[int, ...]:
    """Return how many rows each reason excludes first: outcome, follow-up, stratum, not at risk, then each factor."""
    gone = np.zeros(case.rows, dtype=np.bool_)
    counts: list[int] = []
    for reason in _reasons(case):
        counts.append(int((reason & ~gone).sum()))
        gone |= reason
    return tuple(counts)


def _reasons(case: HospitalCases) -> Iterator[NDArray[np.bool_]]:
    yield np.isnan(case.outcome)
    if case.time is not None:
        follow_up = [values for values in (case.time, case.entry, case.competing) if values is not None]
        yield np.logical_or.reduce([np.isnan(values) for values in follow_up])
    if case.strata is not None:
        yield np.isnan(case.strata)
    if case.time is not None:
        start = np.zeros(case.rows) if case.entry is None else np.maximum(case.entry, 0.0)
        with np.errstate(invalid="ignore"):
            yield ~(case.time > start)
    yield from (np.isnan(values) for values in case.factors.values())


def _step_names(data: StudyData) -> tuple[str, ...]:
    follow_up = ("follow-up missing",) if data.plan.follow_up else ()
    strata = ("stratum missing",) if data.plan.analysis.strata else ()
    at_risk = ("not at risk",) if data.plan.follow_up else ()
    factors = (f"{factor.name} missing" for factor in data.plan.factors)
    return ("outcome missing", *follow_up, *strata, *at_risk, *factors, OTHER)


def _shown(count: int) -> int:
    return round_count(count) if can_show(count) else 0


def _pooled(counts: Sequence[tuple[int, ...]]) -> list[int]:
    """Return each reason over all hospitals, then the other reasons: sums of rounded cells of 10 or more."""
    pooled = []
    lost = []
    for of_reason in zip(*counts, strict=True):
        hidden = gather_hidden(of_reason)
        pooled.append(sum(_shown(count) for count in of_reason) + round_count(hidden or 0))
        if pooled[-1] == 0:
            lost.append(sum(of_reason))
    return [*pooled, round_count(gather_hidden(lost) or 0)]


def _rows(hospital: str, steps: Sequence[str], shown: Sequence[int], complete: int) -> Iterator[Row]:
    """Yield the steps with patients between those read and those left."""
    excluded = [round_count(count) for count in shown]
    yield {"hospital": hospital, "step": READ, "n": sum(excluded) + complete}
    for step, count in zip(steps, excluded, strict=True):
        if count:
            yield {"hospital": hospital, "step": step, "n": count}
    yield {"hospital": hospital, "step": COMPLETE, "n": complete}
