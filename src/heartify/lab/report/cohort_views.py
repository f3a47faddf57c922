"""The tables of the cohort as a paper has them: flow, Table 1, missing values by hospital, findings of plausibility.

Each function returns None where the released rows are not as it expects them; the table is then shown row by row. The
only figures that were not released are percentages, which the page says are worked out from the rounded counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from heartify.lab.report.cross_tables import CrossTable, Key, cross_table
from heartify.lab.report.flow_steps import COMPLETE, READ, step_words
from heartify.lab.report.number_text import Figure, count_figure
from heartify.lab.report.plots.table_rows import EVERYBODY, Row, label, number
from heartify.lab.report.table_cells import DASH, ShownCell, sign
from heartify.lab.report.table_views import Arrangement, Heading, Source, TableView, folded, line_rows, plain_view

NO_FINDING = "no finding"
_MEASURES = ("mean (SD)", "median [5th–95th percentile]")
_PERCENT = "Percentages are worked out from the rounded counts shown, within each factor, group and column."


def flow(source: Source) -> Arrangement | None:
    """Return one line for each step and one column for each hospital."""
    table = cross_table(source.rows, ("step",), "hospital")
    if table is None:
        return None
    table = table.with_keys(sorted(table.keys, key=lambda key: (key == (COMPLETE,)) - (key == (READ,))))
    names = [(step_words(step, source.titles),) for (step,) in table.keys]
    views = []
    for page in table.pages():
        headings = (Heading("step", is_label=True), *(Heading(name) for name in page.columns))
        cells = [tuple(source.cell(page.row(key, name), "n") for name in page.columns) for key in page.keys]
        views.append(TableView(headings, line_rows(names, cells)))
    return Arrangement(tuple(views))


def table1_numbers(source: Source) -> Arrangement | None:
    """Return mean (SD) and median [percentiles] by group for all hospitals, and folded, by hospital."""
    pooled, own = _pooled_and_own(source)
    if pooled is None:
        return None
    views = [_numbers_view(source, pooled)]
    pages = () if own is None else tuple(own.pages())
    views += [folded(_own_numbers_view(source, page), _by_hospital("Table 1, numbers", page, pages)) for page in pages]
    return Arrangement(tuple(views))


def table1_levels(source: Source) -> Arrangement | None:
    """Return the patients at each level by group for all hospitals, and folded, by hospital."""
    pooled, own = _pooled_and_own(source, "level")
    if pooled is None:
        return None
    views = [_levels_view(source, pooled, ("factor", "level"))]
    pages = () if own is None else tuple(own.pages())
    views += [
        folded(
            _levels_view(source, page, ("factor", "group", "level")),
            _by_hospital("Table 1, levels", page, pages),
        )
        for page in pages
    ]
    return Arrangement(tuple(views), _PERCENT)


def missingness(source: Source) -> Arrangement | None:
    """Return the share of missing values, and the patients behind it, by factor and hospital."""
    table = cross_table(source.rows, ("factor",), "hospital")
    if table is None or not source.rows or "share" not in source.rows[0]:
        return None
    names = [(source.title(factor),) for (factor,) in table.keys]
    views = []
    for page in table.pages():
        read = {name: page.common(name, "rows") for name in page.columns}
        headings = [Heading(name, second_line=_of_patients(read[name], "of ")) for name in page.columns]
        cells = [
            tuple(_missing_cell(source, page.row(key, name), shows_rows=read[name] is None) for name in page.columns)
            for key in page.keys
        ]
        views.append(TableView((Heading("factor", is_label=True), *headings), line_rows(names, cells)))
    return Arrangement(tuple(views))


def plausibility(source: Source) -> Arrangement | None:
    """Return the findings alone, and what has none in one sentence; all rows folded away."""
    if not all(isinstance(row.get("finding"), str) for row in source.rows):
        return None
    found = [row for row in source.rows if row["finding"] != NO_FINDING]
    total, without = len(source.rows), len(source.rows) - len(found)
    lead = f"No finding in {without} of {total} columns and hospitals, each column counted in each hospital."
    views = [folded(plain_view(source), f"Plausibility and units: all {total} rows")]
    if found:
        views.insert(0, plain_view(Source(tuple(found), source.layout, source.titles, source.ratio_words)))
    return Arrangement(tuple(views), lead)


def _pooled_and_own(source: Source, *more: str) -> tuple[CrossTable | None, CrossTable | None]:
    """Return the rows of all hospitals by group, and where there are more, all rows by hospital."""
    pooled = [row for row in source.rows if label(row, "hospital") == EVERYBODY]
    table = cross_table(pooled, ("factor", *more), "group") if pooled else None
    own = cross_table(source.rows, ("factor", "group", *more), "hospital")
    if table is None or own is None:
        return None, None
    return table, own if len(own.columns) > 1 else None


def _numbers_view(source: Source, table: CrossTable) -> TableView:
    """Return two lines for each factor, and a third of the patients where they differ between factors."""
    counts = [table.common(name, "n") for name in table.columns]
    shared = all(count is not None for count in counts)
    keys, cells = [], []
    for key in table.keys:
        rows = [table.row(key, name) for name in table.columns]
        lines = [tuple(_mean_cell(source, row) for row in rows), tuple(_median_cell(source, row) for row in rows)]
        words = list(_MEASURES)
        if not shared:
            lines.insert(0, tuple(source.cell(row, "n") for row in rows))
            words.insert(0, "patients")
        keys += [(source.title(key[0]), measure) for measure in words]
        cells += lines
    named = zip(table.columns, counts, strict=True)
    headings = [Heading(name, second_line=_of_patients(count) if shared else ()) for name, count in named]
    return TableView(
        (*(Heading(name, is_label=True) for name in ("factor", "measure")), *headings), line_rows(keys, cells)
    )


def _own_numbers_view(source: Source, table: CrossTable) -> TableView:
    """Return a line for each factor and group, the median below the mean; the patients first, where factors agree."""
    groups = tuple(dict.fromkeys(group for _, group in table.keys))
    heads = [[_common_row(table, group, name) for name in table.columns] for group in groups]
    shared = all(row is not None for line in heads for row in line)
    keys = [("patients", group) for group in groups] if shared else []
    cells = [tuple(source.cell(row, "n") for row in line) for line in heads] if shared else []
    for key in table.keys:
        rows = [table.row(key, name) for name in table.columns]
        keys.append((source.title(key[0]), key[1]))
        cells.append(tuple(_both_cell(source, row, shows_n=not shared) for row in rows))
    headings = (Heading("factor", is_label=True), Heading("group", is_label=True), *map(Heading, table.columns))
    return TableView(headings, line_rows(keys, cells), "Mean (SD), and below it the median [5th–95th percentile].")


def _common_row(table: CrossTable, group: str, column: str) -> Row | None:
    """Return a row of a group in a hospital where all its factors have the same patients, hidden or not."""
    rows = [row for key in table.keys if key[1] == group and (row := table.row(key, column)) is not None]
    return rows[0] if len({row.get("n") for row in rows}) == 1 else None


def _both_cell(source: Source, row: Row | None, *, shows_n: bool) -> ShownCell:
    mean, median, n = _mean_cell(source, row), _median_cell(source, row), source.cell(row, "n")
    if mean.is_hidden:
        return n if shows_n else mean
    return ShownCell(mean.pieces, (*median.pieces, *((sign("; n = "), *n.pieces) if shows_n else ())))


def _levels_view(source: Source, table: CrossTable, labels: Sequence[str]) -> TableView:
    sums = {(key[:-1], name): _sum_shown(table, key[:-1], name) for key in table.keys for name in table.columns}
    keys = [(source.title(key[0]), *key[1:]) for key in table.keys]
    cells = [
        tuple(_level_cell(source, table.row(key, name), sums[key[:-1], name]) for name in table.columns)
        for key in table.keys
    ]
    headings = (*(Heading(name, is_label=True) for name in labels), *(Heading(name) for name in table.columns))
    return TableView(headings, line_rows(keys, cells))


def _sum_shown(table: CrossTable, start: Key, column: str) -> float | None:
    """Return the sum of a factor's levels in a group, None where one of them is not shown: no share is then known."""
    rows = [table.row(key, column) for key in table.keys if key[:-1] == start]
    counts = [number(row, "n") for row in rows if row is not None]
    shown = [count for count in counts if count is not None]
    return sum(shown) if len(shown) == len(counts) else None


