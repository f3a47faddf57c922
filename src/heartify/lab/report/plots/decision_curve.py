"""Decision curves: net benefit of treating by a model at thresholds of risk, beside treating all and treating none."""

from __future__ import annotations

from collections.abc import Sequence

from heartify.lab.report.plots.drawing import Drawing, Shape, dot, polyline
from heartify.lab.report.plots.frame import SERIES, frame, legend
from heartify.lab.report.plots.table_rows import Row, complete, groups, rows_of
from heartify.protocol.result import StudyResult

_WORDS = {"model": "treat by the model", "base": "base model", "new": "with the new factors", "treat_all": "treat all"}
_ORDER = ("model", "new", "base", "treat_all")


def draw_net_benefit(result: StudyResult) -> tuple[Drawing, ...]:
    """Return the model's decision curve."""
    return _decision_curve(result, "net_benefit", "Net benefit")


def draw_increment_net_benefit(result: StudyResult) -> tuple[Drawing, ...]:
    """Return the decision curves without and with the new factors."""
    return _decision_curve(result, "increment_net_benefit", "Net benefit")


def _decision_curve(result: StudyResult, name: str, title: str) -> tuple[Drawing, ...]:
    found = groups(rows_of(result.table(name)), "baseline")
    drawings = (_drawing(rows, f"{title}: {baseline}" if baseline else title) for baseline, rows in found.items())
    return tuple(drawing for drawing in drawings if drawing is not None)


def _drawing(rows: Sequence[Row], title: str) -> Drawing | None:
    curves = {column: sorted(complete(rows, "threshold", column)) for column in _ORDER}
    curves = {column: points for column, points in curves.items() if points}
    if not curves or all(column == "treat_all" for column in curves):
        return None
    values = [value for points in curves.values() for _, value in points]
    # Treating all at a high threshold is far below zero; it would squeeze what matters.
    shown = [value for column, points in curves.items() for _, value in points if column != "treat_all"]
    top, bottom = max(*values, 0.01), max(min(*values, 0.0), -max(*shown, 0.01))
    words = [(SERIES[index], _WORDS[column]) for index, column in enumerate(curves)]
    area = frame([at for points in curves.values() for at, _ in points], (bottom, top), legend=len(words) + 1)
    shapes: list[Shape] = legend([*words, ("reference", "treat none")])
    shapes += area.axes("threshold of risk", title)
    shapes.append(polyline("reference", (area.point(area.x.low, 0.0), area.point(area.x.high, 0.0))))
    for index, points in enumerate(curves.values()):
        inside = [point for point in points if area.y.shows(point[1])]
        shapes.append(polyline(SERIES[index], [area.point(*point) for point in inside]))
        shapes += [dot(f"d{index}", area.point(*point), 2.8) for point in inside]
    description = " ".join(
        f"{_WORDS[column]}: " + ", ".join(f"{value:g} at {at:g}" for at, value in points) + "."
        for column, points in curves.items()
    )
    return Drawing(title, description, area.width, area.height, tuple(shapes))
