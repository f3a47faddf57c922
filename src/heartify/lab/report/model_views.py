"""The tables of the model as a paper has them: tests, hospitals' estimates and their pooling, measures side by side.

Each function returns None where the released rows are not as it expects them; the table is then shown row by row. What
a compact view leaves out (β, standard errors) stands in the full table folded away under it.
"""

from __future__ import annotations

from collections.abc import Sequence

from heartify.lab.report.cross_tables import CrossTable, cross_table
from heartify.lab.report.number_text import Figure, count_figure
from heartify.lab.report.plots.table_rows import Row, label, number
from heartify.lab.report.table_cells import HIDDEN, ShownCell, sign, word_cell
from heartify.lab.report.table_views import (
    Arrangement,
    Heading,
    Source,
    TableView,
    folded,
    full_view,
    line_rows,
    stacked,
)
from heartify.lab.report.table_words import label_words

FIXED, RANDOM = "fixed effect", "random effects"


def tests(source: Source) -> Arrangement | None:
    """Return one line for each hypothesis, with the χ² and p of each kind of test beside each other."""
    table = cross_table(source.rows, ("term", "hypothesis"), "test")
    if table is None:
        return None
    degrees = [_one_figure(source, _rows_of(table, key), "df") for key in table.keys]
    if any(found is None for found in degrees):
        return None
    headings = [Heading("term", is_label=True), Heading("hypothesis", is_label=True), Heading("df")]
    for name in table.columns:
        headings += [Heading(f"{label_words(name)} χ²"), Heading("p")]
    cells = [
        (
            df or HIDDEN,
            *(source.cell(table.row(key, name), column) for name in table.columns for column in ("chi2", "p")),
        )
        for key, df in zip(table.keys, degrees, strict=True)
    ]
    keys = [(source.title(term), hypothesis) for term, hypothesis in table.keys]
    return Arrangement((TableView(tuple(headings), line_rows(keys, cells)),))


def hospital_estimates(source: Source) -> Arrangement | None:
    """Return the ratios by factor and hospital, folded under the forest plots, and all figures under them."""
    table = cross_table(source.rows, ("factor",), "hospital")
    if table is None:
        return None
    views = []
    names = [(source.title(factor),) for (factor,) in table.keys]
    for page in table.pages():
        headings = [Heading(name, second_line=_patients(page, name)) for name in page.columns]
        cells = [tuple(_own_ratio(source, page.row(key, name)) for name in page.columns) for key in page.keys]
        view = TableView((Heading("factor", is_label=True), *headings), line_rows(names, cells), _ratio_caption(source))
        more = f": {page.columns[0]} to {page.columns[-1]}" if len(page.columns) < len(table.columns) else ""
        views.append(folded(view, f"Each hospital’s own {source.ratio_words}s{more}"))
    return Arrangement((*views, full_view(source, "Each hospital’s own estimates")))


def meta_analysis(source: Source) -> Arrangement | None:
    """Return one line for each factor: both pooled ratios, the prediction interval, and how much hospitals differ."""
    table = cross_table(source.rows, ("factor",), "model")
    if table is None or not set(table.columns) <= {FIXED, RANDOM}:
        return None
    models = [name for name in (FIXED, RANDOM) if name in table.columns]
    ratio = [Heading(f"{name}: {source.ratio_words} (95 % CI)") for name in models]
    spread = ("prediction interval", "I² (95 % CI)", "τ² (95 % CI)", "Q (df)", "p of Q")
    headings = (Heading("factor", is_label=True), *ratio, *(Heading(words) for words in spread))
    cells = []
    for key in table.keys:
        pooled = [table.row(key, name) for name in models]
        cells.append((*(stacked(source.ratio(row)) for row in pooled), *_spread(source, pooled[-1] or pooled[0])))
    names = [(source.title(factor),) for (factor,) in table.keys]
    caption = f"I², τ² and the prediction interval (of the {source.ratio_words}) are those of the last pooling."
    view = TableView(headings, line_rows(names, cells), caption if RANDOM in models else "")
    return Arrangement((view, full_view(source, "Pooled estimates")))


