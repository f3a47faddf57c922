"""Rows of curves on a grid: survival by Kaplan and Meier, cumulative incidence by Aalen and Johansen.

A curve starts at the grid's origin, with everyone who is followed then: under delayed entry it is conditional on
reaching the origin. Exact values; the release rounds them (2 decimals, counts to 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import round_count
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.survival_grid import Grid, choose_grid
from heartify.enclave.analyses.survival_groups import Causes, Floats, Group, hospital_group
from heartify.enclave.study_data import StudyData
from heartify.stats.competing import cumulative_incidence, kaplan_meier

OUTCOME, COMPETING, ANY_EVENT = "outcome", "competing", "any event"
_CODES = {OUTCOME: 1, COMPETING: 2}

Row = dict[str, Cell]
Curve = tuple[Floats, Floats, Floats, Floats]
"""Times (m,), values (m,), and the limits (m,) of their intervals, NaN where there are none."""


def incidence_grid(data: StudyData) -> Grid | None:
    """Return the grid on which both the outcome and the competing event can be shown; None if there is none."""
    return _grid(data, [frozenset({_CODES[OUTCOME]}), frozenset({_CODES[COMPETING]})])


def survival_grid(data: StudyData) -> Grid | None:
    """Return the grid of survival: that of the incidences where there are any, or the finer would undo the coarser."""
    shared = incidence_grid(data) if data.plan.competing_risks is not None else None
    return shared or _grid(data, [frozenset(range(1, _codes(data) + 1))])


def _grid(data: StudyData, causes: Causes) -> Grid | None:
    horizon = data.plan.follow_up.horizon if data.plan.follow_up is not None else None
    return choose_grid([hospital_group(block, _codes(data)) for block in data.survival], causes, horizon)


def _codes(data: StudyData) -> int:
    return 2 if any(case.competing is not None for case in data.cases) else 1


def survival_table(grid: Grid) -> ExactTable:
    """Return survival free of any event that the plan names: one that ends at the competing event is no probability."""
    cause = ANY_EVENT if grid.pooled.codes > 1 else OUTCOME

    def curve(group: Group) -> Curve:
        found = kaplan_meier(group.table(grid.origin))
        return found.time, found.survival, found.ci_low, found.ci_high

    return ExactTable("survival", _rows(grid, cause, "survival", 1.0, curve))


def incidence_table(grid: Grid) -> ExactTable:
    """Return the cumulative incidence of the outcome, and of the competing event."""
    rows: list[Row] = []
    for cause in (OUTCOME, COMPETING):
        column = _CODES[cause] - 1

        def curve(group: Group, column: int = column) -> Curve:
            found = cumulative_incidence(group.table(grid.origin))
            low, high = found.ci_low[:, column], found.ci_high[:, column]
            return found.time, found.incidence[:, column], low, high

        rows += _rows(grid, cause, "incidence", 0.0, curve)
    return ExactTable("cumulative_incidence", rows)


def _rows(grid: Grid, cause: str, column: str, start: float, curve: Callable[[Group], Curve]) -> list[Row]:
    rows: list[Row] = []
    for group in (*grid.shown, grid.pooled):
        at = grid.pooled_times if group is grid.pooled else grid.times
        counts = _pooled_at_risk(grid) if group is grid.pooled else _at_risk(grid, group, at)
        times, *values = curve(group)
        place = np.searchsorted(times, at, side="right") - 1
        rows.append(_row(group.name, cause, column, (grid.origin, counts[0], start, start, start)))
        shown = np.column_stack([at, counts[1:], *(value[place] for value in values)])
        rows += [_row(group.name, cause, column, line) for line in shown.tolist()]
    return rows + [_row(name, cause, column, (None,) * 5) for name in grid.hidden]


def _pooled_at_risk(grid: Grid) -> list[int]:
    """Return the pooled numbers at risk; where the parts have theirs shown, the sum of what is shown (rule 9)."""
    exact = _at_risk(grid, grid.pooled, grid.pooled_times)
    parts = [map(round_count, _at_risk(grid, part, grid.times)) for part in grid.parts]
    sums = dict(zip((grid.origin, *grid.times.tolist()), map(sum, zip(*parts, strict=True)), strict=True))
    times = (grid.origin, *grid.pooled_times.tolist())
    return [sums.get(time, number) for time, number in zip(times, exact, strict=True)]


def _at_risk(grid: Grid, group: Group, times: Floats) -> list[int]:
    return [group.followed_beyond(grid.origin), *group.at_risk(times).tolist()]


def _row(group: str, cause: str, column: str, line: Sequence[float | None]) -> Row:
    time, at_risk, *figures = line
    value, low, high = (None if figure is None or np.isnan(figure) else figure for figure in figures)
    return {
        "group": group,
        "cause": cause,
        "time": time,
        "at_risk": at_risk,
        column: value,
        "ci_low": low,
        "ci_high": high,
    }