def _level_cell(source: Source, row: Row | None, total: float | None) -> ShownCell:
    cell, count = source.cell(row, "n"), None if row is None else number(row, "n")
    if count is None or not total:
        return cell
    return ShownCell((*cell.pieces, sign(f" ({count / total:.0%})".replace("%", " %"))))


def _mean_cell(source: Source, row: Row | None) -> ShownCell:
    mean, sd = source.cell(row, "mean"), source.cell(row, "sd")
    return mean if mean.is_hidden else ShownCell((*mean.pieces, sign(" ("), *sd.pieces, sign(")")))


def _median_cell(source: Source, row: Row | None) -> ShownCell:
    median, low, high = (source.cell(row, name) for name in ("median", "p05", "p95"))
    if low.is_hidden and high.is_hidden:
        return median if median.is_hidden else ShownCell((*median.pieces, sign(" ["), DASH, sign("]")))
    return ShownCell((*median.pieces, sign(" ["), *low.pieces, sign(" to "), *high.pieces, sign("]")))


def _missing_cell(source: Source, row: Row | None, *, shows_rows: bool) -> ShownCell:
    share, missing = None if row is None else number(row, "share"), source.cell(row, "missing")
    if missing.is_hidden or share is None:
        return missing
    pieces = (Figure(f"{share:.0%}".replace("%", " %"), source.cell(row, "share").pieces[0].exact),)
    of = (sign(" of "), *source.cell(row, "rows").pieces) if shows_rows else ()
    return ShownCell((*pieces, sign(" ("), *missing.pieces, *of, sign(")")))


def _of_patients(count: object, before: str = "n = ") -> tuple[Figure, ...]:
    return (sign(before), count_figure(count)) if isinstance(count, int) else ()


def _by_hospital(title: str, page: CrossTable, pages: Sequence[CrossTable]) -> str:
    names = f": {page.columns[0]} to {page.columns[-1]}" if len(pages) > 1 else ""
    return f"{title}, by hospital{names}"
