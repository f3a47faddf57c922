"""Calibration: observed against predicted risk in groups and as a smooth curve, beside the diagonal."""

from __future__ import annotations

from heartify.lab.report.plots.drawing import Drawing, Shape, band, box, polyline
from heartify.lab.report.plots.frame import frame, legend
from heartify.lab.report.plots.table_rows import complete, rows_of
from heartify.protocol.result import StudyResult


def draw_calibration(result: StudyResult) -> tuple[Drawing, ...]:
    """Return the calibration plot, or nothing where neither groups nor curve are shown."""
    found = complete(rows_of(result.table("calibration_groups")), "predicted", "observed")
    curve = sorted(complete(rows_of(result.table("calibration_curve")), "predicted", "observed", "ci_low", "ci_high"))
    if not found and len(curve) < 2:
        return ()
    top = max(value for values in (*found, *curve, (0.1,)) for value in values)
    words = [("reference", "perfect calibration")] + ([("s0", "smooth curve with 95 % band")] if curve else [])
    area = frame((0.0, top), (0.0, top), height=430.0, legend=len(words))
    shapes: list[Shape] = legend(words) + area.axes("predicted risk", "observed risk (squares: groups of patients)")
    shapes.append(polyline("reference", (area.point(0.0, 0.0), area.point(top, top))))
    if len(curve) > 1:
        shapes += [
            band(
                "band b0",
                [area.point(x, low) for x, _, low, _ in curve],
                [area.point(x, high) for x, *_, high in curve],
            ),
            polyline("s0", [area.point(x, y) for x, y, *_ in curve]),
        ]
    for predicted, observed in found:
        x, y = area.point(predicted, observed)
        shapes.append(box("group", (x - 4, y - 4), (x + 4, y + 4)))
    description = "Observed against predicted risk. " + " ".join(f"{x:.2f}: {y:.2f}." for x, y in found)
    return (Drawing("Calibration", description, area.width, area.height, tuple(shapes)),)