def by_evaluation(source: Source) -> Arrangement | None:
    """Return one line for each measure, apparent and corrected side by side; a standard error on the second line."""
    table = cross_table(source.rows, ("measure",), "evaluation")
    if table is None:
        return None
    headings = (Heading("measure", is_label=True), *(Heading(f"{name} (95 % CI)") for name in table.columns))
    cells = [tuple(_measure(source, table.row(key, name)) for name in table.columns) for key in table.keys]
    return Arrangement((TableView(headings, line_rows([(label_words(measure),) for (measure,) in table.keys], cells)),))


def hazards(source: Source) -> Arrangement | None:
    """Return one line for each factor, with the hazard ratio and p of each event and kind of hazard."""
    return _ratios_across(source, "model", "Hazards of each event")


def robust(source: Source) -> Arrangement | None:
    """Return one line for each factor, with the ratio and p by each kind of standard error."""
    return _ratios_across(source, "errors", "Robust standard errors")


def attributable_fraction(source: Source) -> Arrangement | None:
    """Return one line for each term and reference value, with the fractions of each method side by side."""
    table = cross_table(source.rows, ("term", "reference"), "method")
    if table is None:
        return None
    values = [_one_figure(source, _rows_of(table, key), "at") for key in table.keys]
    if any(found is None for found in values):
        return None
    labels = [Heading("term", is_label=True), Heading("reference", is_label=True), Heading("reference value")]
    headings = (*labels, *(Heading(f"{name} (95 % CI)") for name in table.columns))
    cells = [
        (value or HIDDEN, *(source.cell(table.row(key, name), "fraction") for name in table.columns))
        for key, value in zip(table.keys, values, strict=True)
    ]
    keys = [(source.title(term), reference) for term, reference in table.keys]
    return Arrangement((TableView(headings, line_rows(keys, cells)),))


def _ratios_across(source: Source, across: str, title: str) -> Arrangement | None:
    table = cross_table(source.rows, ("factor",), across)
    if table is None:
        return None
    headings = [Heading("factor", is_label=True)]
    for name in table.columns:
        headings += [Heading(f"{name}: {source.ratio_words} (95 % CI)"), Heading("p")]
    cells = []
    for key in table.keys:
        rows = [table.row(key, name) for name in table.columns]
        cells.append(tuple(cell for row in rows for cell in (stacked(source.ratio(row)), source.cell(row, "p"))))
    names = [(source.title(factor),) for (factor,) in table.keys]
    return Arrangement((TableView(tuple(headings), line_rows(names, cells)), full_view(source, title)))


def _rows_of(table: CrossTable, key: tuple[str, ...]) -> list[Row]:
    return [row for name in table.columns if (row := table.row(key, name)) is not None]


def _one_figure(source: Source, rows: Sequence[Row], column: str) -> ShownCell | None:
    """Return the cell that rows share; None where two of them differ, so that neither may stand for the other."""
    shown = [row for row in rows if number(row, column) is not None]
    if len({row[column] for row in shown}) > 1:
        return None
    return source.cell(shown[0], column) if shown else HIDDEN


def _own_ratio(source: Source, row: Row | None) -> ShownCell:
    """Return a hospital's ratio, or why there is none."""
    cell = source.ratio(row)
    words = "" if row is None else label(row, "status")
    return word_cell(words) if cell.is_hidden and words else stacked(cell)


def _patients(table: CrossTable, name: str) -> tuple[Figure, ...]:
    count = table.common(name, "n")
    return (sign("n = "), count_figure(count)) if isinstance(count, int) else ()


def _spread(source: Source, row: Row | None) -> tuple[ShownCell, ...]:
    """Return the cells of one pooling that tell how much the hospitals differ."""
    q, df = source.cell(row, "q"), source.cell(row, "df")
    both = q if q.is_hidden or df.is_hidden else ShownCell((*q.pieces, sign(" ("), *df.pieces, sign(")")))
    others = (stacked(source.cell(row, name)) for name in ("i2", "tau2"))
    return (
        source.ratio_bounds(row, "prediction"),
        *others,
        both,
        source.cell(row, "q_p"),
    )


def _measure(source: Source, row: Row | None) -> ShownCell:
    if row is None or "value" in row:
        return source.cell(row, "value")
    cell, se = source.cell(row, "estimate"), source.cell(row, "se")
    return cell if se.is_hidden else ShownCell(cell.pieces, (sign("SE "), *se.pieces))


def _ratio_caption(source: Source) -> str:
    return f"{source.ratio_words.capitalize()} (95 % CI); n is the number of patients in the hospital’s own model."
