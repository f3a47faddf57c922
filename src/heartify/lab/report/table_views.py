"""How a table stands on the page: one or more views of the same released rows, each with its headings and its cells.

The plain view has a row for each released row and a column for each kind of figure. Other views arrange the same cells
anew; none holds a figure that the released table doesn't have, save what says that it is worked out from shown ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from heartify.lab.report.number_text import Figure, ratio_decimals, ratio_interval, ratio_of_log_odds
from heartify.lab.report.plots.table_rows import Row, numbers
from heartify.lab.report.table_cells import HIDDEN, Layout, ShownCell, build_cell, sign, word_cell

WIDE_FROM = 8
"""A table of so many columns has its intervals on a second line, so as to fit a page."""


@dataclasses.dataclass(frozen=True, slots=True)
class Heading:
    """A column's heading; the second line holds what is the same for all of its cells, such as the patients."""

    words: str
    is_label: bool = False
    second_line: tuple[Figure, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class TableView:
    """One arrangement of a table; one with a summary is folded away under it, and opens with a click and in print."""

    headings: tuple[Heading, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    caption: str = ""
    summary: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Arrangement:
    """A table's views in their order; `lead` is a sentence above them."""

    views: tuple[TableView, ...]
    lead: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A released table as views are made from: its rows by column name, and what its cells are laid out by."""

    rows: tuple[Row, ...]
    layout: tuple[Layout, ...]
    titles: Mapping[str, str]
    ratio_words: str

    def title(self, name: str) -> str:
        """Return what a name of the plan or the dictionary is called."""
        return self.titles.get(name, name)

    def cell(self, row: Row | None, column: str) -> ShownCell:
        """Return a column's cell with its interval, if it has one; a dash where there is no such row or column."""
        return self._cell(row, column, is_ratio=False)

    def ratio(self, row: Row | None, column: str = "estimate") -> ShownCell:
        """Return the exponential of an estimate with its interval."""
        return self._cell(row, column, is_ratio=True)

    def ratio_bounds(self, row: Row | None, stem: str, column: str = "estimate") -> ShownCell:
        """Return the exponentials of another interval of an estimate, such as `prediction`, without the estimate."""
        found = None if row is None else numbers(row, column, f"{stem}_low", f"{stem}_high")
        if found is None:
            return HIDDEN
        ratios = (ratio_of_log_odds(found[0]), ratio_of_log_odds(found[1]), ratio_of_log_odds(found[2]))
        shown = ratio_interval(found[0], ratios, ratio_decimals(ratios))
        return ShownCell((shown.low, sign(" to "), shown.high))

    def _cell(self, row: Row | None, column: str, *, is_ratio: bool) -> ShownCell:
        for item in self.layout:
            named = item.column or item.low
            if row is not None and named is not None and named.name == column and item.is_ratio == is_ratio:
                return build_cell(item, row, self.titles)
        return HIDDEN


def plain_view(source: Source) -> TableView:
    """Return the rows as they were released."""
    headings = tuple(Heading(item.heading, is_label=item.is_label) for item in source.layout)
    rows = tuple(tuple(build_cell(item, row, source.titles) for item in source.layout) for row in source.rows)
    if len(headings) >= WIDE_FROM:
        rows = tuple(tuple(map(stacked, row)) for row in rows)
    return TableView(headings, rows)


def folded(view: TableView, summary: str) -> TableView:
    """Return the view folded away under a summary."""
    return dataclasses.replace(view, summary=summary)


def stacked(cell: ShownCell) -> ShownCell:
    """Return a cell with the interval behind its estimate on the second line, for tables of many columns."""
    if len(cell.pieces) == 1 or cell.pieces[1] != sign(" ("):
        return cell
    return dataclasses.replace(cell, pieces=cell.pieces[:1], second_line=(sign("("), *cell.pieces[2:]))


def full_view(source: Source, title: str) -> TableView:
    """Return all figures row by row, as narrow as can be, to be folded away under a view that leaves some out."""
    view = plain_view(source)
    rows = tuple(tuple(stacked(cell) for cell in row) for row in view.rows)
    return TableView(view.headings, rows, summary=f"{title}, row by row with β and SE: {len(rows)} rows")


def line_rows(
    keys: Sequence[Sequence[str]], cells: Sequence[tuple[ShownCell, ...]]
) -> tuple[tuple[ShownCell, ...], ...]:
    """Return rows of words and cells; words that the row above begins with too are marked as repeated."""
    found: list[tuple[ShownCell, ...]] = []
    above: Sequence[str] = ()
    for key, line in zip(keys, cells, strict=True):
        pairs = enumerate(zip(key, above, strict=False))
        same = next((place for place, (word, other) in pairs if word != other), min(len(key), len(above)))
        # The last word always stands: it is what tells a line from the one above.
        last = len(key) - 1
        words = (word_cell(word, is_repeated=place < min(same, last)) for place, word in enumerate(key))
        found.append((*words, *line))
        above = key
    return tuple(found)
