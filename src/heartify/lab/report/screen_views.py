"""The tables of a screen as a paper has them: one value for each measure, and for each hit what decides about it."""

from __future__ import annotations

from heartify.lab.report.plots.table_rows import Row, label
from heartify.lab.report.table_cells import ShownCell, sign
from heartify.lab.report.table_views import Arrangement, Heading, Source, TableView, full_view, line_rows
from heartify.lab.report.table_words import label_words


def screen_summary(source: Source) -> Arrangement | None:
    """Return one value for each measure, whole or not; None where a row has both."""
    cells = [(source.cell(row, "number"), source.cell(row, "value")) for row in source.rows]
    if any(not number.is_hidden and not value.is_hidden for number, value in cells):
        return None
    lines = [(value if number.is_hidden else number,) for number, value in cells]
    keys = [(label_words(label(row, "measure")),) for row in source.rows]
    return Arrangement((TableView((Heading("measure", is_label=True), Heading("value")), line_rows(keys, lines)),))


def screen_hits(source: Source) -> Arrangement | None:
    """Return for each hit its p and q, both ratios, and how much hospitals differ; all figures folded away under it."""
    if not all(isinstance(row.get("candidate"), str) for row in source.rows):
        return None
    ratio = source.ratio_words
    words = (
        "patients",
        "p",
        "q",
        f"one-step {ratio} (95 % CI)",
        f"refit {ratio} (95 % CI)",
        "heterogeneity χ² (df)",
        "I²",
    )
    lines = []
    for row in source.rows:
        refit = source.ratio(row, "refit_estimate")
        by = label(row, "refit")
        lines.append(
            (
                *(source.cell(row, name) for name in ("n", "p", "q")),
                source.ratio(row),
                ShownCell(refit.pieces, (sign(by),) if by else ()),
                _heterogeneity(source, row),
                source.cell(row, "i2"),
            )
        )
    keys = [(source.title(label(row, "candidate")),) for row in source.rows]
    headings = (Heading("candidate", is_label=True), *(Heading(item) for item in words))
    everything = full_view(source, "Candidates that passed")
    return Arrangement((TableView(headings, line_rows(keys, lines)), everything))


def _heterogeneity(source: Source, row: Row) -> ShownCell:
    """Return χ² with its degrees of freedom, and its p on the second line."""
    chi2, df, p = (source.cell(row, f"heterogeneity{name}") for name in ("", "_df", "_p"))
    if chi2.is_hidden or df.is_hidden:
        return chi2
    return ShownCell((*chi2.pieces, sign(" ("), *df.pieces, sign(")")), (sign("p "), *p.pieces))
