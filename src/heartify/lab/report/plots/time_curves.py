"""Survival and cumulative incidence over time, a panel for each group, with 95 % bands and numbers at risk.

The enclave releases them at a few round times only. So the values are dots, and the straight lines between them guide
the eye: where between two dots the curve steps is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

from heartify.lab.report.plots.drawing import Drawing, Shape, band, dot, polyline, text
from heartify.lab.report.plots.frame import SERIES, Frame, frame, legend
from heartify.lab.report.plots.table_rows import Row, complete, groups, number, numbers, rows_of
from heartify.protocol.result import StudyResult, Table

MAX_PANELS = 24
_RISK_LINE = 18.0


def draw_survival(result: StudyResult) -> tuple[Drawing, ...]:
    """Return a panel of survival for each group."""
    return _panels(result.table("survival"), "survival", "event-free share", 1.0)


def draw_cumulative_incidence(result: StudyResult) -> tuple[Drawing, ...]:
    """Return a panel of cumulative incidence for each group, a line for each cause."""
    return _panels(result.table("cumulative_incidence"), "incidence", "cumulative incidence", 0.0)


def _panels(table: Table | None, column: str, name: str, start: float) -> tuple[Drawing, ...]:
    rows = rows_of(table)
    highest = max((values[0] for values in complete(rows, "ci_high")), default=1.0)
    limits = (0.0, 1.0) if start == 1.0 else (0.0, max(highest, 0.05))
    drawings = (_panel(group, found, column, name, start, limits) for group, found in groups(rows, "group").items())
    return tuple(drawing for drawing in drawings if drawing is not None)[:MAX_PANELS]


def _panel(
    group: str, rows: Sequence[Row], column: str, name: str, start: float, limits: tuple[float, float]
) -> Drawing | None:
    curves = {cause: _points(found, column, start) for cause, found in groups(rows, "cause").items()}
    curves = {cause: points for cause, points in curves.items() if len(points) > 1}
    if not curves:
        return None
    only = "".join(f" ({cause})" for cause in curves if cause and len(curves) == 1)
    words = [(SERIES[index % len(SERIES)], cause) for index, cause in enumerate(curves) if len(curves) > 1]
    times = [point[0] for points in curves.values() for point in points]
    area = frame(times, limits, legend=len(words))
    shapes = legend(words) + area.axes("time", f"{group}: {name}{only}")
    for index, points in enumerate(curves.values()):
        shapes += _curve_shapes(area, points, index)
    shapes += _at_risk(area, next(iter(groups(rows, "cause").values())))
    description = f"{name} in {group}: " + " ".join(
        f"{cause} at {time:g}: {value:.2f}." for cause, points in curves.items() for time, value, *_ in points[1:]
    )
    return Drawing(f"{name}: {group}", description, area.width, area.height + 2 * _RISK_LINE, tuple(shapes))


def _points(rows: Sequence[Row], column: str, start: float) -> list[tuple[float, ...]]:
    found = sorted(complete(rows, "time", column, "ci_low", "ci_high"))
    return found if found and found[0][0] == 0 else [(0.0, start, start, start), *found]


def _curve_shapes(area: Frame, points: Sequence[tuple[float, ...]], index: int) -> list[Shape]:
    lower = [area.point(time, low) for time, _, low, _ in points]
    upper = [area.point(time, high) for time, *_, high in points]
    middle = [area.point(time, value) for time, value, *_ in points]
    marks = [dot(f"d{index % len(SERIES)}", place, 2.8) for place in middle[1:]]
    return [band(f"band b{index % len(SERIES)}", lower, upper), polyline(SERIES[index % len(SERIES)], middle), *marks]


def _at_risk(area: Frame, rows: Sequence[Row]) -> list[Shape]:
    """Return the numbers at risk under the axis, as many as there is room for."""
    y = area.height + 12.0
    shapes: list[Shape] = [text("head", (4.0, y - 14), "patients at risk")]
    last = float("-inf")
    for row in rows:
        place = numbers(row, "time")
        count = number(row, "at_risk")
        if place is None:
            continue
        x = area.x.at(place[0])
        if x - last >= 40.0:
            shapes.append(text("tick middle", (x, y + 4), "—" if count is None else f"{count:g}"))
            last = x
    return shapes
