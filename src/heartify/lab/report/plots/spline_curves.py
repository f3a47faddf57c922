"""Curves of the factors that enter as splines: the ratio against the reference value, with its 95 % band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartify.lab.report.plots.drawing import Drawing, Shape, band, line, polyline
from heartify.lab.report.plots.frame import Frame, frame
from heartify.lab.report.plots.scale import ratio_ticks
from heartify.lab.report.plots.table_rows import Row, complete, groups, rows_of
from heartify.protocol.result import StudyResult

MAX_CURVES = 24


def draw_spline_curves(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return a curve for each factor of the table of curves."""
    ratio = "hazard ratio" if result.model == "cox" else "odds ratio"
    drawings = (
        _curve(titles.get(factor, factor), rows, ratio)
        for factor, rows in groups(rows_of(result.table("curves")), "factor").items()
    )
    return tuple(drawing for drawing in drawings if drawing is not None)[:MAX_CURVES]


def _curve(title: str, rows: Sequence[Row], ratio: str) -> Drawing | None:
    points = complete(rows, "at", "estimate", "ci_low", "ci_high")
    if len(points) < 2:
        return None
    reference = complete(rows, "reference")
    # At the reference the ratio is 1 by definition; it has no standard error, and so no row.
    points = sorted({*points, *((at, 0.0, 0.0, 0.0) for (at,) in reference if all(at != row[0] for row in points))})
    area = frame([at for at, *_ in points], [value for _, *values in points for value in (*values, 0.0)])
    shapes = area.axes(title, f"{ratio}{_against(reference)} (log scale)", y_ticks=ratio_ticks(area.y))
    shapes += [
        band(
            "band b0",
            [area.point(at, low) for at, _, low, _ in points],
            [area.point(at, high) for at, *_, high in points],
        ),
        line("reference", area.point(area.x.low, 0.0), area.point(area.x.high, 0.0)),
        polyline("s0", [area.point(at, estimate) for at, estimate, *_ in points]),
        *_reference_mark(area, reference),
    ]
    description = (
        f"{ratio} along {title}{_against(reference)}, from {points[0][0]:g} to {points[-1][0]:g}, with a 95 % band."
    )
    return Drawing(title, description, area.width, area.height, tuple(shapes))


def _against(reference: Sequence[tuple[float, ...]]) -> str:
    return f" against {reference[0][0]:g}" if reference else ""


def _reference_mark(area: Frame, reference: Sequence[tuple[float, ...]]) -> list[Shape]:
    if not reference or not area.x.shows(reference[0][0]):
        return []
    return [line("reference", area.point(reference[0][0], area.y.low), area.point(reference[0][0], area.y.high))]
