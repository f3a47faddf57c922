"""A table's cells as people read them: each by its kind, intervals in one cell, ratios beside their logarithms.

Shows nothing that the released table doesn't have: a ratio is the exponential of the released logarithm, and a
suppressed cell is a dash.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from heartify.disclosure.cells import Kind
from heartify.disclosure.tables import TABLES, Column
from heartify.lab.report.number_text import (
    MINUS,
    Figure,
    count_figure,
    estimate_figure,
    exact_text,
    fixed_text,
    ratio_decimals,
    ratio_interval,
    ratio_of_log_odds,
    scientific_text,
    se_decimals,
)
from heartify.lab.report.plots.table_rows import Row
from heartify.lab.report.table_words import TableWords, heading_words, label_words
from heartify.protocol.result import Cell

DASH = Figure("—", "")
_NAMES = frozenset({"term", "factor", "candidate", "column", "missing", "interaction"})
"""Columns whose labels are names of the plan or the dictionary, shown by their titles."""

_MEASURES = frozenset({"measure", "test"})
"""Columns whose labels are names of measures and tests, shown as they are written."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """One column as shown: the cell of `column`, with the bounds in `low` and `high` behind it where it has some."""

    heading: str
    column: Column | None
    low: Column | None = None
    high: Column | None = None
    is_ratio: bool = False

    @property
    def is_label(self) -> bool:
        """Return whether the column holds words, to be set flush left."""
        return self.column is not None and self.column.kind is Kind.LABEL


@dataclasses.dataclass(frozen=True, slots=True)
class ShownCell:
    """One cell: figures and the signs between them, and those of a second line; `is_repeated` as in the row above."""

    pieces: tuple[Figure, ...]
    second_line: tuple[Figure, ...] = ()
    is_label: bool = False
    is_repeated: bool = False

    @property
    def is_hidden(self) -> bool:
        """Return whether there is nothing to show."""
        return self.pieces == (DASH,)


HIDDEN = ShownCell((DASH,))


def word_cell(words: str, *, is_repeated: bool = False) -> ShownCell:
    """Return a cell of words."""
    return ShownCell((sign(words),), is_label=True, is_repeated=is_repeated)


def sign(words: str) -> Figure:
    """Return what stands between figures, or words in their place."""
    return Figure(words, "")


def build_layout(name: str, columns: Sequence[str], words: TableWords, ratio: str) -> tuple[Layout, ...]:
    """Return the columns as shown; `ratio` names what the exponential of an estimate is."""
    kinds = {column.name: column for column in TABLES[name].columns} if name in TABLES else {}
    known = [kinds.get(column) or Column(column, Kind.LABEL) for column in columns]
    shown: list[Layout] = []
    for column in known:
        stem = column.name.removesuffix("_low")
        high = kinds.get(f"{stem}_high")
        if column.name.endswith("_high") and f"{column.name.removesuffix('_high')}_low" in columns:
            continue
        if column.name.endswith("_low") and high is not None:
            _add_interval(shown, stem, (column, high), heading_words(words, stem))
        else:
            shown.append(Layout(heading_words(words, column.name), column))
    return tuple(_errors_last(_with_ratios(shown, ratio) if words.ratio else shown))


def _add_interval(shown: list[Layout], stem: str, bounds: tuple[Column, Column], heading: str) -> None:
    """Put an interval behind the estimate that it belongs to; one without an estimate gets a column of its own."""
    low, high = bounds
    last = shown[-1] if shown else None
    owns = stem == "ci" or stem.endswith("_ci")
    if last is not None and last.column is not None and last.low is None and (owns or last.column.name == stem):
        suffix = "" if "95 %" in last.heading else " (95 % CI)"
        shown[-1] = Layout(last.heading + suffix, last.column, low, high)
    else:
        shown.append(Layout(heading, None, low, high))


def _with_ratios(shown: Sequence[Layout], ratio: str) -> list[Layout]:
    """Return the columns with a ratio before every estimate that has an interval."""
    found: list[Layout] = []
    for item in shown:
        if item.column is not None and item.column.kind is Kind.ESTIMATE and item.low is not None:
            words = f"refit {ratio}" if item.column.name.startswith("refit") else ratio
            found.append(Layout(f"{words} (95 % CI)", item.column, item.low, item.high, is_ratio=True))
        found.append(item)
    return found


def _errors_last(shown: Sequence[Layout]) -> list[Layout]:
    """Return the columns with each standard error behind the estimate that it is of, as people expect it."""
    found: list[Layout] = []
    errors: dict[str, Layout] = {}
    for item in shown:
        if item.column is not None and item.column.kind is Kind.SE:
            errors[item.column.name] = item
            continue
        found.append(item)
        if item.column is not None and item.column.kind is Kind.ESTIMATE and not item.is_ratio:
            found += [errors.pop(item.column.se)] if item.column.se in errors else []
    return [*found, *errors.values()]


def build_cell(item: Layout, row: Row, titles: Mapping[str, str]) -> ShownCell:
    """Return one cell of a row."""
    if item.is_ratio:
        return _ratio_cell(item, row)
    figure = None if item.column is None else _figure(item.column, row, titles)
    if item.low is None or item.high is None:
        return ShownCell((figure or DASH,), is_label=item.is_label)
    low, high = _figure(item.low, row, titles), _figure(item.high, row, titles)
    if figure is DASH or (low is DASH and high is DASH):
        return ShownCell((figure or DASH,))
    return _interval_cell(figure, low, high)


def _interval_cell(figure: Figure | None, low: Figure, high: Figure) -> ShownCell:
    if figure is None:
        return ShownCell((low, sign(" to "), high))
    return ShownCell((figure, sign(" ("), low, sign(" to "), high, sign(")")))


def _ratio_cell(item: Layout, row: Row) -> ShownCell:
    cells = [_number(row.get(column.name)) for column in (item.column, item.low, item.high) if column is not None]
    logs = [value for value in cells if value is not None]
    if len(logs) != 3:
        return ShownCell((_one_ratio(cells[0]),)) if logs else HIDDEN
    ratios = (ratio_of_log_odds(logs[0]), ratio_of_log_odds(logs[1]), ratio_of_log_odds(logs[2]))
    shown = ratio_interval(logs[0], ratios, ratio_decimals(ratios))
    if not shown.bounds:
        return ShownCell((shown.estimate,))
    return _interval_cell(shown.estimate, shown.low, shown.high)


def _one_ratio(log_ratio: float | None) -> Figure:
    ratio = None if log_ratio is None else ratio_of_log_odds(log_ratio)
    return DASH if ratio is None else Figure(f"{ratio:.3g}", exact_text(ratio))


def _figure(column: Column, row: Row, titles: Mapping[str, str]) -> Figure:
    cell = row.get(column.name)
    if cell is None:
        return DASH
    if isinstance(cell, str):
        words = titles.get(cell, cell) if column.name in _NAMES else cell
        return Figure(label_words(cell) if column.name in _MEASURES else words, "")
    if column.kind in {Kind.NUMBER, Kind.COUNT}:
        return count_figure(int(cell))
    se = None if column.se is None else _number(row.get(column.se))
    return _real(column.kind, float(cell), se)


def _real(kind: Kind, value: float, se: float | None) -> Figure:
    if kind in {Kind.ESTIMATE, Kind.BOUND} and se:
        return estimate_figure(value, se_decimals(se, 3))
    if kind is Kind.SE and value:
        return Figure(fixed_text(value, se_decimals(value, 2)), exact_text(value))
    if kind in {Kind.INDEX, Kind.FINE_INDEX}:
        return Figure(fixed_text(value, 2 if kind is Kind.INDEX else 3), exact_text(value))
    if value and not 1e-4 <= abs(value) < 1e6:
        return Figure(scientific_text(value), exact_text(value))
    return Figure(f"{value:.10g}".replace("-", MINUS), exact_text(value))


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, (int, float)) else None
