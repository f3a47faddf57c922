"""The ROC curve through the released thresholds: sensitivity against 1 − specificity."""

from __future__ import annotations

from heartify.lab.report.number_text import MINUS
from heartify.lab.report.plots.drawing import Drawing, dot, polyline
from heartify.lab.report.plots.frame import frame
from heartify.lab.report.plots.table_rows import complete, rows_of
from heartify.protocol.result import StudyResult


def draw_roc(result: StudyResult) -> tuple[Drawing, ...]:
    """Return the ROC curve, or nothing where no threshold is shown."""
    found = complete(rows_of(result.table("roc")), "sensitivity", "specificity")
    if not found:
        return ()
    points = sorted({(0.0, 0.0), (1.0, 1.0), *((1 - specificity, sensitivity) for sensitivity, specificity in found)})
    area = frame((0.0, 1.0), (0.0, 1.0), height=430.0)
    shapes = area.axes(f"1 {MINUS} specificity", "sensitivity")
    shapes += [
        polyline("reference", (area.point(0.0, 0.0), area.point(1.0, 1.0))),
        polyline("s0", [area.point(*point) for point in points]),
        *(dot("d0", area.point(1 - specificity, sensitivity), 3.0) for sensitivity, specificity in found),
    ]
    description = "Dots are the released thresholds; straight lines join them. " + " ".join(
        f"sensitivity {sensitivity:.2f} at specificity {specificity:.2f}." for sensitivity, specificity in found
    )
    return (Drawing("ROC curve", description, area.width, area.height, tuple(shapes)),)
