"""The QQ plot of a screen: observed against expected −log10 p, with the 95 % band of no association at all."""

from __future__ import annotations

from heartify.lab.report.number_text import MINUS
from heartify.lab.report.plots.drawing import Drawing, Shape, band, dot, polyline, text
from heartify.lab.report.plots.frame import frame
from heartify.lab.report.plots.table_rows import complete, label, number, rows_of
from heartify.protocol.result import StudyResult


def draw_qq(result: StudyResult) -> tuple[Drawing, ...]:
    """Return the QQ plot, or nothing where the table has no rows."""
    rows = rows_of(result.table("screen_qq"))
    points = sorted(complete(rows, "expected", "observed"))
    if not points:
        return ()
    envelope = sorted(complete(rows, "expected", "band_low", "band_high"))
    top = max(expected for expected, _ in points)
    area = frame((0.0, top), (0.0, max(*(observed for _, observed in points), *(row[2] for row in envelope), top)))
    shapes: list[Shape] = area.axes(f"expected {MINUS}log₁₀ p", f"observed {MINUS}log₁₀ p")
    if len(envelope) > 1:
        lower = [area.point(x, low) for x, low, _ in envelope]
        shapes.append(band("band b3", lower, [area.point(x, high) for x, _, high in envelope]))
    shapes.append(polyline("reference", (area.point(0.0, 0.0), area.point(top, top))))
    shapes += [dot("d0", area.point(*point), 2.6) for point in points]
    words = _lambda_words(result)
    shapes += [text("strong", (area.x.start + 12, area.y.end + 16), words)] if words else []
    description = f"{len(points)} quantiles of the screen's p-values. {words}"
    return (Drawing("QQ plot", description, area.width, area.height, tuple(shapes)),)


def _lambda_words(result: StudyResult) -> str:
    """Return the inflation in words, from the summary's row that names it."""
    for row in rows_of(result.table("screen_summary")):
        value = number(row, "value")
        if "lambda" in label(row, "measure").lower() and value is not None:
            return f"λ = {value:.3g}"
    return ""
